"""What an attempt's steps decide, and how an image gets ready: which failure silence is, which machine and disk are meant, who packs."""

from __future__ import annotations

import fcntl
import hashlib
import json
import socket
import subprocess
import threading
import time
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bare_metal.attempt import begin
from drivers.bare_metal.attempt_silence import why_silent
from drivers.bare_metal.attempt_start import await_served
from drivers.bare_metal.depot_image import KEPT, NAME, forget, provide
from drivers.bare_metal.foreman import progress_of
from drivers.bare_metal.inspection import absent, check_identity, differences, fixed_disks, root_disk
from drivers.bare_metal.machine import Disk, Machine, Nic, Source
from drivers.bare_metal.remote import Ramdisk, address_of, failure, prove
from drivers.bare_metal.runs.order import RunView, State, Task, TaskState
from drivers.base import HostPower
from drivers.errors import (
    ChecksumMismatch,
    DeadlinePassed,
    DepotUnreachable,
    DiskTooSmall,
    ImageNotFound,
    InvalidSpec,
    SshUnreachable,
    WrongMachine,
)

NETWORK, CD = Source.NETWORK, Source.CD
UUID = "4c4c4544-0042-3510-8051-b4c04f504432"
SWAPPED = "44454c4c-4200-1035-8051-b4c04f504432"
MIB = 1 << 20


@pytest.mark.parametrize(
    ("source", "seen", "hears", "code"),
    [
        (NETWORK, "", True, "boot_device_ignored"),
        (NETWORK, "", False, "no_dhcp_answer"),
        (NETWORK, "dhcp-other-asked dhcp-other-took", True, "boot_device_ignored"),  # the system on its disk came up
        (NETWORK, "dhcp-firmware-asked", True, "no_dhcp_answer"),
        (NETWORK, "dhcp-firmware-asked dhcp-firmware-took", True, "no_dhcp_answer"),
        (NETWORK, "dhcp-firmware-asked dhcp-firmware-took boot", True, "ramdisk_silent"),
        (NETWORK, "boot vmlinuz", False, "ramdisk_silent"),
        (NETWORK, "boot vmlinuz initrd", True, "ramdisk_silent"),
        (NETWORK, "boot vmlinuz initrd dhcp-ramdisk-asked", True, "no_dhcp_answer"),
        (NETWORK, "boot vmlinuz initrd dhcp-ramdisk-asked dhcp-ramdisk-took", True, "ramdisk_silent"),
        (CD, "", True, "boot_device_ignored"),
        (CD, "", False, "boot_device_ignored"),
        (CD, "cd", True, "boot_device_ignored"),
        (CD, "cd", False, "ramdisk_silent"),
        (CD, "cd dhcp-other-asked dhcp-other-took", True, "boot_device_ignored"),
        (CD, "cd dhcp-ramdisk-asked", True, "no_dhcp_answer"),
        (CD, "cd dhcp-ramdisk-asked dhcp-ramdisk-took", True, "ramdisk_silent"),
    ],
)
def test_what_a_silent_machine_did_says_what_is_wrong(source: Source, seen: str, hears: bool, code: str) -> None:
    reason = why_silent(source, frozenset(seen.split()), hears, 60).reason
    assert (reason.code, bool(reason.params["detail"])) == (code, True)


@pytest.mark.parametrize("seen", [UUID, UUID.upper(), SWAPPED])
def test_the_machine_that_is_meant(seen: str) -> None:
    check_identity({"uuid": seen}, UUID)
    check_identity({"uuid": seen}, "")


@pytest.mark.parametrize("seen", ["", "00000000-0000-0000-0000-000000000000", UUID[:-1] + "3"])
def test_another_machine(seen: str) -> None:
    with pytest.raises(WrongMachine):
        check_identity({"uuid": seen}, UUID)


def _disk(name: str, size: int, **more: Any) -> dict[str, Any]:
    return {"name": name, "bytes": size, "serial": f"S-{name}", "removable": False, **more}


DISKS = {"disks": [_disk("sda", 500), _disk("sdb", 100), _disk("sdc", 100), _disk("sdd", 50, removable=True), _disk("sde", 0)]}


@pytest.mark.parametrize(
    ("wanted", "needed", "name"), [("", 10, "sdb"), ("", 101, "sda"), ("sda", 10, "sda"), ("S-sdc", 100, "sdc"), ("/dev/sdc", 1, "sdc")]
)
def test_the_root_disk(wanted: str, needed: int, name: str) -> None:
    assert root_disk(DISKS, wanted, needed) == name


@pytest.mark.parametrize(
    ("wanted", "needed", "kind"), [("", 501, DiskTooSmall), ("sdb", 101, DiskTooSmall), ("sdx", 1, InvalidSpec), ("sdd", 1, InvalidSpec)]
)
def test_no_root_disk(wanted: str, needed: int, kind: type[Exception]) -> None:
    with pytest.raises(kind):
        root_disk(DISKS, wanted, needed)
    with pytest.raises(DiskTooSmall):
        root_disk({}, "", 0)


