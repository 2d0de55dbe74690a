"""Emptying a host."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.plans.draining import drain
from scheduler.plans.types import DONE, NOT_RESILIENT, NOTHING_TO_MOVE, UNSOLVABLE, Resident
from scheduler.types import Resources, Spread
from tests.scheduler.plans.settled import World, can_be_emptied, carry_out, world, worlds
from tests.scheduler.worlds import counts, host, item, state

MANY = settings(max_examples=50, deadline=None)
BIG = item(resources=Resources(6, 1024, 1))
SMALL = item(resources=Resources(3, 1024, 1))


@given(st.data(), worlds())
@settings(max_examples=120, deadline=None)
def test_a_plan_empties_the_host_and_every_step_of_it_holds(data: st.DataObject, small: World) -> None:
    if not small.hosts:
        return
    target = data.draw(st.sampled_from(small.hosts)).id
    fleet = small.fleet()
    before = state(fleet)
    plan = drain(fleet, small.residents, target)
    assert state(fleet) == before
    at = carry_out(small, plan.moves)
    possible = can_be_emptied(small, target)
    assert not possible or plan.reason in (DONE, NOTHING_TO_MOVE), plan
    if plan.reason == DONE:
        assert target not in at.values()
        assert all(move.target != target for move in plan.moves)
    else:
        assert (plan.moves, plan.after) == ((), plan.before)
        assert (plan.reason == UNSOLVABLE) == bool(plan.unsolvable)


@given(st.data(), worlds(plain=True, roomy=True))
@MANY
def test_a_host_is_emptied_whenever_direct_moves_do_it(data: st.DataObject, small: World) -> None:
    target = data.draw(st.sampled_from(small.hosts)).id
    plan = drain(small.fleet(), small.residents, target)
    carry_out(small, plan.moves)
    if can_be_emptied(small, target):
        assert plan.reason in (DONE, NOTHING_TO_MOVE)


@given(st.data(), worlds())
@MANY
def test_the_order_of_hosts_and_residents_changes_nothing(data: st.DataObject, small: World) -> None:
    if small.hosts:
        target = data.draw(st.sampled_from(small.hosts)).id
        other = World(data.draw(st.permutations(small.hosts)), data.draw(st.permutations(small.residents)))
        assert drain(small.fleet(), small.residents, target) == drain(other.fleet(), other.residents, target)


def test_others_make_way_where_there_is_no_room_at_once() -> None:
    """b has 5 free and c has 4: the big one needs 6, so the small one on b goes to c first."""
    small = world([host("a"), host("b"), host("c", capacity=Resources(4, 8192, 100))], ("big", "a", BIG), ("small", "b", SMALL))
    plan = drain(small.fleet(), small.residents, "a")
    assert [(move.key, move.source, move.target) for move in plan.moves] == [("small", "b", "c"), ("big", "a", "b")]
    carry_out(small, plan.moves)
    held = [small.residents[0], Resident("small", "b", SMALL, movable=False)]
    plan = drain(small.fleet(), held, "a")
    assert [key for key, _ in plan.unsolvable] == ["big"]
    assert counts(plan.unsolvable[0][1].rules) == {"cordon": 1, "vcpus": 2}


def test_a_member_that_must_lie_apart_makes_way_too() -> None:
    apart = Spread("g", "anti_affinity")
    hosts = [host("a"), host("b"), host("c", capacity=Resources(3, 8192, 100))]
    small = world(hosts, ("big", "a", item(resources=Resources(4, 1024, 1), spread=apart)), ("m", "b", item(spread=apart)))
    plan = drain(small.fleet(), small.residents, "a")
    assert [(move.key, move.target) for move in plan.moves] == [("m", "c"), ("big", "b")]
    carry_out(small, plan.moves)


def test_members_that_belong_together_move_in_one_step() -> None:
    together = Spread("g", "affinity")
    small = world([host("a"), host("b")], ("x", "a", item(spread=together)), ("y", "a", item(spread=together)), ("z", "a", item()))
    plan = drain(small.fleet(), small.residents, "a")
    steps = {move.key: move.step for move in plan.moves}
    assert steps["x"] == steps["y"] != steps["z"]
    carry_out(small, plan.moves)


def test_who_must_not_move_is_named_before_anything_starts() -> None:
    plan = drain(Fleet([host("a"), host("b")]), [Resident("x", "a", item(), movable=False), Resident("y", "a", item())], "a")
    assert (plan.reason, plan.moves, [key for key, _ in plan.unsolvable]) == (UNSOLVABLE, (), ["x"])
    assert counts(plan.unsolvable[0][1].rules) == {"movable": 2}


def test_a_drain_that_would_leave_too_little_reserve_does_not_start() -> None:
    hosts = [host(name) for name in "abc"]
    small = world(hosts, ("x", "a", BIG), ("y", "b", SMALL), ("z", "c", SMALL))
    assert drain(small.fleet(), [small.residents[0], small.residents[1]], "b", k=1).reason == NOT_RESILIENT
    plan = drain(small.fleet(), small.residents[1:], "b", k=1)
    assert (plan.reason, len(plan.moves)) == (NOT_RESILIENT, 0)
    assert [lack.lost for lack in plan.lacks]


def test_an_empty_host_needs_no_moves() -> None:
    assert drain(Fleet([host("a")]), [], "a").reason == NOTHING_TO_MOVE


def test_nothing_is_migrated_off_a_host_that_is_down() -> None:
    small = world([host("a", up=False), host("b")], ("x", "a", item()))
    plan = drain(small.fleet(), small.residents, "a")
    assert (plan.reason, counts(plan.unsolvable[0][1].rules)) == (UNSOLVABLE, {"live": 2})
