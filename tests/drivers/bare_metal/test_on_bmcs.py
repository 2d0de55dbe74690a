"""The client and the driver on real protocols: sushy-emulator and virtualbmc before QEMU guests of the lab, and what can go wrong there."""

from __future__ import annotations

import http.server
import logging
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from functools import partial
from pathlib import Path

import pytest

from drivers import errors
from drivers.bare_metal import waiting
from drivers.bare_metal.attempt_start import boot_from
from drivers.bare_metal.bmc import Bmc, certificate, open_bmc
from drivers.bare_metal.machine import Act, BootMode, BootOverride, Source
from drivers.base import Condition, HostPower
from drivers.registry import open_driver
from tests.lab.metal import rig as metal
from tests.lab.metal.server import Server
from tests.lab.metal.shared import shared_rig

pytestmark = pytest.mark.real

TIMEOUT_S = 3  # where it shall run out
GRACE_S = 4.0  # beyond it, for a busy machine


@pytest.fixture
def rack() -> metal.Rig:
    return shared_rig()


@pytest.fixture
def server(rack: metal.Rig) -> Server:
    """The one that speaks IPMI, too; as from the factory, and off."""
    (one,) = [one for one in rack.servers if one.bmc.ipmi]
    one.renew()
    return one


def redfish_of(server: Server, *, system: bool = True) -> str:
    return f"redfish+https://{server.bmc.address}{server.bmc.system if system else ''}"


def options_of(server: Server, **given: str) -> dict[str, str]:
    return {"credentials": ":".join(server.bmc.account), "timeout_s": "30", "ca_file": str(server.bmc.authority), **given}


@contextmanager
def redfish(server: Server, **given: str) -> Iterator[Bmc]:
    bmc = open_bmc(redfish_of(server), options_of(server, **given))
    try:
        yield bmc
    finally:
        bmc.close()


@contextmanager
def ipmi(server: Server, **given: str) -> Iterator[Bmc]:
    yield open_bmc(f"ipmi://{server.bmc.address}", options_of(server, **{"ca_file": "", "cipher_suite": "3", **given}))


BOTH = pytest.mark.parametrize("speak", [redfish, ipmi])
Speak = Callable[..., AbstractContextManager[Bmc]]


def test_a_machine_is_what_it_is(server: Server) -> None:
    with redfish(server) as bmc:
        found = bmc.machine()
        assert bmc.ports() == (server.mac,)
    assert (found.uuid, found.serial, found.manufacturer, found.model) == (server.uuid, f"SN-{server.name}", "Lab", "L1")
    assert (found.power, found.arch, found.cpus, found.memory_mib) == (
        HostPower.OFF,
        "x86_64",
        server.hardware.cpus,
        server.hardware.memory_mib,
    )
    assert [nic.mac for nic in found.nics] == [server.mac]
    assert [disk.size_bytes for disk in found.disks] == [server.hardware.disk]
    assert [slot.image for slot in found.media if slot.holds_cd] == [None]
    assert found.boot == BootOverride(None, False)
    assert found.firmware
    assert found.bios


def test_the_only_machine_of_a_bmc_need_not_be_named(server: Server) -> None:
    bmc = open_bmc(redfish_of(server, system=False), options_of(server))
    assert bmc.machine().uuid == server.uuid
    bmc.close()


def test_ipmi_says_little_and_guesses_nothing(server: Server) -> None:
    with ipmi(server) as bmc:
        found = bmc.machine()
        assert bmc.ports() == ()
    assert (found.power, found.firmware) == (HostPower.OFF, "1.00")
    assert (found.cpus, found.memory_mib, found.disks, found.nics, found.media) == (None, None, (), (), ())


@BOTH
def test_power_is_switched_and_proven(server: Server, speak: Speak) -> None:
    with speak(server) as bmc:
        waiting.turn(bmc, HostPower.ON, 20, every_s=0.1)
        assert server.on
        assert waiting.turn(bmc, HostPower.ON, 20) == 0.0
        waiting.cycle(bmc, 20, force=True, every_s=0.1)
        assert server.on
        bmc.switch(Act.RESET)
        assert bmc.power() is HostPower.ON
        waiting.turn(bmc, HostPower.OFF, 20, force=True, every_s=0.1)
        assert not server.on
        assert waiting.turn(bmc, HostPower.OFF, 20) == 0.0


@BOTH
def test_a_machine_that_does_not_heed_a_polite_request_is_told_of(server: Server, speak: Speak) -> None:
    server.push_button()  # nothing on its disk: nobody there who would shut it down
    with speak(server) as bmc:
        bmc.switch(Act.POLITE_OFF)
        with pytest.raises(errors.PowerUnchanged) as told:
            waiting.await_power(bmc, HostPower.OFF, 1.5, every_s=0.5)
    assert told.value.reason.params == {"wanted": "off", "seen": "on", "seconds": 2}
    assert server.on


