"""What time alone brings about: holds that expire, terms that end, deadlines that pass, answers grown old."""

from __future__ import annotations

import threading
from collections.abc import Callable

import structlog
from sqlalchemy import Connection

from controller.actions import requests, terms
from controller.config import Settings
from controller.store import answers, events, instances, placements
from controller.store.database import Database

log = structlog.get_logger()
_EVERY_S = 1.0
_ANSWERS_DAYS = 7
_REFUSALS_DAYS = 400  # a budget year and a little
_RARELY = 3600  # rounds between two sweeps of old answers


class HousekeepingLoop:
    """One thread; every controller has one, and they don't get in each other's way (rows are taken with SKIP LOCKED). `renew`: what of this
    process's own grows old.
    """

    def __init__(self, database: Database, settings: Settings, renew: Callable[[], None] = lambda: None) -> None:
        self._database, self._settings, self._renew = database, settings, renew
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="housekeeping", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End."""
        self._ending.set()
        self._thread.join(timeout=10)

    def _run(self) -> None:
        rounds = 0
        while not self._ending.wait(_EVERY_S):
            try:
                self.round(sweep=rounds % _RARELY == 0)
                rounds += 1
            except Exception:
                log.exception("loop_broke", loop="housekeeping")

    def round(self, sweep: bool) -> None:
        """All that is due by now, each in a transaction of its own; `sweep`: old answers, refusals and certificates, too."""
        self._database.run(requests.expire)
        self._database.run(lambda conn: terms.fall_due(conn, self._settings))
        self._database.run(terms.tell_waiting)
        self.report_overdue()
        if sweep:
            self._database.run(lambda conn: answers.forget(conn, _ANSWERS_DAYS))
            self._database.run(lambda conn: placements.forget_refused(conn, _REFUSALS_DAYS))
            self._renew()

    def report_overdue(self) -> int:
        """Say which instances are past their deadline; how many. Nothing is ever stuck in silence."""

        def report(conn: Connection) -> int:
            late = instances.overdue(conn, self._settings.change_deadline_s, 200)
            facts = [
                events.event(
                    "instance.overdue",
                    "instance",
                    row["id"],
                    row["name"],
                    row["project_id"],
                    "chutian",
                    state=row["state"],
                    goal=row["goal"],
                    **({"why": row["reason"]["code"], **row["reason"]["params"]} if row["reason"] else {}),
                )
                for row in late
            ]
            events.add(conn, facts)
            return len(late)

        return self._database.run(report)
