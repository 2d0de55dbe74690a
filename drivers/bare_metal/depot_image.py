"""An image as machines get it: raw, packed with zstd, made once per digest and shared by all attempts.

In: a file of the controller's store with its digest. Out: a file in the depot's folder with the digests and sizes that a machine checks
it by. Invariants: nothing is made of bytes that don't have the digest on record; what was made is complete or not there; memory is
bounded, as everything goes through in pieces. Machines that are provisioned at once wait for the first of them (a lock that its death
lets go).

qemu-img can't write into a pipe, so a qcow2 is unfolded into a sparse file first. Rejected: unfolding it on the machine, whose ramdisk
would need qemu-img and the room for it; serving raw as it is, which sends gigabytes of zeros.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Final

from drivers.bare_metal import attempt as attempts
from drivers.bare_metal.attempt import Attempt
from drivers.errors import ChecksumMismatch, DeadlinePassed, ImageNotFound, InvalidSpec, Transient

FORMATS: Final = ("qcow2", "raw")
KEPT: Final = 8  # images that stay packed; those in use live on in their attempts
PIECE: Final = 1 << 20
EVERY_S: Final = 0.5
NAME: Final = "root-disk.zst"


@dataclass(frozen=True, slots=True)
class Packed:
    """`served`: SHA-256 of the packed file; `bytes` and `sha256`: of the disk in it."""

    served: str
    bytes: int
    sha256: str


def provide(folder: Path, attempt: Attempt, image: Path, kind: str, sha256: str, within_s: float) -> Packed:
    """Have that image served to an attempt, as `NAME`.

    Raises InvalidSpec for another format, ImageNotFound, ChecksumMismatch where the file has not that digest, and DeadlinePassed.
    """
    if kind not in FORMATS:
        raise InvalidSpec(detail=f"image format {kind!r} is none of {', '.join(FORMATS)}")
    deadline = time.monotonic() + within_s
    own = folder / "images" / f"{sha256}-{kind}"
    own.parent.mkdir(mode=0o700, exist_ok=True)
    try:
        with _alone(own.with_suffix(".lock"), deadline):
            packed = _kept(own) or _pack(image, kind, sha256, own, deadline)
            here = attempt.folder / "files" / NAME
            here.unlink(missing_ok=True)
            here.hardlink_to(own.with_suffix(".zst"))
            os.utime(own.with_suffix(".json"))
    except (subprocess.TimeoutExpired, TimeoutError):
        raise DeadlinePassed(step="image", seconds=round(within_s)) from None
    _forget_old(own.parent)
    return packed


def forget(folder: Path, kind: str, sha256: str) -> None:
    """A machine found that it isn't what it should be: it is made anew the next time."""
    (folder / "images" / f"{sha256}-{kind}.json").unlink(missing_ok=True)


def _pack(image: Path, kind: str, sha256: str, own: Path, deadline: float) -> Packed:
    """Raises TimeoutError."""
    if not image.is_file():
        raise ImageNotFound(image=str(image))
    seen = hashlib.sha256()
    for piece in _read(image, deadline):
        seen.update(piece)
    if seen.hexdigest() != sha256:
        raise ChecksumMismatch(detail=f"{image} has {seen.hexdigest()} instead of {sha256}")
    flat, part = own.with_suffix(".raw"), own.with_suffix(".part")
    try:
        if kind == "qcow2":
            _unfold(image, flat, deadline)
        size, digest = _squeeze(image if kind == "raw" else flat, part, deadline)
        served = hashlib.sha256()
        for piece in _read(part, deadline):
            served.update(piece)
        packed = Packed(served.hexdigest(), size, digest)
        part.rename(own.with_suffix(".zst"))
        attempts.write(own.with_suffix(".json"), json.dumps(asdict(packed)))
        return packed
    finally:
        flat.unlink(missing_ok=True)
        part.unlink(missing_ok=True)


def _unfold(image: Path, flat: Path, deadline: float) -> None:
    call = ("qemu-img", "convert", "-f", "qcow2", "-O", "raw", str(image), str(flat))
    done = subprocess.run(call, capture_output=True, stdin=subprocess.DEVNULL, timeout=_left(deadline), check=False)
    if done.returncode:
        raise InvalidSpec(detail=f"{image}: {done.stderr.decode(errors='replace').strip()[-200:]}")


def _squeeze(raw: Path, part: Path, deadline: float) -> tuple[int, str]:
    """Size and digest of what went through."""
    digest = hashlib.sha256()
    zstd = subprocess.Popen(("zstd", "-q", "-3", "-T0", "-f", "-", "-o", str(part)), stdin=subprocess.PIPE)
    with zstd, suppress(BrokenPipeError):  # it ended early: its status says so
        try:
            for piece in _read(raw, deadline):
                digest.update(piece)
                zstd.stdin.write(piece)  # type: ignore[union-attr]  # as asked for
        except BaseException:
            zstd.kill()
            raise
    if zstd.returncode:
        raise Transient(detail=f"zstd ended with {zstd.returncode}: is the disk of {part.parent} full?")
    return raw.stat().st_size, digest.hexdigest()


def _read(path: Path, deadline: float) -> Iterator[bytes]:
    with path.open("rb", buffering=0) as file:
        while piece := file.read(PIECE):
            _left(deadline)
            yield piece


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError
    return left


def _kept(own: Path) -> Packed | None:
    kept = attempts.read(own.with_suffix(".json"))
    return Packed(**kept) if kept and own.with_suffix(".zst").exists() else None


def _forget_old(images: Path) -> None:
    known = sorted(images.glob("*.json"), key=lambda path: path.stat().st_mtime, reverse=True)
    for old in known[KEPT:]:
        for path in (old, old.with_suffix(".zst"), old.with_suffix(".lock")):
            path.unlink(missing_ok=True)


@contextmanager
def _alone(path: Path, deadline: float) -> Iterator[None]:
    """Hold that lock; raises TimeoutError."""
    with path.open("w") as file:
        while True:
            with suppress(BlockingIOError):
                fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            time.sleep(min(EVERY_S, _left(deadline)))
        yield
