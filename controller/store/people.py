"""Users, their tokens and their roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from controller.model.identity import Grant, Identity, Role
from controller.store import sql
from controller.store.sql import Row

_USER = "SELECT id, name, display_name, disabled, generation, created_at FROM users"
_TOKEN = "SELECT id, user_id, name, expires_at, revoked_at, created_at FROM tokens"  # noqa: S105


def identity(conn: Connection, token_hash: bytes) -> Identity | None:
    """Who a token belongs to; None where it is unknown, expired or revoked, or its user disabled."""
    row = sql.one(
        conn,
        "SELECT u.id, u.name, t.id AS token_id,"
        " (SELECT json_agg(json_build_array(r.project_id, p.path, r.role, p.parent_id IS NULL))"
        "    FROM roles r JOIN projects p ON p.id = r.project_id WHERE r.user_id = u.id) AS grants"
        " FROM tokens t JOIN users u ON u.id = t.user_id"
        " WHERE t.hash = :hash AND t.revoked_at IS NULL AND t.expires_at > now() AND NOT u.disabled",
        hash=token_hash,
    )
    if row is None:
        return None
    grants = tuple(Grant(project, path, Role(role), root) for project, path, role, root in row["grants"] or [])
    return Identity(row["id"], row["name"], row["token_id"], grants)


def get_user(conn: Connection, reference: str) -> Row | None:
    """One user by id or name."""
    return sql.one(conn, f"{_USER} WHERE name = :ref OR id::text = :ref", ref=reference)


def page_users(conn: Connection, filters: Mapping[str, str | None], after: str, limit: int) -> Sequence[Row]:
    """Users in order of name, by whether they are disabled."""
    where = sql.narrowed({"disabled": "disabled"})
    return sql.rows(conn, f"{_USER} WHERE name > :after{where} ORDER BY name LIMIT :limit", after=after, limit=limit, **filters)


def insert_user(conn: Connection, record: Mapping[str, Any]) -> None:
    """A new user."""
    sql.insert(conn, "users", [record])


def disable_user(conn: Connection, user_id: str, disabled: bool, generation: int | None) -> Row | None:
    """Disable or enable; None where the generation isn't the one seen."""
    return sql.one(
        conn,
        "UPDATE users SET disabled = :disabled, generation = generation + 1"
        " WHERE id = CAST(:id AS uuid) AND (CAST(:seen AS bigint) IS NULL OR generation = :seen)"
        " RETURNING id, name, display_name, disabled, generation, created_at",
        id=user_id,
        disabled=disabled,
        seen=generation,
    )


def insert_token(conn: Connection, id_: str, user_id: str, name: str, token_hash: bytes, lasts: timedelta) -> Row:
    """A new token; only its hash is kept."""
    row = sql.one(
        conn,
        "INSERT INTO tokens (id, user_id, name, hash, expires_at)"
        " VALUES (CAST(:id AS uuid), CAST(:user_id AS uuid), :name, :hash, now() + :lasts)"
        " RETURNING id, user_id, name, expires_at, revoked_at, created_at",
        id=id_,
        user_id=user_id,
        name=name,
        hash=token_hash,
        lasts=lasts,
    )
    assert row is not None  # noqa: S101 - INSERT … RETURNING
    return row


def page_tokens(conn: Connection, user_id: str, filters: Mapping[str, str | None], before: str, limit: int) -> Sequence[Row]:
    """A user's tokens, newest first, by whether they are revoked."""
    where = sql.narrowed({"revoked": "revoked_at IS NOT NULL"})
    return sql.rows(
        conn,
        f"{_TOKEN} WHERE user_id = CAST(:id AS uuid) AND id < CAST(:before AS uuid){where} ORDER BY id DESC LIMIT :limit",
        id=user_id,
        before=before,
        limit=limit,
        **filters,
    )


def get_token(conn: Connection, token_id: str) -> Row | None:
    """One token by id."""
    return sql.one(conn, f"{_TOKEN} WHERE id::text = :id", id=token_id)


def revoke_token(conn: Connection, token_id: str) -> None:
    """Revoke; again changes nothing."""
    sql.run(conn, "UPDATE tokens SET revoked_at = coalesce(revoked_at, now()) WHERE id = CAST(:id AS uuid)", id=token_id)


def page_roles(conn: Connection, project_id: str, filters: Mapping[str, str | None], after: str, limit: int) -> Sequence[Row]:
    """Who has which role on a project itself, by user and role, in the order of both with a space between."""
    where = sql.narrowed({"user": "u.name", "role": "r.role"})
    return sql.rows(
        conn,
        'SELECT u.name AS "user", r.role, p.path AS project FROM roles r JOIN users u ON u.id = r.user_id'
        f" JOIN projects p ON p.id = r.project_id WHERE r.project_id = CAST(:id AS uuid) AND u.name || ' ' || r.role > :after{where}"
        " ORDER BY u.name || ' ' || r.role LIMIT :limit",
        id=project_id,
        after=after,
        limit=limit,
        **filters,
    )


def grant(conn: Connection, user_id: str, project_id: str, role: str) -> None:
    """Give a role; again changes nothing."""
    sql.run(
        conn,
        "INSERT INTO roles (user_id, project_id, role) VALUES (CAST(:user AS uuid), CAST(:project AS uuid), :role) ON CONFLICT DO NOTHING",
        user=user_id,
        project=project_id,
        role=role,
    )


def ungrant(conn: Connection, user_id: str, project_id: str, role: str) -> int:
    """Take a role away; how many there were."""
    return sql.run(
        conn,
        "DELETE FROM roles WHERE user_id = CAST(:user AS uuid) AND project_id = CAST(:project AS uuid) AND role = :role",
        user=user_id,
        project=project_id,
        role=role,
    )
