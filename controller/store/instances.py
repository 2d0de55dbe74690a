"""Instances: read by people, picked and written by the reconciler."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from controller.model.devices import HELD, SHAPE, fitted
from controller.model.naming import is_id
from controller.store import sql
from controller.store.requests import resize_allocation
from controller.store.sql import Row

_FROM = (
    " FROM {source} i JOIN projects p ON p.id = i.project_id JOIN hosts h ON h.id = i.host_id JOIN pools o ON o.id = h.pool_id"
    " LEFT JOIN images m ON m.id = i.image_id JOIN endpoints e ON e.id = h.endpoint_id"
)
_BESIDE = (
    " p.path AS project, p.ancestors, h.name AS host, h.arch AS host_arch, h.state AS host_state, h.power AS host_power,"
    " e.reason AS host_reason, o.name AS pool, coalesce(nullif(h.own_zone, ''), o.zone) AS zone,"
    " coalesce(m.name, i.container->>'image') AS image"
)
_VIEW = f"SELECT i.*,{_BESIDE}{_FROM}"
_LISTED = (  # what lists show: no user data, which may be large
    "SELECT i.id, i.name, i.kind, i.container, i.flavor, i.arch, i.vcpus, i.memory_mib, i.disk_gib, i.gpus, i.goal, i.state, i.condition,"
    " i.reason, i.cpu_baseline, i.numa_nodes, i.gpu_model, i.gpu_milli,"
    " i.addresses, i.protected, i.priority, i.preemptible, i.hypervisor, i.adopted, i.disowned, i.starts_at, i.ends, i.term_due_at,"
    f" i.request_id, i.generation, i.observed_generation, i.since, i.term_ends_at, i.created_at,{_BESIDE}{_FROM}"
)
ZERO, TOP = "00000000-0000-0000-0000-000000000000", "ffffffff-ffff-ffff-ffff-ffffffffffff"


def get(conn: Connection, instance_id: str, lock: bool = False) -> Row | None:
    """One instance, deleted ones too; `lock`: nobody else writes it until this transaction ends."""
    if not is_id(instance_id):
        return None
    return sql.one(
        conn,
        f"{_VIEW.format(source='instances')} WHERE i.id = CAST(:id AS uuid)" + (" FOR NO KEY UPDATE OF i" if lock else ""),
        id=instance_id,
    )


def page(conn: Connection, scope: list[str] | None, filters: Mapping[str, str | None], before: str, limit: int) -> Sequence[Row]:
    """Instances, newest first; deleted ones only where the filter `state` asks for them.

    The page is cut out of an index before anything is joined to it: its cost doesn't grow with the table. Within one project the order
    names the project first, which only the index by project has: the planner would otherwise walk everybody's instances for a project
    that has few.
    """
    conditions = ["q.id < CAST(:before AS uuid)", "q.state = :state" if filters.get("state") else "q.state <> 'deleted'"]
    conditions += [f"q.{column} = :{column}" for column in ("name", "priority") if filters.get(column)]
    conditions += [f"q.{column} = CAST(:{column} AS uuid)" for column in ("host_id", "request_id") if filters.get(column)]
    params = {name: value for name, value in filters.items() if value}
    cut = "(SELECT q.* FROM {} WHERE {} ORDER BY q.id DESC LIMIT :limit)"
    where = " AND ".join(conditions)
    if scope is None:
        source = cut.format("instances q", where)
    else:
        cut = "(SELECT q.* FROM {} WHERE {} ORDER BY q.project_id DESC, q.id DESC LIMIT :limit)"
        each = cut.format("instances q", where + " AND q.project_id = ANY(ARRAY[s.id])")
        source = f"(SELECT q.* FROM unnest(CAST(:scope AS uuid[])) AS s(id) CROSS JOIN LATERAL {each} q ORDER BY q.id DESC LIMIT :limit)"
        params["scope"] = scope  # type: ignore[assignment]
    return sql.rows(conn, f"{_LISTED.format(source=source)} ORDER BY i.id DESC", before=before, limit=limit, **params)


def insert(conn: Connection, records: Sequence[Mapping[str, Any]], deadline_s: int) -> None:
    """New instances, due when they begin."""
    if not records:
        return
    columns = ", ".join(records[0])
    sql.run(
        conn,
        f"INSERT INTO instances ({columns}, deadline_at, due_at) SELECT {', '.join('r.' + name for name in records[0])},"
        "  greatest(r.starts_at, now()) + make_interval(secs => :deadline), greatest(r.starts_at, now())"
        " FROM json_populate_recordset(NULL::instances, CAST(:records AS json)) r",
        records=sql.document(records),
        deadline=deadline_s,
    )


def ask(conn: Connection, instance_id: str, deadline_s: int, **changes: Any) -> None:
    """Write what was asked of an instance that the transaction has locked; it is due at once."""
    assignments = "".join(f"{name} = :{name}, " for name in changes)
    sql.run(
        conn,
        f"UPDATE instances SET {assignments} generation = generation + 1, asked_at = now(), attempts = 0, due_at = now(),"
        " deadline_at = now() + make_interval(secs => :deadline) WHERE id = CAST(:id AS uuid)",
        id=instance_id,
        deadline=deadline_s,
        **changes,
    )


def set_protected(conn: Connection, instance_id: str, protected: bool) -> None:
    """Protect from deletion, or no longer."""
    sql.run(
        conn,
        "UPDATE instances SET protected = :protected, term_due_at = CASE WHEN ends AND NOT :protected THEN coalesce(term_due_at, now())"
        " ELSE term_due_at END, generation = generation + 1, observed_generation = CASE WHEN"
        " observed_generation = generation THEN generation + 1 ELSE observed_generation END, due_at = now() WHERE id = CAST(:id AS uuid)",
        id=instance_id,
        protected=protected,
    )


def lock_preemptible(conn: Connection, ids: Sequence[str]) -> set[str]:
    """Which of these may still be preempted, locked; for those that somebody else is changing just now nobody waits."""
    found = sql.rows(
        conn,
        "SELECT id FROM instances WHERE id = ANY(CAST(:ids AS uuid[])) AND preemptible AND NOT protected AND goal <> 'gone'"
        " AND NOT EXISTS (SELECT 1 FROM allocations h WHERE h.after = instances.id)"  # hosts are locked: nobody is promised it just now
        " ORDER BY id FOR NO KEY UPDATE SKIP LOCKED",
        ids=list(ids),
    )
    return {row["id"] for row in found}


PICK = """
WITH picked AS (
    UPDATE instances i SET leased_until = now() + make_interval(secs => :lease),
           since = CASE WHEN state = 'pending' AND goal <> 'gone' THEN now() ELSE since END,
           state = CASE WHEN state = 'pending' AND goal <> 'gone' THEN 'building' ELSE state END,
           asked_at = CASE WHEN {begins} THEN now() ELSE asked_at END,
           deadline_at = CASE WHEN {begins} THEN now() + (deadline_at - asked_at) ELSE deadline_at END
     WHERE i.id IN (
        SELECT d.id FROM instances d JOIN hosts h ON h.id = d.host_id
         WHERE d.due_at <= now() AND (d.leased_until IS NULL OR d.leased_until < now())
           AND (h.state = 'up' AND (h.power <> 'off' OR d.kind = 'bare_metal') OR d.goal = 'gone' AND (h.state = 'fenced'
                OR h.state = 'unreachable' AND h.closed->'params'->>'why' = 'machine_written_off'))
           AND NOT h.endpoint_id = ANY(CAST(:saturated AS uuid[]))
           AND NOT EXISTS (SELECT 1 FROM instances v WHERE v.preempted_for = d.request_id AND v.state <> 'deleted')
           AND (d.goal = 'gone' OR ((d.starts_at IS NULL OR d.starts_at <= now())
                AND NOT EXISTS (SELECT 1 FROM allocations a WHERE a.instance_id = d.id AND a.after IS NOT NULL)))
         ORDER BY d.due_at LIMIT :limit FOR NO KEY UPDATE OF d SKIP LOCKED)
    RETURNING i.*)
