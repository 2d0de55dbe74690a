"""What libvirt says of domains and hosts, in the boundary's words.

In: a connection, states and reasons as numbers. Out: conditions, addresses, inventory. Invariant: the table of states is complete for the
libvirt we are built against, and an unknown number (a newer libvirtd) is BUSY: look again, touch nothing. Addresses are best effort: no
failure and no hanging agent ever costs an observation.
"""

from __future__ import annotations

import ipaddress
import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable, Iterator, Mapping
from typing import Final

import libvirt

from drivers.base import Condition, HostInventory, HostPower, Reason
from drivers.libvirt import cpus, devices
from drivers.libvirt.domain import agent_connected
from drivers.libvirt.volumes import GIB

Verdict = tuple[Condition, str | None]

BY_STATE: Final[Mapping[int, Verdict]] = {
    libvirt.VIR_DOMAIN_NOSTATE: (Condition.BUSY, None),
    libvirt.VIR_DOMAIN_RUNNING: (Condition.RUNNING, None),
    libvirt.VIR_DOMAIN_BLOCKED: (Condition.RUNNING, None),
    libvirt.VIR_DOMAIN_PAUSED: (Condition.BUSY, None),
    libvirt.VIR_DOMAIN_SHUTDOWN: (Condition.BUSY, None),
    libvirt.VIR_DOMAIN_SHUTOFF: (Condition.STOPPED, None),
    libvirt.VIR_DOMAIN_CRASHED: (Condition.FAILED, "guest_crashed"),
    libvirt.VIR_DOMAIN_PMSUSPENDED: (Condition.FAILED, "guest_asleep"),
}
"""What a state means whatever its reason."""

BY_REASON: Final[Mapping[tuple[int, int], Verdict]] = {
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY): (Condition.BUSY, None),
    (libvirt.VIR_DOMAIN_RUNNING, libvirt.VIR_DOMAIN_RUNNING_POSTCOPY_FAILED): (Condition.FAILED, "migration_failed"),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_UNKNOWN): (Condition.FAILED, "guest_paused"),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_USER): (Condition.FAILED, "guest_paused"),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_IOERROR): (Condition.FAILED, "disk_error"),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_WATCHDOG): (Condition.FAILED, "guest_hung"),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_CRASHED): (Condition.FAILED, "guest_crashed"),
    (libvirt.VIR_DOMAIN_PAUSED, libvirt.VIR_DOMAIN_PAUSED_POSTCOPY_FAILED): (Condition.FAILED, "migration_failed"),
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_CRASHED): (Condition.STOPPED, "guest_crashed"),
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_FAILED): (Condition.STOPPED, "start_failed"),
    (libvirt.VIR_DOMAIN_SHUTOFF, libvirt.VIR_DOMAIN_SHUTOFF_DAEMON): (Condition.STOPPED, "host_lost_guest"),
}
"""Where the reason changes it. The other reasons of PAUSED (migration, save, dump, snapshot, ...) are libvirt at work: BUSY."""

NO_SPACE: Final = "disk_full"
AGENT_S: Final = 1


def verdict(state: int, reason: int) -> Verdict:
    """A condition and the code of what is wrong, if anything is."""
    return BY_REASON.get((state, reason)) or BY_STATE.get(state, (Condition.BUSY, None))


def judged(domain: libvirt.virDomain, state: int, reason: int) -> tuple[Condition, Reason | None]:
    """The same for a real domain: where a disk stopped it, find out whether for lack of room."""
    condition, code = verdict(state, reason)
    if code == "disk_error":
        errors = domain.diskErrors(0)
        if libvirt.VIR_DOMAIN_DISK_ERROR_NO_SPACE in errors.values():
            code = NO_SPACE
    return condition, None if code is None else Reason(code)


# -- addresses ---------------------------------------------------------------------------------------------------------------------------


def leases(connection: libvirt.virConnect, network: str) -> Mapping[str, tuple[str, ...]]:
    """The addresses that the network has given out, by MAC; one call for all guests of the host."""
    found: dict[str, list[str]] = {}
    try:
        for lease in connection.networkLookupByName(network).DHCPLeases():
            found.setdefault(str(lease["mac"]).lower(), []).append(str(lease["ipaddr"]))
    except libvirt.libvirtError:
        return {}
    return {mac: ordered(addresses) for mac, addresses in found.items()}


def asked(domain: libvirt.virDomain) -> tuple[str, ...]:
    """The addresses that the agent in the guest knows, if one listens, or the host's ARP table; bounded in time."""
    try:
        if agent_connected(domain.XMLDesc(0)):
            domain.agentSetResponseTimeout(AGENT_S, 0)
            return _interfaces(domain, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_AGENT)
        return _interfaces(domain, libvirt.VIR_DOMAIN_INTERFACE_ADDRESSES_SRC_ARP)
    except libvirt.libvirtError:
        return ()


def _interfaces(domain: libvirt.virDomain, source: int) -> tuple[str, ...]:
    found = domain.interfaceAddresses(source, 0) or {}
    return ordered(str(address["addr"]) for interface in found.values() for address in interface["addrs"] or ())


def ordered(addresses: Iterable[str]) -> tuple[str, ...]:
    """Those that others can reach, IPv4 first, each once."""
    parsed = {ipaddress.ip_address(address) for address in addresses}
    return tuple(str(it) for it in sorted(parsed, key=lambda it: (it.version, int(it))) if not (it.is_loopback or it.is_link_local))


# -- the host ----------------------------------------------------------------------------------------------------------------------------


def inventory(
    connection: libvirt.virConnect, name: str, pool: libvirt.virStoragePool | None, virt: str, notes: tuple[Reason, ...]
) -> HostInventory:
    """The one host behind the connection."""
    info = connection.getInfo()
    root = ET.fromstring(connection.getCapabilities())  # noqa: S314  # from libvirtd
    arch, gpus = str(info[0]), devices.gpus(connection)
    return HostInventory(
        name=name,
        arch=arch,
        vcpus=int(info[2]),
        memory_mib=_memory_mib(connection, int(info[1])),
        disk_gib=0 if pool is None else int(pool.info()[1]) // GIB,
        gpus=len(gpus),
        traits=frozenset(_traits(root, virt)),
        notes=notes if pool is not None else (*notes, Reason("pool_missing")),
        machine="" if connection.getType() == "TEST" else root.findtext("host/uuid") or "",  # libvirt's own test driver is all of one uuid
        power=HostPower.ON,  # it answers
        cpu_baselines=cpus.promised(connection, arch, virt),
        cells=devices.cells(root),
        devices=gpus,
    )


def _memory_mib(connection: libvirt.virConnect, otherwise: int) -> int:
    """All cells together: `getInfo` leaves out memory that was plugged in later."""
    try:
        return int(connection.getMemoryStats(libvirt.VIR_NODE_MEMORY_STATS_ALL_CELLS)["total"]) // 1024
    except (libvirt.libvirtError, KeyError):  # the test driver has none
        return otherwise


def _traits(root: ET.Element, virt: str) -> Iterator[str]:
    yield "kvm" if virt == "kvm" else "emulated"
    for what, path in (("cpu", "host/cpu/model"), ("vendor", "host/cpu/vendor")):
        if text := root.findtext(path):
            yield f"{what}-{re.sub(r'[^a-z0-9]+', '-', text.lower()).strip('-')}"
