"""What a BMC's resources say of its machine: on answers kept in golden/ and on answers that no BMC should give.

`sushy-emulator-2.2` is what that program answered; `rack-server` and `says-little` are written by hand after the schemas, with what BMCs of
rack servers do: numbers as texts, nulls, absent parts, virtual media at the manager.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bare_metal import ipmi_reading, reading
from drivers.bare_metal.failures import Missing
from drivers.bare_metal.machine import Act, BootMode, BootOverride, Disk, Machine, MediaSlot, Nic, Source
from drivers.bare_metal.reading import Parts
from drivers.bare_metal.redfish import collect
from drivers.base import HostPower

GOLDEN = Path(__file__).parent / "golden"


def machine_in(name: str) -> Machine:
    """The machine in a file of resources by path; what it lacks is a 404."""
    resources: dict[str, Any] = json.loads((GOLDEN / f"{name}.json").read_text())

    def get(path: str) -> dict[str, Any]:
        if path not in resources:
            raise Missing(detail=path)
        found: dict[str, Any] = resources[path]
        return found

    (system,) = reading.links(get("/redfish/v1/Systems"), "Members")
    return reading.machine_of(collect(get, system))


def test_a_rack_server_is_read_whole() -> None:
    assert machine_in("rack-server") == Machine(
        power=HostPower.ON,
        manufacturer="Example Rack Ltd",
        model="R2 / 2U",
        serial="ABC1234",
        uuid="4c4c4544-0033-4710-8032-c7c04f475931",
        bios="2.9.0",
        firmware="6.10.30.00",
        arch="x86_64",
        sockets=2,
        cpus=64,
        memory_mib=381470,
        disks=(
            Disk("Solid State Disk 0", 960197124096, "EX-960", "S0", "SSD"),
            Disk("Disk 1", 8001563222016, "EX-8T", "S1", "HDD"),
        ),
        nics=(Nic("NIC.1", "e4:43:4b:00:00:01", 25000, True), Nic("NIC.2", "e4:43:4b:00:00:02", None, False)),
        boot=BootOverride(Source.NETWORK, True, frozenset({Source.NETWORK, Source.DISK}), BootMode.UEFI),
        media=(MediaSlot("CD", True, "http://images.example/ramdisk.iso"), MediaSlot("RemovableDisk", False, None)),
    )


def test_what_a_bmc_does_not_say_is_not_guessed() -> None:
    found = machine_in("says-little")
    assert found == Machine(power=HostPower.UNKNOWN, disks=(Disk("SATA 1", None, "EX-1"),))


def test_the_emulator_is_read_whole() -> None:
    found = machine_in("sushy-emulator-2.2")
    assert (found.uuid, found.cpus, found.memory_mib, found.arch) == ("0190a000-0000-7000-8000-0000000000b1", 2, 1024, "x86_64")
    assert [nic.mac for nic in found.nics] == ["52:54:00:77:00:01"]
    assert [disk.size_bytes for disk in found.disks] == [64 << 20]
    assert [slot.holds_cd for slot in found.media] == [True, False]


SCALAR = st.sampled_from(
    [None, True, False, -1, 0, 7, 1 << 70, 0.5, float("nan"), float("inf"), "", "On", "7", "1e999", "CPU", "\x00", "/redfish/v1/x"]
)
ANYTHING = SCALAR | st.lists(SCALAR, max_size=3) | st.dictionaries(st.sampled_from(["@odata.id", "Message", "x"]), SCALAR, max_size=2)
NAMES = st.sampled_from(
    [
        *(
            "PowerState",
            "UUID",
            "Boot",
            "ProcessorSummary",
            "MemorySummary",
            "Status",
            "Actions",
            "TotalThreads",
            "InstructionSet",
            "State",
        ),
        *("CapacityBytes", "MACAddress", "SpeedMbps", "MediaTypes", "Inserted", "Image", "Count", "TotalSystemMemoryGiB", "Members"),
        *(
            "BootSourceOverrideTarget@Redfish.AllowableValues",
            "ResetType@Redfish.AllowableValues",
            "error",
            "@Message.ExtendedInfo",
            "Message",
        ),
    ]
)
RESOURCE = st.dictionaries(NAMES, ANYTHING | st.dictionaries(NAMES, ANYTHING, max_size=4), max_size=8)


@given(RESOURCE, RESOURCE)
def test_no_answer_of_a_bmc_breaks_the_reading_of_it(one: dict[str, Any], other: dict[str, Any]) -> None:
    found = reading.machine_of(Parts(one, other, [one, other], [one, other], [one, other], [one, other]))
    assert found.memory_mib is None or found.memory_mib > 0
    assert all(disk.size_bytes is None or disk.size_bytes >= 0 for disk in found.disks)
    for act in Act:
        assert reading.reset_type(act, one) in (*reading.RESETS[act], None)
    reading.said(one)
    reading.links(one, "Members")


@pytest.mark.parametrize(
    ("act", "offered", "asked"),
    [
        (Act.ON, ["On", "ForceOff"], "On"),
        (Act.ON, ["ForceOn"], "ForceOn"),
        (Act.RESET, ["PowerCycle", "On"], "PowerCycle"),
        (Act.RESET, ["PowerCycle", "ForceRestart"], "ForceRestart"),
        (Act.POLITE_OFF, ["On", "ForceOff"], None),
        (Act.POLITE_RESET, None, "GracefulRestart"),
    ],
)
def test_an_act_is_asked_for_by_a_name_that_is_offered(act: Act, offered: list[str] | None, asked: str | None) -> None:
    action = {} if offered is None else {"ResetType@Redfish.AllowableValues": offered}
    assert reading.reset_type(act, action) == asked


@pytest.mark.parametrize(
    "path", ["", "http://elsewhere.example/redfish/v1", "//elsewhere.example", "/etc/passwd", "/redfish/v1\r\nX: y", 7, None]
)
def test_a_path_that_leads_elsewhere_is_none(path: object) -> None:
    assert reading.link({"Storage": {"@odata.id": path}}, "Storage") == ""


@pytest.mark.parametrize(
    ("enabled", "target", "source", "once"),
    [
        ("Once", "Cd", Source.CD, True),
        ("Continuous", "Pxe", Source.NETWORK, False),
        ("Disabled", "Pxe", None, False),
        ("Once", "BiosSetup", None, False),
        (None, None, None, False),
    ],
)
def test_a_boot_override_is_what_is_enabled(enabled: str | None, target: str | None, source: Source | None, once: bool) -> None:
    boot = {"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": target}
    assert reading.boot_of({"Boot": boot}) == BootOverride(source, once)


@pytest.mark.parametrize(
    ("mode", "allowed", "found", "offered"),
    [
        ("UEFI", ["Legacy", "UEFI"], BootMode.UEFI, set(BootMode)),
        ("Legacy", ["Legacy"], BootMode.BIOS, {BootMode.BIOS}),
        ("UEFI", None, BootMode.UEFI, set()),
        (None, ["UEFI"], None, {BootMode.UEFI}),
        ("Quantum", "UEFI", None, set()),
    ],
)
def test_a_boot_mode_is_what_is_said_whether_there_is_an_override_or_not(
    mode: str | None, allowed: object, found: BootMode | None, offered: set[BootMode]
) -> None:
    boot = {"BootSourceOverrideMode": mode, "BootSourceOverrideMode@Redfish.AllowableValues": allowed}
    seen = reading.boot_of({"Boot": boot})
    assert (seen.source, seen.mode, seen.modes) == (None, found, offered)


BOOTPARAM = """\
Boot parameter data: 8004000000
 Boot Flags :
   - Boot Flag Valid
   - Options apply to only next boot
   - BIOS EFI boot
   - Boot Device Selector : {}
