"""Adopting: what is behind an endpoint and isn't ours becomes an instance, and nothing is done to it.

Enters: what a driver has just said of it (`Foreign`), and of the endpoint's hosts with it taken for ours (`Inventory`). Leaves: in one
transaction its quota, its host's room, its owner, and the instance that the reconciler then has marked. Until now its host had less to give
by it. So its room is not looked for: in this transaction the host gets what it has without it, and the ledger takes it at once. The driver
was told of all that is adopted there (`before`); whoever changes that, or writes what hosts have, holds the endpoint's row, and what was
said before somebody else came first is asked again (Restless). So at every commit what a host is said to have agrees with who is on it.

Rejected: to book first and let the next look find the room (meanwhile the host is over its capacity, or offers less), and to ask for a
place as admission does (it is where it is).
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson
from sqlalchemy import Connection

from controller import errors
from controller.actions import guard, spare
from controller.actions.env import Env
from controller.actions.fleet import find_endpoint
from controller.actions.refusals import no_spare, quota_exceeded
from controller.model import devices, translate
from controller.model.identity import Identity, Right
from controller.model.instance import begin
from controller.model.lifecycle import Goal
from controller.model.request import NORMAL, Item
from controller.store import catalogue, events, fleet, instances, projects, requests, sql
from controller.store.sql import Row
from drivers.adopting import Foreign
from drivers.base import HostInventory, Inventory, Power
from quotas import check as quota
from scheduler import types as scheduler

KIND: Final = "vm"
_GOALS: Final = {Power.RUNNING: Goal.RUNNING, Power.STOPPED: Goal.STOPPED}
_PLAIN: Final[Mapping[str, Any]] = {"gpus": 0, "cpu_baseline": None, "numa_nodes": 0, "gpu_model": None, "gpu_milli": devices.WHOLE}
"""What something adopted asks for besides vCPUs, memory and a disk."""


class Restless(errors.Unavailable):
    """Somebody else adopted, or gave back, something there meanwhile: the driver has to be asked again."""


@dataclass(frozen=True, slots=True)
class Wish:
    """What an operator wants adopted (`id`: its backend's), and as what. `name`: None: after its own."""

    id: str
    project: str
    name: str | None = None
    reason: str = ""


@dataclass(frozen=True, slots=True)
class Told:
    """What a driver said: of what is to be adopted; of the hosts, with that and with all that is `adopted` there for ours."""

    found: Foreign
    inventory: Inventory
    adopted: frozenset[str]


def before(conn: Connection, identity: Identity, endpoint: str, wish: Wish) -> tuple[Row, frozenset[str]]:
    """What can be refused before a driver is asked; the endpoint, and what is adopted there."""
    row = find_endpoint(conn, identity, endpoint, Right.OPERATE)
    guard.project(conn, identity, wish.project, Right.READ)
    _refuse_twice(conn, wish.id)
    return row, instances.adopted_on(conn, row["id"])


def adopt(conn: Connection, env: Env, identity: Identity, endpoint: Row, wish: Wish, told: Told) -> Row:
    """The instance that it is from now on.

    Raises InvalidState for what can't be adopted as it is, QuotaExceeded, NoCapacity, AlreadyExists, Restless.
    """
    guard.overall(identity, Right.OPERATE)
    project, found = guard.project(conn, identity, wish.project, Right.READ), told.found
    if found.obstacle is not None:
        raise errors.InvalidState(found.obstacle.code, None, **found.obstacle.params)
    in_care = fleet.in_care(conn, endpoint["id"])
    if in_care is None:
        raise errors.NotFound("endpoint_not_found", name=endpoint["name"])
    _refuse_twice(conn, found.id)
    if instances.adopted_on(conn, endpoint["id"]) != told.adopted:
        raise Restless("fleet_restless")
    nodes = projects.nodes(conn, project["ancestors"], lock=True)
    name = wish.name or named(found)
    if requests.names_taken(conn, [(project["id"], name)]):
        raise errors.AlreadyExists("instance_exists", name=name, project=project["path"])
    if over := quota.check([nodes[id_] for id_ in project["ancestors"]], counts(found)):
        raise quota_exceeded(identity, over, project)
    host = _make_room(conn, endpoint, told)
    made = _book(conn, env, identity, _Booked(wish, found, project, host, name))
    guard.nobody_misplaced(conn, "host_id", host["id"], host["name"])
    fact = {"endpoint": endpoint["name"], "adopted": found.id, "group": found.group or "-"}
    events.add(conn, [events.event("instance.adopted", "instance", made, name, project["id"], identity.name, **fact)])
    row = instances.get(conn, made)
    assert row is not None  # noqa: S101 - written just now
    return row


def _refuse_twice(conn: Connection, id_: str) -> None:
    taken = instances.adopting(conn, id_)
    if taken is not None:
        raise errors.AlreadyExists("adopted_already", instance=taken["name"], project=taken["project"])


def named(found: Foreign) -> str:
    """A name for an instance after that of what it was."""
    label = re.sub(r"[^a-z0-9]+", "-", found.name.lower())[:63].strip("-")
    return label or f"adopted-{found.id[:8]}"


def size_of(found: Foreign) -> dict[str, Any]:
    """Its shape, as a flavor's."""
    return {"vcpus": found.vcpus, "memory_mib": found.memory_mib, "disk_gib": found.disk_gib, **_PLAIN}


def counts(found: Foreign) -> dict[tuple[str, str], quota.Amount]:
    """What it counts against limits."""
    return {(KIND, "instances"): 1, **{(KIND, name): amount for name, amount in size_of(found).items() if name in devices.SIZES[:3]}}


def refusal(identity: Identity, project: Row, nodes: Mapping[str, quota.Node], found: Foreign) -> errors.QuotaExceeded | None:
    """What its adoption into a project would be refused with, for want of quota."""
    over = quota.check([nodes[id_] for id_ in project["ancestors"]], counts(found))
    return quota_exceeded(identity, over, project) if over else None


def _make_room(conn: Connection, endpoint: Row, told: Told) -> Row:
    """Its host, locked, with all that it has for us and for what is adopted. Raises NoCapacity where the pool doesn't promise that much."""
    found = told.found
    seen = next((one for one in told.inventory.hosts if one.name == found.host), None)
    known = next((row for row in fleet.hosts_of(conn, endpoint["id"]) if row["backend_name"] == found.host), None)
    if seen is None or known is None:
        raise errors.NotFound("host_not_found", name=found.host)
    fleet.lock_hosts(conn, [known["id"]])
    _widen(conn, seen, known)
    (host,) = fleet.lock_hosts(conn, [known["id"]])
    if host["state"] != "up":
        raise errors.InvalidState("adoptee_host_not_up", name=host["name"])
    size = size_of(found)
    short = [name for name in devices.SIZES[:3] if host["used_" + name] + size[name] > host[name]]
    if short:
        details = {"hosts": 1, "rules": [{"rule": name, "excluded": 1} for name in short], "alone": [], "changes": []}
        raise errors.NoCapacity("no_room_to_adopt", details=details, resources=", ".join(short), host=host["name"], pool=host["pool"])
    if not spare.room_for(conn, scheduler.Item(found.id, KIND, devices.resources(size)), host):
        raise no_spare(1, 1)
    return host


def _widen(conn: Connection, seen: HostInventory, known: Row) -> None:
    """Only the sizes: what else there is to be said of hosts is said by looks."""
    pool = fleet.pools(conn, [known["pool_id"]])[known["pool_id"]]
    record = translate.host_record(seen, pool["overcommit"], pool["reserved"], known)
    sizes = {name: record[name] for name in devices.SIZES[:3]}
    fleet.set_host(conn, known["id"], None, inventory=orjson.dumps(record["inventory"]).decode(), **sizes)


@dataclass(frozen=True, slots=True)
class _Booked:
    wish: Wish
    found: Foreign
    project: Row
    host: Row
    name: str


def _book(conn: Connection, env: Env, identity: Identity, of: _Booked) -> str:
    """Its request, which an operator made and decided, its instance, and its row of the ledger; the instance's id."""
    found, shape, now = of.found, size_of(of.found), sql.scalar(conn, "SELECT now()")
    flavor = catalogue.of_size(conn, KIND, found.vcpus, found.memory_mib, found.disk_gib)
    image = catalogue.image_of(conn, found.image_sha256) if found.image_sha256 else None
    size, source = flavor["name"] if flavor else found.flavor, image["name"] if image else None
    item = Item(KIND, of.name, size, source, 1, None, None, None, None, "", ()).document()
    item |= {"user_data_bytes": 0, "image_id": image["id"] if image else None, "arch": of.host["arch"], "traits": [], "adopted": found.id}
    request = {
        "id": env.new_id(),
        "project_id": of.project["id"],
        "created_by": identity.user_id,
        "state": "approved",
        "reason": of.wish.reason,
        "term_days": None,
        "priority": NORMAL,
        "ends": False,
        "starts_at": None,
        "items": [item],
        "decided_by": identity.user_id,
        "decided_at": now,
        "generation": 1,
        "created_at": now,
    }
    id_ = env.new_id()
    allocation = {
        "id": id_,
        "project_id": of.project["id"],
        "host_id": of.host["id"],
        "request_id": request["id"],
        "item": 0,
        "instance_id": id_,
        "name": of.name,
        "kind": KIND,
        **shape,
        **{name: [] for name in devices.HELD},
        "counted": True,
    }
    requests.insert(conn, [request])
    row = begin(request, allocation, now) | {"adopted": found.id, "goal": _GOALS[found.power or Power.RUNNING]}
    instances.insert(conn, [row], env.settings.build_deadline_s)
    requests.allocate(conn, [allocation])
    return id_