SELECT i.*, now() AS now, h.name AS host, h.arch AS host_arch, h.backend_name, h.endpoint_id, o.overcommit,
       m.format AS image_format, m.size_bytes AS image_size,
       m.virtual_size_bytes AS image_virtual_size, m.sha256 AS image_sha256, m.sm3 AS image_sm3,
       coalesce(m.name, i.container->>'image') AS image_name,
       a.held_gpus, a.held_cell_vcpus, h.devices AS host_devices, h.cells AS host_cells
  FROM picked i JOIN hosts h ON h.id = i.host_id JOIN pools o ON o.id = h.pool_id
       LEFT JOIN images m ON m.id = i.image_id LEFT JOIN allocations a ON a.instance_id = i.id AND a.counted
""".format(begins="state = 'pending' AND goal <> 'gone' AND starts_at IS NOT NULL")


def pick(conn: Connection, lease_s: float, saturated: Sequence[str], limit: int) -> Sequence[Row]:
    """Take instances that are due; nobody else takes them before the lease runs out.

    Those on hosts that don't answer, and on `saturated` endpoints, stay where they are; so do those that begin later, or whose place others
    have yet to leave. Of a fenced host, and of a machine that was written off, what is to be gone is taken all the same: the one is off,
    and of the other nothing is asked. Their time to be built counts from when they are first picked.
    """
    sql.along_indexes(conn)
    picked = sql.rows(conn, PICK, lease=lease_s, saturated=list(saturated), limit=limit)
    if not picked:
        return []
    reached = sql.rows(  # apart, once for all that are behind one: credentials are long
        conn,
        "SELECT id, driver, uri, options, credentials FROM endpoints WHERE id = ANY(CAST(:ids AS uuid[]))",
        ids=list({row["endpoint_id"] for row in picked}),
    )
    endpoints = {row["id"]: row for row in reached}
    return [{**row, "endpoint": endpoints[row["endpoint_id"]]} for row in picked]


def renew(conn: Connection, ids: Sequence[str], lease_s: float) -> None:
    """Keep instances that are still being worked on; a lease that was given back meanwhile stays so."""
    sql.run(
        conn,
        "UPDATE instances SET leased_until = now() + make_interval(secs => :lease)"
        " WHERE id = ANY(CAST(:ids AS uuid[])) AND leased_until IS NOT NULL",
        ids=list(ids),
        lease=lease_s,
    )


_RECORD = """
UPDATE instances i SET
       since = CASE WHEN i.state = r.state THEN i.since ELSE now() END,
       state = r.state, condition = r.condition, reason = r.reason, addresses = r.addresses, built = greatest(i.built, r.built),
       attempts = CASE WHEN i.generation = r.generation THEN r.attempts ELSE i.attempts END,
       observed_generation = greatest(i.observed_generation, r.observed_generation),
       deadline_at = CASE WHEN i.generation = r.generation AND r.settled THEN NULL ELSE i.deadline_at END,
       deleted_at = CASE WHEN r.state = 'deleted' THEN now() END,
       due_at = CASE WHEN i.generation <> r.generation THEN now() ELSE now() + make_interval(secs => r.again_s) END,
       leased_until = NULL
  FROM json_to_recordset(CAST(:records AS json)) AS r(id uuid, state text, condition text, reason jsonb, addresses text[], built integer,
       attempts integer, generation bigint, observed_generation bigint, settled boolean, again_s double precision)
 WHERE i.id = r.id AND i.state <> 'deleted' AND (i.generation = r.generation OR r.state <> 'deleted')
   AND i.observed_generation <= r.generation
