"""Consolidating, rebalancing and defragmenting."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.place import capacity
from scheduler.plans import consolidating, defragmenting, rebalancing
from scheduler.plans.consolidating import consolidate
from scheduler.plans.defragmenting import defragment
from scheduler.plans.rebalancing import rebalance
from scheduler.plans.scene import Scene
from scheduler.plans.summaries import summarize
from scheduler.plans.types import DONE, NO_BENEFIT, NOT_RESILIENT, Plan, Reserve, Resident
from scheduler.types import Resources, Spread
from tests.scheduler.plans.settled import World, assert_steps_resilient, carry_out, resilient, world, worlds
from tests.scheduler.worlds import host, item, state

MANY = settings(max_examples=40, deadline=None)
TWO = item(resources=Resources(2, 1024, 1))
FOUR = item(resources=Resources(4, 1024, 1))
LARGE = item("large", resources=Resources(5, 4, 1))

PLANNERS: list[Callable[[Fleet, list[Resident], Reserve], Plan]] = [
    lambda fleet, residents, k: consolidate(fleet, residents, k=k),
    lambda fleet, residents, k: rebalance(fleet, residents, k=k),
    lambda fleet, residents, k: defragment(fleet, residents, LARGE, k=k),
]
planners = pytest.mark.parametrize("planner", PLANNERS, ids=["consolidate", "rebalance", "defragment"])


@planners
@given(small=st.one_of(worlds(), worlds(roomy=True), worlds(plain=True, roomy=True)), k=st.integers(0, 2))
@MANY
def test_the_plan_is_what_carrying_it_out_does(planner: Callable[..., Plan], small: World, k: int) -> None:
    fleet = small.fleet()
    before = state(fleet)
    plan = planner(fleet, small.residents, k)
    assert state(fleet) == before
    at = carry_out(small, plan.moves)
    assert (plan.reason == DONE) == bool(plan.moves) == (plan.benefit > 0)
    if not plan.moves:
        assert plan.after == plan.before
        return
    then = World(small.hosts, [replace(one, host_id=at[one.key]) for one in small.residents])
    plain = not any(one.gpu_shares or one.cells or one.capacity.gpus for one in small.hosts)
    if plain:  # otherwise what movers held is not counted as free, and the plan is the more careful one
        seen = summarize(Scene(then.fleet(), then.residents), LARGE if plan.before.fits is not None else None)
        assert replace(plan.after, resilient=None) == seen
    pools = {small.fleet().labels(move.target).pool for move in plan.moves}
    assert k == 0 or all(resilient(then, pool, k) for pool in pools)
    assert all(small.fleet().labels(move.source).pool == small.fleet().labels(move.target).pool for move in plan.moves)


@planners
@given(data=st.data(), small=st.one_of(worlds(), worlds(roomy=True), worlds(plain=True, roomy=True)), k=st.integers(0, 1))
@MANY
def test_the_order_of_hosts_and_residents_changes_nothing(planner: Callable[..., Plan], data: st.DataObject, small: World, k: int) -> None:
    other = World(data.draw(st.permutations(small.hosts)), data.draw(st.permutations(small.residents)))
    assert planner(small.fleet(), small.residents, k) == planner(other.fleet(), other.residents, k)


@planners
@given(small=worlds(plain=True, roomy=True, instances=6))
@MANY
def test_no_step_takes_a_pool_below_its_reserve(planner: Callable[..., Plan], small: World) -> None:
    assert_steps_resilient(small, planner(small.fleet(), small.residents, 1).moves)


def test_those_that_leave_for_one_copy_leave_in_the_order_that_keeps_the_reserve() -> None:
    """The larger first would leave no place for what h0 runs; the smaller first does."""
    hosts = [host(f"h{number}", capacity=Resources(vcpus, 4, 20)) for number, vcpus in enumerate((5, 4, 7, 4))]
    one, three, two = (item(resources=Resources(*sizes, 1)) for sizes in ((1, 1), (3, 1), (2, 3)))
    small = world(hosts, ("a", "h2", one), ("b", "h2", three), ("c", "h0", three), ("d", "h0", two), ("e", "h3", two))
    moves = defragment(small.fleet(), small.residents, LARGE, k=1).moves
    assert [move.key for move in moves] == ["a", "b"]
    assert_steps_resilient(small, moves)


@given(worlds(plain=True, roomy=True))
@MANY
def test_consolidating_empties_hosts_and_fills_no_empty_one(small: World) -> None:
    plan = consolidate(small.fleet(), small.residents)
    used = {one.host_id for one in small.residents}
    after = set(carry_out(small, plan.moves).values())
    assert len(used) - len(after) == plan.benefit == plan.before.in_use - plan.after.in_use
    assert after <= used


@given(worlds(plain=True, roomy=True))
@MANY
def test_what_could_be_off_is_on_and_empty_at_the_end_and_not_needed_to_restart_others(small: World) -> None:
    plan = consolidate(small.fleet(), small.residents, k=1)
    at = small.at() | {move.key: move.target for move in plan.moves}
    by_id = {one.id: one for one in small.hosts}
    assert all(by_id[idle].on and by_id[idle].up and idle not in at.values() for idle in plan.idle)
    left = [replace(one, on=one.on and one.id not in plan.idle) for one in small.hosts]
    after = World(left, [replace(one, host_id=at[one.key]) for one in small.residents])
    assert all(resilient(after, pool, 1) for pool in {by_id[idle].pool for idle in plan.idle} if resilient(small, pool, 1))


@given(worlds(plain=True, roomy=True))
@MANY
def test_rebalancing_never_makes_the_fullest_fuller(small: World) -> None:
    plan = rebalance(small.fleet(), small.residents)
    assert plan.after.peak <= plan.before.peak


@given(worlds(plain=True, roomy=True))
@MANY
def test_defragmenting_makes_room_for_as_many_as_it_says(small: World) -> None:
    plan = defragment(small.fleet(), small.residents, LARGE)
    assert plan.after.fits is not None
    assert plan.before.fits is not None
    assert plan.after.fits - plan.before.fits == plan.benefit
    at = carry_out(small, plan.moves)
    then = World(small.hosts, [replace(one, host_id=at[one.key]) for one in small.residents])
    assert capacity(then.fleet(), LARGE) == plan.after.fits


def test_two_half_empty_hosts_become_one() -> None:
    small = world([host("a"), host("b"), host("c")], ("x", "a", TWO), ("y", "b", FOUR))
    plan = consolidate(small.fleet(), small.residents)
    assert [(move.key, move.target) for move in plan.moves] == [("x", "b")]
    assert (plan.benefit, plan.before.in_use, plan.after.in_use) == (1.0, 2, 1)


def test_consolidating_makes_way_where_that_empties_a_host() -> None:
    """a's four fits only where the two on b goes to c first."""
    hosts = [host("a", capacity=Resources(40, 8192, 100)), host("b"), host("c")]
    small = world(
        hosts,
        ("x", "a", FOUR),
        ("y", "b", TWO),
        ("z", "b", item(resources=Resources(3, 1024, 1))),
        ("w", "c", item(resources=Resources(5, 1, 1))),
    )
    held = [replace(one, movable=one.key in "xy") for one in small.residents]
    plan = consolidate(small.fleet(), held)
    assert [(move.key, move.source, move.target) for move in plan.moves] == [("y", "b", "c"), ("x", "a", "b")]


