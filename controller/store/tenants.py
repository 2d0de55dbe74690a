"""Projects' shares of endpoints: what is placed there of each, and the services in front of it."""

from __future__ import annotations

from collections.abc import Sequence

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
