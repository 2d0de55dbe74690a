"""What can go wrong with a server has a name: every failure is provoked on the real protocol, and the server is let go of afterwards."""

from __future__ import annotations

import hashlib
import struct
import threading
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.bare_metal.attempt import found
from drivers.bare_metal.bmc import certificate
from drivers.bare_metal.depot import Depot
from tests.lab.metal import by_hand
from tests.lab.metal.bmc import Bmc
from tests.lab.metal.rig import Rig
from tests.lab.metal.server import Server
from tests.playbooks.conftest import Play
from tests.playbooks.played import tiny

pytestmark = pytest.mark.real

MIB = 1 << 20


def _raw(folder: Path, content: bytes) -> dict[str, Any]:
    path = folder / "image.raw"
    path.write_bytes(content)
    return {"image_file": str(path), "image_format": "raw", "image_sha256": hashlib.sha256(content).hexdigest()}


@pytest.mark.parametrize(
    ("fault", "code"),
    [
        (Bmc.being_stopped, "bmc_unreachable"),
        (Bmc.being_cut, "bmc_unreachable"),
        (Bmc.being_frozen, "bmc_unreachable"),
        (Bmc.with_another_password, "bmc_password_refused"),
        (Bmc.with_another_certificate, "bmc_certificate_changed"),
        (Bmc.ignoring_power, "power_unchanged"),
        (Bmc.ignoring_boot, "boot_device_ignored"),
    ],
)
def test_a_bmc_that_fails(play: Play, server: Server, fault: Callable[[Bmc], AbstractContextManager[None]], code: str) -> None:
    pinned = certificate(f"redfish+https://{server.bmc.address}")
    with fault(server.bmc):
        failed = play("inspect.yml", server, bmc_options={"fingerprint": pinned, "timeout_s": "2"}, ramdisk_power_s=3)
    assert (failed.status, failed.code) == (2, code), failed.output
    assert failed.reasons[0]["params"]
    assert server.bmc.account[1] not in failed.output
    assert not server.on


def test_a_depot_that_is_not_there(play: Play, server: Server, depot: Depot) -> None:
    failed = play("inspect.yml", server, depot_url=depot.url.rpartition(":")[0] + ":9")
    assert (failed.status, failed.code) == (2, "depot_unreachable"), failed.output
    assert list((depot.folder / "attempts").iterdir()) == []
    assert not server.on


@pytest.mark.slow
@pytest.mark.parametrize("boot_by", ["network", "cd"])
def test_a_boot_device_that_only_seems_to_be_set(play: Play, server: Server, boot_by: str) -> None:
    with server.bmc.ignoring_boot(pretending=True):
        failed = play("inspect.yml", server, boot_by=boot_by, ramdisk_alive_s=25)
    assert (failed.status, failed.code) == (2, "boot_device_ignored"), failed.output
    assert not server.on


@pytest.mark.slow
@pytest.mark.parametrize("boot_by", ["network", "cd"])
def test_dhcp_that_does_not_answer(play: Play, rig: Rig, server: Server, boot_by: str) -> None:
    with rig.dhcp.silent_for(server.mac):
        failed = play("inspect.yml", server, boot_by=boot_by, ramdisk_alive_s=25)
    assert (failed.status, failed.code) == (2, "no_dhcp_answer"), failed.output
    assert not server.on


@pytest.mark.slow
def test_a_ramdisk_that_stays_silent(play: Play, server: Server, depot: Depot) -> None:
    identity = "silent-attempt"
    with _hanging_once(server, lambda: "initrd" in getattr(found(depot.folder, identity), "seen", ())):
        failed = play("inspect.yml", server, attempt=identity, ramdisk_alive_s=30)
    assert (failed.status, failed.code) == (2, "ramdisk_silent"), failed.output
    assert not server.on


@contextmanager
def _hanging_once(server: Server, when: Callable[[], bool]) -> Iterator[None]:
    """It hangs from when that holds, to the end."""

    def hang(over: threading.Event) -> None:
        by_hand.until("time to hang", lambda: over.is_set() or when(), within_s=60)
        with server.hanging():
            over.wait(120)

    with by_hand.meanwhile(hang):
        yield


@pytest.mark.slow
def test_another_machine_than_the_one_that_is_meant(play: Play, server: Server, tmp_path: Path) -> None:
    other = "00000000-0000-0000-0000-000000000001"
    failed = play("provision.yml", server, machine_uuid=other, **_raw(tmp_path, b"\x5a" * MIB))
    assert (failed.status, failed.code) == (2, "wrong_machine"), failed.output
    assert failed.reasons[0]["params"] == {"expected": other, "seen": server.uuid}
    assert not server.holds(b"\x5a")
    assert not server.on


