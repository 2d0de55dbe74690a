"""What the scheduler decided for each item of a request, and why."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from controller.store import sql
from controller.store.sql import Row

_SELECT = "SELECT q.*, p.path AS project FROM {source} q JOIN projects p ON p.id = q.project_id"


def add(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """Keep decisions: id, project_id, request_id (null where refused), item, actor, placed, record."""
    sql.insert(conn, "placements", records)


def of_instance(conn: Connection, instance: Row) -> Row | None:
    """The one that put an instance where it began."""
    return sql.one(
        conn,
        f"{_SELECT.format(source='placements')} WHERE q.request_id = CAST(:request AS uuid)"
        " AND q.record->'names' ? :name ORDER BY q.id DESC LIMIT 1",
        request=instance["request_id"],
        name=instance["name"],
    )


def page(conn: Connection, scope: Sequence[str] | None, request: str | None, placed: bool | None, before: str, limit: int) -> Sequence[Row]:
    """Newest first; cut out of an index as pages of instances are."""
    conditions = ["x.id < CAST(:before AS uuid)"]
    conditions += ["x.request_id = CAST(:request AS uuid)"] if request else []
    conditions += ["x.placed" if placed else "NOT x.placed"] if placed is not None else []
    where, params = " AND ".join(conditions), {"request": request} if request else {}
    if scope is None:
        source = f"(SELECT x.* FROM placements x WHERE {where} ORDER BY x.id DESC LIMIT :limit)"
    else:
        each = (
            f"(SELECT x.* FROM placements x WHERE {where} AND x.project_id = ANY(ARRAY[s.id])"
            " ORDER BY x.project_id DESC, x.id DESC LIMIT :limit)"
        )
        source = f"(SELECT y.* FROM unnest(CAST(:scope AS uuid[])) AS s(id) CROSS JOIN LATERAL {each} y ORDER BY y.id DESC LIMIT :limit)"
        params["scope"] = list(scope)  # type: ignore[assignment]
    return sql.rows(conn, f"{_SELECT.format(source=source)} ORDER BY q.id DESC", before=before, limit=limit, **params)


def forget_refused(conn: Connection, days: int) -> int:
    """Drop refusals older than `days`; how many. What was placed is kept as long as its project."""
    return sql.run(conn, "DELETE FROM placements WHERE NOT placed AND created_at < now() - make_interval(days => :days)", days=days)
