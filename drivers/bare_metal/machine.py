"""What a BMC says of its machine, and what it can be asked for: plain values, the same whether it speaks Redfish or IPMI.

What a BMC doesn't say is None or empty, never guessed: IPMI knows neither memory nor disks.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.base import HostPower


class Act(StrEnum):
    """A power action. The two polite ones ask the operating system, which may do nothing."""

    ON = "on"
    OFF = "off"
    RESET = "reset"
    POLITE_OFF = "polite_off"
    POLITE_RESET = "polite_reset"


class Source(StrEnum):
    """What a machine boots from."""

    NETWORK = "network"
    CD = "cd"
    DISK = "disk"


class BootMode(StrEnum):
    """By what a machine's firmware starts it."""

    BIOS = "bios"
    UEFI = "uefi"


@dataclass(frozen=True, slots=True)
class Disk:
    """One drive. `media`: SSD, HDD or empty."""

    name: str
    size_bytes: int | None
    model: str = ""
    serial: str = ""
    media: str = ""


@dataclass(frozen=True, slots=True)
class Nic:
    """One network port. `mac`: lower case with colons; the burnt-in one where the BMC tells both. `linked`: whether a cable is seen."""

    name: str
    mac: str
    speed_mbps: int | None = None
    linked: bool | None = None


@dataclass(frozen=True, slots=True)
class BootOverride:
    """What the next boot is from, out of order. `source` is None where there is no override, or one that has no name here. `modes`: those
    that the BMC says it can be told.
    """

    source: Source | None = None
    once: bool = False
    offered: frozenset[Source] = frozenset(Source)
    mode: BootMode | None = None
    modes: frozenset[BootMode] = frozenset()


@dataclass(frozen=True, slots=True)
class MediaSlot:
    """A drive that exists in the BMC alone. `image`: the URL of what is in it; None: empty."""

    name: str
    holds_cd: bool
    image: str | None


@dataclass(frozen=True, slots=True)
class Machine:
    """All of it. `cpus`: hardware threads."""

    power: HostPower
    manufacturer: str = ""
    model: str = ""
    serial: str = ""
    uuid: str = ""  # of SMBIOS, canonical; some BMCs give its first three fields in the other byte order
    bios: str = ""
    firmware: str = ""  # of the BMC
    arch: str = ""
    sockets: int | None = None
    cpus: int | None = None
    memory_mib: int | None = None
    disks: tuple[Disk, ...] = ()
    nics: tuple[Nic, ...] = ()
    boot: BootOverride = BootOverride()
    media: tuple[MediaSlot, ...] = ()
