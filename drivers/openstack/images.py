"""One copy of each image in a region's glance, found by its digest.

Invariants: what is used was sent by us, in our own project, and glance's own digest of it was that of the bytes that we read while both of
the record's digests were checked; only then it is `active` under our name. A copy cut short is never active, and is made anew.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, BinaryIO, Final

from drivers.base import Image
from drivers.errors import DriverError, ImageCorrupt, ImageNotFound, Transient
from drivers.image import Digests, refuse_outside
from drivers.openstack.api import Call
from drivers.openstack.names import image_name
from drivers.openstack.records import moment

UNFINISHED: Final = ("queued", "saving", "killed")
LONGEST: Final = timedelta(days=1)
"""For how long an image may be on its way."""
_CHUNK: Final = 1 << 20


class Images:
    """Those of one region. `id_of` may be called by any number of threads; one image is sent once at a time."""

    def __init__(self) -> None:
        self._known: dict[str, str] = {}
        self._locks: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()

    def id_of(self, call: Call, image: Image) -> str:
        """Glance's id of it; sent if it isn't there. Raises ImageNotFound, ImageCorrupt, InvalidSpec, Transient."""
        known = self._known.get(image.sha256)
        if known:
            return known
        with self._lock:
            sending = self._locks.setdefault(image.sha256, threading.Lock())
        with sending:
            found = self._known.get(image.sha256) or _find(call, image) or _send(call, image)
            self._known[image.sha256] = found
            return found

    def forget(self) -> None:
        """Somebody took one away."""
        self._known.clear()


def _find(call: Call, image: Image) -> str:
    """The oldest that is whole; empty where there is none. Copies that were cut short long ago are taken away."""
    query = {"name": image_name(image.sha256), "owner": call.region.project, "sort": "created_at:asc", "limit": "100"}
    listed = call.get("image", "/images", **query).get("images") or []
    for id_ in left_over(listed, datetime.now(UTC)):
        _drop(call, id_)
    return whole(listed, image)


def whole(listed: Iterable[Mapping[str, Any]], image: Image) -> str:
    """The first that holds these bytes, so that everybody takes the same: pure."""
    fitting = {"status": "active", "disk_format": image.format, "size": image.size_bytes, "chutian_sm3": image.sm3}
    return next((str(one["id"]) for one in listed if fitting == {name: one.get(name) for name in fitting}), "")


def left_over(listed: Iterable[Mapping[str, Any]], now: datetime) -> list[str]:
    """Those that nobody can still be sending: pure."""
    old = (
        one for one in listed if one.get("status") in UNFINISHED and (since := moment(str(one.get("created_at")))) and now - since > LONGEST
    )
    return [str(one["id"]) for one in old]


def _send(call: Call, image: Image) -> str:
    with _opened(image) as file:
        made = call.send(
            "POST",
            "image",
            "/images",
            {
                "name": image_name(image.sha256),
                "disk_format": image.format,
                "container_format": "bare",
                "visibility": "private",
                "chutian_sm3": image.sm3,
            },
        )
        content = Content(image, file)
        try:
            call.put_bytes("image", f"/images/{made['id']}/file", content)
            _compare(call, str(made["id"]), image, content.sha512())
        except BaseException:
            _drop(call, str(made["id"]))
            raise
    return str(made["id"])


def _compare(call: Call, id_: str, image: Image, sha512: str) -> None:
    seen = call.region.call().get("image", f"/images/{id_}")
    if seen.get("status") != "active":
        raise Transient(detail=f"glance has not taken image {image.id} yet: it is {seen.get('status')}")
    if seen.get("os_hash_algo", "sha512") == "sha512" and seen.get("os_hash_value", sha512) != sha512:
        raise Transient(detail=f"the copy of image {image.id} in glance differs from what was sent")


def _drop(call: Call, id_: str) -> None:
    """As far as it goes: what stays isn't active, so nobody takes it."""
    with suppress(DriverError):
        call.region.call().send("DELETE", "image", f"/images/{id_}")


def _opened(image: Image) -> BinaryIO:
    try:
        return Path(image.path).open("rb")
    except OSError as error:
        raise ImageNotFound(image=image.id) from error


class Content:
    """The file's bytes as `requests` sends them, in a known number. Both digests are compared and the header is judged before the last of
    them is handed over, so a wrong file never arrives whole.
    """

    def __init__(self, image: Image, file: BinaryIO) -> None:
        self._image, self._file = image, file
        self._digests, self._sha512 = Digests(), hashlib.sha512()
        self._sent, self._header = 0, b""

    def __len__(self) -> int:
        return self._image.size_bytes

    def __iter__(self) -> Iterator[bytes]:
        while piece := self.read(_CHUNK):
            yield piece

    def read(self, _size: int = -1) -> bytes:
        """The next piece, of a size of its own; empty after the last. Raises ImageCorrupt, InvalidSpec."""
        piece = self._file.read(_CHUNK)
        self._header = self._header or piece
        if self._sent == self._image.size_bytes and not piece:
            return b""
        self._digests.update(piece)
        self._sha512.update(piece)
        self._sent += len(piece)
        if self._sent >= self._image.size_bytes or not piece:  # the file may be shorter or longer than it should be: its digests say so
            while rest := self._file.read(_CHUNK):
                self._digests.update(rest)
            self._digests.compare(self._image, "controller")
            if self._image.format == "qcow2":
                refuse_outside(self._header)
            if self._sent != self._image.size_bytes:
                raise ImageCorrupt(
                    image=self._image.id, algorithm="size", expected=self._image.size_bytes, actual=self._sent, where="controller"
                )
        return piece

    def sha512(self) -> str:
        """Of what was sent."""
        return self._sha512.hexdigest()
