"""What a region has, as hosts: pure.

`hosts`: each hypervisor is one. What it has is placement's inventory less what is reserved and less what servers that aren't ours hold,
these divided by nova's own ratio: who was promised 8 vCPUs at a ratio of 4 counts for 2 of the hardware's. So what our own overcommit
promises of the rest is what nova will take, as long as it isn't above nova's ratio. `opaque`: the project's limits less what isn't ours are
one host.

What tells that two endpoints would count the same twice (`HostInventory.machine`), whatever addresses, names and users they were enrolled
by: a hypervisor's own UUID; and where limits are the host, whose and where they are, as the zones of one project share them.
"""

from __future__ import annotations

import math
import re
import uuid
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from drivers.base import Health, HostInventory, HostPower, Reason
from drivers.identity import machine_uuid
from drivers.openstack.conditions import HEALTH
from drivers.openstack.options import Options
from drivers.openstack.records import Server, Size

UNLIMITED: Final = 1_000_000
"""What a limit of -1 is told as."""
DEFAULT_ZONE: Final = "nova"
KINDS: Final = frozenset({"vm"})
ARCHES: Final = {"amd64": "x86_64", "arm64": "aarch64"}
_ARCH_TRAIT: Final = re.compile(r"(?:HW|COMPUTE)_ARCH_([A-Z0-9_]+)")


@dataclass(frozen=True, slots=True)
class Provider:
    """A hypervisor as placement knows it: inventories by class, and what each consumer (a server's id) holds."""

    inventories: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    allocations: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    traits: frozenset[str] = frozenset()


def left(provider: Provider, resource: str, ours: frozenset[str]) -> int:
    """How much of a class is there for us, before any overcommit."""
    inventory = provider.inventories.get(resource) or {}
    others = sum(held.get(resource, 0) for consumer, held in provider.allocations.items() if consumer not in ours)
    ratio = float(inventory.get("allocation_ratio") or 1.0)
    return max(0, int(inventory.get("total") or 0) - int(inventory.get("reserved") or 0) - math.ceil(others / ratio))


def host_status(service: Mapping[str, Any] | None) -> str:
    """What nova would tell of a server's host: UP, UNKNOWN (silent), DOWN (its people say so), MAINTENANCE (disabled)."""
    if service is None:
        return "UNKNOWN"
    if service.get("forced_down"):
        return "DOWN"
    if service.get("state") != "up":
        return "UNKNOWN"
    return "MAINTENANCE" if service.get("status") == "disabled" else "UP"


def aggregates_of(aggregates: Iterable[Mapping[str, Any]], service_host: str) -> frozenset[str]:
    """The aggregates that a host is in, as traits."""
    names = (str(one.get("name") or "") for one in aggregates if service_host in (one.get("hosts") or ()))
    return frozenset(f"aggregate-{slug}" for name in names if (slug := re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")))


def hypervisor(
    raw: Mapping[str, Any],
    service: Mapping[str, Any] | None,
    provider: Provider,
    ours: frozenset[str],
    traits: frozenset[str],
    arch: str,
) -> HostInventory:
    """One element of GET /os-hypervisors/detail (2.53), its nova-compute of GET /os-services, and what placement says of it."""
    name, status = str(raw["hypervisor_hostname"]), host_status(service)
    state = HEALTH.get(status, Health.READY)
    detail = str((service or {}).get("disabled_reason") or "")
    zone = str((service or {}).get("zone") or "")
    return HostInventory(
        name=name,
        arch=_arch(raw, provider) or arch,
        vcpus=left(provider, "VCPU", ours),
        memory_mib=left(provider, "MEMORY_MB", ours),
        disk_gib=left(provider, "DISK_GB", ours),
        traits=traits,
        kinds=KINDS,
        notes=() if state is Health.READY else (Reason("host_silent", {"node": name, "detail": f"its nova-compute is {status.lower()}"}),),
        zone="" if zone == DEFAULT_ZONE else zone,
        health=state,
        closed=Reason("service_disabled", {"detail": detail}) if (service or {}).get("status") == "disabled" else None,
        power=HostPower.ON if state is Health.READY else HostPower.UNKNOWN,
        machine=machine_uuid(str(raw["id"])),
    )


def _arch(raw: Mapping[str, Any], provider: Provider) -> str:
    """From the hypervisor's CPU, or placement's traits; empty where neither says."""
    cpu = raw.get("cpu_info")
    told = str(cpu.get("arch") or "") if isinstance(cpu, dict) else ""
    if not told:
        marked = sorted(match[1].lower() for trait in provider.traits if (match := _ARCH_TRAIT.fullmatch(trait)))
        told = marked[0] if len(marked) == 1 else ""
    return ARCHES.get(told, told)


def limits_of(project: str, region_name: str) -> str:
    """What tells the limits of a project in one region apart from all others; a project's id is keystone's own, for all its regions."""
    return str(uuid.uuid5(uuid.NAMESPACE_OID, f"openstack {project} {region_name}"))


def region(name: str, limits: Mapping[str, Any], ours: Iterable[Size], options: Options, machine: str) -> HostInventory:
    """The one host of an opaque region. `limits`: `absolute` of GET /limits; `ours`: the sizes of all servers of ours; `machine`: by
    `limits_of`.
    """
    sizes = list(ours)
    return HostInventory(
        name=name,
        arch=options.arch,
        vcpus=_limit(limits, "maxTotalCores", "totalCoresUsed", sum(one.vcpus for one in sizes)),
        memory_mib=_limit(limits, "maxTotalRAMSize", "totalRAMUsed", sum(one.memory_mib for one in sizes)),
        disk_gib=int(options.disk_gib),
        kinds=KINDS,
        machine=machine,
        instances=_limit(limits, "maxTotalInstances", "totalInstancesUsed", len(sizes)),
    )


def _limit(limits: Mapping[str, Any], most: str, used: str, ours: int) -> int:
    """The limit less what others hold; nova counts a moment late, so others never hold less than nothing."""
    limit = int(limits.get(most, -1))
    others = max(0, int(limits.get(used) or 0) - ours)
    return max(0, (UNLIMITED if limit < 0 else limit) - others)


def sizes(servers: Iterable[Server]) -> list[Size]:
    """Those that count against a project's limits: nova counts a server until it is gone."""
    return [one.size for one in servers if one.status != "DELETED"]
