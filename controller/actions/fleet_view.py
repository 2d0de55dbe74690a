"""The scheduler's fleet, kept up to date from the database by what changed since the last look."""

from __future__ import annotations

from sqlalchemy import Connection

from controller.model import translate
from controller.store import fleet as store
from scheduler.fleet import Fleet


class FleetView:
    """A `Fleet` and the snapshot it was read at. Used by one thread at a time."""

    def __init__(self) -> None:
        self.fleet = Fleet()
        self._mark = 0

    def refresh(self, conn: Connection) -> Fleet:
        """Read what changed; the fleet."""
        self._mark, changed = store.changed_hosts(conn, self._mark)
        self.fleet.upsert(translate.host(row) for row in changed)
        return self.fleet

    def forget(self) -> None:
        """Begin from nothing at the next refresh: what was claimed here never happened."""
        self.fleet = Fleet()
        self._mark = 0
