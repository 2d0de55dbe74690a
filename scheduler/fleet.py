"""The fleet: hosts as columns.

One row a host; text is interned to small codes and sets to bit masks, so that a rule is one vectorised comparison. Applying a change costs what
changed. Rows are never moved; a dropped host's row is marked and used again.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from scheduler.types import Host, Resources

SIZES = ("vcpus", "memory_mib", "disk_gib", "gpus")
Column = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Fleet:
    """Columns over hosts. Used by one thread at a time."""

    def __init__(self) -> None:
        self.n = 0  # rows in use, dropped ones included
        self._row: dict[str, int] = {}
        self._hosts: list[Host | None] = []
        self._free: list[int] = []
        self._codes: dict[str, dict[str, int]] = {name: {} for name in ("pool", "zone", "arch", "trait", "kind")}
        self.capacity = np.zeros((64, 4), np.int64)
        self.used = np.zeros((64, 4), np.int64)
        self.pool, self.zone, self.arch = (np.zeros(64, np.int64) for _ in range(3))
        self.order = np.zeros(64, np.uint64)  # breaks ties, by the host's id alone
        self.traits, self.kinds = (np.zeros(64, np.int64) for _ in range(2))
        self.present, self.up, self.open = (np.zeros(64, np.bool_) for _ in range(3))

    def __len__(self) -> int:
        return len(self._row)

    def code(self, table: str, text: str) -> int:
        """The small number of a name, given at first use."""
        codes = self._codes[table]
        found = codes.get(text)
        if found is None:
            found = codes[text] = len(codes)
        return found

    def names(self, table: str) -> dict[str, int]:
        """All names of a table with their codes."""
        return self._codes[table]

    def bits(self, table: str, texts: Iterable[str]) -> int:
        """A set of names as a mask. At most 62 different names fit a table."""
        mask = 0
        for text in texts:
            mask |= 1 << self.code(table, text)
        return mask

    def upsert(self, hosts: Iterable[Host]) -> None:
        """Add hosts, or replace those that are known."""
        for host in hosts:
            row = self._row.get(host.id)
            if row is None:
                row = self._new_row(host.id)
            self._hosts[row] = host
            self.capacity[row] = (host.capacity.vcpus, host.capacity.memory_mib, host.capacity.disk_gib, host.capacity.gpus)
            self.used[row] = (host.used.vcpus, host.used.memory_mib, host.used.disk_gib, host.used.gpus)
            self.pool[row], self.zone[row] = self.code("pool", host.pool), self.code("zone", host.zone)
            self.arch[row] = self.code("arch", host.arch)
            self.traits[row], self.kinds[row] = self.bits("trait", host.traits), self.bits("kind", host.kinds)
            self.present[row], self.up[row], self.open[row] = True, host.up, not host.cordoned
            self.order[row] = hash_of(host.id)

    def drop(self, host_id: str) -> None:
        """Forget a host."""
        row = self._row.pop(host_id)
        self.present[row] = False
        self._hosts[row] = None
        self._free.append(row)

    def claim(self, host_id: str, size: Resources) -> None:
        """Count something more on a host."""
        self.used[self._row[host_id]] += (size.vcpus, size.memory_mib, size.disk_gib, size.gpus)

    def release(self, host_id: str, size: Resources) -> None:
        """Count it no longer."""
        self.used[self._row[host_id]] -= (size.vcpus, size.memory_mib, size.disk_gib, size.gpus)

    def generation(self, host_id: str) -> int:
        """The generation at which a host was read."""
        return self.host(host_id).generation

    def host(self, host_id: str) -> Host:
        """A host as it was read (later claims are in the columns alone)."""
        found = self._hosts[self._row[host_id]]
        assert found is not None  # noqa: S101 - a row that is mapped has its host
        return found

    def at(self, row: int) -> Host:
        """The host in a row."""
        found = self._hosts[row]
        assert found is not None  # noqa: S101
        return found

    def row(self, host_id: str) -> int | None:
        """The row of a host, None where it is unknown."""
        return self._row.get(host_id)

    def _new_row(self, host_id: str) -> int:
        if self._free:
            row = self._free.pop()
        else:
            row = self.n
            if row == len(self.pool):
                self._grow()
            self.n += 1
            self._hosts.append(None)
        self._row[host_id] = row
        return row

    def _grow(self) -> None:
        for name in ("capacity", "used", "pool", "zone", "arch", "order", "traits", "kinds", "present", "up", "open"):
            old = getattr(self, name)
            setattr(self, name, np.concatenate([old, np.zeros_like(old)]))


def hash_of(text: str) -> int:
    """A stable hash (FNV-1a, 64 bits): Python's own differs from run to run."""
    value = 0xCBF29CE484222325
    for byte in text.encode():
        value = ((value ^ byte) * 0x100000001B3) & 0xFFFFFFFFFFFFFFFF
    return value
