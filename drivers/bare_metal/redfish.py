"""One machine behind a BMC that speaks Redfish: what it is, and what may be asked of it.

Every act says what was asked and returns once the BMC took it: whether it *took effect* is for whoever looks next (`waiting`), as a BMC may
answer 204 and do nothing. Nothing is remembered but the machine's path, which stays with the BMC.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import suppress
from typing import Any, Final

from drivers.bare_metal import reading
from drivers.bare_metal.address import SYSTEMS, Address
from drivers.bare_metal.api import Api
from drivers.bare_metal.failures import Missing
from drivers.bare_metal.machine import Act, BootMode, BootOverride, Machine, Source
from drivers.bare_metal.options import Options
from drivers.bare_metal.reading import Json, Parts, link, links
from drivers.base import HostPower
from drivers.errors import NotSupported, Permanent, PowerRefused, SystemUnknown

MOST: Final = 256  # members of one collection that are read

Get = Callable[[str], Json]


class Redfish:
    """Implements `drivers.bare_metal.bmc.Bmc`."""

    def __init__(self, address: Address, options: Options) -> None:
        self._api = Api(address, options)
        self._wanted = address.system
        self._path = ""

    def machine(self) -> Machine:
        return reading.machine_of(collect(self._read, self._system))

    def ports(self) -> tuple[str, ...]:
        found = reading.nics_of(_members(self._read, link(self._read(self._system), "EthernetInterfaces")))
        return tuple(nic.mac for nic in found)

    def power(self) -> HostPower:
        return reading.power_of(self._read(self._system))

    def glance(self) -> tuple[HostPower, str]:
        system = self._read(self._system)
        return reading.power_of(system), reading.uuid_of(system)

    def switch(self, act: Act) -> None:
        action = self._action(self._read(self._system), "#ComputerSystem.Reset")
        wanted = reading.reset_type(act, action)
        if wanted is None:
            offered = ", ".join(str(one) for one in action["ResetType@Redfish.AllowableValues"])
            raise PowerRefused(detail=f"{act} is not offered; there are: {offered}.")
        try:
            self._api.post(link(action, "target"), {"ResetType": wanted})
        except NotSupported:
            raise
        except Permanent as error:
            raise PowerRefused(detail=str(error.reason.params["detail"])) from error

    def boot_from(self, source: Source, *, once: bool = True, mode: BootMode | None = None) -> None:
        """A mode that the BMC offers is always said, as some go back to BIOS with an order that says none."""
        seen = self._api.get(self._system)
        shown = reading.boot_of(seen.body)
        if source not in shown.offered:
            raise NotSupported(detail=f"this machine can't be told to boot from {source}")
        enabled = "Once" if once else "Continuous"
        override = {"BootSourceOverrideEnabled": enabled, "BootSourceOverrideTarget": reading.TARGETS[source]}
        wanted = mode or shown.mode
        if wanted is not None and (wanted in shown.modes or shown.mode not in (None, wanted)):
            override["BootSourceOverrideMode"] = reading.MODES[wanted]
        self._api.patch(self._system, {"Boot": override}, seen.etag)

    def boot(self) -> BootOverride:
        return reading.boot_of(self._read(self._system))

    def insert(self, url: str) -> None:
        drives = self._drives()
        if not drives:
            raise NotSupported(detail="this BMC has no virtual CD drive")
        path, medium = next(((path, one) for path, one in drives.items() if _holds(one) is None), next(iter(drives.items())))
        if any(_holds(one) == url for one in drives.values()):
            return
        if _holds(medium) is not None:
            self._eject(path, medium)
        target = link(self._action(medium, "#VirtualMedia.InsertMedia"), "target")
        self._api.post(target, {"Image": url, "Inserted": True, "WriteProtected": True})

    def eject(self) -> None:
        for path, medium in self._drives().items():
            if _holds(medium) is not None:
                self._eject(path, medium)

    def close(self) -> None:
        self._api.close()

    @property
    def _system(self) -> str:
        """The machine's path. A BMC is asked which there are: what it answers to an id that it doesn't know differs too much to go by."""
        if not self._path:
            systems = links(self._read(SYSTEMS), "Members")
            same = [path for path in systems if path.rstrip("/") == self._wanted or (not self._wanted and len(systems) == 1)]
            if not same:
                names = ", ".join(path.rstrip("/").rpartition("/")[2] for path in systems[:MOST])
                raise SystemUnknown(system=self._wanted.rpartition("/")[2], systems=names or "-")
            self._path = same[0]
        return self._path

    def _read(self, path: str) -> Json:
        return self._api.get(path).body

    def _action(self, resource: Json, name: str) -> Mapping[str, Any]:
        action = (resource.get("Actions") or {}).get(name)
        if not isinstance(action, dict) or not link(action, "target"):
            raise NotSupported(detail=f"the BMC offers no {name.removeprefix('#')} here")
        return action

    def _drives(self) -> dict[str, Json]:
        """The virtual CD drives, by path."""
        found = media_of(self._read, self._read(self._system))
        return {path: one for path, one in found.items() if reading.slot_of(one).holds_cd}

    def _eject(self, path: str, medium: Json) -> None:
        try:
            self._api.post(link(self._action(medium, "#VirtualMedia.EjectMedia"), "target"), {})
        except Permanent:
            if _holds(self._read(path)) is not None:  # else somebody was quicker
                raise


def collect(get: Get, path: str) -> Parts:
    """All that the BMC says of one machine; what it has no resource for is left out."""
    system = get(path)
    managers = links(system.get("Links") or {}, "ManagedBy")
    return Parts(
        system=system,
        manager=_maybe(get, managers[0]) if managers else {},
        processors=_members(get, link(system, "Processors")),
        drives=_disks(get, system),
        nics=_members(get, link(system, "EthernetInterfaces")),
        media=list(media_of(get, system).values()),
    )


def media_of(get: Get, system: Json) -> dict[str, Json]:
    """The virtual drives, by path: the machine's own, or those of who manages it (before Redfish 2020.3)."""
    managers = links(system.get("Links") or {}, "ManagedBy")
    paths = [link(system, "VirtualMedia")] if link(system, "VirtualMedia") else [link(_maybe(get, one), "VirtualMedia") for one in managers]
    return {path: get(path) for collection in paths if collection for path in _listed(get, collection)}


def _disks(get: Get, system: Json) -> list[Json]:
    storages = _members(get, link(system, "Storage"))
    drives = [get(path) for storage in storages for path in links(storage, "Drives")[:MOST]]
    if drives:
        return drives
    simple = _members(get, link(system, "SimpleStorage"))
    return [one for storage in simple for one in storage.get("Devices") or () if isinstance(one, dict)]


def _members(get: Get, collection: str) -> list[Json]:
    return [get(path) for path in _listed(get, collection)] if collection else []


def _listed(get: Get, collection: str) -> tuple[str, ...]:
    return links(_maybe(get, collection), "Members")[:MOST]


def _maybe(get: Get, path: str) -> Json:
    with suppress(Missing):
        return get(path)
    return {}


def _holds(medium: Json) -> str | None:
    return reading.slot_of(medium).image
