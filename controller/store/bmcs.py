"""Hosts and the BMCs of their machines: two hosts of two endpoints, tied by what the machine calls itself.

A machine that its BMC is asked for is known as `BMC` and what any other backend calls the same machine (`drivers.identity`).
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Final

from sqlalchemy import Connection

from controller.store import fleet, sql
from controller.store.sql import Row

BMC: Final = "bmc "
_CLAIMED_TWICE = (
    "EXISTS (SELECT 1 FROM hosts d, jsonb_array_elements(d.notes) note WHERE d.state <> 'retired'"
    " AND note->>'code' = 'machine_enrolled' AND note->'params'->>'name' IN (h.name, b.name))"
)


def of_host(conn: Connection, host_id: str) -> Row | None:
    """The host that a host's machine is by its BMC, in our care, and whether one of the two is claimed by another, too (`twice`)."""
    found = sql.one(
        conn,
        f"SELECT b.id, {_CLAIMED_TWICE} AS twice FROM hosts h JOIN hosts b ON b.machine = 'bmc ' || h.machine"
        " WHERE h.id = CAST(:id AS uuid) AND h.machine <> '' AND b.state <> 'retired'",
        id=host_id,
    )
    return None if found is None else {**(fleet.host(conn, found["id"]) or {}), "twice": found["twice"]}


def hosts_on(conn: Connection, machines: Iterable[str]) -> Sequence[Row]:
    """Hosts in our care that are on the machines of these BMCs: id, name, endpoint_id, used_instances, and `machine` as BMCs have it."""
    wanted = sorted({machine.removeprefix(BMC) for machine in machines if machine.startswith(BMC)})
    if not wanted:  # as at every look at a backend that is none
        return []
    return sql.rows(
        conn,
        "SELECT id, name, endpoint_id, used_instances, 'bmc ' || machine AS machine FROM hosts"
        " WHERE machine = ANY(:machines) AND machine <> '' AND state <> 'retired' ORDER BY name",
        machines=wanted,
    )


def under(conn: Connection, machines: Iterable[str]) -> Sequence[Row]:
    """The other way round: the hosts that these machines are by their BMCs: id and machine."""
    wanted = sorted({f"{BMC}{machine}" for machine in machines if machine and not machine.startswith(BMC)})
    if not wanted:  # as at every look that finds nothing new
        return []
    return sql.rows(
        conn,
        "SELECT id, machine FROM hosts WHERE machine = ANY(:machines) AND state <> 'retired' ORDER BY id",
        machines=wanted,
    )


def seen_off(conn: Connection, endpoint_id: str) -> list[str]:
    """Which of an endpoint's hosts that don't answer, by the backend's names, are on a machine that its BMC called off at its last look.

    A hint of whom it is worth to ask, and no proof.
    """
    found = sql.rows(
        conn,
        "SELECT h.backend_name FROM hosts h JOIN hosts b ON b.machine = 'bmc ' || h.machine"
        " WHERE h.endpoint_id = CAST(:id AS uuid) AND h.machine <> '' AND h.state IN ('unreachable', 'fenced')"
        " AND b.state <> 'retired' AND b.power_seen = 'off'",
        id=endpoint_id,
    )
    return [row["backend_name"] for row in found]


def behind(conn: Connection, endpoint_id: str, names: Sequence[str]) -> Sequence[Row]:
    """Which of an endpoint's hosts, by the backend's names, are machines whose BMC is an endpoint that answers.

    `of_host` and `machine`: the machine as either calls it; `bmc`: the BMC's endpoint; `now`: when this was asked. A machine that another
    host claims, too (whose note of that names the one that has it), is left out, on either side.
    """
    found = sql.rows(
        conn,
        "SELECT h.backend_name AS host, h.state, h.machine AS of_host, b.machine, now() AS now,"
        " e.id, e.name, e.driver, e.uri, e.options, e.credentials"
        " FROM hosts h JOIN hosts b ON b.machine = 'bmc ' || h.machine JOIN endpoints e ON e.id = b.endpoint_id"
        " WHERE h.endpoint_id = CAST(:id AS uuid) AND h.backend_name = ANY(:names) AND h.state <> 'retired' AND h.machine <> ''"
        f" AND b.state <> 'retired' AND b.machine <> '' AND e.state = 'connected' AND NOT {_CLAIMED_TWICE}",
        id=endpoint_id,
        names=list(names),
    )
    return [{**row, "bmc": {key: row[key] for key in ("id", "name", "driver", "uri", "options", "credentials")}} for row in found]
