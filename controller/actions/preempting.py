"""Preempting: where there is no room for a request, the place of instances of lower classes that agreed to it.

In: a draft that found no place, with the right to preempt. Out: its places, with the victims told to go and their places handed over, all
in the transaction that admits it. What is safe, and why:

- The ledger never holds more than a host has: from the allocations of the victims as much is taken as the newcomers lack, and no more. What
  a victim gives up beyond that is free when it is gone, not before, so nobody else is let onto a place that is still in use.
- A newcomer is not built before every victim is gone: `store.instances.pick` leaves it alone until then, whoever wakes it. So a host is
  never asked to run both.
- Once each: `goal` is `gone` and `preempted_for` set under the lock of the victim's row. The reconciler deletes it as any other, however
  often it is cut off, and frees what is left of its allocation with the record of that.
- Locks in the order of all: sums (those of the victims' projects are locked with the others, see `owners`), hosts, then the victims' rows,
  for which nobody is waited: who is being changed just now is no candidate.

What is not preempted: who did not agree, whose class is not lower, who is protected, who is going already, and holds of requests that wait.
Only what the policy approves at once preempts: nobody loses his place for a request that may yet be refused. Rejected: freeing first and
placing later (others would take the place), and stopping instead of deleting (a stopped guest's place would be gone when it is started).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection

from controller.actions import spare
from controller.actions.draft import Admission, Draft, Row
from controller.actions.fleet_view import lock
from controller.actions.plans import residents_of
from controller.model import devices, plan_views, translate
from controller.model.identity import Right
from controller.model.lifecycle import Goal
from controller.model.request import PRIORITIES
from controller.model.views import Reader
from controller.store import events, fleet, instances, requests, residents
from scheduler.fleet import Fleet
from scheduler.plans.preempting import Preemption, make_room
from scheduler.types import Placement

_LOOKS = 5  # how often it is decided anew when hosts or victims change under it


@dataclass(frozen=True, slots=True)
class Room:
    """Who would make room, and their rows by key."""

    found: Preemption
    who: Mapping[str, Row]


def owners(conn: Connection, drafts: Sequence[Draft]) -> set[str]:
    """The projects, and those above them, of all whom these drafts could preempt: their sums are locked with the drafts' own."""
    ranks = [draft.submission.rank for draft in drafts if draft.submission.preempt and not draft.submission.explain]
    return residents.owners(conn, PRIORITIES[: max(ranks)]) if ranks else set()


def look(conn: Connection, view: Fleet, draft: Draft, locked: Collection[str] | None = None, but: Collection[str] = ()) -> Room | None:
    """Who would make room for the draft, if anybody: of the projects that are `locked`, where that is said, and `but` for some."""
    rows = {
        row["id"]: row
        for row in residents.preemptible(conn, PRIORITIES[: draft.submission.rank])
        if row["id"] not in but and (locked is None or set(row["ancestors"]) <= set(locked))
    }
    if not rows:
        return None
    found = make_room(view, residents_of(conn, list(rows.values())), draft.wishes(), draft.submission.rank)
    return Room(found, rows) if isinstance(found, Preemption) else None


def told(room: Room, view: Fleet, draft: Draft) -> dict[str, Any]:
    """What the caller learns of it: who and where only if he may see the fleet."""
    reader = Reader(draft.submission.lang, draft.submission.identity.may_overall(Right.SEE_FLEET))
    return plan_views.preemption(room.found, room.who, view.host_name, reader)


def advice(conn: Connection, view: Fleet, draft: Draft) -> tuple[dict[str, Any] | None, bool]:
    """For a draft that is refused: the plan, for operators; and whether asking again with `preempt` would do.

    That is said only where it is certain: pools that keep hosts to spare are judged when it is done.
    """
    operator, may = draft.submission.identity.may_overall(Right.SEE_FLEET), draft.policy["may_preempt"] and draft.auto
    room = look(conn, view, draft) if (operator or may) and draft.submission.rank else None
    if room is None:
        return None, False
    pools = {view.labels(to.host_id).pool for to in room.found.placements}
    certain = bool(may) and not draft.submission.preempt and pools.isdisjoint(fleet.spare_pools(conn))
    return told(room, view, draft) if operator else None, certain