@given(st.lists(st.tuples(st.integers(0, 9), st.booleans()), max_size=6), st.integers(1, 9))
def test_the_root_disk_is_the_smallest_that_has_room_and_stays(made: list[tuple[int, bool]], needed: int) -> None:
    said = {"disks": [_disk(f"sd{number}", size, removable=removable) for number, (size, removable) in enumerate(made)]}
    fitting = [disk["bytes"] for disk in fixed_disks(said) if disk["bytes"] >= needed]
    if fitting:
        chosen = next(disk for disk in said["disks"] if disk["name"] == root_disk(said, "", needed))
        assert (chosen["bytes"], chosen["removable"]) == (min(fitting), False)
    else:
        with pytest.raises(DiskTooSmall):
            root_disk(said, "", needed)


def test_a_disk_that_should_be_there_and_is_not_is_told_by_serial_number_or_name() -> None:
    assert absent(DISKS, ["S-sda", "sdb"]) == []
    assert absent(DISKS, ["S-sda", "S-gone", "sdx"]) == ["S-gone", "sdx"]
    assert absent(DISKS, ["S-sde"]) == ["S-sde"], "one that says that it has no bytes can't be wiped"
    assert absent({}, ["S-sda"]) == ["S-sda"]


def test_what_bmc_and_machine_say_differently() -> None:
    said = {
        "uuid": UUID,
        "serial": "SN-1",
        "cpus": 4,
        "installed_mib": 0,  # firmware without that table
        "disks": [_disk("sda", 500), _disk("usb", 9, removable=True)],
        "nics": [{"mac": "52:54:00:00:00:01"}, {"mac": "52:54:00:00:00:02"}],
    }
    bmc = Machine(
        HostPower.ON, uuid=SWAPPED, serial="SN-1", cpus=8, memory_mib=1024, arch="x86_64", disks=(Disk("1", 400, serial="S-sda"),)
    )
    assert differences(said, bmc) == [
        {"what": "cpus", "bmc": "8", "machine": "4"},
        {"what": "bytes of disk S-sda", "bmc": "400", "machine": "500"},
    ]
    other = Machine(HostPower.ON, uuid=UUID[:-1] + "3", nics=(Nic("1", "52:54:00:00:00:01"),), disks=(Disk("1", None, serial="S-sdb"),))
    assert [one["what"] for one in differences(said, other)] == ["nics", "disks", "uuid"]
    assert differences({}, bmc) == differences(said, Machine(HostPower.ON)) == []


def test_a_machine_is_where_its_boot_port_has_an_address() -> None:
    nics = [{"mac": "a", "address": "10.0.0.1"}, {"mac": "b", "address": ""}, {"mac": "c", "address": "10.0.0.3"}]
    assert [address_of({"nics": nics}, macs) for macs in ((), ("c",), ("b", "c"), ("b",))] == [
        "10.0.0.1",
        "10.0.0.3",
        "10.0.0.3",
        "10.0.0.1",
    ]
    assert address_of({}, ("a",)) == ""


@pytest.mark.parametrize(
    ("command", "said", "code"),
    [
        ("write", "disk_too_small", "disk_too_small"),
        ("write", "checksum_mismatch", "checksum_mismatch"),
        ("write", "download_failed", "depot_unreachable"),
        ("write", "unpack_failed", "write_error"),
        ("write", "write_error", "write_error"),
        ("write", "no_disk", "write_error"),
        ("write", "readback_mismatch", "readback_mismatch"),
        ("seed", "readback_mismatch", "readback_mismatch"),
        ("wipe", "wipe_failed", "wipe_failed"),
        ("wipe", "no_disk", "wipe_failed"),
        ("look", "no_disk", "wipe_failed"),
        ("unlock", "wipe_failed", "wipe_failed"),
    ],
)
def test_what_the_ramdisk_says_has_a_name(command: str, said: str, code: str) -> None:
    reason = failure((command, "/dev/sda"), {"failed": said, "detail": "why"}).reason
    assert reason.code == code
    assert "why" in str(reason.params["detail"])
    assert "sda" in json.dumps(dict(reason.params)) or code in ("disk_too_small", "checksum_mismatch", "depot_unreachable")


def test_nobody_answers_by_ssh(tmp_path: Path) -> None:
    (tmp_path / "key").touch(mode=0o600)
    with pytest.raises(SshUnreachable):
        Ramdisk("127.0.0.9", "ssh-ed25519 AAAA", tmp_path / "key").metal("inspect", within_s=20)
    with pytest.raises(SshUnreachable, match=r"127\.0\.0\.9"):
        prove("127.0.0.9", "root", "ssh-ed25519 AAAA", within_s=1)


