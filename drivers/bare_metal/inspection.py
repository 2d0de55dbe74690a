"""What a machine is by its own word, beside its BMC's: pure.

In: what the ramdisk reported (guests/ramdisk/metal, `inspect`), and the BMC's `Machine`. Out: the differences, and which disks are meant.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drivers.bare_metal.machine import Machine
from drivers.bare_metal.reading import mac_of
from drivers.errors import DiskTooSmall, InvalidSpec, WrongMachine

Json = Mapping[str, Any]


def check_identity(said: Json, expected: str) -> None:
    """Raises WrongMachine. Some firmware gives the first three fields of the UUID in the other byte order: that is the same machine."""
    seen = str(said.get("uuid", "")).lower()
    if expected and seen not in (expected.lower(), _swapped(expected.lower())):
        raise WrongMachine(expected=expected, seen=seen)


def differences(said: Json, bmc: Machine) -> list[dict[str, str]]:
    """What the two say differently: {"what", "bmc", "machine"}. What either doesn't say is no difference."""
    own = [disk for disk in said.get("disks", ()) if not disk.get("removable")]
    pairs = [
        ("serial", bmc.serial, said.get("serial", "")),
        ("cpus", bmc.cpus, said.get("cpus")),
        ("memory_mib", bmc.memory_mib, said.get("installed_mib")),
        ("architecture", bmc.arch, said.get("architecture", "")),
        ("nics", _list(nic.mac for nic in bmc.nics), _list(mac_of(nic.get("mac", "")) for nic in said.get("nics", ()))),
        ("disks", _list(disk.serial for disk in bmc.disks), _list(disk.get("serial", "") for disk in own)),
    ]
    sizes = {disk.get("serial"): disk.get("bytes") for disk in own}
    pairs += [
        (f"bytes of disk {disk.serial}", disk.size_bytes, sizes[disk.serial]) for disk in bmc.disks if disk.serial and disk.serial in sizes
    ]
    if bmc.uuid and said.get("uuid") and said["uuid"].lower() not in (bmc.uuid, _swapped(bmc.uuid)):
        pairs.append(("uuid", bmc.uuid, said["uuid"]))
    return [{"what": what, "bmc": str(one), "machine": str(two)} for what, one, two in pairs if one and two and one != two]


def root_disk(said: Json, wanted: str, needed: int) -> str:
    """The name of the disk to write: the one of that name or serial number, else the smallest that has room for `needed` bytes.

    Raises DiskTooSmall, and InvalidSpec where there is no such disk.
    """
    disks = fixed_disks(said)
    if wanted:
        disks = [disk for disk in disks if wanted.removeprefix("/dev/") in (disk["name"], disk.get("serial"))]
        if len(disks) != 1:
            raise InvalidSpec(detail=f"the machine has {len(disks)} disks {wanted}")
    fitting = [disk for disk in disks if disk["bytes"] >= needed]
    if not fitting:
        sizes = ", ".join(f"{disk['name']}: {disk['bytes']}" for disk in disks)
        raise DiskTooSmall(detail=f"{needed} bytes are needed; there are {sizes or 'no disks'}")
    return str(min(fitting, key=lambda disk: (disk["bytes"], disk["name"]))["name"])


def fixed_disks(said: Json) -> list[Json]:
    """Those that stay in the machine."""
    return [disk for disk in said.get("disks", ()) if not disk.get("removable") and disk.get("bytes")]


def absent(said: Json, expected: Sequence[str]) -> list[str]:
    """Which of those disks, by serial number or name, the machine does not have (any more)."""
    there = {word for disk in fixed_disks(said) for word in (disk["name"], disk.get("serial"))}
    return [one for one in expected if one not in there]


def labels(disks: Sequence[Json]) -> str:
    """For people: names with serial numbers."""
    return ", ".join(f"{disk['name']} ({disk['serial']})" if disk.get("serial") else str(disk["name"]) for disk in disks)


def _list(words: Any) -> str:
    return ", ".join(sorted(word for word in words if word))


def _swapped(uuid: str) -> str:
    """With the first three fields in the other byte order (SMBIOS 3.7, 7.2.1)."""
    fields = uuid.split("-")
    if len(fields) != 5:
        return uuid
    return "-".join(("".join(reversed([one[i : i + 2] for i in range(0, len(one), 2)])) if n < 3 else one) for n, one in enumerate(fields))
