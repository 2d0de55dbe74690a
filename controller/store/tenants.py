"""Projects' shares of endpoints: what is placed there of each, and the services in front of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection

from controller.store import sql
from controller.store.sql import Row

_MINE = " WHERE h.endpoint_id = CAST(:endpoint AS uuid) AND (CAST(:project AS uuid) IS NULL OR {}.project_id = CAST(:project AS uuid))"


def shares(conn: Connection, endpoint_id: str, project_id: str | None) -> Sequence[Row]:
    """What the ledger has on the hosts of an endpoint, in all, of each project that has anything (or of one): holds are not yet there."""
    return sql.rows(
        conn,
        "SELECT a.project_id, p.path, count(*) AS instances, sum(a.vcpus) AS vcpus, sum(a.memory_mib) AS memory_mib,"
        " sum(a.disk_gib) AS disk_gib, sum(a.gpus) AS gpus"
        " FROM allocations a JOIN hosts h ON h.id = a.host_id JOIN projects p ON p.id = a.project_id"
        f"{_MINE.format('a')} AND a.instance_id IS NOT NULL AND a.after IS NULL GROUP BY a.project_id, p.path ORDER BY a.project_id",
        endpoint=endpoint_id,
        project=project_id,
    )


def services(conn: Connection, endpoint_id: str, project_id: str | None) -> Sequence[Row]:
    """The services that instances are behind which are to stay, with the ports of each sort of them, the oldest first."""
    return sql.rows(
        conn,
        "SELECT i.project_id, i.container->>'service' AS name, i.container->'ports' AS ports"
        " FROM instances i JOIN hosts h ON h.id = i.host_id"
        f"{_MINE.format('i')} AND i.container->>'service' IS NOT NULL AND i.goal <> 'gone' AND i.state <> 'deleted'"
        " GROUP BY 1, 2, 3 ORDER BY min(i.id::text)",
        endpoint=endpoint_id,
        project=project_id,
    )


def fronted(conn: Connection, named: Iterable[tuple[str, str]]) -> Sequence[Row]:
    """The ports of these services (pairs of project and name) as those have them who are to stay, and then those who wait for approval."""
    wanted = sorted(named)
    return sql.rows(
        conn,
        "WITH w AS (SELECT * FROM unnest(CAST(:projects AS uuid[]), CAST(:names AS text[])) AS w(project_id, name))"
        " SELECT project_id, name, ports FROM ("
        "SELECT w.project_id, w.name, i.container->'ports' AS ports, 0 AS waits, min(i.id::text) AS first"
        " FROM w JOIN instances i ON i.project_id = w.project_id AND i.container->>'service' = w.name"
        " WHERE i.goal <> 'gone' AND i.state <> 'deleted' GROUP BY 1, 2, 3"
        " UNION ALL SELECT w.project_id, w.name, q.item->'container'->'ports', 1, min(q.id::text)"
        " FROM w JOIN (SELECT r.id, r.project_id, jsonb_array_elements(r.items) AS item FROM requests r WHERE r.state = 'pending'"
        "              AND r.project_id = ANY(CAST(:projects AS uuid[]))) q"
        " ON q.project_id = w.project_id AND q.item->'container'->>'service' = w.name GROUP BY 1, 2, 3"
        ") found ORDER BY waits, first",
        projects=[project for project, _ in wanted],
        names=[name for _, name in wanted],
    )
