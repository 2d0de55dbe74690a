"""Pools, endpoints and hosts: what the operators look after."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Any

import orjson
from sqlalchemy import Connection

from controller import errors
from controller.actions import guard
from controller.actions.env import Env
from controller.model import devices, fencing, translate
from controller.model.identity import Identity, Right
from controller.store import bmcs, events, fleet, instances, machines, power, projects
from controller.store.sql import Row
from drivers.base import HostInventory, Inventory, Reason
from drivers.registry import SEVERAL_AT_ONE_ADDRESS

_BECAME = {"up": "host.reachable", "unreachable": "host.unreachable", "fenced": "host.fenced"}
_SEEN = {"up": "instance.seen_again", "unreachable": "instance.unseen"}  # of what it runs; what a fenced one ran is told of one by one
_CHANGING = (
    *("zone", "site", "level", "spare_hosts", "fill_order", "licences", "may_wake", "overcommit", "reserved"),
    *("wipe", "hypervisor_options", "hypervisor_bridge"),
)

# -- pools -----------------------------------------------------------------------------------------------------------------------


def find_pool(conn: Connection, identity: Identity, reference: str) -> Row:  # noqa: ARG001 - every finder is called alike
    """A pool; its name and zone are everybody's to read, since requests may wish for them."""
    row = fleet.pools(conn, [reference]).get(reference)
    if row is None:
        raise errors.NotFound("pool_not_found", name=reference)
    return row


def create_pool(conn: Connection, env: Env, identity: Identity, record: Mapping[str, Any]) -> Row:
    """A new, empty pool."""
    guard.overall(identity, Right.OPERATE)
    if fleet.pools(conn, [record["name"]]):
        raise errors.AlreadyExists("pool_exists", name=record["name"])
    id_ = env.new_id()
    fleet.insert_pool(conn, {"id": id_, **record})
    events.add(conn, [events.event("pool.created", "pool", id_, record["name"], None, identity.name)])
    return find_pool(conn, identity, id_)


def update_pool(conn: Connection, identity: Identity, reference: str, generation: int | None, changes: Mapping[str, Any]) -> Row:
    """Change what is `_CHANGING` of a pool; the capacity of its hosts follows at once.

    Raises InvalidState where a host would hold more than it may (capacity promised is never taken back), or somebody of a higher level.
    """
    guard.overall(identity, Right.OPERATE)
    row = find_pool(conn, identity, reference)
    guard.seen(row, generation)
    merged = {name: changes.get(name, row[name]) for name in _CHANGING}
    records = []
    for host in fleet.hosts_in(conn, row["id"]):
        terms = devices.shared_out(host["kinds"], merged["overcommit"], merged["reserved"])
        room, cells = devices.capacity(host["inventory"], *terms), devices.cells_of(host["cells"], *terms)
        over = [name for name in devices.SIZES[:3] if host["used_" + name] > room[name]]
        over += ["numa_nodes"] if devices.overfull({**host, "cells": cells}) else []
        if over and host["state"] != "retired":
            raise errors.InvalidState("pool_too_full", host=host["name"], resources=", ".join(over), name=row["name"])
        records.append({**{name: host[name] for name in ("id", "state", *fleet.DISCOVERED)}, **room, "gpus": host["gpus"], "cells": cells})
    dumped = {name: orjson.dumps(merged[name]).decode() for name in ("overcommit", "reserved", "hypervisor_options")}
    fleet.update_pool(conn, row["id"], merged | dumped)
    fleet.update_hosts(conn, records)
    guard.nobody_misplaced(conn, "pool_id", row["id"], row["name"])
    events.add(conn, [events.event("pool.changed", "pool", row["id"], row["name"], None, identity.name, fields=", ".join(sorted(changes)))])
    return find_pool(conn, identity, row["id"])


def delete_pool(conn: Connection, identity: Identity, reference: str, generation: int | None) -> None:
    """Remove a pool that nothing belongs to."""
    guard.overall(identity, Right.OPERATE)
    row = find_pool(conn, identity, reference)
    guard.seen(row, generation)
    if fleet.pool_in_use(conn, row["id"]):
        raise errors.InvalidState("pool_in_use", name=row["name"])
    fleet.delete_pool(conn, row["id"])
    events.add(conn, [events.event("pool.deleted", "pool", row["id"], row["name"], None, identity.name)])


# -- endpoints -------------------------------------------------------------------------------------------------------------------


