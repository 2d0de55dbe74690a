"""Requests and the allocations that hold for them."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from controller.model.naming import is_id
from controller.store import sql
from controller.store.sql import Row

_SELECT = (
    "SELECT r.*, p.path AS project, p.ancestors, u.name AS created_by_name, d.name AS decided_by_name,"
    " (SELECT json_agg(i.id ORDER BY i.id) FROM instances i WHERE i.request_id = r.id) AS instances"
    " FROM {source} r JOIN projects p ON p.id = r.project_id JOIN users u ON u.id = r.created_by LEFT JOIN users d ON d.id = r.decided_by"
)


def get(conn: Connection, request_id: str, lock: bool = False) -> Row | None:
    """One request; `lock`: nobody else decides it until this transaction ends."""
    if not is_id(request_id):
        return None
    select = _SELECT.format(source="requests")
    return sql.one(conn, f"{select} WHERE r.id = CAST(:id AS uuid)" + (" FOR NO KEY UPDATE OF r" if lock else ""), id=request_id)


def page(conn: Connection, scope: list[str] | None, filters: Mapping[str, str | None], before: str, limit: int) -> Sequence[Row]:
    """Requests, newest first; cut out of an index as pages of instances are."""
    named = {column: value for column, value in filters.items() if value}
    mine = (
        f"(SELECT * FROM requests q WHERE q.id < CAST(:before AS uuid){''.join(f' AND q.{column} = :{column}' for column in named)}"
        "{} q.id DESC LIMIT :limit)"
    )
    if scope is None:
        source = mine.format(" ORDER BY")
    else:
        each = mine.format(" AND q.project_id = ANY(ARRAY[s.id]) ORDER BY q.project_id DESC,")
        source = f"(SELECT q.* FROM unnest(CAST(:scope AS uuid[])) AS s(id) CROSS JOIN LATERAL {each} q ORDER BY q.id DESC LIMIT :limit)"
    params = {} if scope is None else {"scope": scope}
    return sql.rows(conn, f"{_SELECT.format(source=source)} ORDER BY r.id DESC", before=before, limit=limit, **named, **params)


def insert(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """New requests."""
    sql.insert(conn, "requests", records)


def decide(conn: Connection, request_id: str, state: str, by: str | None, reason: str | None) -> None:
    """Record a decision on a pending request that the transaction has locked."""
    sql.run(
        conn,
        "UPDATE requests SET state = :state, decided_by = CAST(:by AS uuid), decided_at = now(), decision_reason = :reason,"
        " expires_at = NULL, generation = generation + 1 WHERE id = CAST(:id AS uuid)",
        id=request_id,
        state=state,
        by=by,
        reason=reason,
    )


def expired(conn: Connection, limit: int) -> Sequence[Row]:
    """Pending requests past their expiry, locked."""
    return sql.rows(
        conn,
        "SELECT r.*, p.path AS project FROM requests r JOIN projects p ON p.id = r.project_id"
        " WHERE r.state = 'pending' AND r.expires_at < now() ORDER BY r.id LIMIT :limit FOR NO KEY UPDATE OF r SKIP LOCKED",
        limit=limit,
    )


def allocate(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """New allocations; the database adds them to every sum."""
    sql.insert(conn, "allocations", records)


def held(conn: Connection, request_id: str) -> Sequence[Row]:
    """The holds of a request, in the order of their items."""
    return sql.rows(
        conn, "SELECT * FROM allocations WHERE request_id = CAST(:id AS uuid) AND instance_id IS NULL ORDER BY item, name", id=request_id
    )


def release_holds(conn: Connection, request_ids: Iterable[str]) -> int:
    """Let go of what undecided requests held."""
    return sql.run(
        conn, "DELETE FROM allocations WHERE request_id = ANY(CAST(:ids AS uuid[])) AND instance_id IS NULL", ids=list(request_ids)
    )


def occupy(conn: Connection, pairs: Sequence[tuple[str, str]]) -> None:
    """Turn holds into allocations of instances: pairs of allocation and instance."""
    sql.run(
        conn,
        "UPDATE allocations a SET instance_id = w.instance FROM unnest(CAST(:a AS uuid[]), CAST(:i AS uuid[])) AS w(allocation, instance)"
        " WHERE a.id = w.allocation",
        a=[a for a, _ in pairs],
        i=[i for _, i in pairs],
    )


def names_taken(conn: Connection, pairs: Iterable[tuple[str, str]]) -> set[tuple[str, str]]:
    """Which of the pairs of project and instance name are in use."""
    wanted = list(pairs)
    found = sql.rows(
        conn,
        "SELECT a.project_id, a.name FROM allocations a JOIN unnest(CAST(:p AS uuid[]), CAST(:n AS text[])) AS w(project_id, name)"
        " ON a.project_id = w.project_id AND a.name = w.name WHERE a.counted",
        p=[project for project, _ in wanted],
        n=[name for _, name in wanted],
    )
    return {(row["project_id"], row["name"]) for row in found}


def members(conn: Connection, groups: Iterable[str]) -> dict[str, dict[str, int]]:
    """For each spread group, how many of its members are on which host."""
    wanted = list(groups)
    found: dict[str, dict[str, int]] = {group: {} for group in wanted}
    if wanted:
        for row in sql.rows(
            conn,
            "SELECT spread_group, host_id, count(*) AS n FROM allocations WHERE spread_group = ANY(:groups) GROUP BY 1, 2",
            groups=wanted,
        ):
            found[row["spread_group"]][row["host_id"]] = row["n"]
    return found


def allocation(conn: Connection, instance_id: str) -> Row:
    """The allocation that counts for an instance."""
    row = sql.one(conn, "SELECT * FROM allocations WHERE instance_id = CAST(:id AS uuid) AND counted", id=instance_id)
    assert row is not None  # noqa: S101 - it goes only with its instance
    return row


def resize_allocation(conn: Connection, instance_id: str, changes: Mapping[str, Any]) -> None:
    """Change the shape of an instance's allocation, and what it holds of devices and cells."""
    assignments = ", ".join(f"{name} = :{name}" for name in changes)
    sql.run(conn, f"UPDATE allocations SET {assignments} WHERE instance_id = CAST(:id AS uuid)", id=instance_id, **changes)
