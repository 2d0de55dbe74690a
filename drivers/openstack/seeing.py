"""What a region's hosts are, asked for: one list of each kind, and of placement only what has changed since.

Every provider bears a generation that grows with each change of what it has or of what is held of it; so its inventory and allocations
are asked for again only then.
"""

from __future__ import annotations

import threading
from collections.abc import Iterable, Mapping, Set
from concurrent.futures import ThreadPoolExecutor
from functools import partial

from drivers.base import HostInventory
from drivers.errors import InvalidSpec
from drivers.openstack import hosts
from drivers.openstack.api import Call
from drivers.openstack.failures import Gone, Json
from drivers.openstack.hosts import Provider
from drivers.openstack.options import Options
from drivers.openstack.records import Server

HYPERVISORS = "2.53"  # of nova: with what they have, and without a message to each of them (from 2.88 on)
_AT_ONCE = 4


Computes = Mapping[str, Json]
"""nova-computes, by their hosts."""


def services(call: Call) -> Computes:
    """Those of a region."""
    found = call.get("compute", "/os-services", binary="nova-compute").get("services") or []
    return {str(one.get("host")): one for one in found}


class Hypervisors:
    """Those of a region. Asked for by one thread at a time."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._lock = threading.Lock()
        self._providers: dict[str, tuple[int, Provider]] = {}

    def inventory(self, call: Call, ours: Set[str], computes: Computes) -> tuple[HostInventory, ...]:
        """Each as a host, in the order of their names. `ours`: the ids of servers that aren't taken off."""
        with self._lock:
            aggregates = call.get("compute", "/os-aggregates").get("aggregates") or []
            listed = sorted(
                call.pages("/os-hypervisors/detail", "hypervisors", HYPERVISORS), key=lambda raw: str(raw["hypervisor_hostname"])
            )
            self._look(call, {str(raw["id"]) for raw in listed})
            ids = frozenset(ours)
            return tuple(
                hosts.hypervisor(
                    raw,
                    computes.get(service := str((raw.get("service") or {}).get("host") or "")),
                    self._providers.get(str(raw["id"]), (0, Provider()))[1],
                    ids,
                    hosts.aggregates_of(aggregates, service),
                    self._options.arch,
                )
                for raw in listed
            )

    def _look(self, call: Call, wanted: set[str]) -> None:
        listed = call.get("placement", "/resource_providers").get("resource_providers") or []
        generations = {str(one["uuid"]): int(one["generation"]) for one in listed if one["uuid"] in wanted}
        changed = [id_ for id_, generation in generations.items() if self._providers.get(id_, (None,))[0] != generation]
        with ThreadPoolExecutor(_AT_ONCE, thread_name_prefix="placement") as pool:
            found = dict(zip(changed, pool.map(partial(_provider, call), changed), strict=True))
        kept = {id_: one for id_, one in self._providers.items() if id_ in generations}
        self._providers = {**kept, **{id_: (generations[id_], one) for id_, one in found.items()}}


def _provider(call: Call, id_: str) -> Provider:
    path = f"/resource_providers/{id_}"
    try:
        inventories = call.get("placement", f"{path}/inventories").get("inventories") or {}
        allocations = call.get("placement", f"{path}/allocations").get("allocations") or {}
        traits = call.get("placement", f"{path}/traits").get("traits") or ()
    except Gone:  # since it was listed
        return Provider()
    held = {str(consumer): dict(one.get("resources") or {}) for consumer, one in allocations.items()}
    return Provider(inventories, held, frozenset(traits))


def region(call: Call, name: str, ours: Iterable[Server], options: Options) -> HostInventory:
    """The one host of an opaque region. Raises InvalidSpec where nova says nothing of limits."""
    limits = (call.get("compute", "/limits").get("limits") or {}).get("absolute")
    if not limits:
        raise InvalidSpec(detail="nova tells of no limits of the project")
    return hosts.region(name, limits, hosts.sizes(ours), options, hosts.limits_of(call.region.project, call.region.name))