@BOTH
def test_a_power_action_that_is_taken_and_not_carried_out_is_told_of(server: Server, speak: Speak) -> None:
    with speak(server) as bmc, server.bmc.ignoring_power():
        with pytest.raises(errors.PowerUnchanged):
            waiting.turn(bmc, HostPower.ON, 1.5, every_s=0.5)
        assert not server.on


def test_a_bmc_that_falls_silent_while_it_is_waited_for_is_looked_at_again(server: Server) -> None:
    with redfish(server) as bmc:
        bmc.switch(Act.ON)
        with server.bmc.being_stopped():
            with pytest.raises(errors.BmcUnreachable):
                waiting.await_power(bmc, HostPower.ON, 1.0, every_s=0.3)
            seen: list[float] = []
            waiter = threading.Thread(target=lambda: seen.append(waiting.await_power(bmc, HostPower.ON, 30, every_s=0.2)))
            waiter.start()
            time.sleep(0.5)
        waiter.join(30)
    assert len(seen) == 1


@pytest.mark.parametrize("act", list(Act))
def test_every_act_that_a_bmc_offers_is_taken(server: Server, act: Act) -> None:
    server.push_button()
    with redfish(server) as bmc:
        bmc.switch(act)


def test_an_act_that_ipmi_does_not_have_is_refused(server: Server) -> None:
    with ipmi(server) as bmc, pytest.raises(errors.PowerRefused):
        bmc.switch(Act.POLITE_RESET)


@pytest.mark.parametrize("source", [Source.NETWORK, Source.DISK])
def test_the_next_boot_is_from_where_it_was_asked_for(server: Server, source: Source) -> None:
    with redfish(server) as bmc:
        bmc.boot_from(source)
        assert (bmc.machine().boot.source, bmc.machine().boot.once) == (source, True)
        waiting.turn(bmc, HostPower.ON, 20, every_s=0.1)
        assert bmc.machine().boot.source is None


def test_from_the_disk_it_boots_for_good(server: Server) -> None:
    with redfish(server) as bmc:
        boot_from(bmc, Source.DISK)
        waiting.turn(bmc, HostPower.ON, 20, every_s=0.1)
        assert (bmc.machine().boot.source, bmc.machine().boot.once) == (Source.DISK, False)


def test_a_boot_device_that_is_ignored_can_be_seen(server: Server) -> None:
    with redfish(server) as bmc, server.bmc.ignoring_boot():
        bmc.boot_from(Source.NETWORK)
        assert bmc.machine().boot.source is None


@pytest.mark.parametrize("source", [Source.NETWORK, Source.DISK])
def test_ipmi_sets_a_boot_device(server: Server, source: Source) -> None:
    with ipmi(server) as bmc:
        bmc.boot_from(source)
        assert (bmc.machine().boot.source, bmc.machine().boot.once) == (source, True)
        assert bmc.boot().mode is BootMode.BIOS
        bmc.boot_from(source, once=False, mode=BootMode.UEFI)
        assert (bmc.boot().source, bmc.boot().mode) == (source, BootMode.UEFI)


@contextmanager
def images(rack: metal.Rig, folder: Path) -> Iterator[str]:
    """Two small images, and the address that BMCs get them at."""
    for name in ("one.iso", "two.iso"):
        (folder / name).write_bytes(name.encode() * 4096)
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=str(folder))
    serving = http.server.ThreadingHTTPServer((rack.outside, 0), handler)
    thread = threading.Thread(target=serving.serve_forever)
    thread.start()
    try:
        yield f"http://{rack.outside}:{serving.server_port}"
    finally:
        serving.shutdown()
        thread.join()
        serving.server_close()


def test_media_are_inserted_and_ejected_once_and_again(rack: metal.Rig, server: Server, tmp_path: Path) -> None:
    with images(rack, tmp_path) as at, redfish(server) as bmc:

        def inside() -> list[str]:
            return [slot.image.rpartition("/")[2] for slot in bmc.machine().media if slot.image is not None]

        bmc.eject()
        assert inside() == []
        bmc.insert(f"{at}/one.iso")
        assert inside() == ["one.iso"]
        bmc.insert(f"{at}/one.iso")
        bmc.insert(f"{at}/two.iso")
        assert inside() == ["two.iso"]
        bmc.boot_from(Source.CD)
        assert bmc.machine().boot.source is Source.CD
        bmc.eject()
        bmc.eject()
        assert inside() == []


