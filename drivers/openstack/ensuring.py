"""Carrying out what `deciding.acts` says in a region.

In: a `Work`, which is one call of `ensure`. Out: nothing, or an error. Invariants: each act may be repeated; a server is asked for only
where a look just before found none, in one thread of this process at a time; and after an answer that leaves open whether nova took it
there is another look, so that what was made is known. Two controllers that ask in the same moment make two, of which the next `ensure`,
whoever's, leaves the oldest.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from drivers.base import InstanceSpec
from drivers.errors import InvalidSpec, PolicyRefused, Transient
from drivers.openstack import adopting, flavors, resizing, server
from drivers.openstack.api import Call
from drivers.openstack.conditions import current, seems_lost
from drivers.openstack.deciding import Act, acts, stamped, wanted_size
from drivers.openstack.failures import Collided, FlavorMissing, Gone, Json, QuotaUsedUp, RegionLacks, ResizeRefused
from drivers.openstack.finding import Finder
from drivers.openstack.images import Images
from drivers.openstack.names import PREFIX, REBOOTS, TRIED, Mark
from drivers.openstack.options import Options
from drivers.openstack.records import Server, Size
from drivers.openstack.rights import BASE, NAMED_HOST, UNSHELVED_TO
from drivers.openstack.view import ours

_CLEAR: Final = (Collided, Gone, QuotaUsedUp)
"""Of what is Transient: nova has answered, and made nothing."""
_MISSING: Final = ("could not be found", "can not find", "not found", "is not active")
ELSEWHERE: Final = (
    "nova found no room on this host for the new size, or isn't told to resize where a server is (allow_resize_to_same_host in nova.conf)"
)


class Places:
    """What is looked up once for a region, and again where nova says that it isn't there: flavors by content, the network by name."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self.images = Images()
        self._flavors: dict[tuple[Size, str], str] = {}
        self._network: str | None = None

    def forget(self) -> None:
        """Somebody took something away."""
        self.images.forget()
        self._flavors.clear()
        self._network = None

    def network(self, call: Call) -> str:
        """The id of the network that the options name; empty: none is wanted. Raises InvalidSpec."""
        if not self._options.network:
            return ""
        if self._network is None:
            self._network = find_network(call, self._options.network)
        if not self._network:
            raise InvalidSpec(detail=f"there is not exactly one network {self._options.network!r}")
        return self._network

    def flavor(self, call: Call, size: Size, host: str = "") -> str:
        """The id of a flavor of that content, for one host alone or for all; made where there is none. Raises FlavorMissing."""
        known = self._flavors.get((size, host))
        if known:
            return known
        listed = list(call.pages("/flavors/detail", "flavors", is_public="None" if self._options.hosts else "True"))
        id_ = flavors.found(listed, size, host) or _make_flavor(call, size, host)
        self._flavors[size, host] = id_
        return id_


def find_network(call: Call, wanted: str) -> str:
    """The id of the one network of that name or id; empty where there isn't exactly one."""
    for what in ("id", "name"):
        found = call.get("network", "/networks", **{what: wanted, "fields": "id"}).get("networks") or []
        if len(found) == 1:
            return str(found[0]["id"])
    return ""


def _make_flavor(call: Call, size: Size, host: str) -> str:
    try:
        with suppress(Collided):  # somebody has made it just now
            call.send("POST", "compute", "/flavors", flavors.making(size, host))
        id_ = str(flavors.making(size, host)["flavor"]["id"])
        if host:
            call.send("POST", "compute", f"/flavors/{id_}/os-extra_specs", flavors.specifics(host))
            with suppress(Collided):
                call.send("POST", "compute", f"/flavors/{id_}/action", {"addTenantAccess": {"tenant": call.region.project}})
    except (RegionLacks, PolicyRefused) as error:
        raise FlavorMissing(vcpus=size.vcpus, memory_mib=size.memory_mib, disk_gib=size.disk_gib) from error
    return id_


@dataclass(slots=True)
class Work:
    """One call of `ensure`."""

    spec: InstanceSpec
    owner: str
    options: Options
    call: Call
    places: Places
    finder: Finder

    @property
    def zone(self) -> str | None:
        """Where nova is to choose the hypervisor; None: it doesn't."""
        return None if self.options.hosts else self.options.zone


def carry_out(work: Work) -> None:
    """Look, plan, do."""
    everybodys = work.finder.of_instance(work.call, work.spec.instance_id)
    servers = ours(everybodys, work.owner)
    if len(servers) != len(everybodys):
        raise InvalidSpec(detail=f"instance {work.spec.instance_id} belongs to another owner")
    if work.spec.adopted:  # known by its id: whatever else bears its marks is a copy, and somebody else's
        servers = [one for one in servers if one.id == work.spec.adopted]
    server_, surplus = current(servers)
    lost = server_ is not None and seems_lost(server_, float(work.options.stuck_s)) and not _actions(work.call, server_)
    for act in acts(work.spec, servers, work.options.hosts, lost):
        if act is Act.CREATE:
            _create(work)
        elif act is Act.ADOPT:
            adopting.mark(work.call, work.spec, work.owner, work.options.hosts)
        elif act is Act.THIN_OUT:
            for one in surplus:
                delete(work.call, one)
        else:
            assert server_ is not None and server_.mark is not None, "an act on a server that isn't there"  # noqa: S101, PT018  # the plan's invariant
            _DO[act](work, server_, server_.mark)