def find_endpoint(conn: Connection, identity: Identity, reference: str, right: Right = Right.SEE_FLEET) -> Row:
    """An endpoint, for those who may see the fleet, or do more with it."""
    guard.overall(identity, right)
    row = fleet.endpoint(conn, reference)
    if row is None:
        raise errors.NotFound("endpoint_not_found", name=reference)
    return row


def check_enrol(conn: Connection, identity: Identity, record: Mapping[str, Any], pool: str) -> None:
    """What can be refused before anybody is connected to. What is enrolled twice would count twice: where an address doesn't tell, the
    hosts that are found there do (`enrol`).
    """
    guard.overall(identity, Right.OPERATE)
    find_pool(conn, identity, pool)
    if fleet.endpoint(conn, record["name"]):
        raise errors.AlreadyExists("endpoint_exists", name=record["name"])
    if record["driver"] not in SEVERAL_AT_ONE_ADDRESS and (known := fleet.endpoint_at(conn, record["driver"], record["uri"])):
        raise errors.AlreadyExists("endpoint_enrolled", name=known["name"])


def enrol(conn: Connection, env: Env, identity: Identity, record: Mapping[str, Any], pool: str, inventory: Inventory) -> Row:
    """Take an endpoint that answered, with its hosts, into our care. `record`: its row, credentials sealed."""
    check_enrol(conn, identity, record, pool)
    in_pool = find_pool(conn, identity, pool)
    id_ = record["id"]
    fleet.insert_endpoint(conn, {**record, "pool_id": in_pool["id"], "state": "connected"})
    events.add(conn, [events.event("endpoint.enrolled", "endpoint", id_, record["name"], None, identity.name, hosts=len(inventory.hosts))])
    made = find_endpoint(conn, identity, id_)
    if twice := fleet.on_machines(conn, id_, (found.machine for found in inventory.hosts)):
        raise errors.AlreadyExists("machine_enrolled", name=min(twice.values()))
    discover(conn, env.new_id, made, inventory)
    machines.inherit(conn, id_, [found.machine for found in inventory.hosts])
    return made


def change_endpoint(conn: Connection, identity: Identity, reference: str, generation: int | None, options: Any, credentials: str) -> Row:
    """Reach it otherwise from now on, as was tried; `credentials`: sealed. Nothing is told where nothing differs."""
    row = find_endpoint(conn, identity, reference, Right.OPERATE)
    guard.seen(row, generation)
    if row["options"] == options and row["credentials"] == credentials:
        return row
    fleet.update_endpoint(conn, row["id"], orjson.dumps(options).decode(), credentials)
    events.add(conn, [events.event("endpoint.changed", "endpoint", row["id"], row["name"], None, identity.name)])
    return find_endpoint(conn, identity, row["id"])


def discover(conn: Connection, new_id: Callable[[], str], endpoint: Row, inventory: Inventory) -> None:
    """Bring the hosts' rows in line with what the driver found: new ones are added, changed ones changed, missing ones are unreachable,
    or fenced where the driver knows that such a host is gone for good.

    Of two that turn out to be on one machine the later keeps a note of that, and no machine, for its operators to retire one.

    A row is written only where something differs, since every write makes placements on that host look again. A retired host stays retired.
    A look that is older than what was recorded meanwhile of the endpoint's journal changes nothing: the next one knows better.
    """
    if machines.overtaken(conn, endpoint["id"], inventory.version):
        return
    used = in_use(conn, [found.machine for found in inventory.hosts])
    known = {row["backend_name"]: row for row in fleet.hosts_of(conn, endpoint["id"])}
    pools = fleet.pools(conn, {endpoint["pool_id"], *(row["pool_id"] for row in known.values())})
    taken = fleet.names_taken(conn, (found.name for found in inventory.hosts if found.name not in known))
    twice = fleet.on_machines(conn, endpoint["id"], (found.machine for found in inventory.hosts))
    fresh, changed, facts = [], [], []
    became: dict[str, list[str]] = {state: [] for state in _BECAME}
    for found in inventory.hosts:
        row = known.get(found.name)
        pool = pools[row["pool_id"] if row else endpoint["pool_id"]]
        record = translate.host_record(_alone(found, twice), pool["overcommit"], pool["reserved"], row)
        record["closed"] = used.get(found.machine) or record["closed"]
        if row is None:
            name = found.name if found.name not in taken else f"{endpoint['name']}-{found.name}"
            id_ = new_id()
            fresh.append(
                {"id": id_, "name": name, "backend_name": found.name, "endpoint_id": endpoint["id"], "pool_id": pool["id"], **record}
            )
            facts.append(events.event("host.enrolled", "host", id_, name, None, "chutian"))
        elif row["state"] != "retired" and any(_told(row[field]) != _told(value) for field, value in record.items()):
            changed.append({"id": row["id"], **record})
            kind = "host.changed" if row["state"] == record["state"] else _BECAME[record["state"]]
            became[record["state"]] += [row["id"]] if row["state"] != record["state"] else []
            facts.append(_fact(kind, row, record["notes"]))
    there, lost = {found.name for found in inventory.hosts}, "fenced" if inventory.complete else "unreachable"
    for row in known.values():
        if row["backend_name"] not in there and row["state"] not in ("retired", "fenced", lost):
            fleet.set_host(conn, row["id"], None, state=lost, power_seen="unknown")
            became[lost].append(row["id"])
            facts.append(_fact(_BECAME[lost], row))
    fleet.insert_hosts(conn, fresh)
    fleet.update_hosts(conn, changed)
    _close_under(conn, [row["machine"] for row in (*fresh, *changed)])
    events.add(conn, facts)
    for state, kind in _SEEN.items():
        events.add_for_all_on(conn, became[state], kind)


