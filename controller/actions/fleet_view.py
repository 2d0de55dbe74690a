"""The scheduler's fleet, kept up to date from the database by what changed since the last look, and taught by what was asked for."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace
from datetime import datetime

from sqlalchemy import Connection

from controller.actions import lifetimes
from controller.model import devices, translate
from controller.store import fleet as store
from controller.store import instances
from controller.store.sql import Row
from scheduler.fleet import Fleet
from scheduler.history import Arrivals
from scheduler.lifetimes import FOREVER, Lives
from scheduler.types import Item


def lock(conn: Connection, view: Fleet, ids: Iterable[str]) -> tuple[Sequence[Row], Sequence[Row]]:
    """Hosts as they are now, which nobody else changes from here on; and those that differ from what was decided upon, which the view has
    taken in now. What is known of their lifetimes stays: it is not in their rows."""
    rows = store.lock_hosts(conn, ids)
    changed = [row for row in rows if row["generation"] != view.generation(row["id"])]
    view.upsert(replace(translate.host(row), emptying=view.host(row["id"]).emptying) for row in changed)
    return rows, changed


class FleetView:
    """A `Fleet` and the snapshot it was read at. Used by one thread at a time."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self._mark = 0
        self._arrivals: Arrivals | None = None
        self._lives: Lives | None = None

    def refresh(self, conn: Connection, now: datetime) -> Fleet:
        """Read what changed; the fleet. `now`: as the database has it."""
        fresh = self._mark == 0
        self._mark, changed = store.changed_hosts(conn, self._mark)
        ids = [row["id"] for row in changed]
        if self._lives is None:
            self._lives = lifetimes.begin(conn, now)
        else:
            lifetimes.follow(conn, self._lives, ids)
        self.fleet.upsert(map(translate.host, changed))
        self._foresee(self._lives, ids, now)
        if self._arrivals is None:
            self._arrivals = Arrivals()
            for row in instances.gpu_work(conn):
                self._arrivals.count(Item("", "", **devices.wish(row)), row["number"])
        if fresh:
            self._teach()
        return self.fleet

    def _foresee(self, lives: Lives, changed: list[str], now: datetime) -> None:
        """Tell the fleet when hosts will be empty: those that changed, and once an hour all, as what is on them has grown older."""
        if lives.due(lifetimes.days(now)):
            lives.renew(lifetimes.days(now))
            changed = list(self.fleet.rows)
        if changed:
            self.fleet.expect(changed, lives.emptying(changed))

    def alive(self, kin: lifetimes.Kin, term_days: int | None) -> tuple[float, ...]:
        """`Item.alive` of a newcomer; nothing before the first refresh."""
        return self._lives.expect(kin, FOREVER if term_days is None else term_days) if self._lives is not None else ()

    def count(self, items: Iterable[Item]) -> None:
        """Learn from what is asked for, placed or not."""
        due = 0
        for item in items:
            due += self._arrivals is not None and self._arrivals.count(item)
        if due:
            self._teach()

    def _teach(self) -> None:
        if self._arrivals is not None and self._arrivals.work:
            self.fleet.teach(self._arrivals.learnt(self.fleet.gpus()))

    def forget(self) -> None:
        """Begin from nothing at the next refresh: what was claimed here never happened. What was learnt stays: it was read, not claimed."""
        self.fleet = Fleet()
        self._mark = 0
