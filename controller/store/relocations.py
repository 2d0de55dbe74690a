"""Moving rows of the ledger, and the instances that they are for, to other hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from controller.model.devices import HELD
from controller.store import sql
from controller.store.fleet import HOST
from controller.store.sql import Row


def to_empty(conn: Connection, endpoint_id: str) -> Sequence[Row]:
    """Hosts of an endpoint that have something on them and are fenced, or being drained."""
    return sql.rows(
        conn,
        f"{HOST} WHERE h.endpoint_id = CAST(:id AS uuid) AND h.used_instances > 0"
        " AND (h.state = 'fenced' OR h.draining AND h.state = 'up') ORDER BY h.name",
        id=endpoint_id,
    )


def lock(conn: Connection, host_id: str, ids: Sequence[str]) -> set[str]:
    """Which allocations of these are still on the host, and may be moved: holds, and instances that are to stay and nobody is changing."""
    found = sql.rows(
        conn,
        "SELECT id FROM instances WHERE id = ANY(CAST(:ids AS uuid[])) AND host_id = CAST(:host AS uuid) AND goal <> 'gone'"
        " ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
        ids=list(ids),
        host=host_id,
    )
    held = sql.rows(
        conn,
        "SELECT id FROM allocations WHERE id = ANY(CAST(:ids AS uuid[])) AND host_id = CAST(:host AS uuid) AND instance_id IS NULL"
        " ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
        ids=list(ids),
        host=host_id,
    )
    return {row["id"] for row in (*found, *held)}


def heirs(conn: Connection, ids: Sequence[str]) -> Sequence[Row]:
    """Those to whom the places of these are promised."""
    return sql.rows(conn, "SELECT * FROM allocations WHERE after = ANY(CAST(:ids AS uuid[])) ORDER BY id", ids=list(ids))


def move(conn: Connection, records: Sequence[Mapping[str, Any]], deadline_s: int) -> None:
    """Give allocations, and the instances of the same ids, other hosts: id, host_id, after, and what is held of devices and cells there.

    Those to whom places are promised (`after`) have not begun: there is nothing of theirs to be started again.
    """
    given = sql.document(records)
    of = "FROM json_populate_recordset(NULL::allocations, CAST(:records AS json)) AS r"
    kept = ", ".join(f"{name} = r.{name}" for name in ("host_id", *HELD))
    sql.run(conn, f"UPDATE allocations a SET {kept} {of} WHERE a.id = r.id", records=given)
    sql.run(conn, f"UPDATE instances i SET host_id = r.host_id {of} WHERE i.id = r.id AND r.after IS NOT NULL", records=given)
    sql.run(
        conn,
        "UPDATE instances i SET host_id = r.host_id, generation = generation + 1, asked_at = now(), attempts = 0, due_at = now(),"
        f" reason = NULL, addresses = '{{}}', deadline_at = now() + make_interval(secs => :deadline) {of}"
        " WHERE i.id = r.id AND r.after IS NULL",
        records=given,
        deadline=deadline_s,
    )
