"""The rows of what was admitted: requests, allocations, instances, events, answers; and of why the scheduler decided as it did."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from controller.actions.draft import Accepted, Admission, Draft, NewId, Row, Unit, pairs
from controller.model import container, devices
from controller.model.instance import begin
from controller.model.placement import counts, record
from controller.model.request import Item
from controller.model.term import begins
from controller.sealing import Seal
from controller.store import answers, events, fleet, instances, requests
from scheduler import types as scheduler
from scheduler.fleet import Fleet
from scheduler.place import capacity
from scheduler.reasons import Reasons, reasons

_WAITS = {"code": "waits_for_preempted", "params": {}}


def write(conn: Connection, admission: Admission, drafts: Sequence[Draft], now: datetime) -> None:
    asked = [_request_row(draft, now, admission) for draft in drafts]
    requests.insert(conn, asked)
    allocations = [[_allocation_row(draft, unit, p) for unit, p in pairs(draft)] for draft in drafts]
    made = [
        [begin(request, row, now) | ({"reason": _WAITS} if draft.victims else {}) for row in rows] if draft.auto else []
        for draft, request, rows in zip(drafts, asked, allocations, strict=True)
    ]
    instances.insert(conn, [row for rows in made for row in rows], admission.build_deadline_s)
    requests.allocate(conn, [row for rows in allocations for row in rows])
    events.add(conn, [fact for draft in drafts for fact in _facts(draft)])
    kept = []
    for draft, request, rows in zip(drafts, asked, made, strict=True):
        accepted = Accepted(
            request
            | {
                "project": draft.project["path"],
                "created_by_name": draft.submission.identity.name,
                "instances": [row["id"] for row in rows],
            },
            tuple(
                row | _surroundings(admission, draft, unit, p) for row, (unit, p) in zip(rows, pairs(draft) if rows else [], strict=True)
            ),
        )
        status, body = admission.render(draft.submission, accepted)
        draft.outcome = Accepted(accepted.request, accepted.instances, (status, body))
        if draft.submission.key:
            kept.append(
                {
                    "user_id": draft.submission.identity.user_id,
                    "key": draft.submission.key,
                    "fingerprint": draft.submission.fingerprint,
                    "status": status,
                    "body": body,
                }
            )
    answers.add(conn, kept)


def _request_row(draft: Draft, now: datetime, admission: Admission) -> dict[str, Any]:
    submission = draft.submission
    return {
        "id": draft.request_id,
        "project_id": draft.project["id"],
        "created_by": submission.identity.user_id,
        "state": "approved" if draft.auto else "pending",
        "reason": submission.reason,
        "term_days": submission.term_days,
        "priority": submission.priority,
        "ends": submission.ends,
        "starts_at": submission.starts_at if begins(submission.starts_at, now) > now else None,
        "items": [_kept(draft, number, item, admission.seal) for number, item in enumerate(submission.items)],
        "decided_at": now if draft.auto else None,
        "expires_at": None if draft.auto else now + timedelta(seconds=admission.request_ttl_s),
        "generation": 1,
        "created_at": now,
    }


def _kept(draft: Draft, number: int, item: Item, seal: Seal) -> dict[str, Any]:
    """An item as it is kept: its user data, or the secrets of a container, sealed; its names as what they meant then (they may mean
    something else when it is approved).
    """
    unit = next(unit for unit in draft.units if unit.item == number)
    kept, secret = container.split(item.container) if item.container else (None, item.user_data)
    return item.document() | {
        "container": kept,
        "user_data": seal.close(secret, draft.request_id) if secret else "",
        "user_data_bytes": len(item.user_data.encode()),
        "flavor": unit.flavor["name"],
        "image": unit.image["name"],
        "image_id": unit.image["id"],
        "hypervisor": unit.hypervisor,
        "arch": unit.image["arch"],
        "traits": list(unit.flavor["traits"]),
    }


def _surroundings(admission: Admission, draft: Draft, unit: Unit, placement: scheduler.Placement) -> dict[str, Any]:
    """What a reader of the instance sees beside its own row."""
    host = admission.view.fleet.host(placement.host_id)
    return {
        "project": draft.project["path"],
        "image": unit.image["name"],
        "host": host.name,
        "pool": host.pool,
        "zone": host.zone,
        "host_state": "up",
        "host_arch": host.arch,
        "host_power": "unknown",
        "condition": "absent",
        "addresses": [],
        "protected": False,
        "adopted": None,
        "disowned": False,
        "generation": 1,
        "observed_generation": 0,
    }


def _allocation_row(draft: Draft, unit: Unit, placement: scheduler.Placement) -> dict[str, Any]:
    return {
        "id": unit.id,
        "project_id": draft.project["id"],
        "host_id": placement.host_id,
        "request_id": draft.request_id,
        "item": unit.item,
        "instance_id": unit.id if draft.auto else None,
        "name": unit.name,
        "kind": draft.submission.items[unit.item].kind,
        **{name: unit.flavor[name] for name in devices.SHAPE},
        **devices.held(unit.wish, placement),
        "counted": True,
        "spread_group": unit.wish.spread.group if unit.wish.spread else None,
        "after": draft.after[unit.id]["id"] if unit.id in draft.after else None,
    }


def _facts(draft: Draft) -> list[events.Event]:
    actor, project_id = draft.submission.identity.name, draft.project["id"]
    kind = "request.approved_by_policy" if draft.auto else "request.submitted"
    facts = [events.event(kind, "request", draft.request_id, draft.project["path"], project_id, actor, count=len(draft.units))]
    if draft.auto:
        facts += [
            events.event("instance.accepted", "instance", unit.id, unit.name, project_id, actor, flavor=unit.flavor["name"])
            for unit in draft.units
        ]
    return facts


def placement_row(conn: Connection, view: Fleet, draft: Draft, new_id: NewId, key: str) -> Row:
    """Why the item of unit `key` goes where it goes; `view` as it is before it goes there."""
    one = next(unit for unit in draft.units if unit.id == key)
    placed = [placement for unit, placement in pairs(draft) if unit.item == one.item]
    kept = _record(draft, one, reasons(view, one.wish), [view.host_name(placement.host_id) for placement in placed])
    kept |= {"given": _given(conn, one, placed)}
    if draft.victims:
        kept |= {"preempted": [f"{row['path']}/{row['name']}" for row in draft.victims]}
    if draft.after:
        mine = [draft.after[unit.id] for unit in draft.units if unit.item == one.item and unit.id in draft.after]
        kept |= {"after": [f"{row['path']}/{row['name']}" for row in mine]}
    return _row(draft, new_id, one, kept)


def refusal_row(view: Fleet, draft: Draft, new_id: NewId, refusal: scheduler.NoValidHost) -> Row:
    """Why the refused item goes nowhere. What excluded the hosts is told as it was when those of the request before it had a place."""
    one = next(unit for unit in draft.units if unit.id == refusal.key)
    why = reasons(view, one.wish)
    kept = _record(draft, one, why, []) | {"fits": 0, "best": []}
    if draft.elsewhere:  # there is room, and it is kept for what other hosts run
        kept |= {"rules": [*kept["rules"], {"rule": "spare_hosts", "excluded": why.fits}], "nearest": []}
    elif why.fits:
        kept |= {"rules": counts(refusal.rules), "room": capacity(view, one.wish)}
    return _row(draft, new_id, one, kept)


def _record(draft: Draft, one: Unit, why: Reasons, hosts: Sequence[str]) -> dict[str, Any]:
    return record([unit.name for unit in draft.units if unit.item == one.item], one.flavor["name"], one.wish, why, hosts)


def _given(conn: Connection, one: Unit, placed: Sequence[scheduler.Placement]) -> list[dict[str, Any]] | None:
    """The GPUs and NUMA nodes of each, as its host's list names them; None where none were asked for."""
    if not one.wish.cells and not one.wish.resources.gpus:
        return None
    hosts = {row["id"]: row for row in fleet.placed(conn, (placement.host_id for placement in placed))}
    return [devices.named(hosts[placement.host_id], placement) for placement in placed]


def _row(draft: Draft, new_id: NewId, one: Unit, kept: Mapping[str, Any]) -> Row:
    return {
        "id": new_id(),
        "project_id": draft.project["id"],
        "request_id": draft.request_id if draft.placements else None,
        "item": one.item,
        "actor": draft.submission.identity.name,
        "placed": bool(draft.placements),
        "record": kept,
    }
