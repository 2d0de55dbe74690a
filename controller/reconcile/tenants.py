"""Tell an endpoint of the projects that have something there: what of each, in all.

Enters: an open driver and its endpoint. The ledger is read when it is told, never remembered, so that telling again mends whatever another
controller told in between. An endpoint that keeps no projects apart is told nothing.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict

from controller.model import translate
from controller.store import tenants
from controller.store.database import Database
from controller.store.sql import Row
from drivers.base import Driver
from drivers.container import Tenants


def settle(database: Database, driver: Driver | Tenants, endpoint_id: str, project_id: str | None = None) -> None:
    """Tell of all projects, or of one that something is about to be made for. Raises what drivers raise."""
    if not isinstance(driver, Tenants):
        return
    shares, services = database.run(
        lambda conn: (tenants.shares(conn, endpoint_id, project_id), tenants.services(conn, endpoint_id, project_id))
    )
    fronts: dict[str, list[Row]] = defaultdict(list)
    for row in services:
        fronts[row["project_id"]].append(row)
    driver.settle([translate.tenant(row, fronts[row["project_id"]]) for row in shares], whole=project_id is None)


class Teller:
    """Tells of one project's share where passes wait for that: of many at once the first tells for all."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._lock = threading.Lock()
        self._telling: dict[str, threading.Lock] = {}  # by endpoint
        self._told: dict[tuple[str, str], float] = {}  # when what was told last of a project was read

    def tell(self, driver: Driver | Tenants, endpoint_id: str, project_id: str) -> None:
        """The endpoint knows the share in which what the caller is about to make is counted. Raises what drivers raise."""
        came = time.monotonic()
        with self._lock:
            telling = self._telling.setdefault(endpoint_id, threading.Lock())
        with telling:
            if self._told.get((endpoint_id, project_id), came) > came:
                return  # read while this one waited, so it was counted
            reads = time.monotonic()
            settle(self._database, driver, endpoint_id, project_id)
            self._told[endpoint_id, project_id] = reads