def test_a_machine_is_told_by_what_to_start_and_its_bmc_is_read_back(server: Server) -> None:
    with server.with_firmware("uefi"), redfish(server) as bmc:
        boot_from(bmc, Source.NETWORK)  # as the BMC has it
        assert (bmc.boot().mode, bmc.boot().modes) == (BootMode.UEFI, frozenset(BootMode))
        boot_from(bmc, Source.NETWORK, mode=BootMode.BIOS)
        assert bmc.boot().mode is BootMode.BIOS
        boot_from(bmc, Source.DISK)
        assert bmc.boot().mode is BootMode.BIOS
        with server.bmc.ignoring_mode(), pytest.raises(errors.BootIgnored, match=r"uefi.*bios"):
            boot_from(bmc, Source.NETWORK, mode=BootMode.UEFI)
        boot_from(bmc, Source.NETWORK, mode=BootMode.UEFI)
        assert bmc.boot().mode is BootMode.UEFI


def test_a_bmc_that_has_no_word_for_the_mode_is_told_the_device_alone(server: Server) -> None:
    with redfish(server) as bmc:
        boot_from(bmc, Source.NETWORK, mode=BootMode.UEFI)
        assert (bmc.boot().source, bmc.boot().mode, bmc.boot().modes) == (Source.NETWORK, None, frozenset())


def test_an_image_that_the_bmc_can_not_fetch_is_refused(server: Server) -> None:
    with redfish(server) as bmc, pytest.raises(errors.DriverError):
        bmc.insert("http://127.0.0.1:9/nothing.iso")


def test_ipmi_has_no_media(server: Server) -> None:
    with ipmi(server) as bmc:
        bmc.eject()
        with pytest.raises(errors.NotSupported):
            bmc.insert("http://127.0.0.1:9/nothing.iso")


FAULTS: dict[str, tuple[Callable[[Server], AbstractContextManager[None]], type[errors.DriverError]]] = {
    "stopped": (lambda server: server.bmc.being_stopped(), errors.BmcUnreachable),
    "frozen": (lambda server: server.bmc.being_frozen(), errors.BmcUnreachable),
    "cut": (lambda server: server.bmc.being_cut(), errors.BmcUnreachable),
    "too slow": (lambda server: server.bmc.being_slow(TIMEOUT_S + 1), errors.BmcUnreachable),
    "another password": (lambda server: server.bmc.with_another_password(), errors.PasswordRefused),
    "another certificate": (lambda server: server.bmc.with_another_certificate(), errors.CertificateUntrusted),
    "busy": (lambda server: server.bmc.answering(503), errors.BmcBusy),
    "broken": (lambda server: server.bmc.answering(500), errors.Transient),
    "forbidden": (lambda server: server.bmc.answering(403), errors.Unauthorized),
}


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_has_a_name_in_time_and_no_secret_gets_out(server: Server, fault: str, caplog: pytest.LogCaptureFixture) -> None:
    provoke, kind = FAULTS[fault]
    caplog.set_level(logging.DEBUG)
    with redfish(server, timeout_s=str(TIMEOUT_S)) as bmc:
        with provoke(server):
            since = time.monotonic()
            with pytest.raises(kind) as told:
                bmc.power()
            took = time.monotonic() - since
        assert type(told.value) is kind
        assert took < TIMEOUT_S + GRACE_S
        password = server.bmc.account[1]
        assert not [text for text in (repr(told.value), str(told.value.reason), caplog.text, repr(bmc)) if password in text]
        assert bmc.power() is HostPower.OFF, "it goes on when the fault is over"


def test_a_pinned_certificate_needs_no_authority_and_no_other_is_taken(server: Server) -> None:
    pin = certificate(redfish_of(server))
    with redfish(server, ca_file="", fingerprint=pin) as bmc:
        assert bmc.power() is HostPower.OFF
        with server.bmc.with_another_certificate():
            seen = certificate(redfish_of(server))
            with pytest.raises(errors.CertificateChanged) as told:
                bmc.power()
            assert told.value.reason.params == {"expected": pin, "seen": seen}
        assert bmc.power() is HostPower.OFF


def test_a_certificate_that_nobody_vouches_for_is_told_with_its_fingerprint(server: Server) -> None:
    with redfish(server, ca_file="") as bmc, pytest.raises(errors.CertificateUntrusted) as told:
        bmc.power()
    assert told.value.reason.params["seen"] == certificate(redfish_of(server))


