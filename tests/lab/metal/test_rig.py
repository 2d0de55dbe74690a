"""The rig itself: its servers are started, written and wiped by the real protocols, each part fails as told, and nothing is left."""

from __future__ import annotations

import hashlib
import socket
import ssl
import subprocess
import sys
import time
import urllib.error
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from pyghmi.exceptions import IpmiException
from pyghmi.ipmi.command import Command

from drivers import seed as seeds
from tests.lab.metal import by_hand, shared
from tests.lab.metal.attempt import Attempt
from tests.lab.metal.depot import Depot
from tests.lab.metal.rig import Rig, found, running
from tests.lab.metal.server import BAD, Hardware, Server
from tests.lab.needs import CHECKOUT

pytestmark = pytest.mark.real

MIB = 1 << 20
Starter = Callable[[Server], Attempt]


def _seed(key: Path, host_key: Path) -> bytes:
    public = [one.with_suffix(".pub").read_text().strip() for one in (key, host_key)]
    return seeds.image(seeds.files("m1", "web-1", public[:1], "") | seeds.vendor_data(host_key.read_text(), public[1]))


@pytest.mark.slow
def test_a_server_is_written_from_virtual_media_and_starts_from_its_disk_with_the_host_key_that_its_seed_gave(
    server: Server, attempt: Starter, depot: Depot, key: Path, tmp_path: Path
) -> None:
    one = attempt(server)
    one.start_from_cd()
    assert by_hand.system(server.bmc)["Boot"]["BootSourceOverrideEnabled"] == "Disabled"  # `Once` holds for one start
    seen = one.alive()
    said = by_hand.system(server.bmc)
    assert (seen["uuid"], seen["serial"]) == (said["UUID"], said["SerialNumber"]) == (server.uuid, f"SN-{server.name}")
    assert (seen["installed_mib"], seen["cpus"], said["ProcessorSummary"]["Count"]) == (
        1024 * said["MemorySummary"]["TotalSystemMemoryGiB"],
        1,
        1,
    )
    assert [(disk["serial"], disk["bytes"]) for disk in seen["disks"]] == [(server.disk_serial, server.hardware.disk)]
    assert [(nic["mac"], nic["address"]) for nic in seen["nics"]] == [(server.mac, server.address)]

    url, digest = depot.serve("wrong.raw", b"\x5a" * MIB)
    wrong = one.metal("write", url, "0" * 64, "/dev/vda")
    assert (wrong["failed"], wrong["detail"]) == ("checksum_mismatch", f"served {digest} instead of {'0' * 64}")
    assert not server.holds(b"\x5a" * 512)  # what is not whole does not start
    image = shared.tiny()
    url, digest = depot.serve("tiny.raw.zst", image.path)
    written = one.metal("write", url, digest, "/dev/vda", str(image.size), image.sha256)
    assert written["read_back"] == image.sha256
    assert depot.said(one.name, "progress")[-1]["of"] == image.size
    expected = by_hand.new_key(tmp_path / "host")
    seed = _seed(key, tmp_path / "host")
    assert one.metal("seed", "0" * 64, "/dev/vda", given=seed)["failed"] == "checksum_mismatch"
    assert one.metal("seed", hashlib.sha256(seed).hexdigest(), "/dev/vda", given=seed)["bytes"] == len(seed)

    by_hand.reset(server.bmc, "PowerCycle")
    by_hand.eject(server.bmc)
    assert by_hand.ask(server.bmc, "GET VirtualMedia/Cd")["Inserted"] is False
    assert by_hand.until("ssh", lambda: _hostname(server, key, expected), within_s=60) == "web-1"
    with server.hanging():
        assert by_hand.system(server.bmc)["PowerState"] == "On"
        with pytest.raises(TimeoutError):
            socket.create_connection((server.address, 22), timeout=2)
    by_hand.reset(server.bmc, "GracefulShutdown")
    by_hand.until("off", lambda: not server.on, within_s=60)


def _hostname(server: Server, key: Path, host_key: str) -> str:
    return by_hand.ssh(server.address, key, host_key, "hostname").stdout.strip()


