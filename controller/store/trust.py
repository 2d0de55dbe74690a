"""Certificates whose keys the controllers share, sealed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from controller.store import sql
from controller.store.sql import Row


def kept(conn: Connection, *, alone: bool = False) -> Sequence[Row]:
    """All, oldest first; `alone`: until the transaction's end nobody else may ask for that."""
    if alone:
        sql.scalar(conn, "SELECT owner FROM cloud FOR UPDATE")
    return sql.rows(conn, "SELECT id::text, kind, certificate, sealed_key FROM trust ORDER BY begins, id")


def keep(conn: Connection, record: Mapping[str, Any]) -> None:
    """One more."""
    sql.insert(conn, "trust", [record])


def forget(conn: Connection, ids: Sequence[str]) -> None:
    """Those no more."""
    sql.run(conn, "DELETE FROM trust WHERE id = ANY(CAST(:ids AS uuid[]))", ids=list(ids))
