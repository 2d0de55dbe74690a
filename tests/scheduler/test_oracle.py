"""The scheduler against trying everything: up to six hosts and eight items, every rule; a third of them possible."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random
from typing import Any

import pytest

from scheduler.constraints import RULES
from scheduler.fleet import Fleet
from scheduler.history import Learnt, Work
from scheduler.place import place
from scheduler.types import Cell, Host, Item, Resources, Spread
from tests.scheduler.worlds import allowed, host, possible, refused

CASES, PARTS = 5000, 10


def now_and_then(dice: Random, share: float, **values: Any) -> dict[str, Any]:
    """Some of the values, each with this probability."""
    return {name: value for name, value in values.items() if dice.random() < share}


def some_host(dice: Random, id_: str) -> Host:
    """Mostly healthy, with room for a few items."""
    capacity = Resources(dice.randint(2, 8), dice.randint(2, 8), dice.randint(3, 8), dice.choice((0, 1, 2, 3)))
    used = Resources(dice.choice((0, 0, 1)), dice.choice((0, 0, 1)), dice.choice((0, 0, 1)))
    half = Cell(capacity.vcpus // 2, capacity.memory_mib // 2, dice.choice((0, 0, 1)), 0)
    return host(
        id_,
        capacity=capacity,
        used=used,
        zone=dice.choice("ab"),
        rack=dice.choice(("r1", "r2", "r3")),
        site=dice.choice("sst"),
        baselines=frozenset(dice.choice((("v2", "v3"), ("v2",)))),
        level=dice.choice((0, 3, 4)),
        cells=(half, half) if dice.random() < 0.7 else (),
        gpu_model=dice.choice(("G1", "G2")),
        gpu_shares=tuple(dice.choice((0, 0, 400, 600)) for _ in range(capacity.gpus)),
        gpu_sharing=dice.random() < 0.8,
        **now_and_then(dice, 0.1, up=False, cordoned=True, pool="silver", arch="aarch64", traits=frozenset(), tenants=frozenset({"t"})),
        **now_and_then(dice, 0.15, on=False, wakes=False, kinds=frozenset({"vm", "container"})),
    )


def some_gang(dice: Random, ids: list[str]) -> list[Item]:
    """Small items, each with a rule or two, in up to two groups."""
    groups: list[dict[str, Any]] = [{}, {}, {}]
    for name in "pq":
        mode, domain = dice.choice(("affinity", "anti_affinity", "anti_affinity", "spread")), dice.choice(("host", "rack", "zone", "site"))
        members = {dice.choice(ids): dice.randint(1, 2)} if dice.random() < 0.3 else {}
        groups.append({"spread": Spread(name, mode, domain, dice.choice((1, 2, 3))), "members": members})
    sizes = [Resources(dice.randint(1, 2), dice.randint(1, 2), dice.randint(0, 2), dice.choice((0,) * 8 + (1, 1, 2))) for _ in range(2)]
    return [
        Item(
            **{"key": f"i{number}", "kind": "vm", "resources": dice.choice(sizes)}
            | dice.choice(groups)
            | now_and_then(dice, 0.08, arch="x86_64", zones=("a",), sites=("s",), pools=("gold",), traits=frozenset({"ssd"}), baseline="v3")
            | now_and_then(dice, 0.04, level=dice.choice((3, 4)), tenants=("t",), hosts=tuple(dice.sample(ids, len(ids) // 2)))
            | now_and_then(dice, 0.08, cells=dice.choice((1, 2)), gpu_milli=dice.choice((400, 600)), gpu_models=("G1",), kind="container")
        )
        for number in range(dice.randint(1, 8))
    ]


def cases(part: int) -> Iterator[tuple[list[Host], list[Item], Learnt]]:
    dice = Random(part)  # noqa: S311
    for _ in range(CASES // PARTS):
        hosts = [some_host(dice, f"h{number}") for number in range(dice.randint(2, 6))]
        work = {Work(1, 1, dice.choice((400, 1000)), ()): 1.0} if dice.random() < 0.5 else {}
        yield hosts, some_gang(dice, [one.id for one in hosts]), Learnt(work, dice.choice(((0.0, 0.0), (1.0, 2.0))))


@pytest.mark.parametrize("part", range(PARTS))
def test_a_gang_is_placed_exactly_when_trying_everything_finds_a_place(part: int) -> None:
    yes = large = 0
    for hosts, wanted, learnt in cases(part):
        fleet = Fleet(hosts)
        fleet.teach(learnt)
        (result,) = place(fleet, [wanted])
        assert refused(result) == (not possible(hosts, wanted)), (hosts, wanted)
        if not refused(result):
            by_id = {one.id: one for one in hosts}
            assert allowed(hosts, wanted, [by_id[to.host_id] for to in result])
            yes, large = yes + 1, large + (len(wanted) >= 5)
    assert 0.25 < yes / (CASES // PARTS) < 0.75, "both answers are tried"
    assert large > CASES // PARTS // 50, "those of many items, too"


def test_every_rule_stands_in_the_way_of_some() -> None:
    biting = set()
    for hosts, wanted, _ in (case for part in range(PARTS) for case in cases(part)):
        (result,) = place(Fleet(hosts), [wanted])
        if refused(result):
            biting |= {one.rule for one in result.rules}
    assert biting == set(RULES)
