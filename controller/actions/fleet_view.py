"""The scheduler's fleet, kept up to date from the database by what changed since the last look, and taught by what was asked for."""

from __future__ import annotations

from collections.abc import Iterable

from sqlalchemy import Connection

from controller.model import translate
from controller.store import fleet as store
from controller.store import instances
from scheduler.fleet import Fleet
from scheduler.history import Arrivals
from scheduler.types import Item


class FleetView:
    """A `Fleet` and the snapshot it was read at. Used by one thread at a time."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self._mark = 0
        self._arrivals: Arrivals | None = None

    def refresh(self, conn: Connection) -> Fleet:
        """Read what changed; the fleet."""
        fresh = self._mark == 0
        self._mark, changed = store.changed_hosts(conn, self._mark)
        self.fleet.upsert(translate.host(row) for row in changed)
        if self._arrivals is None:
            self._arrivals = Arrivals()
            for row in instances.gpu_work(conn):
                self._arrivals.count(Item("", "", translate.resources(row)), row["number"])
        if fresh:
            self._teach()
        return self.fleet

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
        """Begin from nothing at the next refresh: what was claimed here never happened."""
        self.fleet = Fleet()
        self._mark = 0