RETURNING i.id
"""


def record(conn: Connection, outcomes: Sequence[Mapping[str, Any]]) -> set[str]:
    """Write what passes found.

    An instance of which more was asked meanwhile is due again at once, and is never deleted by an older pass. What a paused controller
    found before another ended a newer change is dropped: the instance is only looked at again.
    """
    written = {row["id"] for row in sql.rows(conn, _RECORD, records=sql.document(outcomes))}
    outdated = [one["id"] for one in outcomes if one["id"] not in written]
    if outdated:
        sql.run(
            conn,
            "UPDATE instances SET due_at = now(), leased_until = NULL WHERE id = ANY(CAST(:ids AS uuid[])) AND state <> 'deleted'",
            ids=outdated,
        )
    return written


def free(conn: Connection, ids: Iterable[str]) -> None:
    """Take the allocations of deleted instances out of the ledger."""
    sql.run(conn, "DELETE FROM allocations WHERE instance_id = ANY(CAST(:ids AS uuid[]))", ids=list(ids))


def fit_allocations(conn: Connection, ids: Iterable[str]) -> None:
    """Shrink allocations to their instances' shapes, where a resize downwards has come to its end."""
    shapes = [", ".join(f"{table}.{name}" for name in SHAPE) for table in "ai"]
    found = sql.rows(
        conn,
        f"SELECT i.id, a.host_id, {shapes[1]}, {', '.join(f'a.{name}' for name in HELD)} FROM instances i"
        " JOIN allocations a ON a.instance_id = i.id AND a.counted"
        " WHERE i.id = ANY(CAST(:ids AS uuid[])) AND i.observed_generation = i.generation AND i.goal <> 'gone'"
        f" AND ({shapes[0]}) IS DISTINCT FROM ({shapes[1]})",
        ids=list(ids),
    )
    for row in found:
        resize_allocation(conn, row["id"], {name: row[name] for name in SHAPE} | fitted(row, row))


