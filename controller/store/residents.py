"""Who is where, with what was asked for, and since when: for plans, and for what is thought of lifetimes."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from controller.store import sql
from controller.store.sql import Row

_SELECT = (
    "SELECT a.id, a.name, a.host_id, h.name AS host, a.kind, a.vcpus, a.memory_mib, a.disk_gib, a.gpus, a.spread_group, a.instance_id,"
    " a.cpu_baseline, a.numa_nodes, a.gpu_model, a.gpu_milli, a.held_gpus, a.held_cell_vcpus, a.held_cell_memory_mib,"
    " p.path, p.ancestors, i.item->>'arch' AS arch, i.item->>'pool' AS pool, i.item->>'zone' AS zone, i.item->>'site' AS site,"
    " i.item->'traits' AS traits, i.item->'spread' AS spread, r.priority,"
    " coalesce(n.preemptible AND NOT n.protected AND n.goal <> 'gone', false) AS preemptible"
    " FROM allocations a JOIN projects p ON p.id = a.project_id JOIN hosts h ON h.id = a.host_id JOIN requests r ON r.id = a.request_id"
    " AND a.after IS NULL LEFT JOIN instances n ON n.id = a.instance_id"  # whoever waits for another's place is not there
    " CROSS JOIN LATERAL (SELECT r.items->a.item AS item) i"
)


def everybody(conn: Connection) -> Sequence[Row]:
    """All instances and holds."""
    return sql.rows(conn, f"{_SELECT} ORDER BY a.id")


def with_group(conn: Connection, instance_id: str) -> Sequence[Row]:
    """An instance, and the other members of its group."""
    return sql.rows(
        conn,
        f"{_SELECT} WHERE a.instance_id = CAST(:id AS uuid) OR a.spread_group ="
        " (SELECT b.spread_group FROM allocations b WHERE b.instance_id = CAST(:id AS uuid)) ORDER BY a.id",
        id=instance_id,
    )


def some(conn: Connection, ids: Sequence[str]) -> Sequence[Row]:
    """Some of them, by the ids of their allocations."""
    return sql.rows(conn, f"{_SELECT} WHERE a.id = ANY(CAST(:ids AS uuid[]))", ids=list(ids))


def in_pool(conn: Connection, pool_id: str) -> Sequence[Row]:
    """Those on the hosts of a pool, and the members of their groups elsewhere."""
    return sql.rows(
        conn,
        f"{_SELECT} WHERE h.pool_id = CAST(:pool AS uuid) OR a.spread_group IN"
        " (SELECT b.spread_group FROM allocations b JOIN hosts g ON g.id = b.host_id WHERE g.pool_id = CAST(:pool AS uuid))"
        " ORDER BY a.id",
        pool=pool_id,
    )


_PREEMPTIBLE = (
    "n.preemptible AND n.goal <> 'gone' AND NOT n.protected AND n.priority = ANY(:classes)"
    " AND NOT EXISTS (SELECT 1 FROM allocations h WHERE h.after = n.id)"  # whose place is promised already
)


def preemptible(conn: Connection, classes: Sequence[str]) -> Sequence[Row]:
    """Instances of these classes that agreed to be preempted and may be now."""
    return sql.rows(conn, f"{_SELECT} WHERE {_PREEMPTIBLE} ORDER BY a.id", classes=list(classes))


def owners(conn: Connection, classes: Sequence[str]) -> set[str]:
    """Their projects, and those above them."""
    found = sql.rows(
        conn,
        "SELECT DISTINCT unnest(p.ancestors) AS id FROM projects p"
        f" WHERE EXISTS (SELECT 1 FROM instances n WHERE n.project_id = p.id AND {_PREEMPTIBLE})",
        classes=list(classes),
    )
    return {row["id"] for row in found}


def on_hosts(conn: Connection, hosts: Iterable[str]) -> dict[str, Sequence[str]]:
    """The ids of all that is on some hosts, held places included."""
    found = sql.rows(
        conn,
        "SELECT host_id, string_agg(id::text, ' ') AS ids FROM allocations WHERE host_id = ANY(CAST(:hosts AS uuid[])) AND after IS NULL"
        " GROUP BY host_id",
        hosts=list(hosts),
    )
    return {row["host_id"]: row["ids"].split(" ") for row in found}


_LIVES = (
    "SELECT a.id, a.host_id, a.project_id, a.kind, a.vcpus, a.memory_mib, a.gpus, a.created_at,"
    " coalesce(i.term_ends_at, a.created_at + make_interval(days => r.term_days)) AS term_ends_at"
    " FROM allocations a JOIN requests r ON r.id = a.request_id AND a.after IS NULL LEFT JOIN instances i ON i.id = a.instance_id"
)


def all_lives(conn: Connection) -> Iterable[Row]:
    """Since when all are where they are, and until when they were asked for."""
    return sql.stream(conn, _LIVES)


def lives(conn: Connection, ids: Iterable[str]) -> Iterable[Row]:
    """The same for some."""
    return sql.rows(conn, f"{_LIVES} WHERE a.id = ANY(CAST(:ids AS uuid[]))", ids=list(ids))
