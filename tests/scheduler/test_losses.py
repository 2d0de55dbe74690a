"""What a placement would spoil, each loss by itself on fleets small enough to reckon by hand."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from scheduler.columns import HORIZONS, SPANS
from scheduler.fleet import Fleet
from scheduler.history import Learnt, Work, typical
from scheduler.losses import SHARES, pairs, useful
from scheduler.place import place
from scheduler.reasons import reasons
from scheduler.scores import WEIGHTS
from scheduler.types import Cell, Item, Resources, Spread
from tests.scheduler.worlds import host, item

ANY = (1 << 62) - 1


def best(fleet: Fleet, wish: Item) -> str:
    """The host that is chosen."""
    (result,) = place(fleet, [[wish]])
    assert isinstance(result, list), result
    return result[0].host_id


def taught(learnt: Learnt, *hosts: Any) -> Fleet:
    fleet = Fleet(hosts)
    fleet.teach(learnt)
    return fleet


def gpu_host(id_: str, vcpus: int = 64, **changes: Any) -> Any:
    return host(id_, **{"capacity": Resources(vcpus, 65536, 100, 2), **changes})


def wish(vcpus: int, gpus: int = 0, **changes: Any) -> Item:
    return item(resources=Resources(vcpus, 1024, 1, gpus), **changes)


def worth(vcpus: int, free: list[int], *work: tuple[int, ...], model: int = 0) -> float:
    rows = [(*one[:4], int(one[4] * SHARES)) for one in work]
    return useful(vcpus, np.array([free], np.int16), 0, model, np.array(rows, np.int64).reshape(-1, 5))


def test_usefulness_counts_what_cpu_can_feed() -> None:
    work = (8, 1, 1000, ANY, 1.0)
    free = [1000, 1000, 1000, 400]
    assert worth(64, free, work) == pytest.approx(3.0)
    assert worth(16, free, work) == pytest.approx(2.0)
    assert worth(7, free, work) == 0.0


def test_usefulness_counts_whole_pieces_for_three_quarters() -> None:
    assert worth(64, [1000], (1, 1, 400, ANY, 1.0)) == pytest.approx(0.25 * 1.0 + 0.75 * 0.8)


def test_usefulness_leaves_out_work_that_may_not_use_the_model() -> None:
    assert worth(8, [1000], (1, 1, 1000, 0b10, 1.0)) == 0.0
    assert worth(8, [1000], (1, 1, 1000, 0b10, 1.0), model=1) == pytest.approx(1.0)


def test_work_without_gpus_keeps_off_the_cpu_that_gpus_need() -> None:
    hosts = gpu_host("tight", used=Resources(48, 0, 0, 0)), gpu_host("wide")
    assert best(taught(Learnt({Work(8, 1, 1000): 1.0}), *hosts), wish(8)) == "wide"


def test_work_that_may_go_anywhere_keeps_off_the_model_that_others_must_have() -> None:
    hosts = gpu_host("rare", gpu_model="rare"), gpu_host("plain", gpu_model="plain")
    weights = typical({Work(1, 1, 1000): 60, Work(1, 1, 1000, ("rare",)): 40}, {"rare": 1, "plain": 9})
    assert best(taught(Learnt(weights), *hosts), wish(1, 1)) == "plain"


def test_a_single_cell_is_chosen_so_that_pairs_stay_whole() -> None:
    cells = (Cell(16, 32768), Cell(32, 65536))
    small = wish(8, cells=1)
    fleet = taught(Learnt(pair=(16.0, 32768.0)), host("h", capacity=Resources(48, 98304, 100), cells=cells))
    fleet.claim_all([("h", small)])
    assert [cell.used_vcpus for cell in fleet.host("h").cells] == [0, 8]
    untaught = Fleet([host("h", capacity=Resources(48, 98304, 100), cells=cells)])
    untaught.claim_all([("h", small)])
    assert [cell.used_vcpus for cell in untaught.host("h").cells] == [8, 0], "the tightest"


@pytest.mark.parametrize(("halves", "found"), [((2, 2), 2.0), ((1, 3), 1.0), ((3, 0), 0.0), ((2, 1, 1), 2.0), ((1, 1, 1), 1.5)])
def test_pairs_are_bounded_by_the_sum_and_by_the_largest(halves: tuple[int, ...], found: float) -> None:
    free = np.array([[[half * 4, half * 8] for half in halves]], np.int64)
    assert pairs(free, 0, np.array([4.0, 8.0]), 0, 0, 0) == pytest.approx(found)


def test_a_host_that_would_soon_be_empty_is_left_to_become_so() -> None:
    soon, late = (math.log(0.9),) * len(HORIZONS), (math.log(1e-9),) * len(HORIZONS)
    fleet = Fleet([host("soon", used=Resources(6, 0, 0), emptying=soon), host("late", used=Resources(4, 0, 0), emptying=late)])
    assert best(fleet, item(alive=(1.0,) * len(HORIZONS))) == "late"
    assert best(fleet, item(alive=(0.0,) * len(HORIZONS))) == "soon"
    assert best(fleet, item()) == "soon"


def test_what_lives_on_a_host_is_counted_while_it_is_there() -> None:
    fleet = Fleet([host("a")])
    fleet.claim_all([("a", item(alive=(0.5,) * len(HORIZONS)))])
    assert fleet.host("a").emptying == pytest.approx((math.log(0.5),) * len(HORIZONS), abs=1e-5)
    fleet.expect(["a"], np.zeros((1, len(HORIZONS))))
    assert fleet.host("a").emptying == ()


def test_a_group_that_must_stay_together_begins_where_there_is_room() -> None:
    hosts = [host("full", zone="small", used=Resources(6, 6144, 0)), host("a", zone="large"), host("b", zone="large")]
    group = Spread("g", "affinity", "zone")
    assert best(Fleet(hosts), item(spread=group)) in ("a", "b")
    assert best(Fleet(hosts), item()) == "full"
    assert best(Fleet(hosts), item(spread=group, members={"full": 1})) == "full"


def test_what_is_recorded_of_days_is_what_the_score_has_of_them() -> None:
    alive = tuple(np.linspace(0.9, 0.1, len(HORIZONS)).tolist())
    emptying = tuple(np.linspace(-6.0, -0.5, len(HORIZONS)).tolist())
    fleet = Fleet([host("a", emptying=emptying)])
    known, unknown = reasons(fleet, item(alive=alive)), reasons(fleet, item())
    assert (unknown.days, unknown.best[0].days) == (None, None)
    assert known.days == pytest.approx(float(np.array(alive) @ SPANS), abs=1e-3)
    days = known.best[0].days
    assert days is not None
    assert days == pytest.approx(float(np.array(alive) * np.exp(emptying) @ SPANS), abs=1e-3)
    assert known.best[0].points == pytest.approx(unknown.best[0].points + WEIGHTS.stay * days, abs=1e-3)


def test_a_host_that_somebody_keeps_for_certain_loses_no_days() -> None:
    fleet = Fleet([host("kept", emptying=(math.log(1e-9),) * len(HORIZONS))])
    assert reasons(fleet, item(alive=(1.0,) * len(HORIZONS))).best[0].points == reasons(fleet, item()).best[0].points


def test_all_hosts_can_be_judged_at_once() -> None:
    hosts = [host(f"h{number}") for number in range(6)]
    fleet, some = Fleet(hosts), [f"h{number}" for number in range(6)]
    wish, emptying = item(alive=(1.0,) * len(HORIZONS)), np.full((6, len(HORIZONS)), math.log(0.9))
    place(fleet, [[wish]])  # keys are there, to be found anew
    emptying[4] = math.log(1e-9)
    fleet.expect(some, emptying)
    assert best(fleet, wish) == "h4"
    fleet.expect(["h4", "h2"], emptying[[0, 4]])
    assert best(fleet, wish) == "h2"
    assert fleet.host("h0").emptying == pytest.approx(emptying[0], abs=1e-5)


def test_probabilities_for_another_number_of_horizons_are_refused() -> None:
    with pytest.raises(ValueError, match="2 probabilities for 12"):
        place(Fleet([host("a")]), [[item(alive=(1.0, 0.5))]])
    with pytest.raises(ValueError, match="1 probabilities for 12"):
        Fleet([host("a", emptying=(-1.0,))])
