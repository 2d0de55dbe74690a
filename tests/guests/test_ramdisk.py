"""The ramdisk on what servers of iron are made of and no rack of ours: disks by SATA, SAS and NVMe, a NIC of Intel's.

One QEMU guest under emulation, which is given kernel and initrd as iPXE would.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.bare_metal.attempt import ALWAYS, Attempt, await_alive, begin
from drivers.bare_metal.depot import Depot
from drivers.bare_metal.inspection import fixed_disks
from tests.lab.needs import CHECKOUT, require_metal

pytestmark = [pytest.mark.real, pytest.mark.slow]

MAC = "52:54:00:77:00:aa"
HOST = "10.0.2.2"  # as QEMU's guests reach it
SIZE = 16 << 20
DISKS = {"SATA-1": "ide-hd,bus=ide.0", "SAS-2": "scsi-hd,bus=raid.0", "NVME-3": "nvme"}
STICK = "usb-storage,bus=usb.0,removable=on"
ALIVE_S = 240.0


@pytest.fixture
def attempt(tmp_path: Path) -> Iterator[Attempt]:
    require_metal()
    folder = tmp_path / "depot"
    subprocess.run([CHECKOUT / "guests/ramdisk/build", folder / "ramdisk"], check=True, capture_output=True)
    depot = Depot(folder, "127.0.0.1")
    depot.start()
    yield begin(folder, f"http://{HOST}:{depot.url.rpartition(':')[2]}", "m1", [MAC])
    depot.close()


@contextmanager
def started(attempt: Attempt, folder: Path) -> Iterator[None]:
    ramdisk = attempt.folder.parent.parent / "ramdisk"
    call = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "qemu64", "-m", "512", "-display", "none", "-nodefaults"]
    call += ["-kernel", ramdisk / "vmlinuz", "-initrd", ramdisk / "initrd", "-append", f"{ALWAYS} {attempt.arguments}"]
    call += ["-serial", f"file:{folder / 'console'}", "-netdev", "user,id=net", "-device", f"e1000e,netdev=net,mac={MAC}"]
    call += ["-device", "megasas,id=raid", "-device", "qemu-xhci,id=usb"]
    for serial, device in (DISKS | {"stick": STICK}).items():
        path = folder / f"{serial}.raw"
        path.write_bytes(bytes(SIZE))
        call += ["-drive", f"if=none,id={serial},format=raw,file={path}", "-device", f"{device},drive={serial},serial={serial}"]
    with subprocess.Popen(call, stdin=subprocess.DEVNULL) as guest:
        try:
            yield
        finally:
            guest.kill()


def test_disks_and_ports_of_iron_are_seen_with_their_serial_numbers(attempt: Attempt, tmp_path: Path) -> None:
    with started(attempt, tmp_path):
        said: dict[str, Any] | None = await_alive(attempt, ALIVE_S)
    assert said is not None, (tmp_path / "console").read_text(errors="replace")[-2000:]
    assert {disk["serial"] for disk in fixed_disks(said)} == set(DISKS)
    assert [disk["bytes"] for disk in said["disks"]] == [SIZE] * 4
    assert [disk["removable"] for disk in said["disks"]].count(True) == 1, "the stick"
    assert [(nic["mac"], nic["driver"], nic["link"]) for nic in said["nics"]] == [(MAC, "e1000e", True)]
