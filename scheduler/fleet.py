"""All hosts as numpy columns: what placing looks at, changed at the cost of what changes.

In: `Host` values, claims and releases. Out: columns that the rules and scores read (`free`, `capacity`, codes of pools, ...), one row per
host. Invariant: rows 0..len-1 are exactly the hosts; `free = capacity - used` for every one of them. The order of rows says nothing: a
dropped host's row is filled by the last one. `log` names every row touched, so that whoever keeps something per row brings it up to date
from there. Rejected: a list of host objects and loops over it (fifty times slower at a thousand hosts); a pandas frame (copies on every
change). Used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Hashable, Iterable
from dataclasses import dataclass, replace
from zlib import crc32

import numpy as np
from numpy.typing import NDArray

from scheduler.types import SIZES, Host, Resources

TIE_BITS = 24
_LOG_LIMIT = 100_000


@dataclass(slots=True)
class Ranking:
    """What `scores` keeps for items of one shape: a key per row, true up to `seen` in the fleet's log."""

    keys: NDArray[np.int64]
    seen: int


class Fleet:
    """The columns, and the ids beside them."""

    def __init__(self, hosts: Iterable[Host] = ()) -> None:
        self.rows: dict[str, int] = {}
        self.hosts: list[Host] = []  # as upserted: `used` in here is old, `free` is true
        self.codes: dict[str, dict[str, int]] = {"pool": {}, "zone": {}, "arch": {}}
        self.log: list[int] = []
        self.rankings: dict[Hashable, Ranking] = {}
        self.free = np.zeros((len(SIZES), 16), np.int64)
        self.capacity = np.zeros((len(SIZES), 16), np.int64)
        self.per_capacity = np.zeros((len(SIZES), 16), np.float64)  # 1 / capacity, 0 where there is none
        self.labels = {name: np.zeros(16, np.int32) for name in self.codes}
        self.tie = np.zeros(16, np.int64)
        self.up = np.zeros(16, np.bool_)
        self.open = np.zeros(16, np.bool_)  # not cordoned
        self.kinds: dict[str, NDArray[np.bool_]] = {}
        self.traits: dict[str, NDArray[np.bool_]] = {}
        self.upsert(hosts)

    def __len__(self) -> int:
        return len(self.hosts)

    def upsert(self, hosts: Iterable[Host]) -> None:
        """Take in new hosts and new versions of known ones; a known one's `used` is what the new version says."""
        for host in hosts:
            row = self.rows.get(host.id)
            if row is None:
                row = self.rows[host.id] = len(self.hosts)
                if row == len(self.tie):
                    self._grow()
                self.hosts.append(host)
            else:
                self._clear_flags(row)
                self.hosts[row] = host
            self._write(row, host)

    def drop(self, host_id: str) -> None:
        """Forget a host. Raises KeyError for one that is not there."""
        row = self.rows.pop(host_id)
        used = self._used(len(self.hosts) - 1)
        self._clear_flags(row)
        self._clear_flags(len(self.hosts) - 1)
        last = self.hosts.pop()
        if last.id != host_id:
            self.rows[last.id] = row
            self.hosts[row] = last
            self._write(row, replace(last, used=used))

    def claim(self, host_id: str, resources: Resources) -> None:
        """Count as used. Checks nothing: whoever claims has decided."""
        self.take(self.rows[host_id], resources)

    def release(self, host_id: str, resources: Resources) -> None:
        """Count as free again."""
        self.give(self.rows[host_id], resources)

    def take(self, row: int, resources: Resources) -> None:
        """`claim` by row."""
        free = self.free
        free[0, row] -= resources.vcpus
        free[1, row] -= resources.memory_mib
        free[2, row] -= resources.disk_gib
        free[3, row] -= resources.gpus
        self._touch(row)

    def give(self, row: int, resources: Resources) -> None:
        """`release` by row."""
        free = self.free
        free[0, row] += resources.vcpus
        free[1, row] += resources.memory_mib
        free[2, row] += resources.disk_gib
        free[3, row] += resources.gpus
        self._touch(row)

    def generation(self, host_id: str) -> int:
        """The generation at which the host was last upserted."""
        return self.hosts[self.rows[host_id]].generation

    def host(self, host_id: str) -> Host:
        """The host as it is now, claims included. Raises KeyError."""
        row = self.rows[host_id]
        return replace(self.hosts[row], used=self._used(row))

    def copy(self) -> Fleet:
        """An independent fleet of the same hosts, for what-if."""
        return Fleet(replace(host, used=self._used(row)) for row, host in enumerate(self.hosts))

    def names(self, label: str) -> tuple[str, ...]:
        """All values that hosts have of a label ("pool", "zone", "arch"), sorted."""
        used = set(self.labels[label][: len(self.hosts)].tolist())
        return tuple(sorted(name for name, code in self.codes[label].items() if code in used))

    def _used(self, row: int) -> Resources:
        return Resources(*(self.capacity[:, row] - self.free[:, row]).tolist())

    def _write(self, row: int, host: Host) -> None:
        for number, size in enumerate(SIZES):
            capacity = getattr(host.capacity, size)
            self.capacity[number, row] = capacity
            self.free[number, row] = capacity - getattr(host.used, size)
            self.per_capacity[number, row] = 1 / capacity if capacity else 0.0
        for label, codes in self.codes.items():
            name = getattr(host, label)
            self.labels[label][row] = codes.setdefault(name, len(codes))
        self.tie[row] = crc32(host.id.encode()) & ((1 << TIE_BITS) - 1)
        self.up[row] = host.up
        self.open[row] = not host.cordoned
        for columns, names in ((self.kinds, host.kinds), (self.traits, host.traits)):
            for name in names:
                if name not in columns:
                    columns[name] = np.zeros(len(self.tie), np.bool_)
                columns[name][row] = True
        self._touch(row)

    def _clear_flags(self, row: int) -> None:
        host = self.hosts[row]
        for columns, names in ((self.kinds, host.kinds), (self.traits, host.traits)):
            for name in names:
                columns[name][row] = False

    def _touch(self, row: int) -> None:
        self.log.append(row)
        if len(self.log) > _LOG_LIMIT:
            self.log.clear()
            self.rankings.clear()

    def _grow(self) -> None:
        room = len(self.tie)
        wide = ((0, 0), (0, room))
        self.free, self.capacity = np.pad(self.free, wide), np.pad(self.capacity, wide)
        self.per_capacity = np.pad(self.per_capacity, wide)
        self.tie, self.up, self.open = np.pad(self.tie, (0, room)), np.pad(self.up, (0, room)), np.pad(self.open, (0, room))
        for columns in (self.kinds, self.traits):
            columns.update({name: np.pad(column, (0, room)) for name, column in columns.items()})
        self.labels = {name: np.pad(column, (0, room)) for name, column in self.labels.items()}
        self.rankings.clear()
