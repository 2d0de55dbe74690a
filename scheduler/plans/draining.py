"""Emptying one host for maintenance: every instance elsewhere, or none moved and the reason said for each that can't.

In: a fleet, its residents, a host. Out: a plan. All are placed as the scheduler would place them; where that fails, as one gang, which is
searched (complete for four instances on five hosts), and put to a solver; only then one after another, with others moved out of the way
where needed. The host takes nothing meanwhile and counts neither as room nor as a host that may be lost once it is empty. With `k`, the end
is N+k in every pool that is touched, or nothing starts. While a plan without anybody moved out of the way is under way that holds too:
every other host has at most what it has at the end, and what is still on the host has its place in the plan.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np

from scheduler.columns import READY, UP
from scheduler.fleet import Fleet
from scheduler.plans.ejecting import Looks, make_way
from scheduler.plans.outcome import Judge
from scheduler.plans.scene import Scene, Unit
from scheduler.plans.solving import Task, carry_out, solve
from scheduler.plans.types import DONE, NOT_RESILIENT, NOTHING_TO_MOVE, UNSOLVABLE, Plan, Reserve, Resident
from scheduler.types import Item, NoValidHost, RuleCount

LOOKS = 600  # residents tried to be moved out of the way
PINNED = "movable"
"""The rule under which a refusal counts all hosts for a resident that must not move."""
LIVE = "live"
"""The same for all residents of a host that is down: nothing can be migrated off it (`plans.whatif` says what can be restarted)."""

Refusals = list[tuple[str, NoValidHost]]


def drain(
    fleet: Fleet, residents: Iterable[Resident], host_id: str, k: Reserve = 0, flavor: Item | None = None, looks: int = LOOKS
) -> Plan:
    """Every instance of the host elsewhere. Raises KeyError for a host that the fleet does not know.

    Once the plan is done, `benefit` is the number of instances moved off the host.
    """
    scene = Scene(fleet, residents)
    judge = Judge(scene, k, flavor)
    scene.close([host_id])
    leaving = sorted(scene.running.get(host_id, ()))
    refused = _held(scene, leaving, host_id)
    held = {key for key, _ in refused}
    refused += _empty(scene, [key for key in leaving if key not in held], looks)
    if refused:
        return judge.nothing(UNSOLVABLE, unsolvable=tuple(sorted(refused, key=lambda one: one[0])))
    if not leaving:
        return judge.nothing(NOTHING_TO_MOVE)
    lacks = judge.lacks({scene.pool(host) for move in scene.moves for host in (move.source, move.target)})
    if lacks:
        return judge.nothing(NOT_RESILIENT, lacks=lacks)
    return judge.plan(DONE, float(len(leaving)))


def _held(scene: Scene, keys: Sequence[str], host_id: str) -> Refusals:
    """Residents of a host that no migration can take off it."""
    count, up = len(scene.fleet), scene.fleet.columns.flags[scene.fleet.rows[host_id]] & UP
    found: Refusals = []
    for key in keys:
        if not up or not scene.residents[key].movable:
            rules = (RuleCount(PINNED if up else LIVE, count),)
            found.append((key, NoValidHost(key, count, rules, rules)))
    return found


def _empty(scene: Scene, keys: Sequence[str], looks: int) -> Refusals:
    """Move residents of one closed host elsewhere. Who found no place, and why: then the others may have moved."""
    units = scene.units(keys)
    if not units:
        return []
    found = [one for one in scene.find(units) if not isinstance(one, NoValidHost)]
    if len(found) < len(units):
        (together,) = scene.find([tuple(key for unit in units for key in unit)])
        if isinstance(together, NoValidHost):
            into = sorted(host for host, _ in scene.fleet.in_rows(np.flatnonzero((scene.fleet.columns.flags & READY) == READY)))
            answer = solve(scene, Task([scene.host_of[keys[0]]], into, 1, len(keys)))
            if answer is not None and answer.targets and carry_out(scene, answer):
                return []
            return _one_by_one(scene, units, Looks(looks))
        by_key = {one.key: one for one in together}
        found = [[by_key[key] for key in unit] for unit in units]
    scene.shift_all(units, found)
    return []


def _one_by_one(scene: Scene, units: Sequence[Unit], looks: Looks) -> Refusals:
    refused: Refusals = []
    for unit in units:
        (found,) = scene.find([unit])
        if not isinstance(found, NoValidHost):
            scene.shift(unit, [one.host_id for one in found])
        elif len(unit) > 1 or not make_way(scene, unit[0], looks):
            refused += [(key, found if key == found.key else _like(found, key)) for key in unit]
    return refused


def _like(refusal: NoValidHost, key: str) -> NoValidHost:
    """The same refusal for another member: they are placed together or not at all."""
    return NoValidHost(key, refusal.hosts, refusal.rules, refusal.alone)
