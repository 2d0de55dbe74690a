"""The OpenStack driver: one connection to one region, whose hypervisors, or which as a whole, are hosts and whose servers are our
instances.

What is where: `names` how things are marked, `server` and `flavors` what nova is sent (pure), `records`, `conditions`, `hosts` and
`deciding` what is concluded from what it tells (pure), `resizing` what came of a resize (pure), `failures` what refusals mean, `rights`
what we need (pure), `credentials` and `address` who and where (pure), `transport` and `api` calls, `view` all servers, `finding` those of
one instance, `seeing` all hosts, `images` glance, `ensuring` what is written, `adopting` what
isn't ours and how it becomes it.

Nova has no token by which a client could say that two creates are one. So a server is made only where a look by its instance's tag found
none, what an unclear answer leaves open is looked up, and of several the oldest stays. ACTIVE is what nova wants, not what is: see
`conditions`. A server whose hypervisor is out of sight is neither changed nor deleted: nova would forget it at once, while it may still
run.
"""

from __future__ import annotations

import threading
from collections.abc import Collection, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final
from weakref import WeakValueDictionary

from drivers.adopting import Foreign
from drivers.base import CANONICAL_UUID, Driver, Health, InstanceSpec, Inventory, Observation
from drivers.errors import HostUnreachable, InvalidSpec, Unauthorized
from drivers.openstack import address, adopting, credentials, hosts, rights, seeing
from drivers.openstack.api import Call, Region
from drivers.openstack.conditions import health, observation
from drivers.openstack.ensuring import Places, Work, carry_out, delete, find_network
from drivers.openstack.failures import Collided, Gone, RegionLacks
from drivers.openstack.finding import Finder
from drivers.openstack.foreign import Sight
from drivers.openstack.options import Options, parse
from drivers.openstack.records import Server
from drivers.openstack.server import refuse
from drivers.openstack.view import View, ours

_LOCKS: Final[WeakValueDictionary[str, Any]] = WeakValueDictionary()
_LOCKS_LOCK: Final = threading.Lock()
_PROBES: Final = {
    "servers": ("compute", "/servers/detail?all_tenants=1&limit=1"),
    "hypervisors": ("compute", "/os-hypervisors"),
    "services": ("compute", "/os-services"),
    "aggregates": ("compute", "/os-aggregates"),
    "providers": ("placement", "/resource_providers"),
}


