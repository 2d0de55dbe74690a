"""Plans and what-if, for operators: decided on a copy of the fleet, and nothing is done.

In: what is asked (`Wish`). Out: the scheduler's plan, with the names of those it speaks of (`Town.who`). What is looked at is read in one
transaction; deciding, which may take seconds, comes after it and holds nothing. A plan of a pool keeps to that pool: hosts elsewhere are
there only as far as members of groups are on them, and take nobody.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from sqlalchemy import Connection

from controller import errors
from controller.actions import fleet as fleet_actions
from controller.actions import guard
from controller.model import devices, translate
from controller.model.identity import Identity, Right
from controller.model.request import PRIORITIES, RANKS
from controller.store import catalogue, fleet, projects, residents
from controller.store.sql import Row
from scheduler import reasons
from scheduler.fleet import Fleet
from scheduler.plans.consolidating import consolidate
from scheduler.plans.defragmenting import defragment
from scheduler.plans.draining import drain
from scheduler.plans.preempting import preempt
from scheduler.plans.rebalancing import rebalance
from scheduler.plans.types import Plan, Resident
from scheduler.plans.whatif import Change, Outcome, whatif
from scheduler.reasons import Miss
from scheduler.types import Item


@dataclass(frozen=True, slots=True)
class Wish:
    """What a plan is to do. `spare_hosts`: how many hosts of the pool may be lost at any moment of it (N+k); None: as many as it keeps."""

    kind: str  # "drain" | "consolidate" | "rebalance" | "defragment" | "preempt"
    host: str | None = None
    pool: str | None = None
    flavor: str | None = None
    copies: int | None = None
    spare_hosts: int | None = None
    priority: str = PRIORITIES[-1]  # of the copies that are to find a place, for "preempt"


@dataclass(frozen=True, slots=True)
class Question:
    """What if hosts were lost, added (`add`: like a host, so many), an architecture retired, instances asked for (`place`)?"""

    lose: tuple[str, ...]
    add: tuple[tuple[str, int], ...]
    retire: tuple[str, ...]
    place: tuple[Mapping[str, Any], ...]
    spare_hosts: int = 0


@dataclass(frozen=True, slots=True)
class Town:
    """What there is. `who`: the row of each resident, by key; `flavor`: what copies are counted of; `spare_hosts`: that the pool keeps."""

    fleet: Fleet
    residents: Sequence[Resident]
    who: Mapping[str, Row]
    pool: str = ""
    host: str = ""
    flavor: Item | None = None
    watts: Mapping[str, int | None] = field(default_factory=dict)  # what hosts draw with nothing on them, by id; None: not known
    spare_hosts: int = 0


def why_not(conn: Connection, identity: Identity, instance_id: str, host: str) -> Miss | None:
    """What stands between an instance and a host now; None for an instance that holds no place any more. Raises NotFound."""
    wanted = fleet_actions.find_host(conn, identity, host)
    rows = residents.with_group(conn, instance_id)
    mine = next((one for one in residents_of(conn, rows) if one.key == instance_id), None)
    if mine is None:
        return None
    if mine.host_id == wanted["id"]:
        return Miss(wanted["name"], (), {})
    members = Counter(row["host_id"] for row in rows if row["id"] != instance_id)
    hosts = fleet.placed(conn, {wanted["id"], *members})
    return reasons.why_not(Fleet(map(translate.host, hosts)), replace(mine.item, members=members), wanted["id"])


def town(conn: Connection, identity: Identity, wish: Wish) -> Town:
    """What the plan is about. Raises NotFound, InvalidRequest."""
    guard.overall(identity, Right.OPERATE)
    host = fleet_actions.find_host(conn, identity, wish.host) if wish.host else None
    reference = host["pool_id"] if host else wish.pool
    if reference is None or (wish.kind == "drain") != (host is not None):
        raise errors.InvalidRequest("plan_of_what", kind=wish.kind)
    pool = fleet_actions.find_pool(conn, identity, reference)
    rows = residents.in_pool(conn, pool["id"])
    found = fleet.placed_in(conn, pool["id"], {row["host_id"] for row in rows})
    hosts = [replace(translate.host(row), wakes=False) for row in found]  # nobody moves to a host that is off
    here = [one if one.pool == pool["name"] else replace(one, cordoned=True) for one in hosts]
    watts = {row["id"]: row["idle_watts"] for row in found}
    flavor = _flavor(conn, wish.flavor) if wish.flavor else None
    if wish.kind in ("defragment", "preempt") and flavor is None:
        raise errors.InvalidRequest("plan_of_what", kind=wish.kind)
    named = pool["name"], host["id"] if host else ""
    return Town(Fleet(here), residents_of(conn, rows), _by_key(rows), *named, flavor, watts, pool["spare_hosts"])


def decide(wish: Wish, there: Town) -> Plan:
    """The plan."""
    spare = {there.pool: there.spare_hosts if wish.spare_hosts is None else wish.spare_hosts}
    if wish.kind == "drain":
        return drain(there.fleet, there.residents, there.host, spare, there.flavor)
    if wish.kind == "consolidate":
        return consolidate(there.fleet, there.residents, k=spare, pools=(there.pool,), flavor=there.flavor)
    if wish.kind == "rebalance":
        return rebalance(there.fleet, there.residents, k=spare, pools=(there.pool,), flavor=there.flavor)
    assert there.flavor is not None  # noqa: S101 - `town` has seen to it
    if wish.kind == "preempt":
        one = replace(there.flavor, pools=(there.pool,))
        gang = [replace(one, key=f"{one.key}-{number + 1}") for number in range(wish.copies or 1)]
        return preempt(there.fleet, there.residents, gang, RANKS[wish.priority], spare)
    return defragment(there.fleet, there.residents, there.flavor, k=spare, copies=wish.copies)


def everything(conn: Connection, identity: Identity, question: Question) -> tuple[Town, Change]:
    """The whole fleet, and the question in the scheduler's words. Raises NotFound."""
    guard.overall(identity, Right.OPERATE)
    rows = residents.everybody(conn)
    _, hosts = fleet.changed_hosts(conn, 0)
    known = {**{row["id"]: row["id"] for row in hosts}, **{row["name"]: row["id"] for row in hosts}}
    there = Fleet(map(translate.host, hosts))
    for name in (*question.lose, *(name for name, _ in question.add)):
        if name not in known:
            raise errors.NotFound("host_not_found", name=name)
    change = Change(
        lose=tuple(known[name] for name in question.lose),
        add=tuple((there.host(known[name]), count) for name, count in question.add),
        retire=question.retire,
        approve=tuple(_gang(conn, number, wanted) for number, wanted in enumerate(question.place)),
    )
    return Town(there, residents_of(conn, rows), _by_key(rows)), change


