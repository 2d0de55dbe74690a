"""Projects, their limits and their ledger's sums."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from controller.model.devices import exact
from controller.store import sql
from controller.store.sql import Row
from quotas.check import KINDS, RESOURCES, Amount, Node

_SELECT = (
    "SELECT id, parent_id, name, path, ancestors, description, auto_approve, max_priority, may_preempt, level, generation, created_at"
    " FROM projects"
)


def get(conn: Connection, reference: str) -> Row | None:
    """One project by id or path."""
    return sql.one(conn, f"{_SELECT} WHERE path = :ref OR id::text = :ref", ref=reference)


def find(conn: Connection, references: Iterable[str]) -> dict[str, Row]:
    """Projects by id or path, in one query; the key is the reference given."""
    wanted = list(set(references))
    found = sql.rows(conn, f"{_SELECT} WHERE path = ANY(:refs) OR id = ANY(CAST(:ids AS uuid[]))", refs=wanted, ids=_ids(wanted))
    return {key: row for row in found for key in (row["id"], row["path"])}


def _ids(references: Iterable[str]) -> list[str]:
    from controller.model.naming import is_id

    return [reference for reference in references if is_id(reference)]


def insert(conn: Connection, record: Mapping[str, Any]) -> None:
    """A new project, with its row of sums for every kind: those rows are also the locks that admission takes."""
    sql.insert(conn, "projects", [record])
    sql.insert(conn, "usage", [{"project_id": record["id"], "kind": kind} | dict.fromkeys(_SUMS, 0) for kind in KINDS])


_SUMS = [prefix + resource for prefix in ("", "held_") for resource in RESOURCES]


def update(conn: Connection, project_id: str, generation: int | None, **changes: Any) -> Row | None:
    """Change a project; None where the generation isn't the one seen."""
    assignments = ", ".join(f"{name} = CAST(:{name} AS jsonb)" if name == "auto_approve" else f"{name} = :{name}" for name in changes)
    return sql.one(
        conn,
        f"UPDATE projects SET {assignments}, generation = generation + 1 WHERE id = CAST(:id AS uuid)"
        " AND (CAST(:seen AS bigint) IS NULL OR generation = :seen) RETURNING *",
        id=project_id,
        seen=generation,
        **changes,
    )


def levels(conn: Connection, chains: Iterable[Sequence[str]]) -> dict[str, int]:
    """The protection level that holds for each project, by id, given the ids of it and those above it, topmost first."""
    wanted = {ids[-1]: ids for ids in chains}
    named = {id_ for ids in wanted.values() for id_ in ids}
    found = sql.rows(conn, "SELECT id, level FROM projects WHERE id = ANY(CAST(:ids AS uuid[])) AND level IS NOT NULL", ids=sorted(named))
    own = {row["id"]: row["level"] for row in found}
    return {project: next((own[id_] for id_ in reversed(ids) if id_ in own), 0) for project, ids in wanted.items()}


def lock_below(conn: Connection, project_id: str) -> None:
    """Lock the sums of a project and of all below it: nobody admits there until this transaction ends."""
    sql.run(
        conn,
        "SELECT 1 FROM usage WHERE project_id IN (SELECT id FROM projects WHERE ancestors @> ARRAY[CAST(:id AS uuid)])"
        " ORDER BY project_id, kind FOR NO KEY UPDATE",
        id=project_id,
    )


def delete(conn: Connection, project_id: str) -> None:
    """Remove a project that owns nothing."""
    sql.run(conn, "DELETE FROM projects WHERE id = CAST(:id AS uuid)", id=project_id)


def occupants(conn: Connection, project_id: str) -> Mapping[str, int]:
    """What still hangs on a project: child projects, instances and requests ever made (they are history)."""
    row = sql.one(
        conn,
        "SELECT (SELECT count(*) FROM projects WHERE parent_id = CAST(:id AS uuid)) AS projects,"
        " (SELECT count(*) FROM instances WHERE project_id = CAST(:id AS uuid)) AS instances,"
        " (SELECT count(*) FROM requests WHERE project_id = CAST(:id AS uuid)) AS requests",
        id=project_id,
    )
    return dict(row or {})


def subtree(conn: Connection, tops: Sequence[str]) -> list[str] | None:
    """Ids of all projects at and below `tops`; None where that is all there are."""
    found: list[str] | None = sql.scalar(
        conn,
        "SELECT CASE WHEN EXISTS (SELECT 1 FROM projects WHERE parent_id IS NULL AND NOT id = ANY(CAST(:tops AS uuid[])))"
        " THEN ARRAY(SELECT id FROM projects WHERE ancestors && CAST(:tops AS uuid[])) END",
        tops=list(tops),
    )
    return found


def subtree_ids(conn: Connection, tops: Sequence[str]) -> list[str]:
    """Ids of all projects at and below `tops`."""
    return [row["id"] for row in sql.rows(conn, "SELECT id FROM projects WHERE ancestors && CAST(:tops AS uuid[])", tops=list(tops))]


def page(conn: Connection, scope: list[str] | None, parent: str | None, after: str, limit: int) -> Sequence[Row]:
    """Projects in order of path."""
    return sql.rows(
        conn,
        f"{_SELECT} WHERE path > :after AND (CAST(:scope AS uuid[]) IS NULL OR id = ANY(CAST(:scope AS uuid[])))"
        " AND (CAST(:parent AS uuid) IS NULL OR parent_id = CAST(:parent AS uuid)) ORDER BY path LIMIT :limit",
        scope=scope,
        parent=parent,
        after=after,
        limit=limit,
    )


def nodes(conn: Connection, ids: Iterable[str], lock: bool = False) -> dict[str, Node]:
    """Limits and sums of projects. `lock`: nobody else changes the sums, or admits anything below, until this transaction ends."""
    wanted = sorted(set(ids))
    usage = sql.rows(
        conn,
        "SELECT u.*, p.path FROM usage u JOIN projects p ON p.id = u.project_id WHERE u.project_id = ANY(CAST(:ids AS uuid[]))"
        " ORDER BY u.project_id, u.kind" + (" FOR NO KEY UPDATE OF u" if lock else ""),
        ids=wanted,
    )
    limits: dict[str, dict[tuple[str, str], int]] = {}
    for row in sql.rows(conn, "SELECT * FROM limits WHERE project_id = ANY(CAST(:ids AS uuid[]))", ids=wanted):
        limits.setdefault(row["project_id"], {})[row["kind"], row["resource"]] = row["amount"]
    sums: dict[str, tuple[str, dict[tuple[str, str], Amount], dict[tuple[str, str], Amount]]] = {}
    for row in usage:
        _, used, held = sums.setdefault(row["project_id"], (row["path"], {}, {}))
        for resource in RESOURCES:
            used[row["kind"], resource] = exact(row[resource])
            held[row["kind"], resource] = exact(row["held_" + resource])
    return {id_: Node(id_, path, limits.get(id_, {}), used, held) for id_, (path, used, held) in sums.items()}


def set_limit(conn: Connection, project_id: str, kind: str, resource: str, amount: int | None) -> None:
    """Set one limit, or take it away (None)."""
    sql.run(
        conn,
        "DELETE FROM limits WHERE project_id = CAST(:id AS uuid) AND kind = :kind AND resource = :resource",
        id=project_id,
        kind=kind,
        resource=resource,
    )
    if amount is not None:
        sql.insert(conn, "limits", [{"project_id": project_id, "kind": kind, "resource": resource, "amount": amount}])
