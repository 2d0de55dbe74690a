"""Why a machine that was started into the ramdisk says nothing: what it asked for decides. Pure.

In: how it was to start, what the depot saw of it, whether the depot hears DHCP. Out: the named failure, whose detail says what was seen.
A machine's screen is not ours to read, so two of its states look the same from here: one that ignores its CD, and one whose ramdisk dies
before it has a network. They are told as the former.
"""

from __future__ import annotations

from collections.abc import Set

from drivers.bare_metal.machine import Source
from drivers.errors import BootIgnored, DriverError, NoDhcpAnswer, RamdiskSilent


def why_silent(source: Source, seen: Set[str], hears: bool, waited_s: float) -> DriverError:
    """The failure of a machine that is on and has not called back after that time."""
    if "dhcp-ramdisk-took" in seen:
        return _silent("the ramdisk took an address by DHCP, and did not reach the depot from there", waited_s)
    if "dhcp-ramdisk-asked" in seen:
        return NoDhcpAnswer(detail="the ramdisk asked for an address, and nobody gave it one")
    return _by_network(seen, hears, waited_s) if source is Source.NETWORK else _by_cd(source, seen, hears, waited_s)


def _by_network(seen: Set[str], hears: bool, waited_s: float) -> DriverError:
    if "initrd" in seen:
        return _silent("the machine fetched the ramdisk, and nothing was heard since", waited_s)
    if "vmlinuz" in seen:
        detail = "iPXE starts no kernel where Secure Boot is on, a CD does (boot_by: cd)"
        return _silent(f"the machine fetched the kernel, and not what belongs to it; {detail}", waited_s)
    if "boot" in seen:
        return _silent("the machine fetched its boot script, but not the whole ramdisk", waited_s)
    if "dhcp-firmware-took" in seen:
        detail = "DHCP must name the depot's boot URL to iPXE, and iPXE to firmware that is none, another one by UEFI than by BIOS"
        return NoDhcpAnswer(detail=f"the machine took an address by DHCP and did not ask the depot: {detail}")
    if "dhcp-firmware-asked" in seen:
        return NoDhcpAnswer(detail="the machine asked where to boot from, and nobody gave it an address with something to start")
    if hears:
        return BootIgnored(source="network", detail="it never asked by DHCP where to boot from")
    return NoDhcpAnswer(
        detail="it asked the depot for nothing; the depot does not hear DHCP, so it may as well have ignored its boot device"
    )


def _by_cd(source: Source, seen: Set[str], hears: bool, waited_s: float) -> DriverError:
    if "cd" not in seen:
        return BootIgnored(source=source.value, detail="the BMC has not fetched the CD from the depot")
    if hears:
        return BootIgnored(source=source.value, detail="the BMC fetched the CD, and the ramdisk on it did not ask for an address")
    return _silent("the BMC fetched the CD, and nothing was heard since; the depot does not hear DHCP", waited_s)


def _silent(detail: str, waited_s: float) -> DriverError:
    return RamdiskSilent(seconds=round(waited_s), detail=detail)