def on_endpoint(conn: Connection, endpoint_id: str) -> Iterator[Row]:
    """What should be behind an endpoint, as slim as a comparison needs; a cloud behind one endpoint may have very many."""
    return sql.stream(
        conn,
        "SELECT i.id, i.name, i.project_id, i.goal, i.state, i.condition, i.generation, i.observed_generation, i.addresses,"
        " i.due_at IS NOT NULL AS due, i.reason, h.backend_name FROM instances i JOIN hosts h ON h.id = i.host_id"
        " WHERE h.endpoint_id = CAST(:id AS uuid) AND i.state <> 'deleted'",
        id=endpoint_id,
    )


def among(conn: Connection, ids: Sequence[str]) -> dict[str, Row]:
    """Which of these ids are instances of ours, deleted or not."""
    found = sql.rows(
        conn,
        "SELECT i.id, i.name, i.project_id, i.state, i.adopted, i.disowned, h.endpoint_id FROM instances i JOIN hosts h ON h.id = i.host_id"
        " WHERE i.id = ANY(CAST(:ids AS uuid[]))",
        ids=list(ids),
    )
    return {row["id"]: row for row in found}


def adopted_on(conn: Connection, endpoint_id: str) -> frozenset[str]:
    """What was adopted of an endpoint and is an instance still, by the ids of its backend."""
    found = sql.rows(
        conn,
        "SELECT i.adopted FROM instances i JOIN hosts h ON h.id = i.host_id"
        " WHERE i.adopted IS NOT NULL AND i.state <> 'deleted' AND h.endpoint_id = CAST(:id AS uuid)",
        id=endpoint_id,
    )
    return frozenset(row["adopted"] for row in found)


def adopting(conn: Connection, adopted: str) -> Row | None:
    """The instance that something of that id was adopted as and is still."""
    return sql.one(conn, f"{_VIEW.format(source='instances')} WHERE i.adopted = :adopted AND i.state <> 'deleted'", adopted=adopted)


