"""The rows of what was admitted: requests, allocations, instances, events, answers; and of why the scheduler decided as it did."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from controller.actions.draft import Accepted, Admission, Draft, NewId, Row, Unit, pairs
from controller.model import container, devices
from controller.model.instance import begin
from controller.model.placement import record
from controller.model.request import Item
from controller.model.term import begins
from controller.sealing import Seal
from controller.store import answers, events, instances, requests
from scheduler import types as scheduler
from scheduler.fleet import Fleet
from scheduler.reasons import reasons

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


def placement_row(view: Fleet, draft: Draft, new_id: NewId, key: str) -> Row:
    """Why the item of unit `key` goes where it goes, or nowhere; `view` as it is before it goes there."""
    one = next(unit for unit in draft.units if unit.id == key)
    names = [unit.name for unit in draft.units if unit.item == one.item]
    hosts = [view.host_name(placement.host_id) for unit, placement in pairs(draft) if unit.item == one.item] if draft.placements else []
    kept = record(names, one.flavor["name"], one.wish, reasons(view, one.wish), hosts)
    if draft.victims:
        kept |= {"preempted": [f"{row['path']}/{row['name']}" for row in draft.victims]}
    if draft.after:
        mine = [draft.after[unit.id] for unit in draft.units if unit.item == one.item and unit.id in draft.after]
        kept |= {"after": [f"{row['path']}/{row['name']}" for row in mine]}
    if draft.elsewhere and not draft.placements:  # there is room, and it is kept for what other hosts run
        kept |= {"fits": 0, "rules": [*kept["rules"], {"rule": "spare_hosts", "excluded": kept["fits"]}], "nearest": []}
    return {
        "id": new_id(),
        "project_id": draft.project["id"],
        "request_id": draft.request_id if draft.placements else None,
        "item": one.item,
        "actor": draft.submission.identity.name,
        "placed": bool(draft.placements),
        "record": kept,
    }
