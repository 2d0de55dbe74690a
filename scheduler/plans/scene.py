"""A copy of the fleet with what runs on it by name: where plans are tried out, step by step, and taken back.

In: a fleet and its residents. Out: `moves`, each of them simulated: its target is taken before its source is given back, as a live
migration holds both until it ends. Invariants: the fleet that came in is never touched; `undo` leaves the copy bit by bit as it was; no
resident moves twice; whoever leaves gives back the devices and NUMA cells that it is known to hold (`Resident.certain`). Rejected:
planning on the sums of hosts in plain Python (every rule would be written a second time).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count

import numpy as np
from numpy.typing import NDArray

from scheduler import fitting
from scheduler.columns import GPUS, NEVER, OPEN, Floats, Ints
from scheduler.fleet import Fleet
from scheduler.labels import wish_of
from scheduler.place import place
from scheduler.plans.types import Move, Resident
from scheduler.scores import lasting, shape_of
from scheduler.types import WHOLE_GPU, Item, NoValidHost, Placement

Unit = tuple[str, ...]
"""Residents that find a place together: one, or members of an affinity group."""
Going = dict[str, Counter[str]]
"""Members on their way, by group and the host that they leave."""
Saved = tuple[int, Ints, Ints, Ints, Ints]


@dataclass(slots=True)
class _Undo:
    """One step: how many moves it made, and the rows as they were."""

    moves: int
    saved: list[Saved]
    versions: dict[str, int]


class Scene:
    """The copy, and who is where on it."""

    def __init__(self, fleet: Fleet, residents: Iterable[Resident]) -> None:
        ordered = sorted(residents, key=lambda one: one.key)
        self.fleet = fleet.copy()
        self.residents = {one.key: one for one in ordered}
        if len(self.residents) != len(ordered):
            raise ValueError("two residents have the same key")
        self.host_of = {one.key: one.host_id for one in ordered}
        self.running: dict[str, set[str]] = defaultdict(set)
        self.groups: dict[str, Counter[str]] = defaultdict(Counter)
        self.moves: list[Move] = []
        self.moved: set[str] = set()
        self.version: dict[str, int] = defaultdict(int)  # of hosts and groups: the same number again only where all is as it was
        self._stamps = count(1)
        self._undo: list[_Undo] = []
        self._kept: dict[tuple[str, str | None], Item] = {}
        for one in ordered:
            self.running[one.host_id].add(one.key)
            if one.item.spread:
                self.groups[one.item.spread.group][one.host_id] += 1
        self._as_arrays(ordered)

    def _as_arrays(self, ordered: Sequence[Resident]) -> None:
        """What bounds are computed from: a row of numbers for each resident, in the order of keys."""
        wishes: dict[tuple[object, ...], int] = {}
        self.number = {one.key: number for number, one in enumerate(ordered)}
        self.at: Ints = np.array([self.fleet.rows.get(one.host_id, NEVER) for one in ordered], np.int64)
        self.needs: Ints = np.array([shape_of(one.item)[0] for one in ordered], np.int64).reshape(-1, 4)
        self.wish: Ints = np.array([wishes.setdefault(wish_of(one.item), len(wishes)) for one in ordered], np.int64)
        whole = np.maximum(self.fleet.whole().sum(axis=0), 1)
        self._bulk: Floats = (self.needs / whole).max(axis=1) if ordered else np.zeros(0)
        self._bulks: list[float] = self._bulk.tolist()

    # -- looking -----------------------------------------------------------------------------------------------------------------

    def pool(self, host_id: str) -> str:
        """The pool of a host."""
        return self.fleet.labels(host_id).pool

    def free_to_go(self, key: str) -> bool:
        """Whether the resident may move, and did not yet."""
        return key not in self.moved and self.residents[key].movable

    def at_home(self, key: str) -> bool:
        """Whether it may move, and its item allows the pool that it is in: plans that improve leave it there."""
        pools = self.residents[key].item.pools
        return self.free_to_go(key) and (not pools or self.pool(self.host_of[key]) in pools)

    def wanted(self, key: str, going: Going | None = None, pool: str | None = None) -> Item:
        """What to ask the scheduler for to find a resident another place, in `pool` where one is given and the item allows it. Members of
        its group count where they are, but for those that are going: itself, or all that go with it."""
        item = self._kept.get((key, pool)) or self._keep(key, pool)
        if item.spread is None:
            return item
        gone = (self.going([key]) if going is None else going)[item.spread.group]
        members = {host: count - gone[host] for host, count in self.groups[item.spread.group].items() if count > gone[host]}
        return replace(item, members=members)

    def going(self, keys: Iterable[str]) -> Going:
        """Some residents, counted by group and host."""
        counts: Going = defaultdict(Counter)
        for key in keys:
            rule = self.residents[key].item.spread
            if rule is not None:
                counts[rule.group][self.host_of[key]] += 1
        return counts

    def _keep(self, key: str, pool: str | None) -> Item:
        item = self.residents[key].item
        inside = pool is not None and (not item.pools or pool in item.pools)
        if item.key != key or item.members or inside:
            item = replace(item, key=key, members={}, pools=(pool,) if inside and pool is not None else item.pools)
        self._kept[key, pool] = item
        return item

    def units(self, keys: Iterable[str]) -> list[Unit]:
        """Residents of one host as units, the bulkiest first."""
        bulk, units, together = self.bulk, list[tuple[float, Unit]](), defaultdict[str, list[str]](list)
        for key in sorted(keys):
            rule = self.residents[key].item.spread
            if rule is not None and rule.mode == "affinity":
                together[rule.group].append(key)
            else:
                units.append((-bulk(key), (key,)))
        units += ((-sum(map(bulk, unit)), tuple(unit)) for unit in together.values())
        return [unit for _, unit in sorted(units)]

    def bulk(self, key: str) -> float:
        """How much of the whole fleet's scarcest resource a resident takes."""
        return self._bulks[self.number[key]]

    def loads(self) -> Floats:
        """[rows] the bulk of all residents of a host."""
        known = self.at != NEVER
        sums: Floats = np.bincount(self.at[known], self._bulk[known], len(self.fleet.columns.flags)).astype(np.float64)
        return sums.round(9)

    def find(self, units: Sequence[Unit], pool: str | None = None) -> list[list[Placement] | NoValidHost]:
        """Places for all units, each with those before it in place; nothing moves. Sources should be closed meanwhile."""
        going = self.going(key for unit in units for key in unit)
        return place(self.fleet, [[self.wanted(key, going, pool) for key in unit] for unit in units])

    # -- changing ----------------------------------------------------------------------------------------------------------------

    def close(self, host_ids: Iterable[str]) -> None:
        """Let nothing more onto hosts."""
        for host_id in host_ids:
            self._flag(self.fleet.rows[host_id], 0)

    @contextmanager
    def shut(self, host_ids: Iterable[str]) -> Iterator[None]:
        """Closed for a while."""
        rows = [self.fleet.rows[host_id] for host_id in host_ids]
        before = [int(self.fleet.columns.flags[row]) & OPEN for row in rows]
        try:
            for row in rows:
                self._flag(row, 0)
            yield
        finally:
            for row, flag in zip(rows, before, strict=True):
                self._flag(row, flag)

    @contextmanager
    def as_if(self, targets: Mapping[str, str]) -> Iterator[None]:
        """Residents are on other hosts too, and members of their groups there alone, for a while: for those that ask for sizes alone."""
        columns = self.fleet.columns
        rows = np.array([self.fleet.rows[target] for target in targets.values()], np.int64)
        needs = self.needs[[self.number[key] for key in targets]] if targets else self.needs[:0]
        self._as_if(targets, 1)
        np.subtract.at(columns.free, rows, needs)
        try:
            self._touch(rows)
            yield
        finally:
            np.add.at(columns.free, rows, needs)
            self._touch(rows)
            self._as_if(targets, -1)

    def _as_if(self, targets: Mapping[str, str], sign: int) -> None:
        for key, target in targets.items():
            rule = self.residents[key].item.spread
            if rule is not None:
                self.groups[rule.group][target] += sign
                self.groups[rule.group][self.host_of[key]] -= sign

    def _touch(self, rows: Ints) -> None:
        for row in np.unique(rows).tolist():
            fitting.touch(self.fleet.columns, row)

    def open(self, host_ids: Iterable[str], before: NDArray[np.uint8]) -> None:
        """Give hosts the flags that they had: `before` is a copy of all."""
        for row in map(self.fleet.rows.__getitem__, host_ids):
            self._flag(row, int(before[row]) & OPEN)

    def reopen(self, before: NDArray[np.uint8]) -> None:
        """Give all hosts the flags that they had: `before` is a copy of them."""
        for row in np.flatnonzero(self.fleet.columns.flags != before).tolist():
            self._flag(row, int(before[row]) & OPEN)

    def _flag(self, row: int, flag: int) -> None:
        flags = self.fleet.columns.flags
        flags[row] = (int(flags[row]) & ~OPEN) | flag
        fitting.touch(self.fleet.columns, row)

    def shift(self, unit: Unit, targets: Sequence[str]) -> None:
        """Simulate one step: all of the unit to their targets, then away from where they were."""
        rows = self.fleet.rows
        hosts = dict.fromkeys([*targets, *(self.host_of[key] for key in unit)])
        rules = {f"group {rule.group}" for key in unit if (rule := self.residents[key].item.spread)}
        versions = {name: self.version[name] for name in (*hosts, *rules)}
        saved = [self._save(rows[host]) for host in hosts]
        step = self.moves[-1].step + 1 if self.moves else 0
        for key, target in zip(unit, targets, strict=True):
            fitting.take(self.fleet.columns, rows[target], *self._sizes(key))
        for key, target in zip(unit, targets, strict=True):
            source = self.host_of[key]
            self._leave(key, rows[source])
            self.moves.append(Move(key, source, target, step))
            self._put(key, target)
        self.moved.update(unit)
        for name in versions:
            self.version[name] = next(self._stamps)
        self._undo.append(_Undo(len(unit), saved, versions))

    def shift_all(self, units: Sequence[Unit], found: Sequence[Sequence[Placement]]) -> None:
        """Simulate what `find` found, one step for each unit."""
        for unit, placements in zip(units, found, strict=True):
            self.shift(unit, [one.host_id for one in placements])

    def mark(self) -> int:
        """Where to `undo` to."""
        return len(self._undo)

    def undo(self, mark: int) -> None:
        """Take back all steps since a mark."""
        while len(self._undo) > mark:
            last = self._undo.pop()
            for _ in range(last.moves):
                move = self.moves.pop()
                self._put(move.key, move.source)
                self.moved.discard(move.key)
            for name, version in last.versions.items():
                self.version[name] = version
            for row, *saved in last.saved:
                columns = self.fleet.columns
                columns.free[row], columns.gpus[row], columns.cells[row], columns.gone[row] = saved
                fitting.touch(columns, row)

    def _save(self, row: int) -> Saved:
        columns = self.fleet.columns
        return row, columns.free[row].copy(), columns.gpus[row].copy(), columns.cells[row].copy(), columns.gone[row].copy()

    def _sizes(self, key: str) -> tuple[Ints, Ints, Ints]:
        needs, extras, alive = shape_of(self.residents[key].item)
        return np.array(needs, np.int64), np.array(extras, np.int64), lasting(alive)

    def _leave(self, key: str, row: int) -> None:
        one = self.residents[key]
        if (item := one.certain) is not None:
            self.fleet.release_item(item, one.place)
            return
        needs, extras, logs = self._sizes(key)
        busy = [device for device, free in enumerate(self.fleet.columns.gpus[row].tolist()) if free == 0]
        devices = sum(1 << device for device in busy[: int(extras[0])])
        needs[GPUS] = WHOLE_GPU * devices.bit_count()
        fitting.give(self.fleet.columns, row, needs, extras, logs, devices, 0)

    def _put(self, key: str, target: str) -> None:
        source, rule = self.host_of[key], self.residents[key].item.spread
        self.running[source].discard(key)
        self.running[target].add(key)
        self.host_of[key] = target
        self.at[self.number[key]] = self.fleet.rows[target]
        if rule is not None:
            self.groups[rule.group][source] -= 1
            self.groups[rule.group][target] += 1
