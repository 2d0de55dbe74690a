"""Preempting: the right ones leave, only they, and only where that is enough; against an oracle that tries every set."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import combinations

from hypothesis import given
from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.place import place
from scheduler.plans.preempting import Preemption, _useful, make_room, preempt
from scheduler.plans.types import Resident
from scheduler.types import Item, Resources, Spread
from tests.scheduler.plans.settled import World, world, worlds
from tests.scheduler.worlds import gang, gangs, host, item, refused, state


@st.composite
def settled(draw: st.DrawFn, plain: bool = True) -> World:
    """A small fleet where some are of low classes, and some of those agreed."""
    there = draw(worlds(plain=plain, roomy=not plain))
    changed = [replace(one, rank=draw(st.integers(0, 2)), preemptible=draw(st.integers(0, 3)) > 0) for one in there.residents]
    return World(there.hosts, changed)


def without(there: World, leaving: Sequence[Resident]) -> Fleet:
    """The fleet made anew as if some had never been there."""
    gone = {one.key for one in leaving}
    return World(there.hosts, [one for one in there.residents if one.key not in gone]).fleet()


def fits(there: World, leaving: Sequence[Resident], wanted: Sequence[Item]) -> bool:
    return not refused(place(without(there, leaving), [wanted])[0])


def best(there: World, wanted: Item, rank: int) -> tuple[int, int] | None:
    """Over all hosts and all sets of those who may leave: the lowest highest rank, and then the fewest."""
    found = [
        (max(one.rank for one in leaving), number)
        for host_ in there.hosts
        for those in [[one for one in there.residents if one.host_id == host_.id and one.preemptible and one.rank < rank]]
        for number in range(1, len(those) + 1)
        for leaving in combinations(those, number)
        if fits(there, leaving, [replace(wanted, hosts=(host_.id,))])
    ]
    return min(found, default=None)


@given(settled(), st.integers(1, 9), st.integers(1, 9), st.integers(0, 3))
def test_for_one_the_lowest_class_leaves_and_of_those_the_fewest(there: World, vcpus: int, memory: int, rank: int) -> None:
    wanted = item("new", resources=Resources(vcpus, memory, 1))
    found = make_room(there.fleet(), there.residents, [wanted], rank)
    if fits(there, (), [wanted]):
        assert isinstance(found, Preemption)
        assert (found.victims, found.refusal) == ((), None)
        return
    oracle = best(there, wanted, rank)
    if oracle is None:
        assert refused(found)
        return
    assert isinstance(found, Preemption), oracle
    assert (max(one.rank for one in found.victims), len(found.victims)) == oracle


@given(st.data(), st.booleans(), st.integers(1, 3))
def test_nobody_leaves_who_needn_t_or_mustn_t_and_the_places_hold(data: st.DataObject, plain: bool, rank: int) -> None:
    there = data.draw(settled(plain))
    wanted = [replace(one, members={}) for one in data.draw(gangs(there.hosts, most=3, name="new"))] if there.hosts else gang(2)
    fleet = there.fleet()
    before = state(fleet)
    found = make_room(fleet, there.residents, wanted, rank)
    assert state(fleet) == before, "the fleet that came in is as it was"
    if not isinstance(found, Preemption):
        return
    assert all(one.preemptible and one.rank < rank for one in found.victims)
    assert [to.key for to in found.placements] == [one.key for one in wanted]
    if any(one.item.cells or one.item.gpu_milli < 1000 for one in found.victims):
        return  # such may give back more than a plan may count on, and then fewer would have done
    assert fits(there, found.victims, wanted)
    for spared in found.victims:
        assert not fits(there, [one for one in found.victims if one is not spared], wanted), "could have stayed"
    after = without(there, found.victims)
    for one, to in zip(wanted, found.placements, strict=True):
        after.claim_all([(to.host_id, one)])
    assert (after.columns.free >= 0).all()


@given(settled(), st.integers(1, 9), st.permutations(range(4)))
def test_the_order_of_hosts_and_residents_does_not_show(there: World, vcpus: int, order: list[int]) -> None:
    wanted = [item("new", resources=Resources(vcpus, 2, 1))]
    found = make_room(there.fleet(), there.residents, wanted, 2)
    mixed = there.fleet([there.hosts[number] for number in order if number < len(there.hosts)])
    again = make_room(mixed, there.residents[::-1], wanted, 2)
    assert again == found


@given(st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), min_size=1, max_size=12), st.data())
def test_taking_the_most_useful_first_leaves_nobody_who_is_not_needed(sizes: list[tuple[int, int]], data: st.DataObject) -> None:
    import numpy as np

    given_ = np.array([(*size, 0, 0) for size in sizes], np.int64)
    whole = given_.sum(axis=0)
    lack = np.array([data.draw(st.integers(0, int(most))) for most in whole], np.int64)
    chosen = _useful(given_, lack)
    assert (given_[chosen].sum(axis=0) >= lack).all()
    for one in chosen:
        assert not (given_[[other for other in chosen if other != one]].sum(axis=0) >= lack).all()


TEN = host("a", capacity=Resources(10, 10_000, 100))


def sized(vcpus: int, **more: object) -> Item:
    return item("x", resources=Resources(vcpus, 100, 1), **more)


def agreed(there: World, **ranks: int) -> World:
    """With those named of such ranks and ready to leave; the others of the highest class, and not."""
    changed = [replace(one, rank=ranks.get(one.key, 3), preemptible=one.key in ranks) for one in there.residents]
    return World(there.hosts, changed)


def victims(there: World, wanted: Sequence[Item], rank: int = 2) -> list[str] | None:
    found = make_room(there.fleet(), there.residents, wanted, rank)
    return [one.key for one in found.victims] if isinstance(found, Preemption) else None


def test_the_rule_by_example() -> None:
    two = [TEN, host("b", capacity=Resources(10, 10_000, 100))]
    full = world(
        two, ("big", "a", sized(6)), ("rest", "a", sized(4)), ("one", "b", sized(3)), ("two", "b", sized(3)), ("rock", "b", sized(4))
    )
    wanted = [sized(5)]
    assert victims(agreed(full, big=0, one=0, two=0), wanted) == ["big"], "fewest"
    assert victims(agreed(full, big=1, one=0, two=0), wanted) == ["one", "two"], "the lowest class, though they are more"
    assert victims(agreed(full, big=0, rest=0), [sized(3)]) == ["rest"], "the smallest of those that are enough"
    assert victims(agreed(full, big=2, one=2, two=2), wanted) is None, "nobody leaves for his own class"
    assert victims(agreed(full), wanted) is None, "nobody agreed"
    assert victims(agreed(full, big=0), [sized(11)]) is None, "no host is that large"
    assert victims(agreed(full, one=0, two=0), [sized(4, zones=("z",))]) is None, "no host is there"


def test_a_gang_makes_room_on_several_hosts_or_nobody_leaves() -> None:
    three = [TEN, *(host(name, capacity=Resources(10, 10_000, 100)) for name in "bc")]
    full = world(three, ("a1", "a", sized(8)), ("b1", "b", sized(8)), ("c1", "c", sized(8)))
    apart = Spread("g", "anti_affinity")
    wanted = [replace(sized(5, spread=apart), key=f"n{number}") for number in range(3)]
    assert victims(agreed(full, a1=0, b1=0, c1=0), wanted) == ["a1", "b1", "c1"]
    assert victims(agreed(full, a1=0, b1=0), wanted) is None
    assert victims(agreed(full, a1=0, b1=0), wanted[:2]) == ["a1", "b1"]
    near = [replace(one, spread=Spread("g", "affinity")) for one in wanted[:2]]
    assert victims(agreed(full, a1=1, b1=0, c1=1), near) == ["b1"], "both on one host"


def test_a_plan_shows_what_it_is_good_for_and_keeps_the_hosts_to_spare() -> None:
    two = [TEN, host("b", capacity=Resources(10, 10_000, 100))]
    there = agreed(world(two, ("low", "a", sized(8)), ("high", "b", sized(6))), low=0)
    plan = preempt(there.fleet(), there.residents, [sized(6)], 1)
    assert (plan.reason, [one.key for one in plan.victims], plan.places, plan.benefit) == ("done", ["low"], (("x", "a"),), 1.0)
    assert (plan.before.peak, plan.after.peak) == (0.8, 0.6)
    assert preempt(there.fleet(), there.residents, [sized(4)], 1).reason == "fits"
    assert preempt(there.fleet(), there.residents, [sized(6)], 0).reason == "no_room"
    refused_ = preempt(there.fleet(), there.residents, [sized(6)], 1, k=1)
    assert (refused_.reason, refused_.victims, refused_.places) == ("not_resilient", (), ())
