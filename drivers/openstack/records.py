"""A server as nova tells it, as slim as it is needed: JSON in, a frozen record out. Pure, and total: what is missing is empty."""

from __future__ import annotations

import ipaddress
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final

from drivers.openstack.names import Mark, read_mark

RUNNING: Final = 1
PAUSED: Final = 3
SHUTDOWN: Final = 4
CRASHED: Final = 6
SUSPENDED: Final = 7
POWERS: Final[Mapping[int, str]] = {0: "unknown", 1: "running", 3: "paused", 4: "off", 6: "crashed", 7: "suspended"}
"""nova.compute.power_state, in words."""


@dataclass(frozen=True, slots=True)
class Size:
    """What a flavor gives."""

    vcpus: int
    memory_mib: int
    disk_gib: int


@dataclass(frozen=True, slots=True)
class Fault:
    """What nova says that went wrong."""

    code: int
    message: str


@dataclass(frozen=True, slots=True)
class Server:
    """`node`: its hypervisor, `service`: that hypervisor's nova-compute (an administrator alone sees them; empty while it is nowhere).
    `host_status`: nova's UP, DOWN (by its people's word), UNKNOWN (silent), MAINTENANCE; empty where we may not know. `launched`: it ran
    once.
    """

    id: str
    name: str
    status: str
    vm_state: str
    task: str
    power: int
    created: str
    updated: str
    size: Size
    mark: Mark | None
    node: str = ""
    service: str = ""
    host_status: str = ""
    launched: bool = False
    fault: Fault | None = None
    addresses: tuple[str, ...] = ()
    project: str = ""

    @property
    def age(self) -> tuple[str, str]:
        """Orders the servers of one instance: the oldest first, always in the same order."""
        return self.created, self.id


def read(raw: Mapping[str, Any]) -> Server:
    """One element of GET /servers/detail, microversion 2.57 or newer."""
    flavor = raw.get("flavor") or {}
    fault = raw.get("fault")
    return Server(
        id=str(raw["id"]),
        name=str(raw.get("name") or ""),
        status=str(raw.get("status") or "UNKNOWN"),
        vm_state=str(raw.get("OS-EXT-STS:vm_state") or ""),
        task=str(raw.get("OS-EXT-STS:task_state") or ""),
        power=int(raw.get("OS-EXT-STS:power_state") or 0),
        created=str(raw.get("created") or ""),
        updated=str(raw.get("updated") or ""),
        size=Size(int(flavor.get("vcpus") or 0), int(flavor.get("ram") or 0), int(flavor.get("disk") or 0)),
        mark=read_mark(raw.get("metadata") or {}),
        node=str(raw.get("OS-EXT-SRV-ATTR:hypervisor_hostname") or ""),
        service=str(raw.get("OS-EXT-SRV-ATTR:host") or ""),
        host_status=str(raw.get("host_status") or ""),
        launched=bool(raw.get("OS-SRV-USG:launched_at")),
        fault=Fault(int(fault.get("code") or 0), str(fault.get("message") or "")) if isinstance(fault, dict) else None,
        addresses=_addresses(raw.get("addresses") or {}),
        project=str(raw.get("tenant_id") or ""),
    )


def _addresses(networks: Mapping[str, Iterable[Mapping[str, Any]]]) -> tuple[str, ...]:
    """All of them, IPv4 first."""
    found = []
    for ports in networks.values():
        for port in ports:
            try:
                found.append(ipaddress.ip_address(str(port.get("addr"))))
            except ValueError:
                continue
    return tuple(dict.fromkeys(str(one) for one in sorted(found, key=lambda one: one.version)))


def moment(text: str) -> datetime | None:
    """A time as nova writes it; None where it is none."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        return None
    return found if found.tzinfo else found.replace(tzinfo=UTC)
