"""Taking in an image's bytes: measured while they stream, checked before anybody may boot from them.

Enters: chunks of bytes. Leaves: a file named by the image's id, and what was measured of it; or the reason why not, and no file. The file
appears under its name only when it is whole and right (written beside, synced, renamed), so that a controller killed in between leaves
nothing that looks like an image.

A qcow2 header may name a backing file or an external data file: a path on the *host*, which a guest could then read. Both are refused, and
so is a file that has been cut short: its tables point behind its end.
"""

from __future__ import annotations

import hashlib
import os
import struct
import sys
from array import array
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from cryptography.hazmat.primitives import hashes
from sqlalchemy import Connection

from controller.actions.catalogue import end_import
from controller.store import catalogue
from controller.store.database import Database
from drivers.base import Reason

_QCOW2_MAGIC = b"QFI\xfb"
_HEADER = 104  # bytes of a version 3 header (QEMU, docs/interop/qcow2)
_EXTERNAL_DATA = 1 << 2  # incompatible feature bit 2
_EXTENDED_TABLES = 1 << 4  # incompatible feature bit 4
_CLUSTER_BITS = (9, 21)
_LARGEST_TABLE = 1 << 22  # entries of the first level that QEMU takes
_PLACE = 0x00FFFFFFFFFFFE00  # the bits of an entry that say where
_COMPRESSED = 1 << 62
_LARGEST_DISK = 1 << 50  # as large as a flavor's disk may be; a header may claim up to 2^64


class Rejected(Exception):
    """The content can't be an image; `reason` says why."""

    def __init__(self, code: str, **params: str | int) -> None:
        self.reason = Reason(code, params)
        super().__init__(code)


@dataclass(slots=True)
class Intake:
    """One file on its way in. Feed it chunks with `add`, then `check` and `place` it; `abandon` at any time."""

    directory: Path
    image_id: str
    limit: int
    size: int = 0
    _sha256: Any = field(default_factory=hashlib.sha256)
    _sm3: Any = field(default_factory=lambda: hashes.Hash(hashes.SM3()))
    _head: bytes = b""
    _file: BinaryIO | None = None
    _partial: Path = field(init=False)

    def __post_init__(self) -> None:
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._partial = self.directory / f"{self.image_id}.{os.getpid()}.{id(self):x}.partial"

    def add(self, chunk: bytes) -> None:
        """Write and measure one chunk.

        Raises Rejected where the limit is passed or the disk is full.
        """
        self.size += len(chunk)
        if self.size > self.limit:
            raise Rejected("image_too_large", limit=self.limit)
        try:
            if self._file is None:
                self._file = self._partial.open("wb")
            self._file.write(chunk)
        except OSError as error:
            raise Rejected("store_full") from error
        if len(self._head) < _HEADER:
            self._head += chunk[: _HEADER - len(self._head)]
        self._sha256.update(chunk)
        self._sm3.update(chunk)

    def place(self) -> None:
        """Give a checked file its name. Of several that came at once only the one on record may: call it where the record is written."""
        self._partial.rename(self.directory / self.image_id)

    def check(self, image: Mapping[str, Any], expected: int | None) -> dict[str, Any]:
        """Check the whole against what was said of it; what was measured. Afterwards it is on disk, under no name yet.

        Raises Rejected.
        """
        if expected is not None and self.size != expected:
            raise Rejected("size_differs", received=self.size, expected=expected)
        virtual = virtual_size(self._head, image["format"], self.size)
        digests = {"sha256": self._sha256.hexdigest(), "sm3": self._sm3.finalize().hex()}
        for algorithm, actual in digests.items():
            want = image["want_" + algorithm]
            if want and want != actual:
                raise Rejected("digest_differs", algorithm=algorithm, expected=want, actual=actual)
        assert self._file is not None  # noqa: S101 - an empty body was refused by virtual_size
        try:
            self._file.flush()
            os.fsync(self._file.fileno())
            self._file.close()
        except OSError as error:
            raise Rejected("store_full") from error
        if image["format"] == "qcow2":
            with self._partial.open("rb") as file:
                refuse_cut_short(file, self._head, self.size)
        return {"size_bytes": self.size, "virtual_size_bytes": virtual, **digests}

    def abandon(self) -> None:
        """Leave nothing behind; harmless after `place`."""
        if self._file is not None:
            self._file.close()
        self._partial.unlink(missing_ok=True)


