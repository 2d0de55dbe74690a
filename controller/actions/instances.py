"""What may be asked of an instance.

Each verb writes what is wanted (`goal`, sizes, counters) and bumps the generation; the reconciler does it.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

import orjson
from sqlalchemy import Connection

from controller import errors
from controller.actions import guard, spare, terms
from controller.actions.env import Env
from controller.actions.fit import check_fit, unknown_image
from controller.actions.refusals import no_spare, quota_exceeded
from controller.model import container, devices, translate
from controller.model.identity import Identity, Right
from controller.model.lifecycle import Goal, State
from controller.model.naming import is_oci_image
from controller.model.term import WARN_DAYS
from controller.store import bmcs, catalogue, events, fleet, instances, projects, requests
from controller.store import terms as terms_store
from controller.store.sql import Row
from quotas import check as quota


def find(conn: Connection, identity: Identity, instance_id: str, lock: bool = False) -> Row:
    """An instance that the caller may read."""
    row = instances.get(conn, instance_id, lock)
    if row is None or not identity.may(Right.READ, row["ancestors"]):
        raise errors.NotFound("instance_not_found", instance=instance_id)
    return row


def start(conn: Connection, env: Env, identity: Identity, instance_id: str, generation: int | None) -> Row:
    """Let it run."""
    row = _begun(conn, identity, instance_id, generation)
    return _ask(conn, env, identity, row, "instance.start_asked", goal=Goal.RUNNING)


def stop(conn: Connection, env: Env, identity: Identity, instance_id: str, generation: int | None) -> Row:
    """Let it shut down; its power is cut when the grace time is over."""
    row = _begun(conn, identity, instance_id, generation)
    _no_host(conn, row, empty=True)
    return _ask(conn, env, identity, row, "instance.stop_asked", goal=Goal.STOPPED)


def stop_with_host(conn: Connection, env: Env, identity: Identity, row: Row) -> None:
    """Let an instance, locked, stay off whose machine is being switched off for the host that it is: for operators, whoever's it is."""
    if row["goal"] == Goal.RUNNING:
        instances.ask(conn, row["id"], env.settings.change_deadline_s, goal=Goal.STOPPED)
        fact = events.event("instance.stop_asked", "instance", row["id"], row["name"], row["project_id"], identity.name)
        events.add(conn, [fact])


def reboot(conn: Connection, env: Env, identity: Identity, instance_id: str, generation: int | None) -> Row:
    """Let it boot again, once."""
    row = _begun(conn, identity, instance_id, generation)
    if row["goal"] != Goal.RUNNING:
        raise errors.InvalidState("reboot_stopped", name=row["name"])
    _no_host(conn, row, empty=True)
    return _ask(conn, env, identity, row, "instance.reboot_asked", reboots=row["reboots"] + 1)


def rebuild(conn: Connection, env: Env, identity: Identity, instance_id: str, image: str | None, generation: int | None) -> Row:
    """Throw its disk away and make it again, from the same image or another of the same architecture. A container's is an OCI reference."""
    row = _begun(conn, identity, instance_id, generation)
    _unprotected(row)
    _no_host(conn, row)
    if row["container"]:
        if image is not None and not is_oci_image(image):
            raise errors.InvalidRequest("bad_oci_image", image=image)
        runs = row["container"] | {"image": image or row["image"]}
        changes = {"build": row["build"] + 1, "container": orjson.dumps(runs).decode()}
        return _ask(conn, env, identity, row, "instance.rebuild_asked", params={"image": runs["image"]}, **changes)
    if image is None and row["image_id"] is None:
        raise errors.InvalidState("adopted_image_unknown", name=row["name"])
    source = catalogue.get(conn, "images", image or row["image_id"])
    if source is None:
        raise errors.InvalidRequest("unknown_image", item=1, image=image)
    check_fit(0, row["kind"], dict(row) | {"name": row["flavor"]}, source)
    return _ask(
        conn, env, identity, row, "instance.rebuild_asked", params={"image": source["name"]}, build=row["build"] + 1, image_id=source["id"]
    )


def resize(conn: Connection, env: Env, identity: Identity, instance_id: str, flavor: str, generation: int | None) -> Row:
    """Make it another size where it is. Growth is counted and taken here; shrinking frees its part when the backend has done it."""
    row = _begun(conn, identity, instance_id, generation)
    if row["kind"] == "bare_metal":
        raise errors.InvalidState("machine_fixed", name=row["name"])
    terms.unpromised(conn, row)
    size = catalogue.get(conn, "flavors", flavor)
    if size is None:
        raise errors.InvalidRequest("unknown_flavor", item=1, flavor=flavor)
    check_fit(0, row["kind"], size, _boots_from(conn, row))
    if size["disk_gib"] < row["disk_gib"]:
        raise errors.InvalidRequest("disk_shrinks", have=row["disk_gib"], want=size["disk_gib"])
    _take_growth(conn, identity, row, size)
    return _ask(
        conn,
        env,
        identity,
        row,
        "instance.resize_asked",
        params={"flavor": size["name"]},
        flavor=size["name"],
        **{name: size[name] for name in devices.SHAPE},
    )


def _boots_from(conn: Connection, row: Row) -> Mapping[str, Any]:
    if row["container"]:
        return container.source(row["container"], row["arch"])
    if row["image_id"] is None:
        return unknown_image(row)
    image = catalogue.get(conn, "images", row["image_id"])
    assert image is not None  # noqa: S101 - an image in use is never removed
    return image