@pytest.mark.real  # binds port 22
def test_a_system_that_hangs_after_its_hello_is_one_that_does_not_answer() -> None:
    def hang(listening: socket.socket) -> None:
        with ExitStack() as held, suppress(OSError):
            while True:
                held.enter_context(listening.accept()[0]).sendall(b"SSH-2.0-hanging\r\n")

    with socket.create_server(("127.0.0.8", 22)) as listening:
        hanging = threading.Thread(target=hang, args=(listening,), daemon=True)
        hanging.start()
        with pytest.raises(SshUnreachable, match="had shown no host key"):
            prove("127.0.0.8", "root", "ssh-ed25519 AAAA", within_s=3)
        listening.shutdown(socket.SHUT_RDWR)
        hanging.join()


def test_nobody_serves() -> None:
    with pytest.raises(DepotUnreachable):
        await_served("http://127.0.0.9:9/boot/x")


def _image(folder: Path, content: bytes) -> tuple[Path, str]:
    path = folder / "image.raw"
    path.write_bytes(content)
    return path, hashlib.sha256(content).hexdigest()


def _unpacked(path: Path) -> bytes:
    return subprocess.run(["zstd", "-dcq", path], capture_output=True, check=True).stdout


def test_an_image_is_packed_once_for_all_attempts(tmp_path: Path) -> None:
    content = bytes(range(256)) * 8192
    image, digest = _image(tmp_path, content)
    attempts = [begin(tmp_path, "http://d", f"m{number}", []) for number in range(4)]
    packed: list[Any] = []
    threads = [threading.Thread(target=lambda one=one: packed.append(provide(tmp_path, one, image, "raw", digest, 30))) for one in attempts]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(packed) == 4
    assert len(set(packed)) == 1
    assert (packed[0].bytes, packed[0].sha256) == (len(content), digest)
    served = [one.folder / "files" / NAME for one in attempts]
    assert len({path.stat().st_ino for path in served}) == 1
    assert hashlib.sha256(served[0].read_bytes()).hexdigest() == packed[0].served
    assert _unpacked(served[0]) == content

    image.unlink()  # it isn't needed any more
    assert provide(tmp_path, attempts[0], image, "raw", digest, 30) == packed[0]
    forget(tmp_path, "raw", digest)
    with pytest.raises(ImageNotFound):
        provide(tmp_path, attempts[0], image, "raw", digest, 30)
    assert _unpacked(served[1]) == content


def test_an_image_of_another_digest_is_not_packed(tmp_path: Path) -> None:
    image, digest = _image(tmp_path, b"damaged")
    one = begin(tmp_path, "http://d", "m1", [])
    with pytest.raises(ChecksumMismatch, match=digest):
        provide(tmp_path, one, image, "raw", "0" * 64, 30)
    with pytest.raises(InvalidSpec):
        provide(tmp_path, one, image, "qcow2", digest, 30)  # and it is none
    with pytest.raises(InvalidSpec):
        provide(tmp_path, one, image, "vmdk", digest, 30)
    assert list((one.folder / "files").iterdir()) == []
    assert {path.suffix for path in (tmp_path / "images").iterdir()} == {".lock"}


def test_packing_has_a_deadline_and_waits_for_nobody_longer(tmp_path: Path) -> None:
    image, digest = _image(tmp_path, bytes(MIB))
    one = begin(tmp_path, "http://d", "m1", [])
    with pytest.raises(DeadlinePassed):
        provide(tmp_path, one, image, "raw", digest, 0)
    with (tmp_path / "images" / f"{digest}-raw.lock").open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        with pytest.raises(DeadlinePassed):
            provide(tmp_path, one, image, "raw", digest, 1)
    assert provide(tmp_path, one, image, "raw", digest, 30).bytes == MIB


def test_old_images_are_forgotten_but_not_those_in_use(tmp_path: Path) -> None:
    attempts = []
    for number in range(KEPT + 2):
        image, digest = _image(tmp_path, b"%d" % number)
        attempts.append(begin(tmp_path, "http://d", "m1", []))
        provide(tmp_path, attempts[-1], image, "raw", digest, 30)
        time.sleep(0.01)
    assert len(list((tmp_path / "images").glob("*.zst"))) == KEPT
    assert [_unpacked(one.folder / "files" / NAME) for one in attempts] == [b"%d" % number for number in range(KEPT + 2)]


@pytest.mark.parametrize(("begun_before_s", "numbers"), [(5.0, {"percent": 42, "mb_s": 21}), (-5.0, {})])
def test_what_a_machine_said_before_a_task_began_is_about_another_one(
    tmp_path: Path, begun_before_s: float, numbers: dict[str, int]
) -> None:
    one = begin(tmp_path, "http://d", "m1", [])
    assert one.progress_at == 0.0
    (one.folder / "progress.json").write_text(json.dumps({"doing": "write", "bytes": 42 * MIB, "of": 100 * MIB, "seconds": 2.1}))
    task = Task("Write", TaskState.RUNNING, one.progress_at - begun_before_s)
    run = RunView("r", "provision.yml", "m1", "", State.RUNNING, (task,))
    assert progress_of(run, one) == {"task": "Write", **numbers}
    assert progress_of(replace(run, tasks=()), one) == {"task": ""}