def take(conn: Connection, admission: Admission, draft: Draft, locked: Collection[str]) -> list[Placement] | None:
    """Places for the draft, handed over by its victims (`draft.victims`); None where there is no way. The draft is alone in its batch."""
    view, gone = admission.view.fleet, set[str]()
    for _ in range(_LOOKS):
        room = look(conn, view, draft, locked, gone)
        if room is None:
            return None
        hosts, changed = lock(conn, view, _touched(room))
        if changed:
            continue
        wanted = {one.key for one in room.found.victims}
        if not wanted <= instances.lock_preemptible(conn, sorted(wanted)):
            gone |= room.who.keys() - instances.lock_preemptible(conn, sorted(room.who))  # whoever is left is ours by now
            continue
        return _hand_over(conn, admission, draft, room, {row["id"]: row for row in hosts})
    return None


def _touched(room: Room) -> set[str]:
    return {to.host_id for to in room.found.placements} | {one.host_id for one in room.found.victims}


def _hand_over(conn: Connection, admission: Admission, draft: Draft, room: Room, hosts: Mapping[str, Row]) -> list[Placement] | None:
    """Do it, unless a pool would no longer be N+k: then nothing is done."""
    view, places, victims = admission.view.fleet, list(room.found.placements), [room.who[one.key] for one in room.found.victims]
    left = _left(draft, places, victims, hosts)
    nested = conn.begin_nested()
    for row in victims:
        requests.resize_allocation(conn, row["id"], left[row["id"]])
        instances.ask(conn, row["id"], admission.build_deadline_s, goal=Goal.GONE, preempted_for=draft.request_id)
    if spare.broken(conn, view, [draft], [places], ()):
        nested.rollback()
        return None
    nested.commit()
    events.add(conn, [_fact(draft, row) for row in victims])
    lock(conn, view, {row["host_id"] for row in victims})  # the view learns what they gave up
    draft.victims = victims
    return places


def _left(draft: Draft, places: Sequence[Placement], victims: Sequence[Row], hosts: Mapping[str, Row]) -> dict[str, dict[str, Any]]:
    """What stays with each victim until it is gone: all that the newcomers do not lack, on the very devices and in the very cells."""
    lack = {id_: _over(row) for id_, row in hosts.items()}
    for unit, to in zip(draft.units, places, strict=True):
        asked = {name: [unit.flavor[name]] for name in _SUMS} | devices.held(unit.wish, to)
        lack[to.host_id] = {name: devices.plus(short, asked[name]) for name, short in lack[to.host_id].items()}
    left = {}
    for row in victims:
        short = lack[row["host_id"]]
        mine = {name: [row[name]] for name in _SUMS} | {name: row[name] for name in devices.HELD}
        given = {name: [min(has, max(0, want)) for has, want in zip(mine[name], short[name], strict=False)] for name in mine}
        less = {name: [-amount for amount in amounts] for name, amounts in given.items()}
        lack[row["host_id"]] = {name: devices.plus(short[name], less[name]) for name in short}
        kept = {name: devices.plus(mine[name], less[name]) for name in mine}
        left[row["id"]] = {**kept, **{name: kept[name][0] for name in _SUMS}, "gpus": len(devices.places(kept["held_gpus"]))}
    return left


_SUMS = devices.SIZES[:3]


def _over(row: Row) -> dict[str, list[int]]:
    """How much more than it can hold a host has in use, below zero where it has room: of each size, and of each device and cell."""
    host = translate.host(row)
    shares = host.gpu_shares or [0] * host.capacity.gpus
    return {
        **{name: [row["used_" + name] - row[name]] for name in _SUMS},
        "held_gpus": [share - devices.WHOLE for share in shares],
        "held_cell_vcpus": [cell.used_vcpus - cell.vcpus for cell in host.cells],
        "held_cell_memory_mib": [cell.used_memory_mib - cell.memory_mib for cell in host.cells],
    }


def _fact(draft: Draft, victim: Row) -> events.Event:
    """For the victim's owners, who learn of the class alone; operators see for whom."""
    return events.event(
        "instance.preempted",
        "instance",
        victim["id"],
        victim["name"],
        victim["ancestors"][-1],
        "chutian",
        priority=draft.submission.priority,
        for_project=draft.project["path"],
        for_request=draft.request_id,
    )
