"""What was seen of one kind of object, brought up to date by a watch and by the answers to our own writes.

Invariant: an object is never replaced by an older version of itself, and one that was deleted never comes back by a late event of its
life: so whoever has written sees what he wrote, though the watch tells of it later. Time is handed in by nobody: versions alone decide.
"""

from __future__ import annotations

import threading
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from typing import Final, Generic, Protocol, TypeVar

Key = tuple[str, str]
_REMEMBERED: Final = 10_000  # uids of what was deleted: more than can be on its way


class Record(Protocol):
    """What all records have."""

    @property
    def uid(self) -> str: ...
    @property
    def version(self) -> int: ...


R = TypeVar("R", bound=Record)
Changed = Callable[[R | None, R | None], None]


class Table(Generic[R]):
    """All objects of one kind, by namespace and name. `changed(before, after)` is called under its lock and must not block."""

    def __init__(self, changed: Changed[R]) -> None:
        self.lock = threading.RLock()
        self._changed = changed
        self._rows: dict[Key, R] = {}
        self._gone: OrderedDict[str, None] = OrderedDict()

    def get(self, key: Key) -> R | None:
        """One object, as it was seen last."""
        return self._rows.get(key)

    def all(self) -> list[R]:
        """All objects at one moment."""
        with self.lock:
            return list(self._rows.values())

    def has(self, key: Key, uid: str, version: int) -> bool:
        """Whether this very object is there in this version, or a later one."""
        row = self._rows.get(key)
        return row is not None and row.uid == uid and row.version >= version

    def put(self, key: Key, row: R) -> None:
        """Seen, or written by us."""
        with self.lock:
            before = self._rows.get(key)
            if row.uid in self._gone or (before is not None and before.uid == row.uid and before.version >= row.version):
                return
            if before is not None and before.uid != row.uid and before.version > row.version:
                return  # a late event of a life that ended before this one began
            self._rows[key] = row
            self._changed(before, row)

    def drop(self, key: Key, uid: str) -> None:
        """The object of that uid is no more."""
        with self.lock:
            self._gone[uid] = None
            if len(self._gone) > _REMEMBERED:
                self._gone.popitem(last=False)
            before = self._rows.get(key)
            if before is not None and before.uid == uid:
                del self._rows[key]
                self._changed(before, None)

    def replace(self, rows: Mapping[Key, R], at: int) -> None:
        """The whole as it was at version `at`: what it does not name, and was not written since, is no more."""
        with self.lock:
            lost: Iterable[tuple[Key, R]] = [(key, row) for key, row in self._rows.items() if key not in rows and row.version <= at]
            for key, row in lost:
                self.drop(key, row.uid)
            for key, row in rows.items():
                self.put(key, row)
