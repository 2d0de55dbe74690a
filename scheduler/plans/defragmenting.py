"""Making room for more copies of a flavor: small instances leave hosts where one copy more nearly fits.

In: a fleet, its residents, the item whose copies are wanted. Out: a plan; its benefit is how many more copies fit (`place.capacity`,
before and after). The host that lacks least for one more copy comes first; one to three instances leave it, each for the fullest host of
its own pool that takes it and that loses no copy by it. Each copy gained is counted anew by `capacity`, with every rule of the flavor,
and taken back where it is not there. Nobody moves twice. With `k`, each pool is N+k after every step, of several for one copy in this or
the other order, and one that is not to begin with is left alone. Rejected: emptying whole hosts (more moves for each copy; `consolidate`
is there for that).
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence

import numpy as np

from scheduler import fitting
from scheduler.columns import NEVER, Ints
from scheduler.constraints import BIT, fails, members_of
from scheduler.fleet import Fleet
from scheduler.place import capacity
from scheduler.plans.outcome import Judge
from scheduler.plans.restarts import Known
from scheduler.plans.scene import Scene
from scheduler.plans.types import Limits, Move, Plan, Reserve, Resident
from scheduler.scores import shape_of
from scheduler.types import SIZES, Item

LIMITS = Limits(moves=500, least=1.0, looks=6000, tries=5000)
_LEAVE = 3  # instances for one copy
_SIZES = sum(BIT[rule] for rule in (*SIZES, "cells"))
_COUNTED = 1 << 20


def defragment(
    fleet: Fleet,
    residents: Iterable[Resident],
    item: Item,
    *,
    k: Reserve = 0,
    copies: int | None = None,
    limits: Limits = LIMITS,
) -> Plan:
    """Room for more of the item: for so many `copies` more, or for as many as can be."""
    scene = Scene(fleet, residents)
    judge = Judge(scene, k, item, limits.tries)
    lacks = judge.lacks(scene.fleet.names("pool"))
    work = _Work(scene, judge, item, limits, {lack.pool for lack in lacks})
    wanted = _COUNTED if copies is None else copies
    gained = 0
    for host_id in work.hosts():
        while gained < wanted and (more := work.one_more(host_id)):
            gained += more
    return judge.improved(gained >= limits.least and gained > 0, float(gained), lacks)


class _Work:
    """The flavor, and what is left to spend."""

    def __init__(self, scene: Scene, judge: Judge, item: Item, limits: Limits, left_alone: Collection[str]) -> None:
        needs, extras = shape_of(item)[:2]
        self._needs, self._extras = np.array(needs, np.int64), np.array(extras, np.int64)
        self._scene, self._judge, self._item, self._looks = scene, judge, item, limits.looks
        self._left_alone, self._moves = left_alone, limits.moves
        failed = fails(scene.fleet, item, members_of(scene.fleet, item, {}))
        self._rows: Ints = np.flatnonzero((failed >= 0) & ((failed & ~_SIZES) == 0))
        self._suits = np.zeros(len(failed), np.bool_)
        self._suits[self._rows] = True
        self._now = capacity(scene.fleet, item)

    def hosts(self) -> list[str]:
        """Hosts that would do but for their room, the one that lacks least for one more first."""
        fleet = self._scene.fleet
        short = (np.maximum(self._lack(self._rows), 0) / np.maximum(self._needs, 1)).max(axis=1) if len(self._rows) else np.zeros(0)
        order = np.lexsort((fleet.columns.rest[self._rows], short.round(9)))
        return [host for host, _ in fleet.in_rows(self._rows[order]) if self._scene.pool(host) not in self._left_alone]

    def _lack(self, rows: Ints) -> Ints:
        """What is lacking for one copy more than there is room for."""
        lack: Ints = self._needs * (self._copies(rows)[:, None] + 1) - self._scene.fleet.columns.free[rows]
        return lack

    def _copies(self, rows: Ints) -> Ints:
        out = np.zeros(len(rows), np.int64)
        fitting.copies_on(self._scene.fleet.columns, rows, self._needs, self._extras, _COUNTED, out)
        return out

    def one_more(self, host_id: str) -> int:
        """Make room for one more copy on a host; how many more fit in all."""
        scene = self._scene
        pool = scene.pool(host_id)
        for leaving in self._choices(host_id):
            if self._looks <= 0 or len(scene.moves) + len(leaving) > self._moves:
                return 0
            mark, known = scene.mark(), self._judge.watch.restarts.known()
            if all(self._out(key, host_id, pool) for key in leaving):
                now = capacity(scene.fleet, self._item)
                if now > self._now and self._steadily(scene.moves[-len(leaving) :], mark, known, pool):
                    gained, self._now = now - self._now, now
                    return gained
            self._back(mark, known)
        return 0

    def _steadily(self, moves: Sequence[Move], mark: int, known: Known, pool: str) -> bool:
        """Whether the pool is N+k after each of the moves made since a mark: in their order, or else made anew in the other.

        They all leave one host, so their order is free: no other host is fuller in between than at the end.
        """
        for order in (moves, moves[::-1])[: len(moves)]:
            self._back(mark, known)
            if all(self._holds_after(move, pool) for move in order):
                return True
        return False

    def _holds_after(self, move: Move, pool: str) -> bool:
        self._scene.shift((move.key,), [move.target])
        return self._judge.watch.holds([pool])

    def _back(self, mark: int, known: Known) -> None:
        self._scene.undo(mark)
        self._judge.watch.restarts.recall(known.copy())

    def _choices(self, host_id: str) -> Iterator[list[str]]:
        """Who might leave: the smallest that alone makes the room, else the two or three largest."""
        scene = self._scene
        lack = self._lack(np.array([scene.fleet.rows[host_id]], np.int64))[0]
        others = [unit[0] for unit in scene.units(scene.running.get(host_id, ())) if len(unit) == 1 and scene.at_home(unit[0])]
        needs = [scene.needs[scene.number[key]] for key in others]
        asked = self._needs > 0
        alone = [key for key, size in zip(others, needs, strict=True) if (size >= lack)[asked].all()]
        for key in reversed(alone[-2:]):
            yield [key]
        for number in range(2, min(_LEAVE, len(others)) + 1):
            if not alone and (np.sum(needs[:number], axis=0) >= lack)[asked].all():
                yield others[:number]

    def _out(self, key: str, host_id: str, pool: str) -> bool:
        """Move one resident to the fullest host that loses no copy by it; whether there is one."""
        scene, columns = self._scene, self._scene.fleet.columns
        self._looks -= 1
        item = scene.wanted(key, pool=pool)
        failed = fails(scene.fleet, item, members_of(scene.fleet, item, {}))
        failed[scene.fleet.rows[host_id]] = NEVER
        rows = np.flatnonzero(failed == 0)
        left = columns.free[rows] - scene.needs[scene.number[key]]
        asked = self._needs > 0
        before = (columns.free[rows][:, asked] // self._needs[asked]).min(axis=1, initial=_COUNTED)
        after = (left[:, asked] // self._needs[asked]).min(axis=1, initial=_COUNTED)
        harmless = (after == before) | ~self._suits[rows]
        rows, left = rows[harmless], left[harmless]
        if not len(rows):
            return False
        fullness = (left / np.maximum(scene.fleet.whole()[rows], 1)).max(axis=1).round(9)
        (target,) = scene.fleet.in_rows(rows[np.lexsort((columns.rest[rows], fullness))[:1]])
        scene.shift((key,), [target[0]])
        return True