@pytest.mark.slow
def test_a_server_that_starts_by_network_reports_and_cannot_write_a_broken_disk(other: Server, attempt: Starter, depot: Depot) -> None:
    one = attempt(other)
    with other.with_broken_disk():
        one.start_from_network()
        assert one.alive()["uuid"] == other.uuid
        content = b"\x5a" * (2 * BAD)
        url, digest = depot.serve("image.raw", content)
        assert one.metal("write", url, digest, "/dev/vda", str(len(content)), digest)["failed"] == "write_error"
        for method in ("secure_discard", "discard", "overwrite"):
            assert one.metal("wipe", "/dev/vda", method)["failed"] == "wipe_failed"


@pytest.mark.slow
def test_a_disk_is_smaller_than_its_bmc_says_and_can_be_wiped(other: Server, attempt: Starter, depot: Depot) -> None:
    one = attempt(other)
    size = 16 * MIB
    with other.with_disk_of(size):
        one.start_from_network()
        assert [disk["bytes"] for disk in one.alive()["disks"]] == [size]
        (storage,) = by_hand.ask(other.bmc, "GET Storage")["Members"]
        (drive,) = by_hand.ask(other.bmc, f"GET {storage['@odata.id']}")["Drives"]
        assert by_hand.ask(other.bmc, f"GET {drive['@odata.id']}")["CapacityBytes"] == other.hardware.disk
        content = b"a department's secret" + b"\xa5" * size
        url, digest = depot.serve("large.raw", content)
        for told in ((str(len(content)), digest), ()):  # known before, and found out while it is written
            assert one.metal("write", url, digest, "/dev/vda", *told)["failed"] == "disk_too_small"
        small = content[: 4 * MIB]
        url, digest = depot.serve("small.raw", small)
        assert one.metal("write", url, digest, "/dev/vda", str(len(small)), hashlib.sha256(small).hexdigest())["read_back"] == digest
        assert other.holds(b"a department's secret")
        assert one.metal("zero", "/dev/vda")["failed"] == "not_zero"
        assert one.metal("wipe", "/dev/vda", "secure_discard")["failed"] == "wipe_failed"
        wiped = one.metal("wipe", "/dev/vda", "overwrite", "60", "whole")
        assert (wiped["method"], wiped["read_back"]) == ("overwrite", {"how": "whole", "places": 1, "bytes": size})
        assert not other.holds(b"a department's secret")
        assert one.metal("zero", "/dev/vda")["zeros"] == size


def test_a_server_that_dhcp_does_not_answer_asks_in_vain(rig: Rig, other: Server, attempt: Starter, depot: Depot) -> None:
    one = attempt(other)
    with rig.dhcp.silent_for(other.mac):
        one.start_from_network()
        by_hand.until("asked", lambda: f"{other.mac} ignored" in rig.dhcp.log(), within_s=30)
    assert depot.requests == []


@pytest.mark.parametrize("pretending", [False, True])
def test_a_boot_device_is_ignored(server: Server, pretending: bool) -> None:
    by_hand.boot_from(server.bmc, "Pxe")
    assert server.starts_from == "network"
    with server.bmc.ignoring_boot(pretending=pretending):
        by_hand.boot_from(server.bmc, "Hdd")
        shown = by_hand.system(server.bmc)["Boot"]["BootSourceOverrideTarget"]
    assert (shown, server.starts_from) == ("Hdd" if pretending else "Pxe", "network")
    by_hand.boot_from(server.bmc, "None", "Disabled")
    assert server.starts_from == "disk"


def test_a_power_action_does_not_take(server: Server) -> None:
    with server.bmc.ignoring_power():
        by_hand.reset(server.bmc, "On")
        assert by_hand.system(server.bmc)["PowerState"] == "Off"
        assert not server.on
    by_hand.reset(server.bmc, "PowerCycle")
    assert server.on
    with pytest.raises(urllib.error.HTTPError, match="400"):
        by_hand.reset(server.bmc, "Sideways")
    by_hand.reset(server.bmc, "ForceOff")
    assert not server.on


def test_a_bmc_has_one_system(server: Server) -> None:
    listed = by_hand.ask(server.bmc, "GET /redfish/v1/Systems")["Members"]
    assert [one["@odata.id"] for one in listed] == [server.bmc.system]


def test_a_bmc_that_is_stopped_refuses_and_one_that_is_cut_is_not_there(server: Server) -> None:
    with server.bmc.being_stopped():
        assert isinstance(_unreachable(server), ConnectionRefusedError)
    with server.bmc.being_cut():
        assert isinstance(_unreachable(server), OSError)
        assert not isinstance(_unreachable(server), ConnectionRefusedError)
    assert by_hand.system(server.bmc)["PowerState"] == "Off"


