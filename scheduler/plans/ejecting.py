"""Making way: where an instance finds no host, others are moved out of one first. Local search, within a number of looks.

In: a scene, a resident that has no place, and how many looks there are left. Out: whether it has moved, with those that made way moved
before it. Invariants: where it fails, the scene is as it was; nobody moves twice, none is moved that must not be; a resident that makes
way finds a place with every rule held, and never in the host that is being emptied. Looked at first is the host that lacks least, and on
it the smallest instance that alone makes enough room; then two and three, each the largest that is left. Chains (moving out of the way
of who moves out of the way) are rejected: they rarely help where one step does not, and each link multiplies the looks.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import numpy as np

from scheduler.columns import Ints
from scheduler.constraints import BIT, fails, members_of
from scheduler.plans.scene import Scene
from scheduler.types import SIZES, NoValidHost

_FIXABLE = sum(BIT[rule] for rule in (*SIZES, "cells", "anti_affinity"))  # rules that somebody's leaving may satisfy
_HOSTS = 24  # looked at for one instance
_MOST = 3  # instances that make way for one


@dataclass(slots=True)
class Looks:
    """What is left of a bounded search, and where nothing may go."""

    left: int
    pool: Callable[[str], str | None] = field(default=lambda _: None)  # that a resident has to stay in
    spared: Callable[[str], bool] = field(default=lambda _: False)  # hosts that should stay as empty as they are


def make_way(scene: Scene, key: str, looks: Looks) -> bool:
    """Move a resident with others out of its way; whether it worked. Its own host should be closed."""
    item = scene.wanted(key, pool=looks.pool(key))
    failed = fails(scene.fleet, item, members_of(scene.fleet, item, {}))
    rows = np.flatnonzero((failed > 0) & ((failed & ~_FIXABLE) == 0))
    for target in _nearest(scene, key, rows):
        if looks.left <= 0:
            return False
        if looks.spared(target) or target == scene.host_of[key]:
            continue
        mark = scene.mark()
        with scene.shut([target]):
            made = any(_out(scene, key, target, chosen, looks) for chosen in _choices(scene, key, target))
        if made and _fits(scene, key, target, looks):
            scene.shift((key,), [target])
            return True
        scene.undo(mark)
    return False


def _nearest(scene: Scene, key: str, rows: Ints) -> Iterator[str]:
    """Hosts, the one that lacks least first."""
    needs = scene.needs[scene.number[key]]
    short = (np.maximum(needs - scene.fleet.columns.free[rows], 0) / np.maximum(needs, 1)).max(axis=1) if len(rows) else np.zeros(0)
    order = np.lexsort((scene.fleet.columns.rest[rows], short))[:_HOSTS]
    yield from (id_ for id_, _ in scene.fleet.in_rows(rows[order]))


def _choices(scene: Scene, key: str, target: str) -> Iterator[list[str]]:
    """Who might leave a host so that there is room, fewest and smallest first; groups that must stay together stay."""
    rule = scene.residents[key].item.spread
    lack = scene.needs[scene.number[key]] - scene.fleet.columns.free[scene.fleet.rows[target]]
    others = [unit[0] for unit in scene.units(scene.running.get(target, ())) if len(unit) == 1 and scene.free_to_go(unit[0])]
    needs = {other: scene.needs[scene.number[other]] for other in others}
    mates = [other for other in others if rule and (of := scene.residents[other].item.spread) and of.group == rule.group]
    must = mates[:1] if rule and rule.mode == "anti_affinity" else []
    for other in reversed(others):
        if other not in must and (needs[other] + sum(needs[one] for one in must) >= lack).all():
            yield [*must, other]
    if must and (needs[must[0]] >= lack).all():
        yield must
    for number in range(2, _MOST + 1):
        if len(others) >= number:
            yield others[:number]


def _out(scene: Scene, key: str, target: str, leaving: list[str], looks: Looks) -> bool:
    """Move some residents off the target; whether all went and made enough room. Where not, they are back."""
    mark = scene.mark()
    for other in leaving:
        looks.left -= 1
        (found,) = scene.find([(other,)], looks.pool(other)) if looks.left >= 0 else (None,)
        if found is None or isinstance(found, NoValidHost) or looks.spared(found[0].host_id):
            scene.undo(mark)
            return False
        scene.shift((other,), [found[0].host_id])
    if _lacks(scene, key, target):
        scene.undo(mark)
        return False
    return True


def _lacks(scene: Scene, key: str, target: str) -> bool:
    """Whether there is too little of something even by the sums."""
    needs = scene.needs[scene.number[key]]
    return bool(((needs > scene.fleet.columns.free[scene.fleet.rows[target]]) & (needs > 0)).any())


def _fits(scene: Scene, key: str, target: str, looks: Looks) -> bool:
    """Whether every rule lets the resident onto the target now."""
    item = scene.wanted(key, pool=looks.pool(key))
    return bool(fails(scene.fleet, item, members_of(scene.fleet, item, {}))[scene.fleet.rows[target]] == 0)
