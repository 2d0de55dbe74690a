"""Events stay visible and in order on a server that counts transactions from lower numbers than those on record: after a restore."""

from __future__ import annotations

from controller.actions.env import fresh_id
from controller.store import events, numbering, sql
from controller.store.database import Database

FAR = 10**12


def _add(database: Database, kind: str) -> None:
    database.run(lambda conn: events.add(conn, [events.event(kind, "host", fresh_id(), "h", None, "test")]))


def _restored(database: Database) -> None:
    """What a restore leaves behind: a fact with the number of a transaction that this server has not reached."""
    _add(database, "host.enrolled")
    add = (
        "INSERT INTO events (xid, kind, object_kind, object_id, object_name, actor)"
        " VALUES (:xid, 'host.cordoned', 'host', :id, 'h', 'test')"
    )
    database.run(lambda conn: sql.run(conn, add, xid=FAR, id=fresh_id()))


def _kinds(database: Database, after: tuple[int, int]) -> list[str]:
    return [row["kind"] for row in database.run(lambda conn: events.after(conn, after, None, None, 100))]


def test_restored_events_are_seen_and_new_ones_come_after_them(database: Database) -> None:
    _restored(database)
    assert _kinds(database, (0, 0)) == ["host.enrolled"], "the restored fact is ahead of this server"
    assert database.run(numbering.catch_up) > 0
    _add(database, "host.retired")
    assert _kinds(database, (0, 0)) == ["host.enrolled", "host.cordoned", "host.retired"]
    assert _kinds(database, (FAR, 10**9)) == ["host.retired"], "a reader that saw the last restored fact goes on after it"


def test_nothing_is_raised_where_nothing_was_restored(database: Database) -> None:
    _add(database, "host.enrolled")
    assert database.run(numbering.catch_up) == 0
    _restored(database)
    assert database.run(numbering.catch_up) > 0
    assert database.run(numbering.catch_up) == 0, "once is enough"