def test_a_plan_with_too_little_benefit_is_none() -> None:
    small = world([host("a"), host("b")], ("x", "a", TWO), ("y", "b", FOUR))
    nothing = replace(consolidating.LIMITS, least=2.0)
    assert consolidate(small.fleet(), small.residents, limits=nothing).reason == NO_BENEFIT
    assert rebalance(small.fleet(), small.residents, limits=replace(rebalancing.LIMITS, least=3.0)).moves == ()
    assert defragment(small.fleet(), small.residents, LARGE, limits=replace(defragmenting.LIMITS, least=3.0)).moves == ()
    assert consolidate(small.fleet(), small.residents, limits=replace(consolidating.LIMITS, moves=0)).reason == NO_BENEFIT
    assert consolidate(small.fleet(), small.residents, pools=("silver",)).reason == NO_BENEFIT
    assert consolidate(Fleet(), []).reason == NO_BENEFIT


def test_who_must_not_move_stays_and_so_do_those_that_no_resident_is_known_of() -> None:
    held = world([host("a"), host("b")], ("x", "a", TWO), ("y", "b", FOUR))
    residents = [replace(one, movable=False) for one in held.residents]
    for planner in PLANNERS:
        assert planner(held.fleet(), residents, 0).moves == ()
    foreign = world([host("a", used=Resources(1, 1, 1)), host("b", used=Resources(1, 1, 1))], ("x", "a", TWO), ("y", "b", TWO))
    assert consolidate(foreign.fleet(), foreign.residents).moves == ()


def test_a_pool_that_lacks_its_reserve_is_left_alone() -> None:
    small = world([host("a"), host("b")], ("x", "a", TWO), ("y", "b", item(resources=Resources(8, 1024, 1))))
    for planner in PLANNERS:
        plan = planner(small.fleet(), small.residents, 1)
        assert (plan.reason, plan.moves, [lack.pool for lack in plan.lacks]) == (NOT_RESILIENT, (), ["gold"])


def test_the_emptied_host_is_not_counted_on() -> None:
    """Two hosts, each a reserve for the other: one alone has none."""
    small = world([host("a"), host("b")], ("x", "a", TWO), ("y", "b", TWO))
    assert consolidate(small.fleet(), small.residents).benefit == 1
    assert consolidate(small.fleet(), small.residents, k=1).reason == NO_BENEFIT


def test_the_fullest_gives_to_the_emptiest() -> None:
    small = world([host("a"), host("b")], ("x", "a", TWO), ("y", "a", TWO), ("z", "a", TWO))
    plan = rebalance(small.fleet(), small.residents)
    assert [(move.source, move.target) for move in plan.moves] == [("a", "b")]
    assert (plan.before.peak, plan.after.peak) == (0.75, 0.5)


def test_a_small_one_leaves_so_that_a_large_one_fits() -> None:
    small = world([host("a"), host("b")], ("x", "a", FOUR), ("y", "b", FOUR))
    large = item(resources=Resources(8, 1024, 1))
    plan = defragment(small.fleet(), small.residents, large)
    assert (plan.before.fits, plan.after.fits, len(plan.moves)) == (0, 1, 1)
    assert defragment(small.fleet(), small.residents, large, copies=0).moves == ()


def test_members_that_lie_apart_stay_apart() -> None:
    apart = Spread("g", "anti_affinity")
    small = world([host("a"), host("b")], ("x", "a", replace(TWO, spread=apart)), ("y", "b", replace(TWO, spread=apart)))
    assert consolidate(small.fleet(), small.residents).reason == NO_BENEFIT
