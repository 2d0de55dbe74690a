"""Room that others leave: whatever is arranged holds, and for equal items nothing is missed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.later import Arrangement, Slot, arrange, earliest, no_harder
from scheduler.plans.survival import survives
from scheduler.plans.types import Resident
from scheduler.types import Host, Item, Resources, Spread
from tests.scheduler.worlds import allowed, fleets, gang, gangs, group_holds, host, item, resources, state

LARGE = Resources(8, 8192, 100)
MANY = settings(max_examples=400, deadline=None)


def slot(key: str, host_id: str, ends: int = 100, size: Resources = LARGE, like: Item | None = None) -> Slot:
    return Slot(key, host_id, size, ends, like)


@st.composite
def slots(draw: st.DrawFn, fleet: Sequence[Host], most: int = 3) -> list[Slot]:
    """What tenants of these hosts leave, in any order of time."""
    if not fleet:
        return []
    leaving = st.builds(Slot, st.just(""), st.sampled_from([one.id for one in fleet]), resources(6, 6, 6, 2, least=1), st.integers(1, 4))
    return [replace(one, key=f"e{number}") for number, one in enumerate(draw(st.lists(leaving, max_size=most)))]


def holds(fleet: Sequence[Host], wanted: Sequence[Item], seats: Sequence[Host], chosen: Sequence[tuple[Host, Host]]) -> bool:
    """Whether an assignment keeps every rule; pairs of where the room is (a host or a seat) and the true host."""
    bare = [replace(one, spread=None, hosts=()) for one in wanted]
    if not allowed([*fleet, *seats], bare, [room for room, _ in chosen]):
        return False
    if not all(not one.hosts or true.id in one.hosts for one, (_, true) in zip(wanted, chosen, strict=True)):
        return False
    groups = {one.spread: one.members for one in wanted if one.spread}
    return all(group_holds(fleet, rule, members, wanted, [true for _, true in chosen]) for rule, members in groups.items())


def seat(one: Host, of: Slot) -> Host:
    return replace(one, id=f"seat-{of.key}", capacity=of.size, used=Resources(), cells=(), gpu_shares=())


def arrangeable(fleet: Sequence[Host], wanted: Sequence[Item], leaving: Sequence[Slot]) -> bool:
    """By trying everything."""
    by_id = {one.id: one for one in fleet}
    pairs = [(seat(by_id[one.host_id], one), by_id[one.host_id]) for one in leaving]
    rooms = [(one, one) for one in fleet] + pairs
    possible = [[room for room in rooms if allowed([room[0]], [replace(one, spread=None, hosts=())], [room[0]])] for one in wanted]
    return any(holds(fleet, wanted, [room for room, _ in pairs], chosen) for chosen in product(*possible))


def kept(fleet: Sequence[Host], wanted: Sequence[Item], leaving: Sequence[Slot], found: Arrangement) -> bool:
    by_id = {one.id: one for one in fleet}
    seats = {one.key: seat(by_id[one.host_id], one) for one in leaving}
    chosen = []
    for one in wanted:
        assert (one.key in found.now) != (one.key in found.slots), "each is somewhere, and once"
        if one.key in found.now:
            chosen.append((by_id[found.now[one.key].host_id],) * 2)
        else:
            of = found.slots[one.key]
            chosen.append((seats[of.key], by_id[of.host_id]))
    return holds(fleet, wanted, list(seats.values()), chosen)


@given(st.data(), fleets())
@MANY
def test_what_is_arranged_keeps_every_rule_and_the_fleet_stays_as_it_was(data: st.DataObject, hosts: list[Host]) -> None:
    wanted, leaving, fleet = data.draw(gangs(hosts)), data.draw(slots(hosts)), Fleet(hosts)
    before = state(fleet)
    found = arrange(fleet, wanted, leaving)
    assert state(fleet) == before
    if found is not None:
        assert kept(hosts, wanted, leaving, found)


@given(st.data(), fleets(most=3))
@MANY
def test_equal_items_find_room_exactly_when_trying_everything_does(data: st.DataObject, hosts: list[Host]) -> None:
    first = data.draw(gangs(hosts, most=1))[0]
    if first.spread and first.spread.mode == "affinity":
        first = replace(first, spread=None, members={})
    wanted = [replace(first, key=f"i{number}") for number in range(data.draw(st.integers(1, 3)))]
    leaving = data.draw(slots(hosts))
    assert (arrange(Fleet(hosts), wanted, leaving) is not None) == arrangeable(hosts, wanted, leaving)


@given(st.data(), fleets(most=3))
@MANY
def test_the_moment_told_is_the_earliest_and_holds_when_it_is_asked_for(data: st.DataObject, hosts: list[Host]) -> None:
    wanted, leaving, fleet = data.draw(gangs(hosts, most=3)), data.draw(slots(hosts)), Fleet(hosts)
    told = earliest(fleet, wanted, leaving)
    ends = sorted({one.ends for one in leaving})
    possible = [moment for moment in ends if arrangeable(hosts, wanted, [one for one in leaving if one.ends <= moment])]
    if told is not None:
        assert arrange(fleet, wanted, [one for one in leaving if one.ends <= told]) is not None
        assert possible, "an arrangement that nobody could make"
        assert told >= possible[0]
    if len({replace(one, key="").__repr__() for one in wanted}) == 1 and not (wanted[0].spread and wanted[0].spread.mode == "affinity"):
        assert told == (possible[0] if possible else None)


FULL = [host("a", used=LARGE), host("b", used=LARGE, zone="b")]


@pytest.mark.parametrize(
    ("wanted", "leaving", "moment"),
    [
        ([item()], [slot("e", "a", 100), slot("f", "b", 50)], 50),
        ([item(zones=("a",))], [slot("e", "a", 100), slot("f", "b", 50)], 100),
        ([item(arch="aarch64")], [slot("e", "a")], None),
        ([item(resources=Resources(9, 1, 1))], [slot("e", "a")], None),
        (gang(4), [slot("e", "a", 100), slot("f", "b", 50)], 50),
        (gang(5), [slot("e", "a", 100), slot("f", "b", 50)], 100),
        (gang(2, spread=Spread("g", "anti_affinity")), [slot("e", "a", 100), slot("f", "a", 50), slot("h", "b", 200)], 200),
        (gang(2, spread=Spread("g", "affinity"), resources=LARGE), [slot("e", "a", 1), slot("f", "b", 2), slot("h", "b", 3)], 3),
        ([item(hosts=("b",))], [slot("e", "a", 1), slot("f", "b", 2)], 2),
        ([item()], [slot("e", "nobody-knows")], None),
        ([item()], [], None),
    ],
)
def test_by_when_there_would_be_room(wanted: list[Item], leaving: list[Slot], moment: int | None) -> None:
    assert earliest(Fleet(FULL), wanted, leaving) == moment


def test_those_that_fit_now_are_held_now_and_the_others_wait() -> None:
    fleet = Fleet([host("a", used=Resources(6, 0, 0)), host("b", used=LARGE)])
    found = arrange(fleet, gang(2), [slot("e", "b")])
    assert found is not None
    assert [one.host_id for one in found.now.values()] == ["a"]
    assert [one.key for one in found.slots.values()] == ["e"]


def test_those_held_now_count_for_the_rule_of_the_group() -> None:
    fleet = Fleet([host("a", used=Resources(6, 0, 0)), host("b", used=LARGE)])
    apart = gang(2, spread=Spread("g", "anti_affinity"))
    assert earliest(fleet, apart, [slot("e", "a", 1), slot("f", "b", 2)]) == 2


def test_nothing_is_put_together_from_what_is_free_and_what_will_be() -> None:
    fleet = Fleet([host("a", used=Resources(4, 0, 0))])
    assert arrange(fleet, [item(resources=Resources(8, 10, 10))], [slot("e", "a", size=Resources(4, 100, 100))]) is None


def test_where_restarts_were_promised_nobody_harder_takes_over() -> None:
    fleet, there = Fleet(FULL), item("there", traits=frozenset({"ssd"}))
    easy, picky = item(), item(traits=frozenset({"ssd"}))
    apart = gang(1, spread=Spread("g", "anti_affinity"))
    assert arrange(fleet, [easy], [slot("e", "a", like=there)]) is not None
    assert arrange(fleet, [picky], [slot("e", "a", like=item("there"))]) is None
    assert arrange(fleet, apart, [slot("e", "a", like=there)]) is None
    assert earliest(fleet, [picky], [slot("e", "a", 1, like=item("there")), slot("f", "b", 2)]) == 2


@given(st.data(), fleets(most=3))
@settings(max_examples=300, deadline=None)
def test_who_is_no_harder_takes_over_and_n_plus_k_stays(data: st.DataObject, hosts: list[Host]) -> None:
    """A pool that could restart somebody can restart whoever is no larger and no harder, in his place."""
    if not hosts:
        return
    hosts = [replace(one, used=Resources(), gpu_shares=(), cells=()) for one in hosts]
    first, other = (replace(one, hosts=(), spread=None, members={}) for one in (data.draw(gangs(hosts, most=1))[0] for _ in range(2)))
    other = replace(other, resources=first.resources, gpu_milli=first.gpu_milli)
    if first.cells or other.cells or not no_harder(other, first):
        return
    there = [one for one in hosts if arrange(Fleet([one]), [first], []) and arrange(Fleet([one]), [other], [])]
    for one in there:
        spare = {"p": 1, "q": 1}
        before, after = Fleet(hosts), Fleet(hosts)
        before.claim_all([(one.id, first)])
        after.claim_all([(one.id, other)])
        was = {each.pool: each.ok for each in survives(before, [Resident("r", one.id, first)], spare)}
        now = {each.pool: each.ok for each in survives(after, [Resident("r", one.id, other)], spare)}
        assert all(now[pool] for pool, ok in was.items() if ok)
