"""N+k."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.plans.margins import Margins
from scheduler.plans.scene import Scene
from scheduler.plans.survival import Watch, survives, would_break
from scheduler.plans.types import Resident
from scheduler.types import Resources, Spread
from tests.scheduler.plans.settled import World, can_be_lost, resilient, world, worlds
from tests.scheduler.worlds import host, item, state

MANY = settings(max_examples=50, deadline=None)
HALF = item(resources=Resources(4, 1024, 1))


@given(worlds(roomy=True), st.integers(1, 3))
@settings(max_examples=100, deadline=None)
def test_yes_is_never_wrong_and_a_certain_no_neither(small: World, k: int) -> None:
    fleet = small.fleet()
    before = state(fleet)
    for verdict in survives(fleet, small.residents, k):
        truth = resilient(small, verdict.pool, k)
        assert not verdict.ok or truth, verdict
        assert not (verdict.certain and not verdict.ok) or not truth, verdict
        if verdict.lost and not verdict.ok and verdict.certain:
            assert not can_be_lost(small, set(verdict.lost))
    assert state(fleet) == before


@given(worlds(plain=True, instances=4), st.integers(1, 2))
@MANY
def test_in_small_pools_the_answer_is_exact(small: World, k: int) -> None:
    for verdict in survives(small.fleet(), small.residents, k):
        assert verdict.ok == resilient(small, verdict.pool, k)


@given(worlds(plain=True, most=5, instances=6), st.integers(1, 2))
@MANY
def test_what_is_proved_by_volume_is_true(small: World, k: int) -> None:
    scene = Scene(small.fleet(), small.residents)
    for pool in {one.pool for one in small.hosts}:
        rows = [scene.fleet.rows[one.id] for one in small.hosts if one.pool == pool]
        import numpy as np

        running = np.array(sorted(rows), np.int64)
        doubtful = Margins(scene).unproved(k, running, np.ones(len(running), np.bool_))
        if not len(doubtful):
            assert resilient(small, pool, k)


@given(st.data(), worlds())
@MANY
def test_the_order_of_hosts_and_residents_changes_no_verdict(data: st.DataObject, small: World) -> None:
    other = World(data.draw(st.permutations(small.hosts)), data.draw(st.permutations(small.residents)))
    assert survives(small.fleet(), small.residents, 1) == survives(other.fleet(), other.residents, 1)


def test_volume_proves_large_pools_without_trying_anything() -> None:
    hosts = [host(f"h{number}") for number in range(12)]
    small = world(hosts, *((f"i{number}", f"h{number}", item(resources=Resources(1, 64, 1))) for number in range(12)))
    for k in (1, 2, 3):
        assert Watch(Scene(small.fleet(), small.residents), k, tries=0).holds()


def test_a_no_names_the_hosts_and_what_is_lacking() -> None:
    small = world([host("a"), host("b")], ("x", "a", HALF), ("y", "b", item(resources=Resources(6, 1024, 1))))
    (verdict,) = survives(small.fleet(), small.residents, 1)
    assert (verdict.ok, verdict.certain, verdict.pool) == (False, True, "gold")
    assert verdict.lost == ("b",)
    assert verdict.short == Resources(vcpus=2)
    assert verdict.refusal is not None
    assert verdict.refusal.key == "y"


def test_room_that_is_off_or_cordoned_is_no_room() -> None:
    for away in ({"on": False}, {"cordoned": True}, {"up": False}, {"pool": "silver"}):
        small = world([host("a"), host("b", **away)], ("x", "a", HALF))
        assert not next(one for one in survives(small.fleet(), small.residents, 1) if one.pool == "gold").ok, away
    small = world([host("a"), host("b")], ("x", "a", HALF))
    assert all(one.ok for one in survives(small.fleet(), small.residents, {"gold": 1}))
    assert survives(small.fleet(), small.residents, {"silver": 1}) == []


def test_members_that_lie_apart_need_further_hosts() -> None:
    apart = Spread("g", "anti_affinity")
    residents = [Resident(name, name, item(spread=apart)) for name in "abc"]
    assert not survives(Fleet([host(name) for name in "abc"]), residents, 1)[0].ok
    assert survives(Fleet([host(name) for name in "abcd"]), residents, 1)[0].ok
    assert not survives(Fleet([host(name) for name in "abcd"]), residents, 2)[0].ok


def test_admission_is_told_which_pool_would_break() -> None:
    small = world([host("a"), host("b")], ("x", "a", HALF))
    fleet = small.fleet()
    assert would_break(fleet, small.residents, 1, [(HALF, "b")]) == []
    (verdict,) = would_break(fleet, small.residents, 1, [(HALF, "b"), (item(), "b")])
    assert (verdict.pool, verdict.lost, verdict.short) == ("gold", ("b",), Resources(vcpus=2))
    assert would_break(fleet, small.residents, {"silver": 1}, [(HALF, "b"), (item(), "b")]) == []
    assert fleet.host("b").used == Resources()


def test_what_was_found_out_is_kept_until_something_changes() -> None:
    small = world([host("a"), host("b"), host("c")], ("x", "a", HALF), ("y", "b", HALF))
    scene = Scene(small.fleet(), small.residents)
    watch = Watch(scene, 1, tries=100)
    assert watch.holds()
    left = watch.restarts.tries
    assert watch.holds()
    assert watch.restarts.tries == left
    scene.shift(("x",), ["c"])
    assert watch.holds()
    scene.close(["a"])
    scene.shift(("y",), ["c"])
    assert not Watch(scene, 1).holds() or watch.holds()
