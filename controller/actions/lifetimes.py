"""What the scheduler is told of lifetimes: who runs on which host since when, what ended, and for how long something new may run.

In: rows of allocations and of deleted instances. Out: `Lives`, for `FleetView` alone. A controller begins with the departures of the last
half year (the last hundred thousand of them) and all that runs; then it reads who is on the hosts that changed, and what it misses there
has gone. So following costs what changed, and needs neither a log of its own nor care with transactions that come to nothing: only rows
that were committed are read. A hold that lapses has gone without having lived. Two controllers that look at different moments think a
little differently of lifetimes; that moves preferences and nothing else.

A tenant is a project, a group is all of one size, whatever its flavor is called.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import datetime

from sqlalchemy import Connection

from controller.store import instances, residents
from controller.store.sql import Row
from scheduler.lifetimes import FOREVER, Lives

_PAST_DAYS, _PAST_NUMBER = 180, 100_000
_DAY_S = 86_400.0
Kin = tuple[str, tuple[str, int, int, int]]


def days(moment: datetime) -> float:
    """A moment on the clock of `Lives`."""
    return moment.timestamp() / _DAY_S


def kin(project_id: str, kind: str, size: Row) -> Kin:
    """What an instance is judged by: its project, and the group of those as large."""
    return project_id, (kind, size["vcpus"], size["memory_mib"], size["gpus"])


def begin(conn: Connection, now: datetime) -> Lives:
    """Lives as the database tells of them."""
    past = instances.departed(conn, _PAST_DAYS, _PAST_NUMBER)
    whole = len(past) < _PAST_NUMBER
    lives = Lives(days(now) - _PAST_DAYS if whole else days(past[-1]["deleted_at"]))
    for row in past:
        lives.past(kin(row["project_id"], row["kind"], row), days(row["created_at"]), days(row["deleted_at"]), _until(row))
    _come(lives, residents.all_lives(conn))
    lives.renew(days(now))
    return lives


def follow(conn: Connection, lives: Lives, hosts: Sequence[str]) -> None:
    """Bring in who came to, and went from, hosts that changed."""
    there = {host: set(ids) for host, ids in residents.on_hosts(conn, hosts).items()}
    came = [id_ for host, ids in there.items() for id_ in ids - lives.on(host)]
    gone = [id_ for host in hosts for id_ in lives.on(host) - there.get(host, set())]
    fresh = residents.lives(conn, came) if came else []
    ended = instances.ended(conn, gone) if gone else {}
    for id_ in gone:
        lives.go(id_, days(ended[id_]) if id_ in ended else None)
    _come(lives, fresh)


def _come(lives: Lives, rows: Iterable[Row]) -> None:
    for row in rows:
        lives.come(row["id"], row["host_id"], kin(row["project_id"], row["kind"], row), days(row["created_at"]), _until(row))


def _until(row: Row) -> float:
    return days(row["term_ends_at"]) if row["term_ends_at"] else FOREVER
