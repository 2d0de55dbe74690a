"""Terms and what comes of them: whose end is near, who leaves room, who was promised it, who waits for it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from controller.store import sql
from controller.store.sql import Row

_MOST = 500  # slots looked at for one request: those that come first
_LEAVING = "i.ends AND NOT i.protected AND i.goal <> 'gone'"
_UNPROMISED = "NOT EXISTS (SELECT 1 FROM allocations n WHERE n.after = i.id)"


def slots(conn: Connection, until: datetime, least: Mapping[str, int], arches: Sequence[str], pools: Sequence[str]) -> Sequence[Row]:
    """Instances that end by then, have a place that nobody was promised, and may be of use, the first to end first.

    `least`: the least of each size that is of any use; `arches`, `pools`: none for all. The room of one that is being made smaller, or
    larger, is what it has both before and after that.
    """
    size = {name: f"least(i.{name}, a.{name})" for name in least}
    return sql.rows(
        conn,
        "SELECT i.id, i.name, p.path, i.host_id, i.term_ends_at, o.name AS pool,"
        f" {', '.join(f'{of} AS {name}' for name, of in size.items())},"
        " (a.gpus, a.gpu_milli, a.numa_nodes, a.vcpus, a.memory_mib) = (i.gpus, i.gpu_milli, i.numa_nodes, i.vcpus, i.memory_mib) AS even,"
        " a.held_gpus, a.held_cell_vcpus, a.held_cell_memory_mib"
        " FROM instances i JOIN allocations a ON a.id = i.id AND a.after IS NULL JOIN projects p ON p.id = i.project_id"
        " JOIN hosts h ON h.id = i.host_id JOIN pools o ON o.id = h.pool_id"
        f" WHERE {_LEAVING} AND i.term_ends_at > now() AND i.term_ends_at <= :until AND {_UNPROMISED}"
        " AND h.state = 'up' AND NOT h.cordoned AND h.closed IS NULL"
        " AND (h.arch = ANY(:arches) OR cardinality(:arches) = 0) AND (o.name = ANY(:pools) OR cardinality(:pools) = 0)"
        f" AND {' AND '.join(f'{of} >= :least_{name}' for name, of in size.items())}"
        " ORDER BY i.term_ends_at, i.id LIMIT :most",
        until=until,
        arches=list(arches),
        pools=list(pools),
        most=_MOST,
        **{f"least_{name}": amount for name, amount in least.items()},
    )


def lock_leaving(conn: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these still end by themselves and were promised to nobody, locked; for who is being changed just now nobody waits."""
    found = sql.rows(
        conn,
        f"SELECT i.id FROM instances i WHERE i.id = ANY(CAST(:ids AS uuid[])) AND {_LEAVING} AND {_UNPROMISED}"
        " ORDER BY i.id FOR NO KEY UPDATE OF i SKIP LOCKED",
        ids=list(ids),
    )
    return {row["id"] for row in found}


def promised(conn: Connection, instance_id: str) -> bool:
    """Whether the place of an instance was promised to somebody for when it has gone."""
    return sql.one(conn, "SELECT 1 FROM allocations WHERE after = CAST(:id AS uuid) LIMIT 1", id=instance_id) is not None


def due(conn: Connection, limit: int) -> Sequence[Row]:
    """Instances whose term wants to be looked at, locked."""
    return sql.rows(
        conn,
        "SELECT i.id, i.name, i.project_id, i.protected, i.built, i.term_ends_at, now() AS now FROM instances i"
        " WHERE i.term_due_at <= now() AND i.goal <> 'gone' ORDER BY i.term_due_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED",
        limit=limit,
    )


def set_due(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """When terms are looked at next: id and `term_due_at`, null for never."""
    if records:
        sql.run(
            conn,
            "UPDATE instances i SET term_due_at = r.term_due_at"
            " FROM json_to_recordset(CAST(:records AS json)) AS r(id uuid, term_due_at timestamptz) WHERE i.id = r.id",
            records=sql.document(records),
        )


def extend(conn: Connection, instance_id: str, days: int, warn_days: int) -> None:
    """Move the end of a term, from today where it has passed."""
    end = "greatest(term_ends_at, now()) + make_interval(days => :days)"
    sql.run(
        conn,
        f"UPDATE instances SET term_ends_at = {end}, term_due_at = CASE WHEN ends THEN {end} - make_interval(days => :warn) END,"
        " generation = generation + 1, observed_generation = CASE WHEN observed_generation = generation THEN generation + 1"
        " ELSE observed_generation END, due_at = greatest(starts_at, now()) WHERE id = CAST(:id AS uuid)",
        id=instance_id,
        days=days,
        warn=warn_days,
    )


def roomless(conn: Connection, code: str, limit: int) -> Sequence[Row]:
    """Instances that should have begun and whose place others have yet to leave; each is given the reason `code`, and found once."""
    return sql.rows(
        conn,
        "UPDATE instances i SET reason = jsonb_build_object('code', CAST(:code AS text), 'params', '{}'::jsonb)"
        " WHERE i.id IN (SELECT d.id FROM instances d JOIN allocations a ON a.instance_id = d.id AND a.after IS NOT NULL"
        "  WHERE d.starts_at <= now() AND d.state = 'pending' AND d.goal <> 'gone' AND d.reason->>'code' IS DISTINCT FROM :code"
        "  ORDER BY d.id LIMIT :limit FOR NO KEY UPDATE OF d SKIP LOCKED)"
        " RETURNING i.id, i.name, i.project_id",
        code=code,
        limit=limit,
    )
