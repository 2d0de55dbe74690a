"""What compiled code decides and what explanations say are two readings of one set of rules."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler import choosing
from scheduler.columns import EXCLUDED
from scheduler.constraints import fails, group_of, members_of
from scheduler.fleet import Fleet
from scheduler.place import apply, place
from scheduler.reasons import reasons
from scheduler.types import Host, Item, Resources, Spread
from tests.scheduler.worlds import fleets, gangs, host, item, lessons, refused

MANY = settings(max_examples=300, deadline=None)


def keys_of(fleet: Fleet, wish: Item) -> np.ndarray:
    out = np.zeros(len(fleet.columns.flags), np.int64)
    groups = group_of(wish, members_of(fleet, wish, {}))
    group = 0 if wish.spread else -1
    choosing.all_keys(fleet.columns, fleet.index, groups, fleet.places(), fleet.slot(wish), fleet.allowed(wish), group, out)
    return out


@given(st.data(), fleets(most=6))
@MANY
def test_a_row_has_a_key_exactly_when_no_rule_excludes_it(data: st.DataObject, hosts: list[Host]) -> None:
    fleet = Fleet([*hosts, host("one")])
    wish = data.draw(gangs(hosts, most=1))[0]
    named = {fleet.rows[id_] for id_ in wish.hosts if id_ in fleet.rows}
    keys, failed = keys_of(fleet, wish), fails(fleet, wish, members_of(fleet, wish, {}))
    for row in fleet.rows.values():
        by_name = bool(wish.hosts) and row not in named  # confined to named hosts by `only`, not by a key
        assert (failed[row] == 0) == (keys[row] != EXCLUDED and not by_name), row


@given(st.data(), fleets(most=6))
@MANY
def test_reasons_count_every_host_once_and_name_the_one_that_is_taken(data: st.DataObject, hosts: list[Host]) -> None:
    fleet = Fleet(hosts)
    wish = data.draw(gangs(hosts, most=1))[0]
    (result,) = place(fleet, [[wish]])
    why = reasons(fleet, wish)
    assert why.fits + sum(one.excluded for one in why.rules) == why.hosts == len(hosts)
    if refused(result):
        assert (why.fits, why.rules, why.alone) == (0, result.rules, result.alone)
    elif not (wish.spread and wish.spread.mode == "affinity"):
        assert why.best[0].host == fleet.host(result[0].host_id).name
    assert all(miss.rules for miss in why.nearest)


@given(st.data(), fleets(most=6))
@MANY
def test_a_fleet_that_was_changed_bit_by_bit_decides_like_one_read_at_once(data: st.DataObject, hosts: list[Host]) -> None:
    grown = Fleet()
    wishes = [data.draw(gangs(hosts, most=2, name=f"g{number}-")) for number in range(3)]
    grown.teach(data.draw(lessons()))
    for one in hosts:
        grown.upsert([one])
        place(grown, wishes)
    for wish, result in zip(wishes, place(grown, wishes), strict=True):
        if not refused(result):
            apply(grown, wish, result)
    at_once = Fleet(grown.host(id_) for id_ in grown.rows)
    at_once.teach(grown.learnt)
    assert place(grown, wishes) == place(at_once, wishes) == place(grown.copy(), wishes)


def test_shares_of_gpus_go_to_the_fullest_device_that_has_room() -> None:
    shared = host("a", capacity=Resources(8, 8192, 100, 3), gpu_shares=(500, 0, 200), gpu_model="G1")
    fleet = Fleet([shared])
    assert fleet.host("a") == shared
    half = item(resources=Resources(1, 1, 1, 1), gpu_milli=500, gpu_models=("G1",))
    apply(fleet, [half], place(fleet, [[half]])[0])
    assert fleet.host("a").gpu_shares == (1000, 0, 200)
    two = item(resources=Resources(1, 1, 1, 2), gpu_milli=800)
    apply(fleet, [two], place(fleet, [[two]])[0])
    assert fleet.host("a").gpu_shares == (1000, 800, 1000)
    assert refused(place(fleet, [[half]])[0])


@pytest.mark.parametrize(
    ("gpus", "milli", "used", "short"),
    [
        (1, 500, (600, 600), 0.1),  # 0.8 are free, in two pieces
        (2, 1000, (0, 250), 0.25),
        (2, 1000, (1000, 1000), 2),
        (3, 1000, (0, 0), 1),
    ],
)
def test_what_is_short_of_gpus_is_counted_on_the_devices_that_have_most(gpus: int, milli: int, used: tuple[int, ...], short: float) -> None:
    fleet = Fleet([host("a", capacity=Resources(8, 8192, 100, 2), gpu_shares=used)])
    (miss,) = reasons(fleet, item(resources=Resources(1, 1, 1, gpus), gpu_milli=milli)).nearest
    assert (miss.rules, miss.short) == (("gpus",), {"gpus": short})


def test_members_in_one_rack_count_together() -> None:
    fleet = Fleet([host("a", rack="r1"), host("b", rack="r1"), host("c", rack="r2")])
    apart = Spread("g", "anti_affinity", "rack")
    assert place(fleet, [[item(spread=apart, members={"a": 1})]])[0][0].host_id == "c"
    assert refused(place(fleet, [[item(spread=apart, members={"a": 1, "c": 1})]])[0])


def test_hosts_that_are_off_or_later_in_order_are_taken_last() -> None:
    fleet = Fleet([host("off", on=False), host("later", order=1), host("on")])
    assert place(fleet, [[item()]])[0][0].host_id == "on"
    fleet.drop("on")
    assert place(fleet, [[item()]])[0][0].host_id == "off"


LICENSED = host("licensed", traits=frozenset({"oracle"}), licences=frozenset({"oracle"}), used=Resources(4, 4096, 50))


@pytest.mark.parametrize(
    ("others", "traits", "chosen"),
    [
        ([host("plain")], set(), "plain"),
        ([host("plain")], {"oracle"}, "licensed"),
        ([host("off", on=False)], set(), "off"),
        ([host("later", order=1)], set(), "licensed"),
        ([host("full", used=Resources(8, 8192, 100))], set(), "licensed"),
        ([host("both", traits=frozenset({"oracle", "win"}), licences=frozenset({"oracle", "win"}))], {"oracle"}, "licensed"),
    ],
)
def test_a_licence_is_left_to_who_asks_for_it_while_others_of_the_same_order_have_room(
    others: list[Host], traits: set[str], chosen: str
) -> None:
    """The licensed host is the fuller one: without its licence it would be taken each time."""
    assert place(Fleet([LICENSED, *others]), [[item(traits=frozenset(traits))]])[0][0].host_id == chosen
