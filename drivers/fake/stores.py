"""Where a fake world keeps its records: this process's memory, or a directory that several processes share.

Both offer the same few verbs (`Store`); the driver and the world know no other difference. Invariants: whoever changes an instance holds
`hold(instance_id)` meanwhile; a reader without it sees a whole record, the old or the new. In a directory that is a lock file per shard
(the kernel lets go of it when its process is killed) and a rename. The journal is told of what ends before the rename and of what begins
after it: whoever is killed in between, or made to wait there while others see what was freed and take it, leaves an audit that holds an
instance for less than it is, never for more. Nothing is synced to disk: it outlives processes, not the machine.

One large file or SQLite was rejected: a lock around everything makes two controllers take turns, and hides the races we look for.
"""

from __future__ import annotations

import fcntl
import json
import os
import threading
import zlib
from collections.abc import Iterable, Iterator, Set
from contextlib import AbstractContextManager, contextmanager
from dataclasses import asdict, astuple
from pathlib import Path
from typing import Protocol

from drivers.base import CANONICAL_UUID
from drivers.fake.audit import Audit
from drivers.fake.lifecycle import Act, Record

SHARDS = 256
ENDINGS = frozenset({"stop", "gone", "resize"})
"""Acts after which a host may hold less; a resize that grows has its room booked before anybody asks for it."""


class Store(Protocol):
    """Records by instance id, a journal of acts, and the set of hosts that don't answer."""

    def hold(self, instance_id: str) -> AbstractContextManager[object]:
        """Nobody else changes this instance meanwhile."""
        ...

    def get(self, instance_id: str) -> Record | None:
        """The record, if there is one."""
        ...

    def put(self, record: Record, acts: Iterable[Act]) -> None:
        """Replace the record and note what happened."""
        ...

    def drop(self, instance_id: str, acts: Iterable[Act]) -> None:
        """Forget the record and note what happened."""
        ...

    def note(self, acts: Iterable[Act]) -> None:
        """Note what happened without a change of any record."""
        ...

    def scan(self) -> Iterable[Record]:
        """All records; those that change meanwhile may or may not show it."""
        ...

    def audit(self) -> Audit:
        """All that was noted so far."""
        ...

    def silent(self) -> Set[str]:
        """The hosts that don't answer."""
        ...

    def silence(self, hosts: Set[str], silent: bool) -> None:
        """Make these hosts stop, or start, answering."""
        ...


class MemoryStore:
    """A dict behind one lock that is held for microseconds; whoever asks for the world's name in this process shares it."""

    def __init__(self, audit: Audit) -> None:
        self._lock = threading.RLock()
        self._records: dict[str, Record] = {}
        self._audit = audit
        self._silent: frozenset[str] = frozenset()

    def hold(self, instance_id: str) -> AbstractContextManager[object]:  # noqa: ARG002  # one lock serves all
        return self._lock

    def get(self, instance_id: str) -> Record | None:
        return self._records.get(instance_id)

    def put(self, record: Record, acts: Iterable[Act]) -> None:
        self._records[record.instance_id] = record
        self.note(acts)

    def drop(self, instance_id: str, acts: Iterable[Act]) -> None:
        self._records.pop(instance_id, None)
        self.note(acts)

    def note(self, acts: Iterable[Act]) -> None:
        with self._lock:
            for act in acts:
                self._audit.apply(act)

    def scan(self) -> Iterable[Record]:
        with self._lock:
            return list(self._records.values())

    def audit(self) -> Audit:
        return self._audit

    def silent(self) -> Set[str]:
        return self._silent

    def silence(self, hosts: Set[str], silent: bool) -> None:
        with self._lock:
            self._silent = self._silent | hosts if silent else self._silent - hosts


class DirectoryStore:
    """`instances/<shard>/<id>.json`, `locks/<shard>`, `silent/<host>` and an append-only `journal` of JSON lines."""

    def __init__(self, root: Path, audit: Audit) -> None:
        self._root = root
        self._audit = audit
        self._lock = threading.Lock()
        self._read = 0  # bytes of the journal that `_audit` has seen
        for shard in range(SHARDS):
            (root / "instances" / f"{shard:02x}").mkdir(parents=True, exist_ok=True)
        (root / "locks").mkdir(exist_ok=True)
        (root / "silent").mkdir(exist_ok=True)
        self._journal = os.open(root / "journal", os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o644)

    def _shard(self, instance_id: str) -> str:
        return f"{zlib.crc32(instance_id.encode()) % SHARDS:02x}"

    def _file(self, instance_id: str) -> str:
        if not CANONICAL_UUID.fullmatch(instance_id):  # never a path of somebody's making
            return f"{self._root}/instances/none"
        return f"{self._root}/instances/{self._shard(instance_id)}/{instance_id}.json"

    @contextmanager
    def hold(self, instance_id: str) -> Iterator[None]:
        handle = os.open(self._root / "locks" / self._shard(instance_id), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)  # belongs to this open file, so it also parts threads; closing lets go
            yield
        finally:
            os.close(handle)

    def get(self, instance_id: str) -> Record | None:
        return _load(self._file(instance_id))

    def put(self, record: Record, acts: Iterable[Act]) -> None:
        path = self._file(record.instance_id)
        temporary = Path(f"{path}.{os.getpid()}-{threading.get_ident()}.tmp")
        temporary.write_bytes(json.dumps(asdict(record)).encode())
        acts = list(acts)
        self.note(act for act in acts if act.what in ENDINGS)
        temporary.replace(path)
        self.note(act for act in acts if act.what not in ENDINGS)

    def drop(self, instance_id: str, acts: Iterable[Act]) -> None:
        self.note(acts)
        Path(self._file(instance_id)).unlink(missing_ok=True)

    def note(self, acts: Iterable[Act]) -> None:
        lines = b"".join(json.dumps(astuple(act)).encode() + b"\n" for act in acts)
        if lines:
            os.write(self._journal, lines)  # one append: the kernel keeps lines of several processes apart

    def scan(self) -> Iterable[Record]:
        for shard in range(SHARDS):
            for path in (self._root / "instances" / f"{shard:02x}").glob("*.json"):
                record = _load(path)
                if record is not None:
                    yield record

    def audit(self) -> Audit:
        with self._lock, (self._root / "journal").open("rb") as journal:
            journal.seek(self._read)
            for line in journal:
                if not line.endswith(b"\n"):
                    break
                self._read += len(line)
                at, instance_id, what, host, claim, detail, devices = json.loads(line)
                parts = tuple((id_, milli) for id_, milli in devices)
                self._audit.apply(Act(at, instance_id, what, host, tuple(claim) if claim else None, detail, parts))
            return self._audit

    def silent(self) -> Set[str]:
        return frozenset(os.listdir(self._root / "silent"))  # noqa: PTH208  # names, thousands of times a second

    def silence(self, hosts: Set[str], silent: bool) -> None:
        for host in hosts:
            mark = self._root / "silent" / host
            if silent:
                mark.touch()
            else:
                mark.unlink(missing_ok=True)


def _load(path: str | Path) -> Record | None:
    try:
        return Record(**json.loads(Path(path).read_bytes()))
    except FileNotFoundError:
        return None
