"""What the driver needs of a region, and what is missing: pure. The driver asks (`Probe`), this says what the answers lack."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from drivers.openstack.names import NUMBERS, TEXTS
from drivers.openstack.options import Options

BASE: Final = "2.61"  # of nova: tags, flavors' contents and specifics
NAMED_HOST: Final = "2.74"  # of nova: a server that is made names its hypervisor
UNSHELVED_TO: Final = "2.91"  # of nova: a server that was offloaded comes back to a named hypervisor; nothing else needs it
RELEASES: Final = {NAMED_HOST: "Train", BASE: "Rocky"}
SERVICES: Final = ("compute", "image", "network")
ADMINISTRATION: Final = {
    "servers": "to list the servers of all projects (os_compute_api:servers:detail:get_all_tenants)",
    "hypervisors": "to list hypervisors (os_compute_api:os-hypervisors)",
    "services": "to list nova's services (os_compute_api:os-services)",
    "aggregates": "to list aggregates (os_compute_api:os-aggregates)",
    "providers": "to read placement's resource providers (placement:resource_providers)",
}


@dataclass(frozen=True, slots=True)
class Probe:
    """What was found out. `services`: addresses by type, empty where the catalogue has none. `refused`: which of ADMINISTRATION."""

    services: Mapping[str, str]
    newest: tuple[int, int] = (0, 0)
    limits: Mapping[str, Any] = field(default_factory=dict)
    refused: frozenset[str] = frozenset()
    network: bool = True
    zone: bool = True


def version(text: str) -> tuple[int, int]:
    """A microversion; (0, 0) where there is none."""
    match = re.fullmatch(r"(\d{1,4})\.(\d{1,4})", text)
    return (int(match[1]), int(match[2])) if match else (0, 0)


def missing(probe: Probe, options: Options) -> list[str]:
    """One text for each thing that lacks, in the order in which to see to them."""
    return [*_services(probe, options), *_versions(probe, options), *_rights(probe, options), *_limits(probe), *_named(probe, options)]


def _services(probe: Probe, options: Options) -> list[str]:
    needed = (*SERVICES, *(("placement",) if options.hosts else ()))
    where = f" in region {options.region}" if options.region else ""
    return [f"the service '{name}' in keystone's catalogue{where}" for name in needed if not probe.services.get(name)]


def _versions(probe: Probe, options: Options) -> list[str]:
    oldest = NAMED_HOST if options.hosts else BASE
    if not probe.services.get("compute") or probe.newest >= version(oldest):
        return []
    had = f"{probe.newest[0]}.{probe.newest[1]}"
    return [f"nova {oldest} ({RELEASES[oldest]}) or newer: it speaks up to {had}"]


def _rights(probe: Probe, options: Options) -> list[str]:
    if not options.hosts or not probe.refused:
        return []
    return [f"the right {ADMINISTRATION[name]}" for name in ADMINISTRATION if name in probe.refused] + [
        "an administrator's role for these (or sees=opaque, for an ordinary project's credentials)"
    ]


def _limits(probe: Probe) -> list[str]:
    if not probe.limits:
        return []
    found = []
    for name, what in (("maxTotalInstances", "servers"), ("maxTotalCores", "vCPUs"), ("maxTotalRAMSize", "memory")):
        if int(probe.limits.get(name, -1)) == 0:
            found.append(f"a quota of {what} above 0")
    keys = len(NUMBERS) + len(TEXTS)
    if 0 <= int(probe.limits.get("maxServerMeta", -1)) < keys:
        found.append(f"a quota of metadata_items of at least {keys}")
    return found


def _named(probe: Probe, options: Options) -> list[str]:
    found = [] if probe.network else [f"the network {options.network!r} (exactly one of that name or id that the project may use)"]
    return found if probe.zone else [*found, f"the availability zone {options.zone!r}"]
