"""What a host is to run no longer is started elsewhere: all of a host that is fenced (evacuation), or of one that is drained.

In: a host. Out: who has another place now, and who finds none. It moves what can be started elsewhere from nothing, which containers can
and machines can't (their disk is on the host), and holds, which are places only. Nothing is ever started twice: of a fenced host it is
certain that it runs nothing, and whoever is moved off a live one has the new place in its spec, with a new generation, so that the driver
takes it away from the old before it makes it anew. Quota is not touched: the rows of the ledger move with the sums of their projects as
they are. What finds no place keeps its old one and is tried again at the next look.

Hosts of other endpoints take nobody: what is left of an instance behind one endpoint is only certainly gone to who drives that endpoint.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection

from controller import errors
from controller.actions import fleet as fleet_actions
from controller.actions.env import Env
from controller.actions.plans import residents_of
from controller.model import devices, translate
from controller.model.identity import Identity
from controller.store import events, fleet, instances, projects, relocations, residents
from controller.store.sql import Row
from scheduler.fleet import Fleet
from scheduler.place import place
from scheduler.plans.evacuating import Evacuation, evacuate
from scheduler.types import NoValidHost, Placement

RESTARTABLE = frozenset({"container"})
"""Kinds that can be started on another host from nothing."""


@dataclass(frozen=True, slots=True)
class Leaving:
    """Who is on a host, with the places that were found; `who`: rows by key; `staying`: rows of those that can't be moved."""

    who: Mapping[str, Row]
    found: Evacuation
    staying: tuple[Row, ...]


def look(conn: Connection, host: Row) -> Leaving:
    """Places for what is on a host, as the fleet is now. Nothing is locked and nothing is done."""
    rows = residents.in_pool(conn, host["pool_id"])
    placed = fleet.placed_in(conn, host["pool_id"], {row["host_id"] for row in rows})
    mine = {row["id"] for row in placed if row["endpoint_id"] == host["endpoint_id"]}
    hosts = [one if one.id in mine else replace(one, cordoned=True) for one in map(translate.host, placed)]
    who = {row["id"]: row for row in rows}
    all_ = [replace(one, movable=_movable(who[one.key])) for one in residents_of(conn, rows)]
    staying = tuple(who[one.key] for one in all_ if one.host_id == host["id"] and not one.movable)
    return Leaving(who, evacuate(Fleet(hosts), all_, host["id"]), staying)


def _movable(row: Row) -> bool:
    return row["instance_id"] is None or row["kind"] in RESTARTABLE


def relocate(conn: Connection, env: Env, host: Row, there: Leaving, kind: str, actor: str) -> list[str]:
    """Move off a host what found a place in a `look`; ids of instances that were. `kind`: of the events that say so.

    Locks instances, then sums, then hosts, the order of all who change a placed instance; an instance that somebody else is changing is
    left for the next look.
    """
    targets = {move.key: move.target for move in there.found.moves}
    if not targets:
        return []
    still = relocations.lock(conn, host["id"], list(targets))
    targets = {key: target for key, target in targets.items() if key in still}
    projects.nodes(conn, {id_ for key in targets for id_ in there.who[key]["ancestors"]}, lock=True)
    found = _still_fit(conn, there, targets)
    moved = [there.who[key] for key in sorted(found) if there.who[key]["instance_id"]]
    relocations.move(conn, _moved(conn, there, found), env.settings.build_deadline_s)
    facts = [events.event(kind, "instance", row["id"], row["name"], row["ancestors"][-1], actor, host=row["host"]) for row in moved]
    events.add(conn, facts)
    return [row["id"] for row in moved]


def _still_fit(conn: Connection, there: Leaving, targets: Mapping[str, str]) -> dict[str, Placement]:
    """Those whose target, locked from here on, still takes them, and on which devices and in which cells of it."""
    hosts = Fleet(map(translate.host, fleet.lock_hosts(conn, targets.values())))
    kept = {}
    for key, target in sorted(targets.items()):
        row = there.who[key]
        item = replace(devices.holder(row)[0], hosts=(target,), tenants=tuple(row["ancestors"]))
        (found,) = place(hosts, [[item]])
        if not isinstance(found, NoValidHost):
            hosts.claim_at([(item, found[0])])
            kept[key] = found[0]
    return kept


def _moved(conn: Connection, there: Leaving, found: Mapping[str, Placement]) -> list[dict[str, Any]]:
    """What becomes of the rows of the ledger: theirs, and of those to whom their places are promised."""
    rows = [({**there.who[key], "after": None}, key) for key in sorted(found)]
    rows += [({**row}, row["after"]) for row in relocations.heirs(conn, sorted(found))]
    return [
        {"id": row["id"], "host_id": found[key].host_id, "after": row["after"], **devices.moved(row, there.who[key], found[key])}
        for row, key in rows
    ]


def off(conn: Connection, env: Env, endpoint_id: str) -> list[str]:
    """One round for an endpoint: off its hosts that are fenced or being drained. Ids of instances that were moved."""
    moved: list[str] = []
    for host in relocations.to_empty(conn, endpoint_id):
        kind = "instance.evacuated" if host["state"] == "fenced" else "instance.moved"
        there = look(conn, host)
        moved += relocate(conn, env, host, there, kind, "chutian")
        if host["state"] == "fenced":
            instances.say_why(conn, list(there.found.refused), "no_room_to_evacuate")
    return moved


def drain(conn: Connection, env: Env, identity: Identity, reference: str, generation: int | None) -> Row:
    """Cordon it, and start elsewhere what it runs; what has no other place at the moment it is carried out follows later.

    Raises InvalidState, with the list, where somebody could not be started elsewhere: then nothing changes.
    """
    row = fleet_actions.operable(conn, identity, reference, generation)
    if row["state"] != "up":
        raise errors.InvalidState("host_not_up", name=row["name"])
    there = look(conn, row)
    held = [*there.staying, *(there.who[key] for key in there.found.refused)]
    if held:
        names = [{"id": one["id"], "name": one["name"], "project": one["path"], "why": _why(there, one)} for one in held[:100]]
        raise errors.InvalidState("drain_impossible", details={"instances": names}, name=row["name"], count=len(held))
    row = fleet_actions.change(conn, identity, row, "host.draining", cordoned=True, draining=True)
    relocate(conn, env, row, there, "instance.moved", identity.name)
    return fleet_actions.find_host(conn, identity, row["id"])


def _why(there: Leaving, row: Row) -> str:
    """Why it can't be started elsewhere: the rule that excludes most hosts."""
    refusal = there.found.refused.get(row["id"])
    return max(refusal.rules, key=lambda one: one.excluded).rule if refusal and refusal.rules else "kind"
