"""Hosts that are to be switched on or off, until they are seen to be."""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection

from controller.store import sql
from controller.store.sql import Row


def ask(conn: Connection, host_id: str, wanted: str, fences: str | None = None) -> bool:
    """Want a host on or off, whatever was wanted before; whether that is news. `fences`: the silent host on the same machine."""
    asked = sql.run(
        conn,
        "INSERT INTO switching AS s (host_id, wanted, fences) VALUES (CAST(:id AS uuid), :wanted, CAST(:fences AS uuid))"
        " ON CONFLICT (host_id) DO UPDATE SET wanted = excluded.wanted, fences = excluded.fences, asked_at = now()"
        " WHERE (s.wanted, s.fences) IS DISTINCT FROM (excluded.wanted, excluded.fences)",
        id=host_id,
        wanted=wanted,
        fences=fences,
    )
    return asked == 1


def due(conn: Connection, endpoint_id: str) -> Sequence[Row]:
    """What is wanted of an endpoint's hosts: host_id, name, backend_name, machine, wanted, asked_at, for how long by now (`seconds`), and
    `fences`, with that host's name and state."""
    return sql.rows(
        conn,
        "SELECT s.host_id, h.name, h.backend_name, h.machine, s.wanted, s.asked_at, s.fences, f.name AS fenced, f.state AS fenced_state,"
        " extract(epoch FROM now() - s.asked_at)::float8 AS seconds"
        " FROM switching s JOIN hosts h ON h.id = s.host_id LEFT JOIN hosts f ON f.id = s.fences"
        " WHERE h.endpoint_id = CAST(:id AS uuid) ORDER BY h.id",
        id=endpoint_id,
    )


def drop(conn: Connection, row: Row) -> bool:
    """Want no more what a row of `due` says; False where something else is wanted by now."""
    gone = sql.run(
        conn,
        "DELETE FROM switching WHERE host_id = CAST(:id AS uuid) AND wanted = :wanted AND asked_at = :asked",
        id=row["host_id"],
        wanted=row["wanted"],
        asked=row["asked_at"],
    )
    return gone == 1


def forget(conn: Connection, host_id: str) -> None:
    """Want nothing more of a host, or for its sake."""
    sql.run(conn, "DELETE FROM switching WHERE CAST(:id AS uuid) IN (host_id, fences)", id=host_id)
