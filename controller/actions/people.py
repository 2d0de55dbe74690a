"""Users and their tokens."""

from __future__ import annotations

import hashlib
import secrets
from datetime import timedelta

from sqlalchemy import Connection

from controller import errors
from controller.actions import guard
from controller.actions.env import Env
from controller.model.identity import Identity, Right
from controller.store import events, people
from controller.store.sql import Row

_PREFIX = "ct_"


def token_hash(token: str) -> bytes:
    """What is kept of a token. A plain SHA-256 is enough: a token has 256 random bits, so nothing can be guessed."""
    return hashlib.sha256(token.encode()).digest()


def new_token() -> str:
    """256 random bits, recognisable as ours by scanners for leaked secrets."""
    return _PREFIX + secrets.token_urlsafe(32)


def create(conn: Connection, env: Env, identity: Identity, name: str, display_name: str) -> Row:
    """A new user, without any role yet."""
    guard.overall(identity, Right.PEOPLE)
    if people.get_user(conn, name):
        raise errors.AlreadyExists("user_exists", name=name)
    id_ = env.new_id()
    people.insert_user(conn, {"id": id_, "name": name, "display_name": display_name})
    events.add(conn, [events.event("user.created", "user", id_, name, None, identity.name)])
    return find(conn, identity, name)


def find(conn: Connection, identity: Identity, reference: str) -> Row:
    """A user: oneself, or anybody for an administrator."""
    row = people.get_user(conn, reference)
    if row is None or not (row["id"] == identity.user_id or identity.may_overall(Right.PEOPLE)):
        raise errors.NotFound("user_not_found", user=reference)
    return row


def disable(conn: Connection, identity: Identity, reference: str, disabled: bool, generation: int | None) -> Row:
    """Let a user in no longer, or again."""
    guard.overall(identity, Right.PEOPLE)
    row = find(conn, identity, reference)
    guard.seen(row, generation)
    changed = people.disable_user(conn, row["id"], disabled, row["generation"])
    if changed is None:
        raise errors.StaleGeneration(seen=row["generation"], now="?")
    kind = "user.disabled" if disabled else "user.enabled"
    events.add(conn, [events.event(kind, "user", row["id"], row["name"], None, identity.name)])
    return changed


def issue_token(conn: Connection, env: Env, identity: Identity, reference: str, name: str, days: int) -> tuple[Row, str]:
    """A token for oneself, or for anybody by an administrator; its text is in this answer alone."""
    row = find(conn, identity, reference)
    token = new_token()
    made = people.insert_token(conn, env.new_id(), row["id"], name, token_hash(token), timedelta(days=days))
    events.add(conn, [events.event("token.issued", "user", row["id"], row["name"], None, identity.name, token=name, days=days)])
    return made, token


def revoke_token(conn: Connection, identity: Identity, token_id: str) -> None:
    """Make a token useless."""
    token = people.get_token(conn, token_id)
    if token is None or not (token["user_id"] == identity.user_id or identity.may_overall(Right.PEOPLE)):
        raise errors.NotFound("token_not_found", token=token_id)
    people.revoke_token(conn, token["id"])
    events.add(conn, [events.event("token.revoked", "user", token["user_id"], token["name"], None, identity.name, token=token["name"])])
