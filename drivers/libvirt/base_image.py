"""One verified copy of each image per host, which all root disks made from it lie over.

In: an active pool and an Image. Out: a `Base`, once the whole of the copy is there. Invariants:

* A copy counts only when its marker volume exists, which is created last, after the copy has been read back and found right: libvirt has
  no rename, and a controller killed in the middle must leave something that the next one recognises and makes anew.
* What boots has been verified: the controller's file while it is sent, the host's copy just before each cold boot, both digests in one
  pass. Reading a copy back takes longer than making a disk and a domain, so it goes on beside that; `Base.check` waits for its verdict.
* No copy reaches outside itself: a qcow2 file with a backing or data file of its own would make QEMU open that file of the host's.

Two controllers that upload the same image at once may delete each other's unmarked copy; neither can then mark a wrong one, except in the
moment between reading back and marking. The verification before each boot covers that, too.
"""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager
from pathlib import Path
from typing import BinaryIO

import libvirt

from drivers.base import Image
from drivers.errors import ImageCorrupt, ImageNotFound, Permanent, Transient
from drivers.image import Digests, refuse_outside
from drivers.libvirt import volumes


def base_name(image: Image) -> str:
    return f"base-{image.sha256}.{image.format}"


def marker_name(image: Image) -> str:
    return f"{base_name(image)}.complete"


class Base:
    """The host's copy of an image, which a thread reads."""

    def __init__(self, pool: libvirt.virStoragePool, copy: libvirt.virStorageVol, image: Image) -> None:
        self.path = str(copy.path())
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="base")
        self._read = self._thread.submit(_read_back, pool, copy, image)

    def check(self) -> None:
        """Wait until all of it was read. Raises ImageCorrupt, or what reading failed of."""
        self._read.result()

    def close(self) -> None:
        """Wait until nobody reads."""
        self._thread.shutdown()


def begin(pool: libvirt.virStoragePool, image: Image, copying: AbstractContextManager[object]) -> Base:
    """The host's copy, made if missing; reading it has begun. Raises ImageNotFound, and ImageCorrupt for the controller's file.

    `copying` is a lock for this host and image: whoever waited for it finds the other's copy.
    """
    copy = _complete(pool, image)
    if copy is None:
        with copying:
            copy = _complete(pool, image) or _copy(pool, image)
    return Base(pool, copy, image)


def _complete(pool: libvirt.virStoragePool, image: Image) -> libvirt.virStorageVol | None:
    copy = volumes.find(pool, base_name(image))
    return copy if copy is not None and volumes.find(pool, marker_name(image)) is not None else None


def _copy(pool: libvirt.virStoragePool, image: Image) -> libvirt.virStorageVol:
    volumes.delete(volumes.find(pool, marker_name(image)))  # the marker of a copy that is gone
    volumes.delete(volumes.find(pool, base_name(image)))  # a copy cut short
    with _opened(image) as file:
        copy = volumes.create(pool, base_name(image), "raw", image.size_bytes)  # raw, whatever it holds: only room for bytes
        try:
            volumes.upload(pool, copy, _chunks(image, file), image.size_bytes)
        except Permanent:
            volumes.delete(copy)
            raise
    try:
        _read_back(pool, copy, image)
    except ImageCorrupt as error:  # the sender's bytes were right: another controller is writing here, or the host's disk is bad
        raise Transient(detail=f"the copy of image {image.id} on the host differs from what was sent") from error
    volumes.create(pool, marker_name(image), "raw", 0)
    return copy


def _opened(image: Image) -> BinaryIO:
    try:
        return Path(image.path).open("rb")
    except OSError as error:
        raise ImageNotFound(image=image.id) from error


def _chunks(image: Image, file: BinaryIO) -> Iterator[bytes]:
    """The file's bytes. After the last, both digests are compared and the header is judged: else the transfer must not end well."""
    digests = Digests()
    header = b""
    sent = 0
    while chunk := file.read(volumes.CHUNK):
        header = header or chunk
        digests.update(chunk)
        sent += len(chunk)
        if sent <= image.size_bytes:  # a longer file is corrupt anyway, and the volume takes no more
            yield chunk
    digests.compare(image, "controller")
    if image.format == "qcow2":
        refuse_outside(header)


def _read_back(pool: libvirt.virStoragePool, copy: libvirt.virStorageVol, image: Image) -> None:
    digests = Digests()
    volumes.download(pool, copy, digests.update)
    digests.compare(image, "host")
