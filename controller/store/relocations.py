"""Moving rows of the ledger, and the instances that they are for, to other hosts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from sqlalchemy import Connection

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


def move(conn: Connection, targets: Mapping[str, str], deadline_s: int) -> None:
    """Give allocations, and the instances of the same ids, other hosts; those to whom their places are promised go with them."""
    records = sql.document([{"id": id_, "host_id": host_id} for id_, host_id in targets.items()])
    of = "FROM json_to_recordset(CAST(:records AS json)) AS r(id uuid, host_id uuid)"
    sql.run(conn, f"UPDATE allocations a SET host_id = r.host_id {of} WHERE a.id = r.id OR a.after = r.id", records=records)
    sql.run(
        conn,
        "UPDATE instances i SET host_id = r.host_id, generation = generation + 1, asked_at = now(), attempts = 0, due_at = now(),"
        f" reason = NULL, addresses = '{{}}', deadline_at = now() + make_interval(secs => :deadline) {of} WHERE i.id = r.id",
        records=records,
        deadline=deadline_s,
    )
