"""Plans on a fleet too large for trying everything: each step is carried out and held against every rule."""

from __future__ import annotations

import random
from dataclasses import replace
from functools import cache

import pytest

from bench.plans import Town, settled
from scheduler.fleet import Fleet
from scheduler.plans.consolidating import LIMITS, consolidate
from scheduler.plans.defragmenting import defragment
from scheduler.plans.draining import drain
from scheduler.plans.rebalancing import rebalance
from scheduler.plans.scene import Scene
from scheduler.plans.summaries import summarize
from scheduler.plans.survival import Watch, survives
from scheduler.plans.types import DONE, Plan
from scheduler.types import Item, Resources
from tests.scheduler.plans.settled import World, carry_out
from tests.scheduler.worlds import allowed, state

LARGE = Item("large", "vm", Resources(48, 192 << 10, 500))


@cache
def town(mixed: bool = True) -> Town:
    """Forty hosts; of three architectures, in eight zones that instances ask for, unless it is not `mixed`: then N+1 is within reach."""
    made = settled(40, 500 if mixed else 400, random.Random(3))  # noqa: S311
    if mixed:
        return made
    hosts = [replace(one, arch="x86_64", zone="z") for one in made.hosts]
    residents = [replace(one, item=replace(one.item, arch=None, zones=())) for one in made.residents]
    fleet = Fleet(hosts)
    fleet.claim_all((one.host_id, one.item) for one in residents)
    return Town(hosts, fleet, residents)


def checked(plan: Plan, home: Town, flavor: Item | None = None) -> dict[str, str]:
    """Who is where once it is carried out, which is what it says."""
    at = carry_out(World(home.hosts, home.residents), plan.moves)
    then = Fleet(home.hosts)
    residents = [replace(one, host_id=at[one.key]) for one in home.residents]
    then.claim_all((one.host_id, one.item) for one in residents)
    assert replace(plan.after, resilient=None) == summarize(Scene(then, residents), flavor)
    if plan.after.resilient is not None:
        assert all(one.ok for one in survives(then, residents, 1)) == plan.after.resilient
    return at


kinds = pytest.mark.parametrize(("mixed", "k"), [(True, 0), (False, 0), (False, 1)])


@kinds
def test_consolidating(mixed: bool, k: int) -> None:
    home = town(mixed)
    before = state(home.fleet)
    plan = consolidate(home.fleet, home.residents, k=k)
    at = checked(plan, home)
    used = {one.host_id for one in home.residents}
    assert plan.reason == DONE
    assert plan.benefit == len(used - {*at.values()}) > 0
    assert state(home.fleet) == before
    if k:
        left = [host for host in home.hosts if host.id not in used - {*at.values()}]
        residents = [replace(one, host_id=at[one.key]) for one in home.residents]
        smaller = Fleet(left)
        smaller.claim_all((one.host_id, one.item) for one in residents)
        assert all(one.ok or not one.certain for one in survives(smaller, residents, 1))


def test_consolidating_within_few_moves() -> None:
    plan = consolidate(town().fleet, town().residents, limits=replace(LIMITS, moves=30))
    assert 0 < len(plan.moves) <= 30
    checked(plan, town())


@kinds
def test_rebalancing(mixed: bool, k: int) -> None:
    plan = rebalance(town(mixed).fleet, town(mixed).residents, k=k)
    checked(plan, town(mixed))
    assert plan.reason == DONE
    assert (plan.after.peak, plan.after.spread) < (plan.before.peak, plan.before.spread)


@kinds
def test_defragmenting(mixed: bool, k: int) -> None:
    plan = defragment(town(mixed).fleet, town(mixed).residents, LARGE, k=k)
    checked(plan, town(mixed), LARGE)
    assert plan.reason == DONE
    assert plan.after.fits - plan.before.fits == plan.benefit > 0


def test_draining_each_host() -> None:
    done = 0
    for one in town().hosts:
        plan = drain(town().fleet, town().residents, one.id)
        at = carry_out(World(town().hosts, town().residents), plan.moves)
        assert plan.reason != DONE or one.id not in at.values()
        done += plan.reason == DONE
    assert done > 0


def test_what_is_remembered_of_restarts_is_what_a_fresh_look_finds() -> None:
    """A scene is moved about at random; whoever watched all the while says yes only where a restart can be found anew."""
    dice = random.Random(5)  # noqa: S311
    scene = Scene(town(mixed=False).fleet, town(mixed=False).residents)
    watch = Watch(scene, 1)
    for _ in range(15):
        mark, known = scene.mark(), watch.restarts.known()
        for key in dice.sample(sorted(scene.residents), 25):
            with scene.shut([scene.host_of[key]]):
                (found,) = scene.find([(key,)])
            if isinstance(found, list) and key not in scene.moved:
                scene.shift((key,), [found[0].host_id])
        said = {verdict.pool: verdict.ok for verdict in watch.verdicts()}
        assert said.keys() == {"general"}
        for lost in watch.restarts.known():
            assert_restarts(scene, watch, lost)
        if dice.random() < 0.5:
            scene.undo(mark)
            watch.restarts.recall(known)


def assert_restarts(scene: Scene, watch: Watch, lost: tuple[str, ...]) -> None:
    """What is kept for a host and still works holds every rule."""
    found = watch.restarts.targets(lost)
    if found is None:
        return
    hosts = [one for one in town(mixed=False).hosts if one.id not in lost]
    by_id = {one.id: one for one in hosts}
    at = {**{key: where for key, where in scene.host_of.items() if where not in lost}, **found}
    assert at.keys() == scene.residents.keys()
    items = {key: replace(one.item, key=key, members={}) for key, one in scene.residents.items()}
    assert allowed(hosts, [items[key] for key in at], [by_id[where] for where in at.values()])