def virtual_size(head: bytes, kind: str, size: int) -> int:
    """The size in bytes of the disk that an image holds, from its first bytes.

    Raises Rejected where it isn't such an image, or refers to other files.
    """
    if size == 0:
        raise Rejected("not_an_image", format=kind, detail="it is empty")
    if kind == "raw":
        return size
    if head[:4] != _QCOW2_MAGIC or len(head) < 72:
        raise Rejected("not_an_image", format=kind, detail="the first four bytes are not QFI\\xfb")
    version, backing = struct.unpack_from(">IQ", head, 4)
    if version not in (2, 3):
        raise Rejected("not_an_image", format=kind, detail=f"version {version}")
    if backing:
        raise Rejected("not_an_image", format=kind, detail="it names a backing file")
    if version == 3 and (len(head) < 80 or struct.unpack_from(">Q", head, 72)[0] & _EXTERNAL_DATA):
        raise Rejected("not_an_image", format=kind, detail="it keeps its data in another file")
    (virtual,) = struct.unpack_from(">Q", head, 24)
    if not 0 < virtual <= _LARGEST_DISK:
        raise Rejected("not_an_image", format=kind, detail=f"a disk of {virtual} bytes")
    return int(virtual)


def refuse_cut_short(file: BinaryIO, head: bytes, size: int) -> None:
    """Raises Rejected for a qcow2 file (`head`: its header; `size` in bytes) that is shorter than its tables say.

    Two levels of tables hold the places of clusters, big-endian, eight bytes each; an extended second level has twice that for each
    (QEMU, docs/interop/qcow2). A cluster counts as there when it begins before the end: the last one may be shorter.
    """
    (bits,), (first_size, first_at) = struct.unpack_from(">I", head, 20), struct.unpack_from(">IQ", head, 36)
    version, features = struct.unpack_from(">I", head, 4)[0], struct.unpack_from(">Q", head.ljust(_HEADER, b"\0"), 72)[0]
    if not _CLUSTER_BITS[0] <= bits <= _CLUSTER_BITS[1] or first_size > _LARGEST_TABLE:
        raise Rejected("not_an_image", format="qcow2", detail="its header makes no sense")
    step = 2 if version == 3 and features & _EXTENDED_TABLES else 1
    compressed = (1 << (62 - (bits - 8))) - 1
    for table in _entries(file, first_at, first_size, size):
        if table & _PLACE:
            for entry in _entries(file, table & _PLACE, (1 << bits) // 8, size)[::step]:
                if (entry & (compressed if entry & _COMPRESSED else _PLACE)) >= size:
                    raise Rejected("cut_short", size=size)


def _entries(file: BinaryIO, at: int, count: int, size: int) -> array[int]:
    if at + 8 * count > size:
        raise Rejected("cut_short", size=size)
    file.seek(at)
    entries = array("Q", file.read(8 * count))
    if sys.byteorder == "little":
        entries.byteswap()
    return entries


def fetch_waiting(database: Database, directory: Path, limit: int, ending: Callable[[], bool]) -> int:
    """Fetch images that were entered with a URL; how many. A fetch that was cut off is begun again."""
    done = 0
    for image in database.run(catalogue.images_importing):
        if ending():
            break
        intake = Intake(directory, image["id"], limit)
        try:
            measured, reason = _fetch(intake, image)
            database.run(_recording(intake, image["id"], measured, reason))
        finally:
            intake.abandon()
        done += 1
    return done


def _recording(
    intake: Intake, image_id: str, measured: Mapping[str, Any] | None, reason: Mapping[str, Any] | None
) -> Callable[[Connection], None]:
    """Record how a fetch ended; the file gets its name under the row's lock, so that of two controllers' the one on record stays."""

    def record(conn: Connection) -> None:
        if end_import(conn, image_id, "chutian", measured, reason) is not None and measured is not None:
            intake.place()

    return record


def _fetch(intake: Intake, image: Mapping[str, Any]) -> tuple[dict[str, Any] | None, dict[str, Any] | None]:
    """What was measured, or why not."""
    import httpx2

    try:
        with httpx2.stream("GET", image["url"], follow_redirects=True, timeout=30) as response:
            response.raise_for_status()
            length = response.headers.get("content-length")
            for chunk in response.iter_bytes(1 << 20):
                intake.add(chunk)
            return intake.check(image, int(length) if length else None), None
    except Rejected as error:
        return None, {"code": error.reason.code, "params": dict(error.reason.params)}
    except (httpx2.HTTPError, httpx2.InvalidURL, ValueError) as error:
        return None, {"code": "download_failed", "params": {"detail": str(error).partition("\n")[0][:300]}}