def answer(there: Town, change: Change, spare_hosts: int) -> Outcome:
    """What would be."""
    return whatif(there.fleet, there.residents, change, spare_hosts)


def _by_key(rows: Sequence[Row]) -> dict[str, Row]:
    return {row["id"]: row for row in rows}


def residents_of(conn: Connection, rows: Sequence[Row]) -> list[Resident]:
    """Rows of `store.residents` in the scheduler's words."""
    pools = {reference: row["name"] for reference, row in fleet.pools(conn, {row["pool"] for row in rows if row["pool"]}).items()}
    levels = projects.levels(conn, {tuple(row["ancestors"]) for row in rows})
    dedicated = fleet.tenants(conn)
    return [translate.resident(row, pools, levels[row["ancestors"][-1]], dedicated) for row in rows]


def _flavor(conn: Connection, reference: str) -> Item:
    row = catalogue.find(conn, "flavors", [reference]).get(reference)
    if row is None:
        raise errors.NotFound("flavor_not_found", name=reference)
    return Item(row["name"], row["kind"], arch=row["arch"], traits=devices.traits(row["kind"], row), **devices.wish(row))


def _gang(conn: Connection, number: int, wanted: Mapping[str, Any]) -> tuple[Item, ...]:
    one = _flavor(conn, wanted["flavor"])
    zones, pools = (wanted["zone"],) if wanted["zone"] else (), (wanted["pool"],) if wanted["pool"] else ()
    item = replace(one, arch=wanted["arch"] or one.arch, zones=zones, pools=pools)
    return tuple(replace(item, key=f"{number}-{copy}") for copy in range(wanted["count"]))
