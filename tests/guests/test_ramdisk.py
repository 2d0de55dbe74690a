"""The ramdisk on what servers of iron are made of and no rack of ours: disks by SATA, SAS and NVMe, a NIC of Intel's.

One QEMU guest under emulation, which is given kernel and initrd as iPXE would, and can be reached by ssh.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.bare_metal.attempt import ALWAYS, Attempt, await_alive, begin
from drivers.bare_metal.clearing import clear
from drivers.bare_metal.depot import Depot
from drivers.bare_metal.erasing import Ata, Nvme, able
from drivers.bare_metal.inspection import fixed_disks
from drivers.bare_metal.remote import Ramdisk
from drivers.errors import WipeFailed
from tests.lab.needs import CHECKOUT, require_metal

pytestmark = [pytest.mark.real, pytest.mark.slow]

MAC = "52:54:00:77:00:aa"
HOST = "10.0.2.2"  # as QEMU's guests reach it
REACHED = "127.0.0.77"  # as it is reached by ssh
SIZE = 64 << 20
MIDDLE = 31 << 20  # where no sample is taken and no end is
DISKS = {"SATA-1": "ide-hd,bus=ide.0", "SAS-2": "scsi-hd,bus=raid.0", "NVME-3": "nvme"}
STICK = "usb-storage,bus=usb.0,removable=on"
ALIVE_S = 240.0
POLICY = ["secure", "discard", "overwrite"]


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
def started(attempt: Attempt, folder: Path) -> Iterator[dict[str, Any]]:
    """What it says of itself when it is up. All of its disks are written full."""
    ramdisk = attempt.folder.parent.parent / "ramdisk"
    call = ["qemu-system-x86_64", "-M", "q35", "-accel", "tcg", "-cpu", "qemu64", "-m", "512", "-display", "none", "-nodefaults"]
    call += ["-kernel", ramdisk / "vmlinuz", "-initrd", ramdisk / "initrd", "-append", f"{ALWAYS} {attempt.arguments}"]
    call += ["-serial", f"file:{folder / 'console'}", "-netdev", f"user,id=net,hostfwd=tcp:{REACHED}:22-:22"]
    call += ["-device", f"e1000e,netdev=net,mac={MAC}", "-device", "megasas,id=raid", "-device", "qemu-xhci,id=usb"]
    for serial, device in (DISKS | {"stick": STICK}).items():
        path = folder / f"{serial}.raw"
        path.write_bytes(b"\x5a" * SIZE)
        call += ["-drive", f"if=none,id={serial},format=raw,file={path}", "-device", f"{device},drive={serial},serial={serial}"]
    with subprocess.Popen(call, stdin=subprocess.DEVNULL) as guest:
        try:
            said = await_alive(attempt, ALIVE_S)
            assert said is not None, (folder / "console").read_text(errors="replace")[-2000:]
            yield said
        finally:
            guest.kill()


def test_disks_and_ports_of_iron_are_seen_with_their_serial_numbers_and_cleared_in_the_way_that_each_has(
    attempt: Attempt, tmp_path: Path
) -> None:
    def held(serial: str) -> bytes:
        return (tmp_path / f"{serial}.raw").read_bytes()

    with started(attempt, tmp_path) as said:
        disks = {disk["serial"]: disk for disk in fixed_disks(said)}
        assert set(disks) == set(DISKS)
        assert [disk["bytes"] for disk in said["disks"]] == [SIZE] * 4
        assert [disk["removable"] for disk in said["disks"]].count(True) == 1, "the stick"
        assert [(nic["mac"], nic["driver"], nic["link"]) for nic in said["nics"]] == [(MAC, "e1000e", True)]

        ramdisk = Ramdisk(REACHED, said["host_key"], attempt.key)
        paths = {serial: f"/dev/{disk['name']}" for serial, disk in disks.items()}
        can = {serial: able(ramdisk.metal("look", path, within_s=60)) for serial, path in paths.items()}
        assert can == {"SATA-1": Ata(), "SAS-2": None, "NVME-3": Nvme(formats=True)}, "QEMU's controller says that it forgets no keys"

        deadline = time.monotonic() + 600
        nvme = clear(ramdisk, disks["NVME-3"], POLICY, whole=False, deadline=deadline)
        assert (nvme["method"], nvme["verified"]) == ("nvme_user_data_erase", True), nvme
        assert nvme["read_back"] == {"how": "samples", "places": 32, "bytes": SIZE}
        assert held("NVME-3") == bytes(SIZE)
        with (tmp_path / "NVME-3.raw").open("r+b") as disk:
            disk.write(b"\x5a" * SIZE)
        asked = ramdisk.metal("wipe", paths["NVME-3"], "nvme_crypto_erase", "60", "whole", within_s=120)
        assert (asked["read_back"], held("NVME-3")) == ({"how": "whole", "places": 1, "bytes": SIZE}, bytes(SIZE)), (
            "it takes it all the same"
        )

        with pytest.raises(WipeFailed) as refused:  # though hdparm ends as if all were well
            ramdisk.metal("wipe", paths["SATA-1"], "ata_erase", "60", within_s=120)
        assert "takes no password" in str(refused.value.reason.params["detail"])
        assert held("SATA-1")[MIDDLE : MIDDLE + 512] == b"\x5a" * 512
        sata = clear(ramdisk, disks["SATA-1"], POLICY, whole=True, deadline=deadline)
        assert (sata["method"], sata["read_back"]["how"]) == ("overwrite", "whole"), "what it calls discarding changes nothing"
        sas = clear(ramdisk, disks["SAS-2"], POLICY, whole=False, deadline=deadline)
        assert (sas["method"], sas["verified"]) == ("overwrite", True)
        assert (held("SATA-1"), held("SAS-2")) == (bytes(SIZE), bytes(SIZE))
        with pytest.raises(WipeFailed, match="not zero"):  # nor is it taken for cleared now that it is empty
            ramdisk.metal("wipe", paths["SATA-1"], "discard", within_s=120)
