"""From Redfish's JSON to a `Machine`: pure (DSP0266, DSP0268: ComputerSystem, Manager, Processor, Drive, EthernetInterface, VirtualMedia).

BMCs leave out what they like, write numbers as texts and `null` where there is nothing, and each of it means "not said". What can't be true
(a negative size) isn't said either. Texts are cut, as they go into a database and before people.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

from drivers.bare_metal.machine import Act, BootMode, BootOverride, Disk, Machine, MediaSlot, Nic, Source
from drivers.base import HostPower
from drivers.identity import machine_uuid

Json = Mapping[str, Any]

POWER: Final[Mapping[str, HostPower]] = {"On": HostPower.ON, "Off": HostPower.OFF}  # PoweringOn, PoweringOff, Paused: neither yet
ARCH: Final[Mapping[str, str]] = {"x86-64": "x86_64", "ARM-A64": "aarch64", "LoongArch": "loongarch64"}
TARGETS: Final[Mapping[Source, str]] = {Source.NETWORK: "Pxe", Source.CD: "Cd", Source.DISK: "Hdd"}
MODES: Final[Mapping[BootMode, str]] = {BootMode.BIOS: "Legacy", BootMode.UEFI: "UEFI"}
RESETS: Final[Mapping[Act, tuple[str, ...]]] = {
    Act.ON: ("On", "ForceOn"),
    Act.OFF: ("ForceOff",),
    Act.RESET: ("ForceRestart", "PowerCycle"),
    Act.POLITE_OFF: ("GracefulShutdown",),
    Act.POLITE_RESET: ("GracefulRestart",),
}
"""What an act is called, the first that a machine offers (Resource.ResetType)."""

_LONGEST: Final = 200
_MAC: Final = re.compile(r"[0-9a-f]{2}(:[0-9a-f]{2}){5}")


@dataclass(frozen=True, slots=True)
class Parts:
    """The resources that a machine is told of in."""

    system: Json
    manager: Json
    processors: Sequence[Json]
    drives: Sequence[Json]  # of Storage, or of SimpleStorage where that is all there is
    nics: Sequence[Json]
    media: Sequence[Json]


def machine_of(parts: Parts) -> Machine:
    """All that is said in them."""
    system = parts.system
    processors = [one for one in parts.processors if one.get("ProcessorType", "CPU") == "CPU" and _present(one)]
    return Machine(
        power=power_of(system),
        manufacturer=_text(system, "Manufacturer"),
        model=_text(system, "Model"),
        serial=_text(system, "SerialNumber"),
        uuid=uuid_of(system),
        bios=_text(system, "BiosVersion"),
        firmware=_text(parts.manager, "FirmwareVersion"),
        arch=next((ARCH[name] for one in processors if (name := _text(one, "InstructionSet")) in ARCH), ""),
        sockets=_number(_inside(system, "ProcessorSummary"), "Count") or len(processors) or None,
        cpus=_cpus(system, processors),
        memory_mib=_memory(system),
        disks=tuple(_disk(one) for one in parts.drives if _present(one)),
        nics=nics_of(parts.nics),
        boot=boot_of(system),
        media=tuple(slot_of(one) for one in parts.media),
    )


def power_of(system: Json) -> HostPower:
    """Whether it is on."""
    return POWER.get(_text(system, "PowerState"), HostPower.UNKNOWN)


def uuid_of(system: Json) -> str:
    """Which machine it is."""
    return machine_uuid(_text(system, "UUID"))


def boot_of(system: Json) -> BootOverride:
    """Its boot override. A BMC that doesn't say what it offers is believed to offer all."""
    boot = _inside(system, "Boot")
    enabled, target = _text(boot, "BootSourceOverrideEnabled"), _text(boot, "BootSourceOverrideTarget")
    allowed = boot.get("BootSourceOverrideTarget@Redfish.AllowableValues")
    offered = frozenset(one for one, name in TARGETS.items() if not isinstance(allowed, list) or name in allowed)
    source = next((one for one, name in TARGETS.items() if name == target), None) if enabled in ("Once", "Continuous") else None
    mode, modes = _text(boot, "BootSourceOverrideMode"), boot.get("BootSourceOverrideMode@Redfish.AllowableValues")
    return BootOverride(
        source,
        source is not None and enabled == "Once",
        offered,
        next((one for one, name in MODES.items() if name == mode), None),
        frozenset(one for one, name in MODES.items() if isinstance(modes, list) and name in modes),
    )