def _take_growth(conn: Connection, identity: Identity, row: Row, size: Mapping[str, Any]) -> None:
    """Count the growth in every sum of the path and on the host, or refuse; locks in the order that admission uses."""
    nodes = projects.nodes(conn, row["ancestors"], lock=True)
    (host,) = fleet.lock_hosts(conn, [row["host_id"]])
    current = requests.allocation(conn, row["id"])
    found = devices.grown(translate.host(host), current, size)
    growth = {(row["kind"], name): found.shape[name] - current[name] for name in devices.SIZES[:3]}
    growth[row["kind"], "gpus"] = devices.exact(Decimal(sum(found.held["held_gpus"]) - sum(current["held_gpus"])) / devices.WHOLE)
    over = quota.check([nodes[id_] for id_ in row["ancestors"]], growth)
    if over:
        raise quota_exceeded(identity, over, row)
    if found.short:
        details = {"hosts": 1, "rules": [{"rule": name, "excluded": 1} for name in found.short], "alone": [], "changes": []}
        raise errors.NoCapacity("no_room_to_grow", details=details, resources=", ".join(found.short))
    larger = found.shape | found.held
    if any(growth.values()) and not spare.room_to_grow(conn, row["id"], host, larger):
        raise no_spare(1, 1)
    requests.resize_allocation(conn, row["id"], larger)


def protect(conn: Connection, identity: Identity, instance_id: str, protected: bool, generation: int | None) -> Row:
    """Protect from deletion and rebuild, or no longer."""
    row = _usable(conn, identity, instance_id, generation)
    if protected:
        terms.unpromised(conn, row)
    if row["protected"] != protected:
        instances.set_protected(conn, row["id"], protected)
        kind = "instance.protected" if protected else "instance.unprotected"
        events.add(conn, [events.event(kind, "instance", row["id"], row["name"], row["project_id"], identity.name)])
    return find(conn, identity, instance_id)


def extend(conn: Connection, identity: Identity, instance_id: str, days: int, generation: int | None) -> Row:
    """Move the end of its term so many days on; from today where it has passed."""
    row = _usable(conn, identity, instance_id, generation)
    if row["term_ends_at"] is None:
        raise errors.InvalidState("no_term", name=row["name"])
    terms.unpromised(conn, row)
    terms_store.extend(conn, row["id"], days, WARN_DAYS)
    events.add(conn, [events.event("instance.extended", "instance", row["id"], row["name"], row["project_id"], identity.name, days=days)])
    return find(conn, identity, instance_id)


def delete(conn: Connection, env: Env, identity: Identity, instance_id: str, generation: int | None) -> Row:
    """Let it be gone, with its disks; again changes nothing."""
    row = find(conn, identity, instance_id, lock=True)
    guard.allow(identity, Right.USE, row)
    if row["goal"] == Goal.GONE:
        return row
    guard.seen(row, generation)
    _marked(row)
    _unprotected(row)
    _no_host(conn, row)
    return _ask(conn, env, identity, row, "instance.delete_asked", goal=Goal.GONE)


def disown(conn: Connection, env: Env, identity: Identity, instance_id: str, generation: int | None) -> Row:
    """Give what was adopted back to its backend's people, as it is: our marks are taken off, its quota is free, it runs on.

    Again changes nothing. Raises InvalidState for what we made, and for what is being deleted.
    """
    row = find(conn, identity, instance_id, lock=True)
    guard.overall(identity, Right.OPERATE)
    if row["disowned"]:
        return row
    if row["adopted"] is None:
        raise errors.InvalidState("never_adopted", name=row["name"])
    guard.seen(row, generation)
    _staying(row)
    _unprotected(row)
    return _ask(conn, env, identity, row, "instance.disown_asked", goal=Goal.GONE, disowned=True)


def _marked(row: Row) -> None:
    """What is being adopted bears our marks, so that it may be acted upon: else it is somebody's still."""
    if row["adopted"] is not None and not row["built"]:
        raise errors.InvalidState("adoption_under_way", name=row["name"])


def _usable(conn: Connection, identity: Identity, instance_id: str, generation: int | None) -> Row:
    row = find(conn, identity, instance_id, lock=True)
    guard.allow(identity, Right.USE, row)
    guard.seen(row, generation)
    _staying(row)
    return row


def _staying(row: Row) -> None:
    if row["goal"] == Goal.GONE or row["state"] in (State.DELETING, State.DELETED):
        raise errors.InvalidState("instance_going", name=row["name"])


def _begun(conn: Connection, identity: Identity, instance_id: str, generation: int | None) -> Row:
    row = _usable(conn, identity, instance_id, generation)
    if row["starts_at"] is not None and row["state"] == State.PENDING:
        raise errors.InvalidState("instance_not_begun", name=row["name"])
    _marked(row)
    return row


def _unprotected(row: Row) -> None:
    if row["protected"]:
        raise errors.InvalidState("instance_protected", name=row["name"])


def _no_host(conn: Connection, row: Row, *, empty: bool = False) -> None:
    """A machine that is a host itself, and so holds what others have, is kept; `empty`: one that holds nothing may be meddled with."""
    machine = fleet.host(conn, row["host_id"]) if row["kind"] == "bare_metal" else None
    for host in bmcs.hosts_on(conn, [machine["machine"]]) if machine else ():
        if not empty:
            raise errors.InvalidState("machine_is_host", name=row["name"], host=host["name"])
        if host["used_instances"]:
            raise errors.InvalidState("machine_holds", name=row["name"], host=host["name"], count=host["used_instances"])


def _ask(
    conn: Connection, env: Env, identity: Identity, row: Row, kind: str, params: Mapping[str, Any] | None = None, **changes: Any
) -> Row:
    instances.ask(conn, row["id"], env.settings.change_deadline_s if row["built"] else env.settings.build_deadline_s, **changes)
    events.add(conn, [events.event(kind, "instance", row["id"], row["name"], row["project_id"], identity.name, **(params or {}))])
    return find(conn, identity, row["id"])
