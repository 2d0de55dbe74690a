"""The same work as somebody would do it who knows how: calls to the BMC, qemu-img, and ssh; no step is waited for longer than it takes.

In: a server of the rack. Out: the seconds of each phase. The digest of the image is checked before, on the way and on the disk, every disk
is wiped and read back, and the system's host key is known before it starts, as ours does.
"""

from __future__ import annotations

import hashlib
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from bench import guests
from bench.metal.phases import Phases
from drivers import seed
from tests.lab.metal import by_hand, shared
from tests.lab.metal.attempt import Attempt
from tests.lab.metal.depot import Depot
from tests.lab.metal.rig import Rig
from tests.lab.metal.server import Server

_START_S = 300.0


def round_of(rig: Rig, server: Server) -> Phases:
    """One round."""
    with tempfile.TemporaryDirectory() as name, _depot(rig) as depot:
        folder = Path(name)
        image = folder / "tiny.qcow2"
        image.write_bytes(guests.tiny())
        for key in ("ramdisk", "system", "department"):
            by_hand.new_key(folder / key)
        known = hashlib.sha256(image.read_bytes()).hexdigest()
        return Phases(
            _timed(lambda: _inspect(server, depot, folder)),
            _timed(lambda: _provision(server, depot, folder, known)),
            _timed(lambda: _wipe(server, depot, folder)),
        )


@contextmanager
def _depot(rig: Rig) -> Iterator[Depot]:
    depot = Depot(rig.outside)
    try:
        yield depot
    finally:
        depot.close()


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began


def _ramdisk(server: Server, depot: Depot, folder: Path) -> Attempt:
    _off(server)
    attempt = Attempt(server, depot, shared.ramdisk(), folder / "ramdisk")
    attempt.start_from_cd()
    attempt.alive(_START_S)
    return attempt


def _inspect(server: Server, depot: Depot, folder: Path) -> None:
    _ramdisk(server, depot, folder).alive()
    _off(server)


def _provision(server: Server, depot: Depot, folder: Path, known: str) -> None:
    image, raw, packed = folder / "tiny.qcow2", folder / "tiny.raw", folder / "tiny.raw.zst"
    assert hashlib.sha256(image.read_bytes()).hexdigest() == known  # noqa: S101 - what is measured is to be right
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, raw], check=True)
    subprocess.run(["zstd", "-q", "-f", "-3", raw, "-o", packed], check=True)
    attempt = _ramdisk(server, depot, folder)
    url, digest = depot.serve("tiny.raw.zst", packed)
    size, whole = raw.stat().st_size, hashlib.sha256(raw.read_bytes()).hexdigest()
    _done(attempt.metal("write", url, digest, "/dev/vda", str(size), whole))
    public, ours = (folder / f"{name}.pub" for name in ("department", "system"))
    files = seed.files("i-1", "web-1", [public.read_text().strip()], "")
    volume = seed.image(files | seed.vendor_data((folder / "system").read_text(), ours.read_text().strip()))
    _done(attempt.metal("seed", hashlib.sha256(volume).hexdigest(), "/dev/vda", given=volume))
    _off(server)
    by_hand.eject(server.bmc)
    by_hand.boot_from(server.bmc, "Hdd")
    by_hand.reset(server.bmc, "On")
    host_key = " ".join(ours.read_text().split()[:2])
    by_hand.until("ssh", lambda: by_hand.ssh(server.address, folder / "department", host_key, "true").returncode == 0, _START_S)


def _wipe(server: Server, depot: Depot, folder: Path) -> None:
    _done(_ramdisk(server, depot, folder).metal("wipe", "/dev/vda", "discard"))
    _off(server)
    by_hand.eject(server.bmc)


def _done(answer: dict[str, object]) -> None:
    if "failed" in answer:
        raise RuntimeError(str(answer))


def _off(server: Server) -> None:
    if by_hand.system(server.bmc)["PowerState"] == "On":
        by_hand.reset(server.bmc, "ForceOff")
    by_hand.until("off", lambda: by_hand.system(server.bmc)["PowerState"] == "Off", 60)
