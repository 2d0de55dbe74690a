"""Transaction numbers that go on growing, also after a restore.

The order of events, and what changed since a snapshot, go by the number of the transaction that wrote a row. A dump that is restored to
another server brings rows with higher numbers than that server has reached: new events would sort before old ones, and old ones stay
invisible until the numbers caught up. So all numbers carry an offset, kept in the schema as a function (PostgreSQL folds it into every
plan), and raised here.
"""

from __future__ import annotations

from sqlalchemy import Connection

from controller.store import sql

_LOCK = 0x78696473


def catch_up(conn: Connection) -> int:
    """Raise the offset until this transaction's number is above every number on record; by how much (0: nothing was restored)."""
    sql.run(conn, "SELECT pg_advisory_xact_lock(:lock)", lock=_LOCK)
    behind = int(
        sql.scalar(
            conn,
            "SELECT greatest((SELECT max(xid) FROM events), (SELECT max(changed_xid) FROM hosts), 0) - this_xid()",
        )
    )
    if behind < 0:
        return 0
    offset = int(sql.scalar(conn, "SELECT xid_offset()")) + behind + 1
    sql.run(conn, f"CREATE OR REPLACE FUNCTION xid_offset() RETURNS bigint LANGUAGE sql IMMUTABLE AS 'SELECT {offset}::bigint'")
    return behind + 1
