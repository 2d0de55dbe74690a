"""Pools, endpoints and hosts."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from controller.store import sql
from controller.store.sql import Row

_ZONE = "coalesce(nullif(h.own_zone, ''), p.zone)"  # where the backend says that a host is, or else its pool
_POOL = (
    "SELECT id, name, zone, site, level, spare_hosts, fill_order, licences, may_wake, overcommit, reserved,"
    " wipe, hypervisor_options, hypervisor_bridge, generation, created_at"
    " FROM pools"
)
_ENDPOINT = (
    "SELECT e.id, e.name, e.driver, e.uri, e.options, e.credentials,"
    " e.pool_id, p.name AS pool, e.state, e.reason, e.since, e.generation, e.created_at"
    " FROM endpoints e JOIN pools p ON p.id = e.pool_id"
)
HOST = (
    f"SELECT h.*, d.path AS dedicated_path, p.name AS pool, {_ZONE} AS zone, p.site, e.name AS endpoint, e.reason AS endpoint_reason,"
    " e.state AS endpoint_state,"
    " (SELECT s.wanted FROM switching s WHERE h.id IN (s.host_id, s.fences) ORDER BY s.host_id = h.id DESC LIMIT 1) AS power_wanted"
    " FROM hosts h JOIN pools p ON p.id = h.pool_id JOIN endpoints e ON e.id = h.endpoint_id"
    " LEFT JOIN projects d ON d.id = h.dedicated_to"
)

DISCOVERED = (
    "arch",
    "kinds",
    "traits",
    "notes",
    "machine",
    "own_zone",
    "closed",
    "power_seen",
    "inventory",
    "cpu_baselines",
    "gpu_model",
    "devices",
    "cells",
)
"""What a driver says of a host, capacity and state apart."""
_PLACED = (  # what placing looks at
    "SELECT h.id, h.name, h.endpoint_id, h.arch, h.kinds, h.traits, h.state, h.cordoned, h.generation,"
    " h.vcpus, h.memory_mib, h.disk_gib, h.gpus,"
    " h.used_vcpus, h.used_memory_mib, h.used_disk_gib, h.used_gpus, h.closed, h.rack, h.dedicated_to,"
    " h.cpu_baselines, h.gpu_model, h.devices, h.cells, h.used_devices, h.used_cell_vcpus, h.used_cell_memory_mib,"
    f" p.name AS pool, {_ZONE} AS zone, p.site, p.level,"
    " h.power, h.idle_watts, p.fill_order, p.licences, p.may_wake"
    " FROM hosts h JOIN pools p ON p.id = h.pool_id"
)


def pools(conn: Connection, references: Iterable[str]) -> dict[str, Row]:
    """Pools by id or name; the key is the reference given."""
    wanted = sorted(set(references))
    found = sql.rows(conn, f"{_POOL} WHERE name = ANY(:refs) OR id::text = ANY(:refs)", refs=wanted)
    return {key: row for row in found for key in (row["id"], row["name"])}


def page_pools(conn: Connection, filters: Mapping[str, str | None], after: str, limit: int) -> Sequence[Row]:
    """Pools in order of name, by zone and site."""
    where = sql.narrowed({"zone": "zone", "site": "site"})
    return sql.rows(conn, f"{_POOL} WHERE name > :after{where} ORDER BY name LIMIT :limit", after=after, limit=limit, **filters)


def zones(conn: Connection) -> set[str]:
    """All zones there are."""
    return {row["zone"] for row in sql.rows(conn, "SELECT zone FROM pools UNION SELECT own_zone FROM hosts WHERE own_zone <> ''")}


def sites(conn: Connection) -> set[str]:
    """All sites there are."""
    return {row["site"] for row in sql.rows(conn, "SELECT DISTINCT site FROM pools WHERE site <> ''")}


def tenants(conn: Connection) -> set[str]:
    """The projects that hosts are dedicated to."""
    found = sql.rows(conn, "SELECT DISTINCT dedicated_to FROM hosts WHERE dedicated_to IS NOT NULL")
    return {row["dedicated_to"] for row in found}


def spare_pools(conn: Connection) -> dict[str, Row]:
    """Pools that keep hosts to spare, by name."""
    return {row["name"]: row for row in sql.rows(conn, f"{_POOL} WHERE spare_hosts > 0")}


def pool_names(conn: Connection) -> list[str]:
    """All pools there are."""
    return [row["name"] for row in sql.rows(conn, "SELECT name FROM pools ORDER BY name")]


def lock_pools(conn: Connection, ids: Iterable[str]) -> None:
    """Nobody else places there, of those who lock, until this transaction ends."""
    sql.run(conn, "SELECT 1 FROM pools WHERE id = ANY(CAST(:ids AS uuid[])) ORDER BY id FOR NO KEY UPDATE", ids=sorted(ids))


def misplaced(conn: Connection, column: str, value: str) -> Sequence[Row]:
    """Instances and holds that may not be where they are, some of them, among those of a `host_id`, a `pool_id`, or below a project."""
    where = "ancestors @> ARRAY[CAST(:value AS uuid)]" if column == "project_id" else f"{column} = CAST(:value AS uuid)"
    return sql.rows(conn, f"SELECT name, path FROM misplaced WHERE {where} ORDER BY path, name LIMIT 20", value=value)


def insert_pool(conn: Connection, record: Mapping[str, Any]) -> None:
    """A new pool."""
    sql.insert(conn, "pools", [record])


def update_pool(conn: Connection, pool_id: str, record: Mapping[str, Any]) -> None:
    """Replace what can change of a pool."""
    sql.run(
        conn,
        "UPDATE pools SET zone = :zone, site = :site, level = :level, spare_hosts = :spare_hosts, fill_order = :fill_order,"
        " licences = :licences, may_wake = :may_wake, overcommit = CAST(:overcommit AS jsonb), reserved = CAST(:reserved AS jsonb),"
        " wipe = :wipe, hypervisor_options = CAST(:hypervisor_options AS jsonb), hypervisor_bridge = :hypervisor_bridge,"
        " generation = generation + 1 WHERE id = CAST(:id AS uuid)",
        id=pool_id,
        **record,
    )


def pool_in_use(conn: Connection, pool_id: str) -> bool:
    """Whether an endpoint or host belongs to it."""
    return (
        sql.one(
            conn,
            "SELECT 1 WHERE EXISTS (SELECT 1 FROM endpoints WHERE pool_id = CAST(:id AS uuid))"
            " OR EXISTS (SELECT 1 FROM hosts WHERE pool_id = CAST(:id AS uuid))",
            id=pool_id,
        )
        is not None
    )


def delete_pool(conn: Connection, pool_id: str) -> None:
    """Remove an empty pool."""
    sql.run(conn, "DELETE FROM pools WHERE id = CAST(:id AS uuid)", id=pool_id)


def endpoint(conn: Connection, reference: str) -> Row | None:
    """One endpoint by id or name."""
    return sql.one(conn, f"{_ENDPOINT} WHERE e.name = :ref OR e.id::text = :ref", ref=reference)


def in_care(conn: Connection, endpoint_id: str) -> Row | None:
    """An endpoint that nobody has let go of, nor does before this transaction ends, for who is about to write what he saw there."""
    found = sql.one(conn, f"{_ENDPOINT} WHERE e.id = CAST(:id AS uuid) FOR NO KEY UPDATE OF e", id=endpoint_id)
    return None if found is None or found["state"] == "retired" else found


def endpoint_at(conn: Connection, driver: str, uri: str) -> Row | None:
    """The endpoint that a driver reaches by this address."""
    return sql.one(conn, f"{_ENDPOINT} WHERE e.driver = :driver AND e.uri = :uri AND e.state <> 'retired'", driver=driver, uri=uri)


def page_endpoints(conn: Connection, filters: Mapping[str, str | None], after: str, limit: int) -> Sequence[Row]:
    """Endpoints in order of name, by driver, pool and state."""
    where = sql.narrowed({"driver": "e.driver", "pool": "p.name", "state": "e.state"})
    return sql.rows(
        conn,
        f"{_ENDPOINT} WHERE e.name > :after AND e.state <> 'retired'{where} ORDER BY e.name LIMIT :limit",
        after=after,
        limit=limit,
        **filters,
    )


def insert_endpoint(conn: Connection, record: Mapping[str, Any]) -> None:
    """A new endpoint."""
    sql.insert(conn, "endpoints", [record])


def update_endpoint(conn: Connection, endpoint_id: str, options: str, credentials: str) -> None:
    """Replace how an endpoint is reached, and look at it at once."""
    sql.run(
        conn,
        "UPDATE endpoints SET options = CAST(:options AS jsonb), credentials = :credentials, due_at = now(), generation = generation + 1"
        " WHERE id = CAST(:id AS uuid)",
        id=endpoint_id,
        options=options,
        credentials=credentials,
    )


def retire_endpoint(conn: Connection, endpoint_id: str) -> None:
    """Let go of an endpoint: nobody connects to it again, its name is free. The rows stay, as history points at its hosts."""
    sql.run(
        conn,
        "UPDATE endpoints SET name = name || '~' || id, state = 'retired', due_at = 'infinity', generation = generation + 1"
        " WHERE id = CAST(:id AS uuid)",
        id=endpoint_id,
    )
    sql.run(
        conn,
        "UPDATE hosts SET name = name || '~' || id, backend_name = backend_name || '~' || id WHERE endpoint_id = CAST(:id AS uuid)",
        id=endpoint_id,
    )


def pick_endpoints(conn: Connection, lease_s: float, limit: int, but: Sequence[str] = ()) -> Sequence[Row]:
    """Take endpoints that are due for a look, `but` those; nobody else takes them before the lease runs out."""
    return sql.rows(
        conn,
        "UPDATE endpoints e SET leased_until = now() + make_interval(secs => :lease)"
        " WHERE id IN (SELECT id FROM endpoints WHERE due_at <= now() AND (leased_until IS NULL OR leased_until < now())"
        "              AND id <> ALL(CAST(:but AS uuid[])) ORDER BY due_at LIMIT :limit FOR UPDATE SKIP LOCKED)"
        " RETURNING id, name, driver, uri, options, credentials, pool_id, state, reason",
        lease=lease_s,
        limit=limit,
        but=list(but),
    )


def endpoint_seen(conn: Connection, endpoint_id: str, state: str, reason: str | None, again_s: float) -> None:
    """Record how a look at an endpoint went and when the next is due: at once where one was asked for meanwhile, unless it is silent."""
    sql.run(
        conn,
        "UPDATE endpoints SET since = CASE WHEN state = :state THEN since ELSE now() END, state = :state, reason = CAST(:reason AS jsonb),"
        " due_at = CASE WHEN leased_until IS NULL AND :state <> 'unreachable' THEN due_at ELSE now() + make_interval(secs => :again) END,"
        " leased_until = NULL WHERE id = CAST(:id AS uuid)",
        id=endpoint_id,
        state=state,
        reason=reason,
        again=again_s,
    )


def look_now(conn: Connection, ids: Sequence[str]) -> None:
    """Make endpoints due at once; one that is just looked at, afterwards once more, as what that look saw may be older than this."""
    sql.run(conn, "UPDATE endpoints SET due_at = now(), leased_until = NULL WHERE id = ANY(CAST(:ids AS uuid[]))", ids=list(ids))


def hosts_of(conn: Connection, endpoint_id: str) -> Sequence[Row]:
    """All hosts behind an endpoint."""
    return sql.rows(conn, f"{HOST} WHERE h.endpoint_id = CAST(:id AS uuid) ORDER BY h.name", id=endpoint_id)


def hosts_in(conn: Connection, pool_id: str) -> Sequence[Row]:
    """All hosts of a pool."""
    return sql.rows(conn, f"{HOST} WHERE h.pool_id = CAST(:id AS uuid) ORDER BY h.id FOR NO KEY UPDATE OF h", id=pool_id)


def host(conn: Connection, reference: str) -> Row | None:
    """One host by id or name."""
    return sql.one(conn, f"{HOST} WHERE h.name = :ref OR h.id::text = :ref", ref=reference)


def names_taken(conn: Connection, names: Iterable[str]) -> set[str]:
    """Which of the names hosts have already."""
    return {row["name"] for row in sql.rows(conn, "SELECT name FROM hosts WHERE name = ANY(:names)", names=sorted(set(names)))}


def lock_hosts(conn: Connection, ids: Iterable[str]) -> Sequence[Row]:
    """Hosts as they are now; nobody else changes them until this transaction ends."""
    return sql.rows(conn, f"{_PLACED} WHERE h.id = ANY(CAST(:ids AS uuid[])) ORDER BY h.id FOR NO KEY UPDATE OF h", ids=sorted(set(ids)))


def changed_hosts(conn: Connection, since: int) -> tuple[int, Sequence[Row]]:
    """Hosts changed since a snapshot, with the snapshot to ask from next time (0 for all).

    The mark is the oldest transaction still running: whatever commits later than this read has that number or a higher one, so nothing is
    missed.
    """
    mark = sql.scalar(conn, "SELECT oldest_xid()")
    return mark, sql.rows(conn, f"{_PLACED} WHERE h.changed_xid >= CAST(:since AS bigint)", since=since)


def placed(conn: Connection, ids: Iterable[str]) -> Sequence[Row]:
    """Some hosts, as placing looks at them."""
    return sql.rows(conn, f"{_PLACED} WHERE h.id = ANY(CAST(:ids AS uuid[])) ORDER BY h.id", ids=sorted(set(ids)))


def placed_in(conn: Connection, pool_id: str, more: Iterable[str]) -> Sequence[Row]:
    """Hosts of a pool, and some more, as placing looks at them."""
    return sql.rows(
        conn,
        f"{_PLACED} WHERE h.pool_id = CAST(:pool AS uuid) OR h.id = ANY(CAST(:more AS uuid[])) ORDER BY h.id",
        pool=pool_id,
        more=sorted(set(more)),
    )


def page_hosts(conn: Connection, filters: Mapping[str, str | None], after: str, limit: int, kind: str = "") -> Sequence[Row]:
    """Hosts in order of name, by pool, zone and state; `kind`: those alone that run it."""
    where = sql.narrowed({"pool": "p.name", "zone": _ZONE, "state": "h.state"}) + (" AND :kind = ANY(h.kinds)" if kind else "")
    return sql.rows(
        conn,
        f"{HOST} WHERE h.name > :after AND e.state <> 'retired'{where} ORDER BY h.name LIMIT :limit",
        after=after,
        limit=limit,
        **filters,
        **({"kind": kind} if kind else {}),
    )


def on_machines(conn: Connection, endpoint_id: str, machines: Iterable[str]) -> dict[str, str]:
    """Hosts in our care behind other endpoints that are on these machines: their names, by machine."""
    found = sql.rows(
        conn,
        "SELECT machine, name FROM hosts WHERE machine = ANY(:machines) AND state <> 'retired' AND endpoint_id <> CAST(:id AS uuid)",
        machines=sorted({machine for machine in machines if machine}),
        id=endpoint_id,
    )
    return {row["machine"]: row["name"] for row in found}


def insert_hosts(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """New hosts."""
    sql.insert(conn, "hosts", records)


def update_hosts(conn: Connection, records: Sequence[Mapping[str, Any]]) -> None:
    """Replace what was discovered of hosts: id, `DISCOVERED`, capacity, state. Seen to be on or off, nothing that an operator said of it is
    true any more."""
    if records:
        sql.run(
            conn,
            f"UPDATE hosts h SET {', '.join(f'{name} = r.{name}' for name in DISCOVERED)},"
            " power_told = CASE WHEN r.power_seen = 'unknown' THEN h.power_told ELSE 'unknown' END,"
            " vcpus = r.vcpus, memory_mib = r.memory_mib, disk_gib = r.disk_gib, gpus = r.gpus, state = r.state"
            " FROM json_populate_recordset(NULL::hosts, CAST(:records AS json)) r WHERE h.id = r.id",
            records=sql.document(records),
        )


def set_host(conn: Connection, host_id: str, generation: int | None, **changes: Any) -> Row | None:
    """Change a host; None where the generation isn't the one seen."""
    assignments = ", ".join(f"{name} = :{name}" for name in changes)
    touched = sql.run(
        conn,
        f"UPDATE hosts SET {assignments} WHERE id = CAST(:id AS uuid) AND (CAST(:seen AS bigint) IS NULL OR generation = :seen)",
        id=host_id,
        seen=generation,
        **changes,
    )
    return host(conn, host_id) if touched else None