@pytest.mark.slow
def test_an_image_that_was_damaged_in_the_store_or_in_the_depot(play: Play, server: Server, depot: Depot, tmp_path: Path) -> None:
    entry = struct.pack("<BxxxBxxxII", 0, 0x83, 2048, 2048)
    image = _raw(tmp_path, bytes(446) + entry + bytes(48) + b"\x55\xaa" + b"\x5a" * (2 * MIB - 512))  # one partition, nothing that starts
    wrong = play("provision.yml", server, **{**image, "image_sha256": "0" * 64})
    assert (wrong.status, wrong.code) == (2, "checksum_mismatch"), wrong.output
    assert not server.holds(b"\x5a")

    slow = play("provision.yml", server, **image, provision_write_s=0.1)
    assert (slow.code, slow.reasons[0]["params"]["step"]) == ("deadline_passed", "write"), slow.output
    (packed,) = (depot.folder / "images").glob("*.zst")
    whole = packed.read_bytes()
    packed.write_bytes(whole[:-9] + bytes(9))
    damaged = play("provision.yml", server, **image)
    assert (damaged.status, damaged.code) == (2, "checksum_mismatch"), damaged.output
    assert not server.on
    nothing_to_start = play("provision.yml", server, **image, provision_start_s=10)  # packed anew
    assert (nothing_to_start.status, nothing_to_start.code) == (2, "ssh_unreachable"), nothing_to_start.output
    assert packed.read_bytes() == whole


@pytest.mark.slow
def test_a_disk_that_is_too_small(play: Play, server: Server, tmp_path: Path) -> None:
    with server.with_disk_of(16 * MIB):
        failed = play("provision.yml", server, **tiny(tmp_path))
        assert (failed.status, failed.code) == (2, "disk_too_small"), failed.output


@pytest.mark.slow
def test_a_disk_that_can_neither_be_written_nor_wiped(play: Play, server: Server, tmp_path: Path) -> None:
    with server.with_broken_disk():
        failed = play("provision.yml", server, **_raw(tmp_path, b"\x5a" * 8 * MIB))
        assert (failed.status, failed.code) == (2, "write_error"), failed.output
        assert not server.on


@pytest.mark.slow
def test_a_disk_that_does_not_hold_what_was_written_to_it(play: Play, server: Server, tmp_path: Path) -> None:
    with server.with_stuck_byte(2 * MIB):
        failed = play("provision.yml", server, **_raw(tmp_path, b"\x5a" * 8 * MIB))
    assert (failed.status, failed.code) == (2, "readback_mismatch"), failed.output
    assert server.holds(b"\x5a" * 512), "it was written"
    with server.disk.open("rb") as disk:
        assert disk.read(MIB) == bytes(MIB), "what is not whole could start"
    assert not server.on


@pytest.mark.slow
@pytest.mark.parametrize(("methods", "at"), [(["discard", "overwrite"], MIB), (["ends"], 4 * MIB)])
def test_a_disk_that_is_not_empty_after_it_was_wiped_is_not_taken_for_clean(
    play: Play, server: Server, methods: list[str], at: int
) -> None:
    with server.with_stuck_byte(at, 0x5A):
        failed = play("wipe.yml", server, wipe_methods=methods)
    assert (failed.status, failed.code) == (2, "wipe_failed"), failed.output
    assert all(f"{method}: not zero" in failed.reasons[0]["params"]["detail"] for method in methods)
    assert [disk["verified"] for disk in failed.result["disks"]] == [False]
    done = play("wipe.yml", server, wipe_methods=methods)
    assert (done.status, [disk["method"] for disk in done.result["disks"]]) == (0, methods[:1]), done.output


@pytest.mark.slow
def test_a_disk_that_is_not_there_any_more_is_not_taken_for_wiped(play: Play, server: Server) -> None:
    failed = play("wipe.yml", server, expected_disks=[server.disk_serial, "WD-GONE"])
    assert (failed.status, failed.code) == (2, "wipe_failed"), failed.output
    assert failed.reasons[0]["params"]["disks"] == "WD-GONE"
    assert {disk["disk"]: disk["verified"] for disk in failed.result["disks"]} == {"vda": True, "WD-GONE": False}
    assert not server.on


@pytest.mark.slow
def test_a_disk_that_cannot_be_wiped_is_named_and_the_others_are_wiped(play: Play, server: Server) -> None:
    with server.with_broken_disk(and_a_good_one=64 * MIB):
        with server.second.open("r+b") as disk:
            disk.seek(40 * MIB)
            disk.write(b"a department's secret")
        failed = play("wipe.yml", server)
        assert (failed.status, failed.code) == (2, "wipe_failed"), failed.output
        assert failed.reasons[0]["params"]["disks"] == f"vda ({server.disk_serial})"
        assert {disk["disk"]: disk["verified"] for disk in failed.result["disks"]} == {"vda": False, "vdb": True}
        assert server.second.read_bytes().count(0) == 64 * MIB
        assert not server.on
