"""Deciding on requests.

What a request asks for was counted and placed when it was handed in, so that approving it can't fail for lack of either.
"""

from __future__ import annotations

from sqlalchemy import Connection

from controller import errors
from controller.actions import guard
from controller.actions.env import Env
from controller.model.identity import Identity, Right
from controller.model.instance import begin
from controller.store import events, instances, requests, sql
from controller.store.sql import Row


def find(conn: Connection, identity: Identity, request_id: str, lock: bool = False) -> Row:
    """A request that the caller may read."""
    row = requests.get(conn, request_id, lock)
    if row is None or not identity.may(Right.READ, row["ancestors"]):
        raise errors.NotFound("request_not_found", request=request_id)
    return row


def approve(conn: Connection, env: Env, identity: Identity, request_id: str, reason: str | None, generation: int | None) -> Row:
    """Turn the holds of a pending request into instances.

    An approver doesn't approve what he asked for himself, unless he administers the project.
    """
    row = _pending(conn, identity, request_id, generation, Right.DECIDE)
    if row["created_by"] == identity.user_id and not identity.may(Right.SET_UP, row["ancestors"]):
        raise errors.Forbidden("own_request")
    held = requests.held(conn, row["id"])
    now = sql.scalar(conn, "SELECT now()")
    made = [begin(row, hold, now) for hold in held]
    requests.decide(conn, row["id"], "approved", identity.user_id, reason)
    instances.insert(conn, made, env.settings.build_deadline_s)
    requests.occupy(conn, [(one["id"], one["id"]) for one in made])
    facts = [events.event("request.approved", "request", row["id"], row["project"], row["project_id"], identity.name, reason=reason or "")]
    facts += [
        events.event("instance.accepted", "instance", one["id"], one["name"], row["project_id"], identity.name, flavor=one["flavor"])
        for one in made
    ]
    events.add(conn, facts)
    return find(conn, identity, request_id)


def refuse(conn: Connection, identity: Identity, request_id: str, reason: str, generation: int | None) -> Row:
    """Refuse, with a reason; what was held is free again."""
    row = _pending(conn, identity, request_id, generation, Right.DECIDE)
    if not reason.strip():
        raise errors.InvalidRequest("reason_needed")
    return _let_go(conn, identity, row, "refused", reason)


def cancel(conn: Connection, identity: Identity, request_id: str, generation: int | None) -> Row:
    """Take one's request back."""
    row = _pending(conn, identity, request_id, generation, Right.USE)
    return _let_go(conn, identity, row, "cancelled", None)


def _let_go(conn: Connection, identity: Identity, row: Row, state: str, reason: str | None) -> Row:
    requests.decide(conn, row["id"], state, identity.user_id, reason)
    requests.release_holds(conn, [row["id"]])
    events.add(
        conn,
        [events.event(f"request.{state}", "request", row["id"], row["project"], row["project_id"], identity.name, reason=reason or "")],
    )
    return find(conn, identity, row["id"])


def _pending(conn: Connection, identity: Identity, request_id: str, generation: int | None, right: Right) -> Row:
    row = find(conn, identity, request_id, lock=True)
    guard.allow(identity, right, row)
    guard.seen(row, generation)
    if row["state"] != "pending":
        raise errors.InvalidState("request_decided", state=row["state"])
    return row


def expire(conn: Connection, limit: int = 100) -> int:
    """Let go of what undecided requests hold past their time; how many."""
    late = requests.expired(conn, limit)
    for row in late:
        requests.decide(conn, row["id"], "expired", None, None)
    requests.release_holds(conn, [row["id"] for row in late])
    events.add(conn, [events.event("request.expired", "request", row["id"], row["project"], row["project_id"], "chutian") for row in late])
    return len(late)
