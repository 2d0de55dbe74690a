"""Looking for servers that aren't ours, and marking one as ours: tags and metadata, and nothing else is ever written to it.

Marking: the tags by which it is found come first, the metadata that make it ours last and at once. So who dies in between leaves a
server that is nobody's still, and it is marked again. Unmarking: the owner's name goes last, so it is known as ours until all else is gone.
Two clouds that adopt one in the same moment write over each other: who wrote last has it, and the other is told so at its next look.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from drivers.adopting import Foreign, NotAdoptable
from drivers.base import CANONICAL_UUID, InstanceSpec, Reason
from drivers.errors import DiskMissing, DriverError, HostUnreachable
from drivers.openstack.api import PAGE, Call
from drivers.openstack.failures import Collided, Gone
from drivers.openstack.foreign import Copy, Sight, copy, image_of, is_foreign, obstacle, passing, told
from drivers.openstack.names import PREFIX, instance_tag, owner_tag
from drivers.openstack.records import Server, read
from drivers.openstack.server import first_mark

_LAST: Final = (f"{PREFIX}instance", f"{PREFIX}owner")


def page(call: Call, sight: Sight, after: str, most: int) -> tuple[tuple[Foreign, ...], str]:
    """So many servers that aren't ours, newest first, after the server of that id; and where to go on from."""
    found: list[Mapping[str, Any]] = []
    while len(found) < most:
        want = min(PAGE, most - len(found))
        marker = {"marker": after} if after else {}
        listed = call.get("compute", "/servers/detail", **call.region.everybodys, **marker, limit=str(want)).get("servers") or []
        found += [raw for raw in listed if is_foreign(raw, sight.owner)]
        after = str(listed[-1]["id"]) if len(listed) == want else ""
        if not after:
            break
    return _foreign(call, found, sight), after


def one(call: Call, sight: Sight, id_: str) -> Foreign | None:
    """The server of that id; None where there is none, or it is ours."""
    raw = _raw(call, id_)
    if raw is None or not is_foreign(raw, sight.owner):
        return None
    return _foreign(call, [raw], sight)[0]


def server(call: Call, id_: str) -> Server | None:
    """The server of that id, whosever it is."""
    raw = _raw(call, id_)
    return None if raw is None else read(raw)


def _raw(call: Call, id_: str) -> Mapping[str, Any] | None:
    if not CANONICAL_UUID.fullmatch(id_):  # it becomes part of an address
        return None
    try:
        found: Mapping[str, Any] = call.get("compute", f"/servers/{id_}")["server"]
    except Gone:
        return None
    return found


def _foreign(call: Call, found: Sequence[Mapping[str, Any]], sight: Sight) -> tuple[Foreign, ...]:
    """With what their images and projects are called."""
    copies = _copies(call, {image_of(raw) for raw in found})
    all_told = [told(raw, sight, copies.get(image_of(raw), Copy())) for raw in found]
    groups = _groups(call, {one.group for one in all_told})
    return tuple(replace(one, group=groups.get(one.group) or one.group) for one in all_told)


def _copies(call: Call, ids: Iterable[str]) -> dict[str, Copy]:
    """Images by id; one that is gone, or hidden from us, has no name."""
    found = {}
    for id_ in sorted(filter(None, ids)):
        with suppress(Gone):
            found[id_] = copy(call.get("image", f"/images/{id_}"), call.region.project)
    return found


def _groups(call: Call, ids: set[str]) -> dict[str, str]:
    """Names of projects by id, as far as we may know: none is asked for after the first that we may not."""
    found = {call.region.project: call.region.called}
    with suppress(DriverError):
        for id_ in filter(str.isalnum, sorted(ids - found.keys())):  # it becomes part of an address
            with suppress(Gone):
                found[id_] = str(call.get("identity", f"/projects/{id_}")["project"]["name"])
    return found


def mark(call: Call, spec: InstanceSpec, owner: str, sees_hosts: bool) -> None:
    """Make the server that the spec adopts ours.

    Raises NotAdoptable; Collided and HostUnreachable for what may pass; DiskMissing where it was ours, and is gone.
    """
    raw = _raw(call, spec.adopted)
    if raw is None and spec.built:
        raise DiskMissing(detail=f"the region has no server {spec.adopted} any more")
    if raw is None:
        raise NotAdoptable(Reason("adoptee_gone", {"server": spec.adopted}))
    found, sight = read(raw), Sight(owner, "" if sees_hosts else spec.host, "", datetime.now(UTC), 0.0)
    _refuse_owned(raw, found, spec, owner)
    if not spec.built:  # else it was ours before, and only lost its marks: what is wrong with it is mended as with any other
        _refuse_changed(raw, found, spec, sight)
    for tag in (owner_tag(owner), instance_tag(spec.instance_id)):
        call.send("PUT", "compute", f"/servers/{found.id}/tags/{tag}")
    metadata = first_mark(spec, owner, found.name, told(raw, sight, Copy()).power).written()
    call.send("POST", "compute", f"/servers/{found.id}/metadata", {"metadata": metadata})


def _refuse_owned(raw: Mapping[str, Any], found: Server, spec: InstanceSpec, owner: str) -> None:
    if not is_foreign(raw, owner):
        if found.mark is not None and found.mark.instance != spec.instance_id:  # one that was given back, whose controller was late
            raise Collided(detail=f"server {found.id} bears the mark of instance {found.mark.instance}")
    elif found.mark is not None:
        raise NotAdoptable(Reason("other_owner"))


def _refuse_changed(raw: Mapping[str, Any], found: Server, spec: InstanceSpec, sight: Sight) -> None:
    """It is still what was booked, and can be marked."""
    size = (found.size.vcpus, found.size.memory_mib, found.size.disk_gib)
    if size != (spec.vcpus, spec.memory_mib, spec.disk_gib) or (not sight.host and found.node != spec.host):
        raise NotAdoptable(Reason("adoptee_changed", {"vcpus": size[0], "memory_mib": size[1], "disk_gib": size[2]}))
    why = obstacle(raw, found, sight)
    if why is None:
        return
    if why.code == "host_silent":
        raise HostUnreachable(detail=f"nova has lost sight of {found.node}")
    if why == passing(raw, found, sight):  # tried again: it may be over soon
        raise Collided(detail=f"server {found.id} is {found.status.lower()} {found.task}".rstrip())
    raise NotAdoptable(why)


def unmark(call: Call, id_: str, owner: str, instance_id: str) -> None:
    """Take an instance's marks off a server; others' stay, whatever they look like."""
    raw = _raw(call, id_)
    if raw is None:
        return
    metadata = raw.get("metadata") or {}
    its = (str(metadata.get(name, "")) for name in _LAST)
    tags = {instance_tag(instance_id)}
    if tuple(its) in ((instance_id, owner), ("", owner)):
        tags.add(owner_tag(owner))
        names = sorted(
            (name for name in metadata if name.startswith(PREFIX)),
            key=lambda name: (name in _LAST, _LAST.index(name) if name in _LAST else 0),
        )
    else:
        names = []
    for tag in sorted(tags & set(raw.get("tags") or ())):
        with suppress(Gone):
            call.send("DELETE", "compute", f"/servers/{id_}/tags/{tag}")
    for name in names:
        with suppress(Gone):
            call.send("DELETE", "compute", f"/servers/{id_}/metadata/{name}")
