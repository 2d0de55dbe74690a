"""A machine as a host: what its BMC says, corrected by what it said of itself when it was inspected. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from drivers.bare_metal.inspection import fixed_disks
from drivers.bare_metal.machine import BootMode, Disk, Machine
from drivers.bare_metal.record import Record
from drivers.bare_metal.standing import closed
from drivers.base import HostInventory, Reason

GIB: Final = 1 << 30


def host_of(machine: Machine, record: Record, *, depot: bool, otherwise: str) -> HostInventory:
    """The machine as a host. Of one that was never inspected the BMC's word is taken; what it doesn't tell is none (IPMI: nearly all).

    Its identity is that of the BMC's machine and not of what runs on it: a hypervisor that is installed there is a host of its own, whose
    identity is the same UUID without the first word. `otherwise`: its name where the BMC tells neither serial number nor UUID.
    """
    identity = machine.uuid or machine.serial
    seen = record.inspection or {}
    disks = seen.get("disks")
    size = sum(int(disk.get("bytes") or 0) for disk in disks) if disks else sum(disk.size_bytes or 0 for disk in machine.disks)
    return HostInventory(
        name=machine.serial or machine.uuid or otherwise,
        arch=str(seen.get("architecture") or machine.arch or "unknown"),
        vcpus=int(seen.get("cpus") or machine.cpus or 0),
        memory_mib=_memory_mib(seen) or machine.memory_mib or 0,
        disk_gib=size // GIB,
        kinds=frozenset({"bare_metal"}),
        notes=tuple(_differs(one) for one in seen.get("differences", ())),
        machine=f"bmc {identity.lower()}" if identity else "",
        closed=closed(record, depot=depot),
        power=machine.power,
    )


def identified(machine: Machine, record: Record) -> Machine:
    """The machine as a run has to know it again: by the UUID that it told itself, where its BMC tells none, before anything is written; and
    where it is somebody's, by the disks that it told of, none of which may be missing when they are wiped. Its boot mode is the one that it
    was inspected in."""
    seen = record.inspection or {}
    kind = (seen.get("firmware") or {}).get("kind")
    boot = replace(machine.boot, mode=BootMode(kind)) if kind in set(BootMode) else machine.boot
    disks = fixed_disks(seen) if record.tenant is not None else []
    theirs = tuple(Disk(str(disk.get("name")), None, serial=str(disk.get("serial") or "")) for disk in disks)
    return replace(machine, uuid=machine.uuid or str(seen.get("uuid", "")), disks=theirs, boot=boot)


def _memory_mib(seen: Mapping[str, Any]) -> int:
    """What is plugged in, by the firmware's tables; else what the kernel can use."""
    return int(seen.get("installed_mib") or 0) or int(seen.get("memory_kib") or 0) >> 10


def _differs(one: Mapping[str, Any]) -> Reason:
    return Reason("machine_differs", {name: str(one.get(name, "")) for name in ("what", "bmc", "machine")})