def slot_of(medium: Json) -> MediaSlot:
    """One virtual drive. Some BMCs leave the image's name behind when it was ejected, some say nothing but the name."""
    kinds = medium.get("MediaTypes")
    image = _text(medium, "Image") or _text(medium, "ImageName")
    inserted = medium.get("Inserted")
    there = bool(inserted) if isinstance(inserted, bool) else bool(image)
    return MediaSlot(
        _text(medium, "Id"), isinstance(kinds, list) and bool({"CD", "DVD"} & {str(one) for one in kinds}), image if there else None
    )


def reset_type(act: Act, action: Json) -> str | None:
    """What to ask for; None where the machine offers nothing of the kind. Asked for unheard where it doesn't say what it offers."""
    allowed = action.get("ResetType@Redfish.AllowableValues")
    if not isinstance(allowed, list):
        return RESETS[act][0]
    return next((name for name in RESETS[act] if name in allowed), None)


def link(resource: Json, *names: str) -> str:
    """The path that a resource names, down those properties; empty where it names none, or one that is no path on the same BMC."""
    found: Any = resource
    for name in names:
        found = found.get(name) if isinstance(found, dict) else None
    path = found.get("@odata.id") if isinstance(found, dict) else found
    return path if isinstance(path, str) and path.startswith("/redfish/") and path.isprintable() else ""


def links(resource: Json, name: str) -> tuple[str, ...]:
    """The paths that a list of a resource names."""
    listed = resource.get(name)
    return tuple(path for one in (listed if isinstance(listed, list) else ()) if isinstance(one, dict) and (path := link(one)))


def said(answer: Json) -> str:
    """The words of a BMC's error, empty where there are none."""
    error = _inside(answer, "error")
    extended = error.get("@Message.ExtendedInfo")
    words = [_text(one, "Message") for one in (extended if isinstance(extended, list) else ()) if isinstance(one, dict)]
    return " ".join(dict.fromkeys(word for word in words if word)) or _text(error, "message")


def mac_of(text: str) -> str:
    """In lower case with colons; empty for what is none."""
    found = text.lower().replace("-", ":")
    return found if _MAC.fullmatch(found) and found != "00:00:00:00:00:00" else ""


def _cpus(system: Json, processors: Iterable[Json]) -> int | None:
    threads = [count for one in processors if (count := _number(one, "TotalThreads")) is not None]
    return _number(_inside(system, "ProcessorSummary"), "LogicalProcessorCount") or sum(threads) or None


def _memory(system: Json) -> int | None:
    gib = _real(_inside(system, "MemorySummary"), "TotalSystemMemoryGiB")
    return None if not gib else round(gib * 1024)


def _disk(drive: Json) -> Disk:
    return Disk(
        _text(drive, "Name") or _text(drive, "Id"),
        _number(drive, "CapacityBytes"),
        _text(drive, "Model"),
        _text(drive, "SerialNumber"),
        _text(drive, "MediaType"),
    )


def nics_of(ports: Iterable[Json]) -> tuple[Nic, ...]:
    """Network ports, but for those without a MAC."""
    return tuple(nic for one in ports if (nic := _nic(one)) is not None)


def _nic(port: Json) -> Nic | None:
    mac = mac_of(_text(port, "PermanentMACAddress")) or mac_of(_text(port, "MACAddress"))
    status = _text(port, "LinkStatus")
    linked = None if not status else status == "LinkUp"
    return Nic(_text(port, "Id"), mac, _number(port, "SpeedMbps") or None, linked) if mac else None


def _present(resource: Json) -> bool:
    return _text(_inside(resource, "Status"), "State") != "Absent"


def _inside(resource: Json, name: str) -> Json:
    found = resource.get(name)
    return found if isinstance(found, dict) else {}


def _text(resource: Json, name: str) -> str:
    found = resource.get(name)
    return found.strip()[:_LONGEST] if isinstance(found, str) else ""


def _real(resource: Json, name: str) -> float | None:
    found = resource.get(name)
    try:
        number = float(found) if isinstance(found, int | float | str) and not isinstance(found, bool) else -1.0
    except ValueError:
        return None
    return number if 0 <= number < 1 << 63 else None


def _number(resource: Json, name: str) -> int | None:
    number = _real(resource, name)
    return None if number is None else int(number)
