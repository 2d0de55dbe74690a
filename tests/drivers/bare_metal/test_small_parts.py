"""Addresses, options, what refusals mean, and the host that is made of a machine: no BMC is asked."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers import errors
from drivers.bare_metal import address, failures, options
from drivers.bare_metal.address import Address, Speaks
from drivers.bare_metal.bmc import open_bmc
from drivers.bare_metal.host import host_of, identified
from drivers.bare_metal.ipmi import arguments
from drivers.bare_metal.machine import Disk, Machine
from drivers.bare_metal.orders import order_for
from drivers.bare_metal.record import Record, Stage, Step, Tenant, Work
from drivers.base import HostPower
from drivers.errors import DriverError, InvalidSpec

SECRET = "correct horse"  # noqa: S105
FINGERPRINT = "0123456789abcdef" * 4
PROBED = "Running Get VSO Capabilities\nInvalid completion code received: Invalid command\nDiscovered IPMB address 0x0\n"


@pytest.mark.parametrize(
    ("uri", "found"),
    [
        ("redfish+https://bmc-1", Address(Speaks.REDFISH, "bmc-1", 443)),
        ("redfish+https://bmc-1/", Address(Speaks.REDFISH, "bmc-1", 443)),
        ("redfish+https://bmc-1:8443/redfish/v1/", Address(Speaks.REDFISH, "bmc-1", 8443)),
        ("redfish+https://[fd00::1]/redfish/v1/Systems", Address(Speaks.REDFISH, "fd00::1", 443)),
        ("redfish+https://10.1.2.3/redfish/v1/Systems/1", Address(Speaks.REDFISH, "10.1.2.3", 443, "/redfish/v1/Systems/1")),
        ("ipmi://bmc-1", Address(Speaks.IPMI, "bmc-1", 623)),
        ("ipmi://bmc-1:6230", Address(Speaks.IPMI, "bmc-1", 6230)),
    ],
)
def test_an_address_is_read(uri: str, found: Address) -> None:
    assert address.parse(uri) == found


@pytest.mark.parametrize(
    "uri",
    [
        *("", "bmc-1", "https://bmc-1", "redfish+http://bmc-1", "redfish+https://", "redfish+https://bmc-1:99999", "redfish+https://[::1"),
        *("redfish+https://bmc-1/redfish/v1/Chassis/1", "redfish+https://bmc-1/redfish/v1/Systems/1/Bios", "redfish+https://bmc-1?a=b"),
        *("ipmi://bmc-1/redfish/v1/Systems/1", f"redfish+https://ops:{SECRET}@bmc-1", f"ipmi://ops:{SECRET}@bmc-1"),
    ],
)
def test_an_address_that_is_none_is_refused_without_its_secret(uri: str) -> None:
    with pytest.raises(InvalidSpec) as refused:
        address.parse(uri)
    assert SECRET not in str(refused.value)


@pytest.mark.parametrize(
    ("wipe", "methods", "read_back"),
    [("secure discard", ["secure", "discard"], "samples"), ("ends whole", ["ends"], "whole"), ("overwrite", ["overwrite"], "samples")],
)
def test_how_a_disk_is_cleared_and_read_back_is_one_option(wipe: str, methods: list[str], read_back: str) -> None:
    given = options.parse({"credentials": f"ops:{SECRET}", "wipe": wipe})
    assert options.policy_of(given.wipe) == (methods, read_back)


@pytest.mark.parametrize("wipe", ["", "whole", "whole discard", "burn", "discard whole whole"])
def test_how_no_disk_is_cleared_is_refused(wipe: str) -> None:
    with pytest.raises(InvalidSpec, match="wipe is"):
        options.parse({"credentials": f"ops:{SECRET}", "wipe": wipe})


def test_credentials_are_split_once_and_never_shown() -> None:
    found = options.parse({"credentials": f"ops:{SECRET}: and more\r\n"})
    assert (found.user, found.password) == ("ops", f"{SECRET}: and more")
    assert SECRET not in repr(found)


def test_a_fingerprint_is_taken_as_tools_print_it() -> None:
    printed = ":".join(FINGERPRINT[at : at + 2] for at in range(0, 64, 2)).upper()
    assert options.parse({"credentials": "a:b", "fingerprint": f"SHA256:{printed}"}).fingerprint == FINGERPRINT


@pytest.mark.parametrize(
    "given",
    [
        *({}, {"credentials": SECRET}, {"credentials": f":{SECRET}"}, {"credentials": "ops:"}, {"credentials": f"ops:{SECRET}\nmore"}),
        *({"credentials": f"o:{SECRET}", "fingerprint": "ab"}, {"credentials": f"o:{SECRET}", "ca_file": "ca.pem"}),
        {"credentials": f"o:{SECRET}", "fingerprint": FINGERPRINT, "ca_file": "/ca.pem"},
        *(
            {"credentials": f"o:{SECRET}", name: value}
            for name, value in (("timeout_s", "0"), ("cipher_suite", "0"), ("boot_mode", "coreboot"), ("colour", "red"))
        ),
    ],
)
def test_options_that_can_not_be_are_refused_without_their_secret(given: dict[str, str]) -> None:
    with pytest.raises(InvalidSpec) as refused:
        options.parse(given)
    assert SECRET not in str(refused.value)


def test_a_password_that_ipmi_can_not_carry_is_refused() -> None:
    with pytest.raises(InvalidSpec) as refused:
        open_bmc("ipmi://bmc-1", {"credentials": f"ops:{SECRET * 2}"})
    assert SECRET not in str(refused.value)


def test_ipmitool_is_told_where_the_password_is_and_not_which() -> None:
    found = arguments(address.parse("ipmi://bmc-1"), options.parse({"credentials": f"ops:{SECRET}"}), 7, ("mc", "info"))
    assert found[found.index("-f") + 1] == "/proc/self/fd/7"
    assert found[found.index("-C") + 1] == "17"
    assert found[-2:] == ("mc", "info")
    assert not [one for one in found if SECRET in one]


def test_a_ca_file_that_is_not_there_is_named() -> None:
    with pytest.raises(InvalidSpec, match=r"/nowhere/ca\.pem"):
        open_bmc("redfish+https://bmc-1", {"credentials": "a:b", "ca_file": "/nowhere/ca.pem"})


EXTENDED = {"error": {"message": "See ExtendedInfo", "@Message.ExtendedInfo": [{"Message": "The machine is in its self-test."}]}}


@pytest.mark.parametrize(
    ("status", "kind"),
    [
        *((400, "Permanent"), (401, "PasswordRefused"), (403, "Unauthorized"), (404, "Missing"), (405, "NotSupported"), (409, "Transient")),
        *(
            (412, "BmcBusy"),
            (429, "BmcBusy"),
            (500, "Transient"),
            (501, "NotSupported"),
            (503, "BmcBusy"),
            (504, "Timeout"),
            (302, "Permanent"),
        ),
    ],
)
def test_what_an_answer_means(status: int, kind: str) -> None:
    found = failures.failure(status, EXTENDED, "GET /redfish/v1")
    assert type(found).__name__ == kind
    assert ("self-test" in str(found)) is (status != 401)


@pytest.mark.parametrize(
    ("said", "kind"),
    [
        (
            "Authentication algorithm 0x01 is not what we requested 0x03\nError: Unable to establish IPMI v2 / RMCP+ session",
            "CipherRefused",
        ),
        ("Error in open session response message : invalid authentication algorithm\n\nError: Unable to establish", "CipherRefused"),
        ("> RAKP 2 HMAC is invalid\nError: Unable to establish IPMI v2 / RMCP+ session", "PasswordRefused"),
        ("RAKP 2 message indicates an error : unauthorized name\nError: Unable to establish IPMI v2 / RMCP+ session", "PasswordRefused"),
        ("Get Auth Capabilities error\nError: Unable to establish IPMI v2 / RMCP+ session", "BmcUnreachable"),
        ("Set Session Privilege Level to ADMINISTRATOR failed\nError: Unable to establish IPMI v2 / RMCP+ session", "Unauthorized"),
        ("Set Chassis Power Control to Up/On failed: Node busy", "BmcBusy"),
        ("Set Chassis Power Control to Cycle failed: Invalid data field in request", "Permanent"),
        ("IPMI command failed: Invalid command", "NotSupported"),
        ("", "Permanent"),
        (f"{PROBED}Unable to set Chassis Power Control to Up/On\nClose Session command failed", "BmcUnreachable"),
        (f"{PROBED}Unable to set Chassis Power Control to Up/On\nIPMI Request Match NOT FOUND", "BmcUnreachable"),
        (f"{PROBED}Set Chassis Power Control to Cycle failed: Invalid data field in request", "Permanent"),
        (f"{PROBED}IPMI command failed: Invalid command", "NotSupported"),
        (
            "Error: Received an Unexpected Open Session Response\n> RAKP 2 HMAC is invalid\nError: Unable to establish IPMI v2",
            "BmcUnreachable",
        ),
    ],
)
def test_what_ipmitool_means(said: str, kind: str) -> None:
    assert type(failures.ipmi_failure(said, "17")).__name__ == kind


KNOWN: dict[str, Any] = {"power": HostPower.OFF, "uuid": "4C4C", "arch": "x86_64", "cpus": 64, "memory_mib": 1024}


def test_a_machine_is_a_host_for_bare_metal_alone_and_closed_until_it_was_inspected() -> None:
    machine = Machine(**KNOWN, serial="ABC1234", disks=(Disk("a", 3 << 29), Disk("b", 1 << 29), Disk("c", None)))
    found = host_of(machine, Record(), depot=True, otherwise="bmc-1")
    assert (found.name, found.vcpus, found.memory_mib, found.disk_gib, found.power) == ("ABC1234", 64, 1024, 2, HostPower.OFF)
    assert (found.kinds, found.machine) == ({"bare_metal"}, "bmc 4c4c")
    assert found.closed is not None
    assert found.closed.code == "machine_uninspected"


def test_what_the_machine_said_of_itself_is_believed_and_differences_are_noted() -> None:
    seen = {"cpus": 32, "installed_mib": 2048, "memory_kib": 1 << 20, "architecture": "aarch64", "disks": [{"bytes": 5 << 30}, {}]}
    differs = [{"what": "cpus", "bmc": "64", "machine": "32"}]
    found = host_of(Machine(**KNOWN), Record(seen | {"differences": differs}), depot=True, otherwise="bmc-1")
    assert (found.vcpus, found.memory_mib, found.disk_gib, found.arch, found.closed) == (32, 2048, 5, "aarch64", None)
    assert [note.params for note in found.notes] == [{"what": "cpus", "bmc": "64", "machine": "32"}]


def test_a_bmc_that_tells_next_to_nothing_has_a_host_that_can_hold_nothing_before_it_is_inspected() -> None:
    silent = Machine(HostPower.OFF, serial="X1")
    found = host_of(silent, Record(), depot=True, otherwise="bmc-1")
    assert (found.name, found.vcpus, found.memory_mib, found.arch) == ("X1", 0, 0, "unknown")
    assert (
        host_of(silent, Record({"cpus": 4, "memory_kib": 1 << 20, "architecture": "x86_64"}), depot=True, otherwise="bmc-1").memory_mib
        == 1024
    )


def test_a_bmc_that_does_not_say_which_machine_it_has_is_named_by_its_address_and_tied_to_nothing() -> None:
    found = host_of(Machine(HostPower.OFF), Record(), depot=True, otherwise="bmc-1")
    assert (found.name, found.machine) == ("bmc-1", "")
    seen = Record({"uuid": "4c4c4544-0033-4710-8032-c7c04f470000"})
    assert identified(Machine(HostPower.OFF), seen).uuid == "4c4c4544-0033-4710-8032-c7c04f470000"
    assert identified(Machine(HostPower.OFF, uuid="another"), seen).uuid == "another"


def test_the_disks_that_a_machine_had_when_it_was_inspected_have_to_be_there_when_it_is_given_back() -> None:
    bmc = Machine(HostPower.OFF, uuid="4c4c", disks=(Disk("a raid of two", 1 << 40),))
    disks = [{"name": "sda", "bytes": 1, "serial": "S-1"}, {"name": "sdb", "bytes": 1}, {"name": "sdc", "bytes": 1, "removable": True}]
    somebodys = Record({"disks": disks}, Tenant("i", "p", Stage.WIPING, 1, 1, 0))

    def expected(record: Record) -> list[str]:
        given = {"credentials": "ops:word"}
        order = order_for(
            Work("run-1", Step.WIPE), "redfish+https://bmc-1", given, identified(bmc, record), Path("/d"), "http://d", None, ""
        )
        found: list[str] = order.variables["expected_disks"]
        return found

    assert expected(somebodys) == ["S-1", "sdb"]
    assert expected(replace(somebodys, tenant=None)) == [], "its operators, who ask for it, may have replaced one"


@pytest.mark.parametrize(
    ("uri", "given", "kind", "told"),
    [
        ("redfish+https://bmc-1", {}, "uefi", "auto"),  # which has a word for it, and is left as it is
        ("redfish+https://bmc-1", {"boot_mode": "bios"}, "uefi", "bios"),
        ("ipmi://bmc-1", {}, "uefi", "uefi"),
        ("ipmi://bmc-1", {}, None, "auto"),
        ("ipmi://bmc-1", {"boot_mode": "uefi"}, None, "uefi"),
    ],
)
def test_by_ipmi_a_machine_is_told_to_start_by_what_it_was_inspected_with(
    uri: str, given: dict[str, str], kind: str | None, told: str
) -> None:
    machine = identified(Machine(HostPower.OFF), Record({"firmware": {"kind": kind}} if kind else None))
    order = order_for(Work("run-1", Step.WIPE), uri, {"credentials": "ops:word", **given}, machine, Path("/d"), "http://d", None, "")
    assert order.variables["boot_mode"] == told


def test_who_can_not_be_trusted_or_reached_is_unreachable_to_the_controller() -> None:
    for kind in (errors.BmcUnreachable, errors.CertificateChanged, errors.CertificateUntrusted):
        assert issubclass(kind, errors.HostUnreachable)
    assert issubclass(errors.PowerRefused, errors.Permanent)
    assert issubclass(errors.PasswordRefused, DriverError)
    assert not issubclass(errors.PasswordRefused, errors.Permanent)