def in_use(conn: Connection, known: Iterable[str]) -> dict[str, Row]:
    """Why machines that are known by their BMCs are given to nobody, as a reason is kept: a host of another endpoint is on them."""
    return {one["machine"]: {"code": "machine_in_use", "params": {"host": one["name"]}} for one in bmcs.hosts_on(conn, known)}


def _close_under(conn: Connection, machines: Sequence[str]) -> None:
    """At once, as whoever is given such a machine has it written over."""
    below = bmcs.under(conn, machines)
    used = in_use(conn, [bmc["machine"] for bmc in below])
    for bmc in below:
        fleet.close_hosts(conn, [bmc["id"]], used[bmc["machine"]])


def bury(conn: Connection, endpoint_id: str, proofs: Mapping[str, Reason]) -> None:
    """Bring hosts of an endpoint that does not answer in line with what is proven of their machines now, by the backend's names: fenced
    where one is off, and unreachable again where that can't be said any more."""
    for row in fleet.hosts_of(conn, endpoint_id):
        proof, before = proofs.get(row["backend_name"]), fencing.proof_among(row["notes"])
        if row["state"] == "unreachable" and proof is not None:
            state, notes = "fenced", [*fencing.unproven(row["notes"]), {"code": proof.code, "params": dict(proof.params)}]
        elif row["state"] == "fenced" and proof is None and before is not None:
            state, notes = "unreachable", fencing.unproven(row["notes"])
        else:
            continue
        fleet.set_host(conn, row["id"], None, state=state, notes=orjson.dumps(notes).decode())
        events.add(conn, [_fact(_BECAME[state], row, notes)])
        if state in _SEEN:
            events.add_for_all_on(conn, [row["id"]], _SEEN[state])


def _fact(kind: str, row: Row, notes: Sequence[Row] = ()) -> events.Event:
    """What became of a host, with what proves that where there is something."""
    proof = fencing.proof_among(notes)
    why = {"why": proof["code"], **proof["params"]} if proof and kind == _BECAME["fenced"] else {}
    return events.event(kind, "host", row["id"], row["name"], None, "chutian", instances=row["used_instances"], **why)


def _alone(found: HostInventory, twice: Mapping[str, str]) -> HostInventory:
    """A host as it is kept where another, named in `twice` by machine, is on the same machine."""
    if found.machine not in twice:
        return found
    return replace(found, machine="", notes=(*found.notes, Reason("machine_enrolled", {"name": twice[found.machine]})))


def _told(value: Any) -> Any:
    """A fact as it is compared: of notes without the backend's own words, which it may choose anew each time, and without times, so that
    the first stands."""
    if not isinstance(value, list):
        return value
    return [
        {**one, "params": {k: v for k, v in one["params"].items() if k not in ("detail", "at")}}
        if isinstance(one, dict) and "params" in one
        else one
        for one in value
    ]


