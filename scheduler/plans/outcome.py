"""From a scene to a plan: the summary before anything moved, and the one of the end that was simulated.

In: a scene that nothing moved in yet, what is to be watched (N+k) and counted (a flavor). Out: plans. Invariant: `after` is read off the
scene that the plan's moves, and nothing else, made out of the one that `before` is of.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from scheduler.plans.scene import Scene
from scheduler.plans.summaries import summarize
from scheduler.plans.survival import Watch
from scheduler.plans.types import DONE, NO_BENEFIT, NOT_RESILIENT, Plan, Reserve, Survival
from scheduler.types import Item, NoValidHost


class Judge:
    """Looks at a scene before and after."""

    def __init__(self, scene: Scene, k: Reserve = 0, flavor: Item | None = None, tries: int | None = None) -> None:
        self.watch = Watch(scene, k, tries)
        self.before = summarize(scene, flavor, self.watch)
        self._scene, self._flavor = scene, flavor

    def lacks(self, pools: Iterable[str]) -> tuple[Survival, ...]:
        """Pools that are not resilient now."""
        return tuple(verdict for verdict in self.watch.verdicts(pools) if not verdict.ok)

    def plan(self, reason: str, benefit: float) -> Plan:
        """The moves simulated so far."""
        moves = tuple(self._scene.moves)
        return Plan(moves, self.before, summarize(self._scene, self._flavor, self.watch), round(benefit, 6), reason)

    def improved(self, worth: bool, benefit: float, lacks: tuple[Survival, ...]) -> Plan:
        """The plan where it is worth its while; else none, for want of N+k in pools that were left alone, or of a benefit."""
        return self.plan(DONE, benefit) if worth else self.nothing(NOT_RESILIENT if lacks else NO_BENEFIT, lacks=lacks)

    def nothing(self, reason: str, unsolvable: tuple[tuple[str, NoValidHost], ...] = (), lacks: tuple[Survival, ...] = ()) -> Plan:
        """A plan without moves."""
        return replace(Plan((), self.before, self.before, 0.0, reason), unsolvable=unsolvable, lacks=lacks)