def fill(conn: Connection, ids: Iterable[str]) -> None:
    """Nothing more is promised on these until the next look at them says what there is."""
    sql.run(
        conn,
        "UPDATE hosts SET vcpus = least(vcpus, used_vcpus), memory_mib = least(memory_mib, used_memory_mib),"
        " disk_gib = least(disk_gib, used_disk_gib) WHERE id = ANY(CAST(:ids AS uuid[]))",
        ids=sorted(set(ids)),
    )


def close_hosts(conn: Connection, ids: Sequence[str], closed: Mapping[str, Any] | None) -> None:
    """Say why nobody is given these hosts, or (None) that somebody may be."""
    sql.run(
        conn,
        "UPDATE hosts SET closed = CAST(:closed AS jsonb)"
        " WHERE id = ANY(CAST(:ids AS uuid[])) AND closed IS DISTINCT FROM CAST(:closed AS jsonb)",
        ids=list(ids),
        closed=None if closed is None else orjson.dumps(closed).decode(),
    )


def set_hosts_state(conn: Connection, endpoint_id: str, old: str, new: str) -> Sequence[Row]:
    """Move all hosts of an endpoint from one state to another, of which nobody sees whether they are on; those that moved."""
    return sql.rows(
        conn,
        "UPDATE hosts SET state = :new, power_seen = 'unknown' WHERE endpoint_id = CAST(:id AS uuid) AND state = :old"
        " RETURNING id, name, used_instances",
        id=endpoint_id,
        old=old,
        new=new,
    )