class OpenStackDriver:
    """Implements Driver, Looks, Prepare, Adopts and ConsoleLog. Open one with `open_openstack`."""

    def __init__(self, region: Region, owner: str, options: Options) -> None:
        self._region, self._owner, self._options = region, owner, options
        self._view, self._finder = View(owner, float(options.look_s)), Finder()
        self._hypervisors = seeing.Hypervisors(options)
        self._places = Places(options)
        self._host = "" if options.hosts else options.zone or region.name

    @property
    def asked(self) -> int:
        """Requests so far."""
        return self._region.asked

    def prepare(self) -> None:
        """Makes nothing; raises RegionLacks with all that is missing."""
        lacking = rights.missing(self._probe(self._region.call()), self._options)
        if lacking:
            raise RegionLacks(missing="; ".join(lacking))

    def look(self, adopted: Collection[str] = ()) -> tuple[Inventory, list[Observation]]:
        call = self._region.call()
        servers, computes = self._view.all(call), self._computes(call)
        return self._hosts(call, servers, computes, adopted), self._observations(servers, computes)

    def inventory(self) -> Inventory:
        return self.inventory_with(())

    def inventory_with(self, adopted: Collection[str]) -> Inventory:
        call = self._region.call()
        return self._hosts(call, self._view.all(call), self._computes(call), adopted)

    def foreign(self, after: str, most: int) -> tuple[tuple[Foreign, ...], str]:
        return adopting.page(self._region.call(), self._sight(), after, most)

    def foreigner(self, id_: str) -> Foreign | None:
        return adopting.one(self._region.call(), self._sight(), id_)

    def disown(self, instance_id: str, adopted: str) -> None:
        with _lock(f"{self._owner} {instance_id}"):
            call = self._region.call()
            marked = {one.id for one in self._servers(call, instance_id)}
            for id_ in sorted(marked | {adopted}):
                adopting.unmark(call, id_, self._owner, instance_id)

    def _sight(self) -> Sight:
        return Sight(self._owner, self._host, self._options.zone, datetime.now(UTC), float(self._options.stuck_s))

    def observe_all(self) -> list[Observation]:
        call = self._region.call()
        return self._observations(self._view.all(call), self._computes(call))

    def observe(self, instance_id: str) -> Observation:
        return self._seen(instance_id, self._servers(self._region.call(), instance_id))

    def _servers(self, call: Call, instance_id: str) -> list[Server]:
        return ours(self._finder.of_instance(call, instance_id), self._owner)

    def _computes(self, call: Call) -> seeing.Computes:
        """What is said of a server says nothing new when its host falls silent, so hosts are asked about apart."""
        return seeing.services(call) if self._options.hosts else {}

    def _hosts(self, call: Call, servers: list[Server], computes: seeing.Computes, adopted: Collection[str]) -> Inventory:
        marked = {one.id for one in servers}
        if self._options.hosts:
            return Inventory(self._hypervisors.inventory(call, marked | {*adopted}, computes))
        unmarked = [found for id_ in adopted if id_ not in marked and (found := adopting.server(call, id_)) is not None]
        return Inventory((seeing.region(call, self._host, [*servers, *unmarked], self._options),))

    def _observations(self, servers: list[Server], computes: seeing.Computes) -> list[Observation]:
        found: dict[str, list[Server]] = {}
        for one in servers:
            if one.mark is not None:
                known = self._options.hosts and one.service
                told = replace(one, host_status=hosts.host_status(computes.get(one.service))) if known else one
                found.setdefault(one.mark.instance, []).append(told)
        return [self._seen(instance_id, of_one) for instance_id, of_one in found.items()]

    def _seen(self, instance_id: str, servers: list[Server]) -> Observation:
        return observation(instance_id, servers, self._host, datetime.now(UTC), float(self._options.stuck_s))

    def ensure(self, spec: InstanceSpec) -> None:
        refuse(spec)
        if self._host and spec.host != self._host:
            raise InvalidSpec(detail=f"no host {spec.host!r} behind this endpoint, only {self._host}")
        with _lock(f"{self._owner} {spec.instance_id}"):
            carry_out(Work(spec, self._owner, self._options, self._region.call(), self._places, self._finder))

    def remove(self, instance_id: str) -> None:
        """May return before it is gone. Raises HostUnreachable while the server's hypervisor is out of sight: it may still run there."""
        if not CANONICAL_UUID.fullmatch(instance_id):
            raise InvalidSpec(detail=f"{instance_id!r} is not a UUID in canonical form")
        with _lock(f"{self._owner} {instance_id}"):
            call = self._region.call()
            for one in self._servers(call, instance_id):
                if health(one) is Health.SILENT:
                    raise HostUnreachable(detail=f"nova has lost sight of {one.node}")
                delete(call, one)

    def console_log(self, instance_id: str, max_bytes: int) -> bytes:
        call = self._region.call()
        for one in sorted(self._servers(call, instance_id), key=lambda one: one.age)[:1]:
            try:
                text = call.act(one.id, "os-getConsoleOutput", {}).get("output") or ""
            except (Gone, Collided):  # it has none yet
                return b""
            return str(text).encode(errors="replace")[-max_bytes:]
        return b""

    def close(self) -> None:
        self._region.close()

    def _probe(self, call: Call) -> rights.Probe:
        """Ask for all that the driver will ask for later."""
        services = dict(self._region.services)
        if not services.get("compute"):
            return rights.Probe(services)
        version = call.get("compute", "/").get("version") or {}
        limits = (call.get("compute", "/limits").get("limits") or {}).get("absolute") or {}
        refused = frozenset(name for name in _PROBES if self._options.hosts and not self._may(call, *_PROBES[name]))
        network = not (self._options.network and services.get("network")) or bool(find_network(call, self._options.network))
        zone = not self._options.zone or self._options.zone in self._zones(call)
        return rights.Probe(services, rights.version(str(version.get("version") or "")), limits, refused, network, zone)

    def _may(self, call: Call, service: str, path: str) -> bool:
        if not self._region.services.get(service):
            return True  # that it is missing is said elsewhere
        try:
            call.get(service, path)
        except (Unauthorized, Gone):
            return False
        return True

    def _zones(self, call: Call) -> set[str]:
        found = call.get("compute", "/os-availability-zone").get("availabilityZoneInfo") or []
        return {str(one.get("zoneName")) for one in found}


def open_openstack(uri: str, owner: str, options: Mapping[str, str]) -> Driver:
    """Connect to one region. Raises HostUnreachable, Unauthorized, RegionLacks; InvalidSpec for an address or an option that can't be."""
    given = parse(options)
    keystone = address.parse(uri)
    region = Region(keystone, credentials.read(given.credentials, keystone), given)
    try:
        region.connect()
        if region.services.get("compute"):
            region.call().get("compute", "/")
    except BaseException:
        region.close()
        raise
    return OpenStackDriver(region, owner, given)


def _lock(name: str) -> Any:
    """The process's lock of that name; gone when nobody holds it."""
    with _LOCKS_LOCK:
        return _LOCKS.setdefault(name, threading.Lock())