def test_a_frozen_bmc_never_answers_and_a_slow_one_late(server: Server) -> None:
    with server.bmc.being_frozen():
        assert isinstance(_unreachable(server), TimeoutError)
    with server.bmc.being_slow(1):
        since = time.monotonic()
        by_hand.system(server.bmc)
        assert time.monotonic() - since > 1


def test_a_bmc_changes_its_certificate_and_gets_it_back(server: Server) -> None:
    with server.bmc.with_another_certificate():
        assert isinstance(_unreachable(server), ssl.SSLCertVerificationError)
    by_hand.system(server.bmc)


def test_a_bmc_refuses_a_password_that_was_changed_and_may_be_busy(server: Server) -> None:
    with server.bmc.with_another_password(), pytest.raises(urllib.error.HTTPError, match="401"):
        by_hand.system(server.bmc)
    with server.bmc.answering(503), pytest.raises(urllib.error.HTTPError, match="503"):
        by_hand.system(server.bmc)
    by_hand.system(server.bmc)


def _unreachable(server: Server) -> Any:
    with pytest.raises((urllib.error.URLError, TimeoutError)) as failed:
        by_hand.ask(server.bmc, "GET ", timeout_s=1)
    return getattr(failed.value, "reason", failed.value)


def test_a_server_is_switched_by_ipmi_with_a_client_that_asks_for_more_than_it_can(other: Server) -> None:
    user, password = other.bmc.account
    board = Command(other.bmc.address, userid=user, password=password)
    assert board.get_power() == {"powerstate": "off"}
    board.set_bootdev("network")
    assert other.starts_from == "network"
    with other.bmc.ignoring_power():
        board.set_power("on")
        assert not other.on
    board.set_power("on")
    assert (other.on, other.starts_from) == (True, "disk")  # for one start
    with other.bmc.ignoring_boot():
        board.set_bootdev("network")
    assert other.starts_from == "disk"
    board.set_bootdev("network", persist=True)
    board.raw_command(netfn=0, command=2, data=[2])  # a power cycle, for which this client has no word
    by_hand.until("on again, from the network", lambda: (other.on, other.starts_from) == (True, "network"), within_s=30)
    board.set_power("off")
    assert not other.on
    board.ipmi_session.logout()
    with pytest.raises(IpmiException, match="password"):
        Command(other.bmc.address, userid=user, password=password[1:]).get_power()


def test_nothing_is_left_of_a_rig_whose_servers_ran(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "small"
    with running(folder, [Hardware(cpus=2)]) as small:
        small.servers[0].push_button()
        assert small.servers[0].on
        assert found(folder) == small
        assert small.number != rig.number
        assert _traces(small)
        assert _processes(folder)
    assert _traces(small) == set()
    assert _processes(folder) == []
    assert str(folder) not in Path("/proc/mounts").read_text()
    assert not folder.exists()


def test_what_is_tied_to_a_process_goes_when_that_is_killed(rig: Rig, tmp_path: Path) -> None:
    folder = tmp_path / "tied"
    program = (
        "import sys, time; from pathlib import Path; from tests.lab import tied; from tests.lab.metal import rig;"
        "folder = Path(sys.argv[1]); tied.tie(folder, 'tests.lab.metal', 'metal.json'); rig.up(folder, [rig.Hardware()]);"
        "print('up', flush=True); time.sleep(600)"
    )
    with subprocess.Popen([sys.executable, "-c", program, str(folder)], cwd=CHECKOUT, stdout=subprocess.PIPE) as starter:
        assert starter.stdout is not None
        assert starter.stdout.readline() == b"up\n"
        orphan = found(folder)
        assert _traces(orphan)
        starter.kill()
    by_hand.until("gone", lambda: not folder.exists() and not _processes(folder), within_s=20)
    assert _traces(orphan) == set()


def _traces(of: Rig) -> set[Path]:
    """The network namespaces, links and cgroups of that rig."""
    patterns = ("run/netns/lab{}", "run/netns/lab{}-*", "sys/class/net/lab{}", "sys/fs/cgroup/*/lab{}-*")
    return {path for pattern in patterns for path in Path("/").glob(pattern.format(of.number))}


def _processes(folder: Path) -> list[str]:
    lines = [(path, path.read_bytes()) for path in Path("/proc").glob("[0-9]*/cmdline")]
    return [str(path) for path, line in lines if str(folder).encode() in line]