def _actions(call: Call, one: Server) -> list[Json]:
    """What nova has done to a server, the newest first. Nothing: it never came to a cell. Who finds the message that was lost finds
    the server deleted then, and makes nothing (nova.conductor.manager).
    """
    with suppress(Gone):
        return call.get("compute", f"/servers/{one.id}/os-instance-actions").get("instanceActions") or []
    return []


def delete(call: Call, one: Server) -> None:
    """Gone already: nothing happens."""
    with suppress(Gone):
        if one.status == "SOFT_DELETED":
            call.act(one.id, "forceDelete")
        else:
            call.send("DELETE", "compute", f"/servers/{one.id}")


def _create(work: Work) -> None:
    spec, places = work.spec, work.places
    image = places.images.id_of(work.call, spec.boots_from)
    call = work.call.region.call()  # sending it takes its time
    body = server.creation(spec, work.owner, image, places.flavor(call, wanted_size(spec)), places.network(call), work.zone)
    try:
        call.send("POST", "compute", "/servers", body, BASE if work.zone is not None else NAMED_HOST)
    except InvalidSpec as error:
        _reconsider(work, error)
    except _CLEAR:
        raise
    except Transient:
        if not work.finder.of_instance(call.region.call(), spec.instance_id):
            raise


def _reconsider(work: Work, error: InvalidSpec) -> None:
    """What was looked up before may be gone: then it is tried again with what there is now."""
    detail = str(error.reason.params.get("detail", ""))
    if any(sign in detail.lower() for sign in _MISSING) and not detail.startswith("Compute host"):
        work.places.forget()
        raise Transient(detail=detail) from error
    raise error


def _write(work: Work, one: Server, **metadata: str) -> None:
    found = {PREFIX + name: value for name, value in metadata.items()}
    work.call.send("POST", "compute", f"/servers/{one.id}/metadata", {"metadata": found})


def _rebuild(work: Work, one: Server, mark: Mark) -> None:
    image = work.places.images.id_of(work.call, work.spec.boots_from)
    try:
        work.call.region.call().send("POST", "compute", f"/servers/{one.id}/action", server.rebuilding(work.spec, mark, image))
    except InvalidSpec as error:
        _reconsider(work, error)


def _resize(work: Work, one: Server, mark: Mark) -> None:
    call, spec = work.call, work.spec
    actions = _actions(call, one)
    refused = resizing.ended(mark.tried, spec.generation, actions)
    if refused:
        events = (call.get("compute", f"/servers/{one.id}/os-instance-actions/{refused}").get("instanceAction") or {}).get("events") or []
        raise ResizeRefused(detail=resizing.why(events) or ELSEWHERE)
    flavor = work.places.flavor(call, wanted_size(spec), spec.host if work.options.hosts else "")
    _write(work, one, **{TRIED.removeprefix(PREFIX): resizing.trying(spec.generation, actions)})
    call.act(one.id, "resize", {"flavorRef": flavor})


def _end_resize(name: str) -> Callable[[Work, Server, Mark], None]:
    """Nova refuses as if it were our mistake (400) while it is about to do so already."""

    def act(work: Work, one: Server, _mark: Mark) -> None:
        try:
            work.call.act(one.id, name)
        except InvalidSpec as error:
            raise Collided(**error.reason.params) from error

    return act


def _stamp(work: Work, one: Server, mark: Mark) -> None:
    old, new = mark.written(), stamped(work.spec, mark).written()
    changed = {name: value for name, value in new.items() if old.get(name) != value}
    work.call.send("POST", "compute", f"/servers/{one.id}/metadata", {"metadata": changed})


def _count(work: Work, one: Server, _mark: Mark) -> None:
    _write(work, one, **{REBOOTS.removeprefix(PREFIX): str(work.spec.reboots)})


def _rename(work: Work, one: Server, mark: Mark) -> None:
    work.call.send("PUT", "compute", f"/servers/{one.id}", {"server": {"name": server.called(work.spec, mark)}})


def _action(name: str, given: Any = None) -> Callable[[Work, Server, Mark], None]:
    def act(work: Work, one: Server, _mark: Mark) -> None:
        work.call.act(one.id, name, given)

    return act


def _unshelve(work: Work, one: Server, _mark: Mark) -> None:
    """Onto the hypervisor that it is placed on, where it has none: nova would choose any. What is shelved and not offloaded has its own."""
    if work.options.hosts and one.status == "SHELVED_OFFLOADED":
        body = {"unshelve": {"host": work.spec.host}}
        work.call.send("POST", "compute", f"/servers/{one.id}/action", body, UNSHELVED_TO)
    else:
        work.call.act(one.id, "unshelve")


_DO: Final[Mapping[Act, Callable[[Work, Server, Mark], None]]] = {
    Act.DELETE: lambda work, one, _: delete(work.call, one),
    Act.REBUILD: _rebuild,
    Act.RENAME: _rename,
    Act.RESIZE: _resize,
    Act.CONFIRM: _end_resize("confirmResize"),
    Act.REVERT: _end_resize("revertResize"),
    Act.STOP: _action("os-stop"),
    Act.START: _action("os-start"),
    Act.RESET: _action("reboot", {"type": "HARD"}),
    Act.UNPAUSE: _action("unpause"),
    Act.RESUME: _action("resume"),
    Act.UNRESCUE: _action("unrescue"),
    Act.UNSHELVE: _unshelve,
    Act.RESTORE: _action("restore"),
    Act.COUNT: _count,
    Act.STAMP: _stamp,
}
