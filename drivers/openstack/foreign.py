"""A server that isn't ours, as who may adopt it is told of it: pure. JSON in, what it is and what stands in its way out.

What our spec can't say is an obstacle, since a later resize or rebuild would lose it: a disk of another size than the flavor's, more disks,
volumes, hardware that a flavor's specifics give out. Other specifics (limits of throughput, say) don't matter for quota or place; a resize
leaves them behind, as it takes a flavor by its size.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final

from drivers.adopting import Foreign
from drivers.base import Condition, Power, Reason
from drivers.openstack.conditions import verdict
from drivers.openstack.names import PREFIX, read_mark
from drivers.openstack.records import Server, read

OFFLOADED: Final = "SHELVED_OFFLOADED"
_POWERS: Final = {Condition.RUNNING: Power.RUNNING, Condition.STOPPED: Power.STOPPED}
_SETTLED: Final = ("ACTIVE", "SHUTOFF")
_HARDWARE: Final = ("pci_passthrough:", "resources", "accel:", "hw:cpu_policy", "hw:cpu_dedicated", "hw:numa_", "hw:pmem", "hw:mem_enc")
"""How the names of specifics begin by which a flavor gives out more than shares of vCPUs, memory and a disk."""


@dataclass(frozen=True, slots=True)
class Sight:
    """Who looks, and when. `host`: the one host where hypervisors aren't seen, else empty; `zone`: the one zone that it is, else empty."""

    owner: str
    host: str
    zone: str
    now: datetime
    stuck_s: float


@dataclass(frozen=True, slots=True)
class Copy:
    """An image in glance. `sha256`: of a copy that we sent, else empty."""

    name: str = ""
    sha256: str = ""


def copy(raw: Mapping[str, Any], project: str) -> Copy:
    """One element of GET /images. Whoever may call an image like one of ours isn't in our project."""
    name = str(raw.get("name") or "")
    digest = name.removeprefix("chutian-")
    sent = raw.get("owner") == project and raw.get("status") == "active" and bool(raw.get("chutian_sm3")) and name != digest
    return Copy(name, digest if sent else "")


def image_of(raw: Mapping[str, Any]) -> str:
    """The id of the image that a server booted from; empty: from a volume."""
    image = raw.get("image")
    return str(image.get("id") or "") if isinstance(image, dict) else ""


def is_foreign(raw: Mapping[str, Any], owner: str) -> bool:
    """Whether a server bears no mark of ours."""
    mark = read_mark(raw.get("metadata") or {})
    return mark is None or mark.owner != owner


def told(raw: Mapping[str, Any], sight: Sight, image: Copy) -> Foreign:
    """One element of GET /servers/detail."""
    server, flavor = read(raw), raw.get("flavor") or {}
    condition, _ = verdict(server, sight.now, sight.stuck_s)
    return Foreign(
        id=server.id,
        name=server.name,
        status="/".join(filter(None, (server.status, server.task))).lower(),
        power=_POWERS.get(condition) if server.status in _SETTLED else None,
        host=sight.host or server.node,
        vcpus=server.size.vcpus,
        memory_mib=server.size.memory_mib,
        disk_gib=server.size.disk_gib,
        group=server.project,
        flavor=str(flavor.get("original_name") or ""),
        image=image.name or image_of(raw),
        image_sha256=image.sha256,
        addresses=server.addresses,
        created_at=server.created,
        obstacle=obstacle(raw, server, sight),
    )


def obstacle(raw: Mapping[str, Any], server: Server, sight: Sight) -> Reason | None:
    """Why it can't be adopted as it is; what it is comes before what it does, which may pass."""
    return _owned(raw, sight.owner) or _elsewhere(raw, sight.zone) or _unsaid(raw, server) or passing(raw, server, sight)


def _owned(raw: Mapping[str, Any], owner: str) -> Reason | None:
    if is_foreign(raw, owner) and str((raw.get("metadata") or {}).get(f"{PREFIX}owner", "")) not in ("", owner):
        return Reason("other_owner")
    return None


def _elsewhere(raw: Mapping[str, Any], zone: str) -> Reason | None:
    where = str(raw.get("OS-EXT-AZ:availability_zone") or "")
    return Reason("other_zone", {"zone": where}) if zone and where and where != zone else None


def _unsaid(raw: Mapping[str, Any], server: Server) -> Reason | None:
    """What no spec of ours says."""
    flavor = raw.get("flavor") or {}
    volumes = raw.get("os-extended-volumes:volumes_attached") or ()
    specifics = sorted(name for name in flavor.get("extra_specs") or {} if str(name).startswith(_HARDWARE))
    if not image_of(raw):
        return Reason("boots_from_volume")
    if volumes:
        return Reason("volumes_attached", {"count": len(volumes)})
    if min(server.size.vcpus, server.size.memory_mib, server.size.disk_gib) < 1:
        return Reason("size_unsaid", {"flavor": str(flavor.get("original_name") or "")})
    if flavor.get("ephemeral") or flavor.get("swap"):
        return Reason("more_disks", {"ephemeral_gib": int(flavor.get("ephemeral") or 0), "swap_mib": int(flavor.get("swap") or 0)})
    if specifics:
        return Reason("special_hardware", {"what": ", ".join(specifics)})
    return None


def passing(raw: Mapping[str, Any], server: Server, sight: Sight) -> Reason | None:
    """What stands in the way as long as it goes on: it may end by itself, or by its people's doing."""
    condition, reason = verdict(server, sight.now, sight.stuck_s)
    if reason is not None:
        return reason
    if condition not in _POWERS or server.status not in _SETTLED:
        return Reason("server_unsettled", {"status": "/".join(filter(None, (server.status, server.task))).lower()})
    return Reason("server_locked") if raw.get("locked") else None
