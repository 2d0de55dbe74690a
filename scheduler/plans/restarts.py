"""Restarts that were found, kept and mended: what makes it cheap to ask again after every step of a plan.

In: a scene, hosts that are lost, the pool to restart in. Out: None where everything that they run found a place on the others, or the
refusal of one instance. A restart that was found is good for as long as the lost hosts run the same, its targets have the room and hold no
more members that must lie apart. Where that no longer holds, only those are placed anew who came or whose target no longer does, with all
others in place; only if that fails everything is. Devices, NUMA cells and other rules of groups are not mended: there everything is placed
anew as soon as a host or group that it rests on changed. Rejected: asking the scheduler about every host after every step.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.columns import READY, Ints
from scheduler.plans.scene import Scene, Unit
from scheduler.plans.types import HARD, lies_apart
from scheduler.types import SIZES, Item, NoValidHost, Placement

Lost = tuple[str, ...]
_ORDERS = 4  # in which places are looked for
_SEARCHED = 12  # instances that are searched for as one gang


@dataclass(frozen=True, slots=True)
class _Found:
    """A restart."""

    rests_on: tuple[tuple[str, int], ...]  # hosts and groups, with their versions
    apart: tuple[tuple[str, str, int], ...]  # group, target, the most members that may be there already
    rows: Ints  # of the targets
    needs: Ints  # what goes there
    targets: Mapping[str, str]
    mends: bool


Known = dict[Lost, _Found]


class Restarts:
    """By the hosts that are lost. `tries` counts how often places were looked for."""

    def __init__(self, scene: Scene) -> None:
        self.tries = 0
        self._scene = scene
        self._known: dict[Lost, _Found] = {}

    def known(self) -> Known:
        """What was found so far, to `recall` where the scene is taken back to what it is now."""
        return self._known.copy()

    def recall(self, known: Known) -> None:
        """Forget what was found since."""
        self._known = known

    def targets(self, lost: Lost) -> Mapping[str, str] | None:
        """Where what some hosts run would be restarted; None where nothing is known that still holds."""
        known = self._known.get(lost)
        return known.targets if known is not None and self._still_works(known) else None

    def find(self, lost: Lost, pool: str) -> NoValidHost | None:
        """Who can't be restarted; None where all can."""
        known, scene = self._known.get(lost), self._scene
        if known is not None and self._still_works(known):
            return None
        units = scene.units(key for host in lost for key in scene.running.get(host, ()))
        if not units:
            return None
        self.tries += 1
        with scene.shut(lost):
            if known is not None and known.mends and self._mend(lost, known, units, pool):
                return None
            return self._anew(lost, units, pool)

    def _anew(self, lost: Lost, units: Sequence[Unit], pool: str) -> NoValidHost | None:
        """One after another, those without a place before all others the next time; a few are searched for in all arrangements."""
        order, refusals = list(units), list[NoValidHost]()
        for _ in range(_ORDERS):
            results = self._scene.find(order, pool)
            stuck = [unit for unit, one in zip(order, results, strict=True) if isinstance(one, NoValidHost)]
            if not stuck:
                self._keep(lost, _targets(results))
                return None
            refusals += [one for one in results if isinstance(one, NoValidHost)]
            order = [*stuck, *(unit for unit in order if unit not in stuck)]
            if len(units) == 1:
                break
        keys = tuple(key for unit in units for key in unit)
        together = self._scene.find([keys], pool) if len(keys) <= _SEARCHED else []
        if together and not isinstance(together[0], NoValidHost):
            self._keep(lost, _targets(together))
            return None
        return refusals[0]

    def _mend(self, lost: Lost, known: _Found, units: Sequence[Unit], pool: str) -> bool:
        """Whether those whose places no longer do, and those that came, found places beside the others."""
        scene, columns = self._scene, self._scene.fleet.columns
        keys = [key for unit in units for key in unit]
        if not all(_simple(scene.residents[key].item) for key in keys):
            return False
        short = ((columns.free[known.rows] < known.needs) & (known.needs > 0)).any(axis=1)
        over = set(known.rows[short | ((columns.flags[known.rows] & READY) != READY)].tolist())
        crowded = {(group, target) for group, target, most in known.apart if scene.groups[group][target] > most}
        stay: dict[str, str] = {}
        for key in keys:
            target, rule = known.targets.get(key), scene.residents[key].item.spread
            if target and scene.fleet.rows[target] not in over and not (rule and (rule.group, target) in crowded):
                stay[key] = target
        if len(stay) * 2 < len(keys):
            return False
        with scene.as_if(stay):
            results = scene.find([unit for unit in units if unit[0] not in stay], pool)
        if any(isinstance(one, NoValidHost) for one in results):
            return False
        self._keep(lost, stay | _targets(results))
        return True

    def _keep(self, lost: Lost, targets: Mapping[str, str]) -> None:
        scene = self._scene
        items = {key: scene.residents[key].item for key in targets}
        exact = {*targets.values()} if any(item.resources.gpus or item.cells for item in items.values()) else set[str]()
        apart: Counter[tuple[str, str, int]] = Counter()
        for key, item in items.items():
            rule = item.spread
            if rule is not None and lies_apart(item):
                apart[rule.group, targets[key], rule.max_per_domain] += 1
            elif rule is not None and rule.mode in HARD:
                exact.add(f"group {rule.group}")
        rows, where = np.unique([scene.fleet.rows[target] for target in targets.values()], return_inverse=True)
        needs = np.zeros((len(rows), len(SIZES)), np.int64)
        np.add.at(needs, where, scene.needs[[scene.number[key] for key in targets]])
        self._known[lost] = _Found(
            rests_on=tuple((name, scene.version[name]) for name in sorted({*lost, *exact})),
            apart=tuple((group, target, allowed - count) for (group, target, allowed), count in apart.items()),
            rows=rows.astype(np.int64),
            needs=needs,
            targets=targets,
            mends=not exact,
        )

    def _still_works(self, known: _Found) -> bool:
        scene, columns = self._scene, self._scene.fleet.columns
        if any(scene.version[name] != at for name, at in known.rests_on):
            return False
        if any(scene.groups[group][target] > most for group, target, most in known.apart):
            return False
        room = ((columns.free[known.rows] >= known.needs) | (known.needs == 0)).all()
        return bool(room and ((columns.flags[known.rows] & READY) == READY).all())


def _targets(results: Sequence[list[Placement] | NoValidHost]) -> dict[str, str]:
    return {one.key: one.host_id for result in results if not isinstance(result, NoValidHost) for one in result}


def _simple(item: Item) -> bool:
    """Whether sizes, labels and how many members lie on one host are all there is to ask."""
    bound = item.spread is not None and item.spread.mode in HARD and not lies_apart(item)
    return not (item.resources.gpus or item.cells or bound)
