"""Switch hosts on and off by their BMCs, as their operators asked (`actions.fencing`), until they are seen to be.

In: an endpoint that is looked at, and its driver. Out: commands to the driver, and once the look that follows sees what was wanted, a row
less of it and a fact more. What is wanted is on record before anything is done, and stays there until it is seen: so it makes no difference
who does it, when a controller dies, or how often it is done. A BMC that takes the command and doesn't carry it out, one that is silent, and
one that refuses are asked again at every look, and say why at their endpoint.

A host is switched off for the sake of another that is silent (`fences`) only while that one still is: one that answers again by the time
at which its BMC can be reached is left alone.

Rejected: going on for good to keep switched off what was seen to be off. Somebody who stands before the machine and switches it on knows
more than we do. What of ours would switch it on is told not to: an instance that the machine is is stopped by who fences it.
"""

from __future__ import annotations

from typing import Final

from sqlalchemy import Connection

from controller.store import bmcs, events, fleet, power
from controller.store.database import Database
from controller.store.sql import Row
from drivers.base import HostPower, Inventory, PowerControl
from drivers.errors import DriverError, PowerUnchanged

PATIENCE_S: Final = 30.0
"""A machine whose power is not as wanted after so long is said not to have taken the command: BMCs need some seconds for it."""
SOON_S: Final = 1.0
"""In so many seconds it is looked at again whether a command took effect, for as long as there is patience."""

_DONE: Final = {"on": "machine.switched_on", "off": "machine.switched_off"}


class Switching:
    """What switches hosts of one endpoint during one look."""

    def __init__(self, database: Database, endpoint: Row) -> None:
        self._database, self._endpoint = database, endpoint
        self._wanted: list[Row] = []
        self._trouble: dict[str, DriverError] = {}  # by host

    def act(self, driver: PowerControl) -> None:
        """Ask for what is wanted. Never raises what a driver does: whether the endpoint answers is found out by looking at it."""
        due = self._database.run(lambda conn: power.due(conn, self._endpoint["id"]))
        for row in due:
            if row["fences"] is not None and row["fenced_state"] in ("up", "retired"):
                self._database.run(lambda conn, row=row: self._spare(conn, row))  # type: ignore[misc]
                continue
            self._wanted.append(row)
            try:
                self._ask(driver, row)
            except DriverError as error:
                self._trouble[row["host_id"]] = error

    def _ask(self, driver: PowerControl, row: Row) -> None:
        seen = driver.switch_power(row["backend_name"], HostPower(row["wanted"]))
        if seen != row["wanted"] and row["seconds"] > PATIENCE_S:
            raise PowerUnchanged(wanted=row["wanted"], seen=seen.value, seconds=round(row["seconds"]))

    def _spare(self, conn: Connection, row: Row) -> None:
        if power.drop(conn, row):
            events.add(conn, [self._fact("host.spared", row, host=row["fenced"])])

    def settle(self, conn: Connection, inventory: Inventory) -> DriverError | None:
        """Want no more what a look at the endpoint, which came after `act`, has seen; why something else is not so yet. What is on a
        machine that is off from now on is looked at, at once."""
        seen = {host.name: host for host in inventory.hosts}
        for row in self._wanted:
            found = seen.get(row["backend_name"])
            if found is None or found.power != row["wanted"]:
                continue
            self._trouble.pop(row["host_id"], None)
            if power.drop(conn, row):
                events.add(conn, [self._fact(_DONE[row["wanted"]], row)])
                fleet.look_now(conn, [one["endpoint_id"] for one in bmcs.hosts_on(conn, [row["machine"]])])
        return next(iter(self._trouble.values()), None)

    def again_s(self, usual_s: float) -> float:
        """In how many seconds to look at the endpoint again."""
        return min(usual_s, SOON_S) if any(row["seconds"] <= PATIENCE_S for row in self._wanted) else usual_s

    def _fact(self, kind: str, row: Row, **params: str) -> events.Event:
        return events.event(kind, "host", row["host_id"], row["name"], None, "chutian", **params)
