"""Tell an endpoint of the projects that have something there: what of each, in all.

Enters: an open driver and its endpoint. The ledger is read when it is told, never remembered, so that telling again mends whatever another
controller told in between. An endpoint that keeps no projects apart is told nothing.
"""

from __future__ import annotations

from collections import defaultdict

from controller.model import translate
from controller.store import tenants
from controller.store.database import Database
from controller.store.sql import Row
from drivers.base import Driver
from drivers.container import Tenants


def settle(database: Database, driver: Driver, endpoint_id: str, project_id: str | None = None) -> None:
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