def forget_endpoint(conn: Connection, identity: Identity, reference: str, generation: int | None) -> Row:
    """Let go of an endpoint whose hosts are all retired and never held an instance that is still on record."""
    guard.overall(identity, Right.OPERATE)
    row = find_endpoint(conn, identity, reference)
    guard.seen(row, generation)
    fleet.in_care(conn, row["id"])  # what a look is about to write of its hosts is there first, or never
    hosts = fleet.hosts_of(conn, row["id"])
    live = [host["name"] for host in hosts if host["state"] != "retired"]
    if live:
        raise errors.InvalidState("endpoint_has_hosts", details={"hosts": live}, name=row["name"], count=len(live))
    fleet.retire_endpoint(conn, row["id"])
    events.add(conn, [events.event("endpoint.forgotten", "endpoint", row["id"], row["name"], None, identity.name)])
    return row


# -- hosts -----------------------------------------------------------------------------------------------------------------------


def find_host(conn: Connection, identity: Identity, reference: str) -> Row:
    """A host, for those who may see the fleet."""
    guard.overall(identity, Right.SEE_FLEET)
    row = fleet.host(conn, reference)
    if row is None:
        raise errors.NotFound("host_not_found", name=reference)
    return row


def cordon(conn: Connection, identity: Identity, reference: str, cordoned: bool, generation: int | None) -> Row:
    """No new placements there; nothing moves. Or placements again."""
    row = operable(conn, identity, reference, generation)
    if row["state"] == "retired":
        raise errors.InvalidState("host_retired", name=row["name"])
    if row["cordoned"] == cordoned and (cordoned or not row["draining"]):
        return row
    return change(
        conn,
        identity,
        row,
        "host.cordoned" if cordoned else "host.uncordoned",
        cordoned=cordoned,
        draining=row["draining"] and cordoned,
    )


def change_host(conn: Connection, identity: Identity, reference: str, generation: int | None, changes: Mapping[str, Any]) -> Row:
    """Say in which rack a host is, whether it is on, what it draws idle, or dedicate it to a project and all below it (`dedicated_to`: path
    or id; null: to nobody). Nothing is switched.

    Raises InvalidState, with some of them, where somebody is on it who then may not be; and where its driver sees whether it is on.
    """
    row = operable(conn, identity, reference, generation)
    changes = dict(changes)
    if changes.get("dedicated_to"):
        found = projects.get(conn, changes["dedicated_to"])
        if found is None:
            raise errors.NotFound("project_not_found", project=changes["dedicated_to"])
        changes["dedicated_to"] = found["id"]
    if "power" in changes:
        if row["power_seen"] != "unknown":
            raise errors.InvalidState("power_is_seen", name=row["name"], power=row["power_seen"])
        changes["power_told"] = changes.pop("power")
    if all(row[name] == value for name, value in changes.items()):
        return row
    fleet.lock_hosts(conn, [row["id"]])
    changed = change(conn, identity, row, "host.labelled", **changes)
    guard.nobody_misplaced(conn, "host_id", row["id"], row["name"])
    return changed


def retire(conn: Connection, identity: Identity, reference: str, generation: int | None) -> Row:
    """Take a host out of our care.

    Raises InvalidState, with the list, while anything is on it or held on it.
    """
    row = operable(conn, identity, reference, generation)
    if row["state"] == "retired":
        return row
    fleet.lock_hosts(conn, [row["id"]])  # from here nothing new can be placed there
    row = find_host(conn, identity, row["id"])
    if row["used_instances"]:
        names = [
            {"id": one["id"], "name": one["name"], "project": one["project"]}
            for one in instances.page(conn, None, {"host_id": row["id"]}, instances.TOP, 100)
        ]
        raise errors.InvalidState("host_occupied", details={"instances": names}, name=row["name"], count=row["used_instances"])
    power.forget(conn, row["id"])
    return change(conn, identity, row, "host.retired", state="retired")


def operable(conn: Connection, identity: Identity, reference: str, generation: int | None) -> Row:
    """A host that the caller may do something with, as he saw it."""
    guard.overall(identity, Right.OPERATE)
    row = find_host(conn, identity, reference)
    guard.seen(row, generation)
    return row


def change(conn: Connection, identity: Identity, row: Row, kind: str, **changes: Any) -> Row:
    """Write what is said of a host, and that it was."""
    changed = fleet.set_host(conn, row["id"], None, **changes)
    assert changed is not None  # noqa: S101 - no generation was named
    events.add(conn, [events.event(kind, "host", row["id"], row["name"], None, identity.name)])
    return changed