def left_alone(conn: Connection, ids: Sequence[str]) -> Sequence[Row]:
    """Of these, those that were given back: where what they were is still."""
    return sql.rows(
        conn,
        "SELECT i.host_id, h.endpoint_id FROM instances i JOIN hosts h ON h.id = i.host_id"
        " WHERE i.disowned AND i.id = ANY(CAST(:ids AS uuid[]))",
        ids=list(ids),
    )


def make_due(conn: Connection, ids: Sequence[str]) -> None:
    """Have these looked at again soon."""
    if ids:
        sql.run(
            conn,
            "UPDATE instances SET due_at = now() WHERE id = ANY(CAST(:ids AS uuid[])) AND state <> 'deleted'"
            " AND (due_at IS NULL OR due_at > now())",
            ids=list(ids),
        )


def set_addresses(conn: Connection, found: Mapping[str, Sequence[str]]) -> None:
    """Write addresses that a look at a whole endpoint saw."""
    sql.run(
        conn,
        "UPDATE instances i SET addresses = r.addresses"
        " FROM json_to_recordset(CAST(:records AS json)) AS r(id uuid, addresses text[]) WHERE i.id = r.id",
        records=sql.document([{"id": id_, "addresses": list(addresses)} for id_, addresses in found.items()]),
    )


def say_why(conn: Connection, ids: Sequence[str], code: str) -> None:
    """Note why they are as they are."""
    sql.run(
        conn,
        "UPDATE instances SET reason = jsonb_build_object('code', CAST(:code AS text), 'params', '{}'::jsonb)"
        " WHERE id = ANY(CAST(:ids AS uuid[])) AND reason->>'code' IS DISTINCT FROM :code",
        ids=list(ids),
        code=code,
    )


def overdue(conn: Connection, again_s: int, limit: int) -> Sequence[Row]:
    """Instances past their deadline; each is reported once, then again after `again_s`. Unbuilt ones are due at once, to be given up."""
    return sql.rows(
        conn,
        "UPDATE instances i SET deadline_at = now() + make_interval(secs => :again),"
        " due_at = coalesce(least(due_at, now()), now())"
        " WHERE id IN (SELECT id FROM instances WHERE deadline_at < now() AND state <> 'deleted'"
        "              ORDER BY deadline_at LIMIT :limit FOR NO KEY UPDATE SKIP LOCKED)"
        " RETURNING id, name, project_id, state, goal, reason",
        again=again_s,
        limit=limit,
    )


def gpu_work(conn: Connection) -> Sequence[Row]:
    """What instances, those that are gone included, asked of GPUs: sizes and how many asked for them."""
    return sql.rows(
        conn,
        "SELECT vcpus, 0 AS memory_mib, 0 AS disk_gib, gpus, gpu_milli, gpu_model, NULL AS cpu_baseline, 0 AS numa_nodes,"
        " count(*) AS number FROM instances WHERE gpus > 0"
        " GROUP BY vcpus, gpus, gpu_milli, gpu_model ORDER BY number DESC LIMIT 1000",
    )


def departed(conn: Connection, days: int, limit: int) -> Sequence[Row]:
    """Instances that ended within `days`, the latest first: what they were, since when, until when they were asked for."""
    return sql.rows(
        conn,
        "SELECT project_id, kind, vcpus, memory_mib, gpus, created_at, deleted_at, term_ends_at FROM instances"
        " WHERE deleted_at > now() - make_interval(days => :days) ORDER BY deleted_at DESC LIMIT :limit",
        days=days,
        limit=limit,
    )


def ended(conn: Connection, ids: Sequence[str]) -> dict[str, datetime]:
    """When those of them that are deleted were."""
    found = sql.rows(
        conn, "SELECT id, deleted_at FROM instances WHERE id = ANY(CAST(:ids AS uuid[])) AND deleted_at IS NOT NULL", ids=list(ids)
    )
    return {row["id"]: row["deleted_at"] for row in found}
