"""Lowering the highest fill of a pool's hosts, and how far apart they are.

In: a fleet and its residents. Out: a plan; its benefit is by how much the highest fill and the standard deviation of the fill fall, summed
over the pools (0.1: e.g. the fullest host goes from 90 % to 80 %). The fullest host gives away the instance with which it and the host
that takes it end lowest; where that lowers the higher of both by less than `step`, the host is left and the next one is looked at. Each
move so lowers the fills of the pool in the order of the fullest first, so that it can't go in circles; moves after the state with the
lowest sum are taken back. Nobody leaves his pool; members that must be together stay. With `k`, each pool is N+k after every move, and one
that is not to begin with is left alone.

Rejected: exchanging two instances (each would have to fit beside the other first); the search of `scheduler.reassign` before these moves,
with room taken on both hosts at once. On 200 unevenly full hosts (`bench.plans`) these moves alone come within 0.03 of the mean fill in a
third of a second; 8 s of search before them add 2 % to the benefit, for 2.8 times as many migrations.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable

import numpy as np

from scheduler.columns import BLOCK, READY, Floats, Ints
from scheduler.constraints import fails, members_of
from scheduler.fleet import Fleet
from scheduler.plans.outcome import Judge
from scheduler.plans.scene import Scene
from scheduler.plans.summaries import fill
from scheduler.plans.types import Limits, Plan, Reserve, Resident
from scheduler.scores import shape_of
from scheduler.types import Item

LIMITS = Limits(moves=500, least=0.01, looks=8000, tries=5000)
STEP = 0.01
_EACH = 8  # residents of one host looked at, of different shapes

_Found = tuple[float, str, str]  # the higher fill of both hosts, resident, target


def rebalance(
    fleet: Fleet,
    residents: Iterable[Resident],
    *,
    k: Reserve = 0,
    pools: Collection[str] = (),
    flavor: Item | None = None,
    step: float = STEP,
    limits: Limits = LIMITS,
) -> Plan:
    """Lower the fullest. `pools`: only these."""
    scene = Scene(fleet, residents)
    judge = Judge(scene, k, flavor, limits.tries)
    lacks = judge.lacks(scene.fleet.names("pool"))
    left_alone = {lack.pool for lack in lacks}
    benefit, looks = 0.0, limits.looks
    for pool in scene.fleet.names("pool"):
        if pool not in left_alone and (not pools or pool in pools):
            work = _Pool(scene, judge, pool, step, looks)
            benefit += work.level(limits.moves)
            looks = work.looks
    return judge.improved(benefit >= limits.least and len(scene.moves) > 0, benefit, lacks)


class _Pool:
    """One pool's hosts that take something."""

    def __init__(self, scene: Scene, judge: Judge, pool: str, step: float, looks: int) -> None:
        columns = scene.fleet.columns
        in_pool = np.repeat(np.array([labels.pool == pool for labels in scene.fleet.classes], np.bool_)[columns.classes], BLOCK)
        self._rows: Ints = np.flatnonzero(in_pool & ((columns.flags & READY) == READY))
        self._rows = self._rows[np.argsort(columns.rest[self._rows])]  # an order that does not depend on how hosts were read
        self._ids = [host_id for host_id, _ in scene.fleet.in_rows(self._rows)]
        self._scene, self._judge, self._pool, self._step = scene, judge, pool, step
        self.looks = looks

    def level(self, moves: int) -> float:
        """Move from the fullest; by how much the sum of highest fill and deviation fell."""
        scene = self._scene
        stuck: set[int] = set()
        first = best = self._worth()
        mark = scene.mark()
        while len(scene.moves) < moves and self.looks > 0:
            full = fill(scene, self._rows)
            source = next((at for at in np.argsort(-full, kind="stable").tolist() if at not in stuck), None)
            if source is None or full[source] <= full.mean():
                break
            if not self._give(source, full):
                stuck.add(source)
            elif self._worth() < best - 1e-9:
                best, mark = self._worth(), scene.mark()
        scene.undo(mark)
        return first - best

    def _worth(self) -> float:
        full = fill(self._scene, self._rows)
        return float(full.max(initial=0.0) + full.std()) if len(full) else 0.0

    def _give(self, source: int, full: Floats) -> bool:
        """Move what helps most from a host, if anything does."""
        scene, host_id = self._scene, self._ids[source]
        shapes: dict[object, str] = {}
        for unit in scene.units(scene.running.get(host_id, ())):
            if len(unit) == 1 and scene.at_home(unit[0]):
                shapes.setdefault(shape_of(scene.residents[unit[0]].item), unit[0])
        found = [one for key in list(shapes.values())[:_EACH] if (one := self._best(key, source, full)) is not None]
        for _, key, target in sorted(found)[:1]:
            mark, known = scene.mark(), self._judge.watch.restarts.known()
            scene.shift((key,), [target])
            if self._judge.watch.holds([self._pool]):
                return True
            scene.undo(mark)
            self._judge.watch.restarts.recall(known)
        return False

    def _best(self, key: str, source: int, full: Floats) -> _Found | None:
        """The host on which a resident would do best, if it helps at all."""
        scene = self._scene
        self.looks -= 1
        item = scene.wanted(key, pool=self._pool)
        ok = fails(scene.fleet, item, members_of(scene.fleet, item, {}))[self._rows] == 0
        ok[source] = False
        if not ok.any():
            return None
        whole, free = scene.fleet.whole()[self._rows, :2], scene.fleet.columns.free[self._rows, :2]
        needs = scene.needs[scene.number[key], :2]
        after = np.where(whole > 0, (whole - free + needs) / np.maximum(whole, 1), 0.0).max(axis=1)
        left = np.where(whole[source] > 0, (whole[source] - free[source] - needs) / np.maximum(whole[source], 1), 0.0).max()
        target = int(np.where(ok, after, np.inf).argmin())
        higher = max(float(after[target]), float(left))
        return (round(higher, 9), key, self._ids[target]) if higher < full[source] - self._step else None
