"""Answers already given, by idempotency key.

Written in the transaction of the effect, so that a repeated call finds either both or neither.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from controller.store import sql
from controller.store.sql import Row


def find(conn: Connection, keys: Iterable[tuple[str, str]]) -> dict[tuple[str, str], Row]:
    """The answers known for pairs of user and key."""
    pairs = list(keys)
    if not pairs:
        return {}
    found = sql.rows(
        conn,
        "SELECT a.* FROM answers a JOIN unnest(CAST(:users AS uuid[]), CAST(:keys AS text[])) AS w(user_id, key) USING (user_id, key)",
        users=[user for user, _ in pairs],
        keys=[key for _, key in pairs],
    )
    return {(row["user_id"], row["key"]): row for row in found}


def reserve(conn: Connection, user_id: str, key: str) -> None:
    """Let nobody else answer this key until the transaction ends."""
    sql.run(conn, "SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))", name=f"{user_id}/{key}")


def add(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """Keep answers: user_id, key, fingerprint of the call, status, body (JSON text)."""
    sql.insert(conn, "answers", records)


def forget(conn: Connection, days: int) -> int:
    """Drop answers older than `days`; how many."""
    return sql.run(conn, "DELETE FROM answers WHERE created_at < now() - make_interval(days => :days)", days=days)