def test_a_machine_that_the_bmc_does_not_have_is_told_with_those_that_it_has(server: Server) -> None:
    bmc = open_bmc(f"redfish+https://{server.bmc.address}/redfish/v1/Systems/nosuch", options_of(server))
    with pytest.raises(errors.SystemUnknown) as told:
        bmc.power()
    bmc.close()
    assert told.value.reason.params == {"system": "nosuch", "systems": server.uuid}


IPMI_FAULTS: dict[str, tuple[dict[str, str], type[errors.DriverError]]] = {
    "wrong password": ({"credentials": "admin:wrong"}, errors.PasswordRefused),
    "unknown user": ({"credentials": "nobody:wrong"}, errors.PasswordRefused),
    "another cipher suite": ({"cipher_suite": "17"}, errors.CipherRefused),
}


@pytest.mark.parametrize("fault", IPMI_FAULTS)
def test_what_ipmi_refuses_has_a_name(server: Server, fault: str) -> None:
    given, kind = IPMI_FAULTS[fault]
    with ipmi(server, **given) as bmc, pytest.raises(kind) as told:
        bmc.power()
    assert type(told.value) is kind
    assert "wrong" not in str(told.value)


def test_a_power_action_whose_answer_got_lost_is_looked_at_all_the_same(server: Server) -> None:
    with ipmi(server) as bmc, server.bmc.losing_answers():
        with pytest.raises(errors.BmcUnreachable):
            bmc.switch(Act.ON)
        assert server.on
        waiting.turn(bmc, HostPower.OFF, 20, force=True, every_s=0.1)
        assert not server.on


@pytest.mark.parametrize("fault", ["stopped", "frozen", "cut"])
def test_a_bmc_that_is_silent_by_ipmi_is_unreachable_in_time(server: Server, fault: str) -> None:
    with ipmi(server, timeout_s=str(TIMEOUT_S)) as bmc, FAULTS[fault][0](server):
        since = time.monotonic()
        with pytest.raises(errors.BmcUnreachable):
            bmc.power()
        assert time.monotonic() - since < TIMEOUT_S + GRACE_S


def test_the_password_is_in_no_arguments_and_no_environment(server: Server) -> None:
    password = server.bmc.account[1].encode()
    with ipmi(server, timeout_s=str(TIMEOUT_S)) as bmc, server.bmc.being_frozen():
        asking = threading.Thread(target=lambda: suppressed(bmc))
        asking.start()
        seen: list[bytes] = []
        while asking.is_alive():
            for process in subprocess.run(["pgrep", "ipmitool"], capture_output=True, text=True, check=False).stdout.split():
                with suppress(OSError):
                    seen.append(Path(f"/proc/{process}/cmdline").read_bytes() + Path(f"/proc/{process}/environ").read_bytes())
            time.sleep(0.05)
        asking.join()
    assert any(b"lanplus" in one for one in seen)
    assert not [one for one in seen if password in one]


def suppressed(bmc: Bmc) -> None:
    with suppress(errors.BmcUnreachable):
        bmc.power()


def test_several_ask_at_once(server: Server) -> None:
    with redfish(server) as bmc:
        seen: list[HostPower] = []
        askers = [threading.Thread(target=lambda: seen.extend(bmc.power() for _ in range(5))) for _ in range(4)]
        for one in askers:
            one.start()
        for one in askers:
            one.join()
    assert seen == [HostPower.OFF] * 20


def test_the_driver_looks_at_its_machine_and_gives_nothing_out(server: Server) -> None:
    driver = open_driver("bare_metal", redfish_of(server), "tests", options_of(server))
    (host,) = driver.inventory().hosts
    assert (host.name, host.power, host.kinds) == (f"SN-{server.name}", HostPower.OFF, {"bare_metal"})
    assert (host.vcpus, host.memory_mib, host.disk_gib) == (1, server.hardware.memory_mib, server.hardware.disk >> 30)
    assert host.closed is not None
    server.push_button()
    assert driver.inventory().hosts[0].power is HostPower.ON
    assert list(driver.observe_all()) == []
    assert driver.observe("0190a000-0000-7000-8000-00000000000a").condition is Condition.ABSENT
    driver.close()
    with pytest.raises(errors.BmcUnreachable):
        driver.inventory()


def test_a_machine_behind_ipmi_is_a_host_that_holds_nothing_before_it_is_inspected(server: Server) -> None:
    driver = open_driver("bare_metal", f"ipmi://{server.bmc.address}", "tests", options_of(server, ca_file="", cipher_suite="3"))
    (host,) = driver.inventory().hosts
    assert (host.power, host.vcpus, host.memory_mib, host.disk_gib) == (HostPower.OFF, 0, 0, 0)
    assert host.closed is not None
