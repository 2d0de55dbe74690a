"""What is checked of an image's bytes wherever they go: both digests of them, and that a qcow2 file reaches nowhere outside itself."""

from __future__ import annotations

import hashlib
import struct
from collections import deque
from collections.abc import Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Final

from cryptography.hazmat.primitives import hashes

from drivers.base import Image
from drivers.errors import ImageCorrupt, InvalidSpec

FORMATS: Final = ("qcow2", "raw")
QCOW2_MAGIC: Final = b"QFI\xfb"
MOST_BEHIND: Final = 16  # pieces of an image
EXTERNAL_DATA: Final = 1 << 2  # incompatible feature bit of the qcow2 header


class Digests:
    """SHA-256 and SM3 of the same bytes, in one pass. SM3 takes five times as long, so a thread of its own does it, a little behind."""

    def __init__(self) -> None:
        self._sha256 = hashlib.sha256()
        self._sm3 = hashes.Hash(hashes.SM3())
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="sm3")
        self._behind: deque[Future[None]] = deque()

    def update(self, data: bytes) -> None:
        self._behind.append(self._thread.submit(self._sm3.update, data))
        self._sha256.update(data)
        if len(self._behind) > MOST_BEHIND:  # pieces are kept in memory until both are done with them
            self._behind.popleft().result()

    def compare(self, image: Image, where: str) -> None:
        """After the last piece. Raises ImageCorrupt at the first digest that differs."""
        self._thread.shutdown()
        for update in self._behind:
            update.result()
        found: Mapping[str, tuple[str, str]] = {
            "sha256": (image.sha256, self._sha256.hexdigest()),
            "sm3": (image.sm3, self._sm3.copy().finalize().hex()),
        }
        for algorithm, (expected, actual) in found.items():
            if expected != actual:
                raise ImageCorrupt(image=image.id, algorithm=algorithm, expected=expected, actual=actual, where=where)


def refuse_outside(header: bytes) -> None:
    """Raises InvalidSpec for a qcow2 header that names a backing file or an external data file, or is none."""
    if len(header) < 72 or header[:4] != QCOW2_MAGIC:
        raise InvalidSpec(detail="the image is not in qcow2 format")
    version, backing = struct.unpack(">IQ", header[4:16])
    if backing:
        raise InvalidSpec(detail="the image lies over another file; flatten it first")
    if version >= 3 and len(header) >= 80 and struct.unpack(">Q", header[72:80])[0] & EXTERNAL_DATA:
        raise InvalidSpec(detail="the image keeps its data in another file")