"""
FRU = """\
FRU Device Description : Builtin FRU Device (ID 0)
 Chassis Type          : Rack Mount Chassis
 Board Serial          : B-1
 Product Manufacturer  : Example
 Product Name          : R2: the second
 Product Serial        : ABC1234
"""


def test_what_ipmi_says_is_read() -> None:
    boot = ipmi_reading.boot_of(BOOTPARAM.format("Force PXE"))
    guid = "System GUID  : 4C4C4544-0033-4710-8032-C7C04F475931\nTimestamp    : 07/19/2010"
    found = ipmi_reading.machine_of(
        ipmi_reading.power_of("Loading IANA PEN Registry...\nChassis Power is on\n"),
        ipmi_reading.fields("Device ID                 : 32\nFirmware Revision         : 1.71\n"),
        ipmi_reading.fields(FRU),
        guid,
        boot,
    )
    assert found == Machine(
        power=HostPower.ON,
        manufacturer="Example",
        model="R2: the second",
        serial="ABC1234",
        uuid="4c4c4544-0033-4710-8032-c7c04f475931",
        firmware="1.71",
        boot=BootOverride(Source.NETWORK, True, mode=BootMode.UEFI),
    )
    assert ipmi_reading.boot_of(BOOTPARAM.format("Force PXE").replace("EFI", "PC Compatible (legacy)")).mode is BootMode.BIOS


@pytest.mark.parametrize("said", ["", "Chassis Power is", "Error"])
def test_a_power_that_ipmi_does_not_name_is_unknown(said: str) -> None:
    assert ipmi_reading.power_of(said) is HostPower.UNKNOWN


@pytest.mark.parametrize("device", ["No override", "Force Boot from Floppy/primary removable media"])
def test_a_boot_device_without_a_name_here_is_no_override(device: str) -> None:
    assert ipmi_reading.boot_of(BOOTPARAM.format(device)) == BootOverride()
