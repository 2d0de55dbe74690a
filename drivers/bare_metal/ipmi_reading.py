"""From ipmitool's words to a `Machine`: pure. What it doesn't say stays empty."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from drivers.bare_metal.machine import BootMode, BootOverride, Machine, Source
from drivers.base import HostPower
from drivers.identity import machine_uuid

_LONGEST: Final = 200
_GUID: Final = re.compile(r"(?:System GUID|GUID)\s*:\s*([0-9A-Fa-f-]{32,36})")
SELECTORS: Final[Mapping[str, Source]] = {
    "Force PXE": Source.NETWORK,
    "Force Boot from CD/DVD": Source.CD,
    "Force Boot from default Hard-Drive": Source.DISK,
}

MODES: Final[Mapping[BootMode, str]] = {BootMode.BIOS: "BIOS PC Compatible (legacy) boot", BootMode.UEFI: "BIOS EFI boot"}


def fields(said: str) -> Mapping[str, str]:
    """Its lines `NAME : VALUE`; the first of a name counts."""
    found: dict[str, str] = {}
    for line in said.splitlines():
        name, colon, value = line.partition(":")
        if colon and value.strip():
            found.setdefault(name.strip(), value.strip()[:_LONGEST])
    return found


def power_of(said: str) -> HostPower:
    """From `chassis power status`."""
    found = re.search(r"Chassis Power is (on|off)", said)
    return HostPower(found[1]) if found else HostPower.UNKNOWN


def uuid_of(said: str) -> str:
    """From `mc guid`: which machine it is."""
    found = _GUID.search(said)
    return machine_uuid(found[1]) if found else ""


def boot_of(said: str) -> BootOverride:
    """From `chassis bootparam get 5`."""
    found = re.search(r"Boot Device Selector : (.+)", said)
    source = SELECTORS.get(found[1].strip()) if found and "Boot Flag Valid" in said else None
    if source is None:
        return BootOverride()
    mode = next((one for one, words in MODES.items() if words in said), None)
    return BootOverride(source, "only next boot" in said, mode=mode)


def machine_of(power: HostPower, management: Mapping[str, str], fru: Mapping[str, str], guid: str, boot: BootOverride) -> Machine:
    """From `mc info`, `fru print 0` and `mc guid`."""
    return Machine(
        power=power,
        manufacturer=fru.get("Product Manufacturer", ""),
        model=fru.get("Product Name", ""),
        serial=fru.get("Product Serial", ""),
        uuid=uuid_of(guid),
        firmware=management.get("Firmware Revision", ""),
        boot=boot,
    )
