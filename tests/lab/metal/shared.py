"""One rack of servers for all tests of this process, and what they start with: making another takes seconds that CI doesn't have."""

from __future__ import annotations

import atexit
import hashlib
import subprocess
import tempfile
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from tests.lab import tied
from tests.lab.metal import rig
from tests.lab.metal.server import Hardware
from tests.lab.needs import CHECKOUT, require_metal


@dataclass(frozen=True, slots=True)
class DiskImage:
    """A system for a server's disk."""

    path: Path  # as it is served: zstd
    size: int  # of the disk in it
    sha256: str  # of that disk


@cache
def shared_rig() -> rig.Rig:
    """Four servers, off; the second speaks IPMI, too. Who makes a part fail mends it before the test ends, and renews the servers."""
    require_metal()
    folder = Path(tempfile.mkdtemp(prefix="ct-metal-", dir="/tmp"))
    tied.tie(folder, "tests.lab.metal", "metal.json")
    made = rig.up(folder, (Hardware(), Hardware(ipmi=True), Hardware(), Hardware()))
    atexit.register(rig.down, made)
    return made


@cache
def ramdisk() -> Path:
    """The folder with the ramdisk's vmlinuz, initrd and ramdisk.iso."""
    folder = shared_rig().folder / "ramdisk"
    subprocess.run([CHECKOUT / "guests/ramdisk/build", folder, "linux-image-cloud-amd64"], check=True, capture_output=True)
    return folder


@cache
def tiny() -> DiskImage:
    """The tiny guest, for a disk: it takes its seed from a partition."""
    folder = shared_rig().folder
    raw, packed = folder / "tiny.raw", folder / "tiny.raw.zst"
    subprocess.run([CHECKOUT / "guests/tiny/build", folder / "tiny.qcow2"], check=True, capture_output=True)
    subprocess.run(["qemu-img", "convert", "-O", "raw", folder / "tiny.qcow2", raw], check=True)
    subprocess.run(["zstd", "-q", "-3", raw, "-o", packed], check=True)
    return DiskImage(packed, raw.stat().st_size, hashlib.sha256(raw.read_bytes()).hexdigest())
