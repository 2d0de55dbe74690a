"""Past facts, in an order in which they can be followed without missing one.

Ids of a sequence become visible out of order: a transaction that began earlier may commit later. So a reader is shown only what
transactions wrote that ended before the oldest one still running, in the order (transaction, id); that pair is the cursor.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from controller.store import sql
from controller.store.sql import Row

Event = Mapping[str, Any]

_SELECT = "SELECT id, xid, at, kind, object_kind, object_id, object_name, project_id, actor, params FROM events"
_VISIBLE = "xid < oldest_xid()"
_FILTERS = (
    " AND (CAST(:scope AS uuid[]) IS NULL OR project_id = ANY(CAST(:scope AS uuid[])))"
    " AND (CAST(:object AS uuid) IS NULL OR object_id = CAST(:object AS uuid))"
)


def event(kind: str, object_kind: str, object_id: str, object_name: str, project_id: str | None, actor: str, **params: Any) -> Event:
    """One fact; `kind` names an entry of the message catalogue, `params` fill it."""
    return {
        "kind": kind,
        "object_kind": object_kind,
        "object_id": object_id,
        "object_name": object_name,
        "project_id": project_id,
        "actor": actor,
        "params": params,
    }


def add(conn: Connection, facts: Iterable[Event]) -> None:
    """Record facts in the transaction that makes them true."""
    sql.insert(conn, "events", list(facts))


def add_for_all_on(conn: Connection, host_ids: Sequence[str], kind: str) -> None:
    """One fact, of each instance on these hosts that is to stay."""
    if host_ids:
        sql.run(
            conn,
            "INSERT INTO events (kind, object_kind, object_id, object_name, project_id, actor, params)"
            " SELECT :kind, 'instance', i.id, i.name, i.project_id, 'chutian', jsonb_build_object('host', h.name)"
            " FROM instances i JOIN hosts h ON h.id = i.host_id"
            " WHERE i.host_id = ANY(CAST(:hosts AS uuid[])) AND i.state NOT IN ('pending', 'deleted') AND i.goal <> 'gone' ORDER BY i.id",
            kind=kind,
            hosts=list(host_ids),
        )


def after(conn: Connection, cursor: tuple[int, int], scope: list[str] | None, object_id: str | None, limit: int) -> Sequence[Row]:
    """The facts after a cursor, oldest first."""
    return sql.rows(
        conn,
        f"{_SELECT} WHERE {_VISIBLE} AND (xid, id) > (CAST(:xid AS bigint), CAST(:id AS bigint)){_FILTERS}"
        " ORDER BY events.xid, id LIMIT :limit",
        xid=cursor[0],
        id=cursor[1],
        scope=scope,
        object=object_id,
        limit=limit,
    )


def latest(conn: Connection, scope: list[str] | None, object_id: str | None, limit: int) -> list[Row]:
    """The newest facts, oldest first."""
    found = sql.rows(
        conn,
        f"{_SELECT} WHERE {_VISIBLE}{_FILTERS} ORDER BY events.xid DESC, id DESC LIMIT :limit",
        scope=scope,
        object=object_id,
        limit=limit,
    )
    return list(reversed(found))
