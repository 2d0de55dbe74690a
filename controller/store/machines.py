"""Bare machines: their journals, the runs of playbooks on them, and the proofs that their disks were cleared."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from controller.store import sql
from controller.store.sql import Row

LIVE = ("waiting", "running")
"""States of runs that have not ended."""

_RUN = (
    "SELECT r.id, e.name AS endpoint, h.name AS host, r.instance_id, i.name AS instance, p.path AS project, r.step, r.playbook,"
    " r.digest, r.state, r.reason, r.progress, r.began_at, r.ended_at{more} FROM runs r JOIN endpoints e ON e.id = r.endpoint_id"
    " LEFT JOIN hosts h ON h.endpoint_id = r.endpoint_id LEFT JOIN projects p ON p.id = r.project_id"
    " LEFT JOIN instances i ON i.id = r.instance_id"
)
_CERTIFICATE = (
    "SELECT c.id, h.name AS host, c.run_id, c.instance_id, i.name AS instance, p.path AS project, c.disk_serial, c.document, c.signature,"
    " c.created_at"
    " FROM certificates c LEFT JOIN hosts h ON h.endpoint_id = c.endpoint_id LEFT JOIN projects p ON p.id = c.project_id"
    " LEFT JOIN instances i ON i.id = c.instance_id"
)

# -- journals --------------------------------------------------------------------------------------------------------------------


def journal(conn: Connection, endpoint_id: str) -> Row | None:
    """What is remembered of a machine: document, version, age_s, progress, asked; and `wipe` of its pool."""
    return sql.one(
        conn,
        "SELECT m.document, m.version, extract(epoch FROM clock_timestamp() - m.confirmed_at)::float8 AS age_s, m.progress, m.asked, p.wipe"
        " FROM machines m JOIN endpoints e ON e.id = m.endpoint_id JOIN pools p ON p.id = e.pool_id"
        " WHERE m.endpoint_id = CAST(:id AS uuid)",
        id=endpoint_id,
    )


def journals(conn: Connection, endpoint_ids: Sequence[str]) -> dict[str, Row]:
    """Documents and progress, and the name of the instance whose the machine is, by endpoint."""
    found = sql.rows(
        conn,
        "SELECT m.endpoint_id, m.document, m.progress, i.name AS instance FROM machines m"
        " LEFT JOIN instances i ON i.id = CAST(m.document->'tenant'->>'instance_id' AS uuid)"
        " WHERE m.endpoint_id = ANY(CAST(:ids AS uuid[]))",
        ids=list(endpoint_ids),
    )
    return {row["endpoint_id"]: row for row in found}


def overtaken(conn: Connection, endpoint_id: str, version: int) -> bool:
    """Whether a journal was written since somebody saw that version, for who is about to write what he saw with it; its host is locked
    for that. False where there is no journal.
    """
    if sql.scalar(conn, "SELECT 1 FROM machines WHERE endpoint_id = CAST(:id AS uuid)", id=endpoint_id) is None:
        return False
    sql.run(conn, "SELECT 1 FROM hosts WHERE endpoint_id = CAST(:id AS uuid) ORDER BY id FOR NO KEY UPDATE", id=endpoint_id)
    newest = "SELECT version > :version FROM machines WHERE endpoint_id = CAST(:id AS uuid)"
    return bool(sql.scalar(conn, newest, id=endpoint_id, version=version))


def write(conn: Connection, endpoint_id: str, document: Mapping[str, Any], version: int) -> bool:
    """Put a document in place of the one of that version; False where there is another by now."""
    written = sql.run(
        conn,
        "INSERT INTO machines AS m (endpoint_id, document, version) SELECT CAST(:id AS uuid), CAST(:document AS jsonb), 1"
        " WHERE :version = 0 OR EXISTS (SELECT 1 FROM machines WHERE endpoint_id = CAST(:id AS uuid))"
        " ON CONFLICT (endpoint_id) DO UPDATE SET document = excluded.document, version = m.version + 1,"
        " confirmed_at = clock_timestamp(), progress = '{}' WHERE m.version = :version",
        id=endpoint_id,
        document=orjson.dumps(document).decode(),
        version=version,
    )
    return written == 1


def put(conn: Connection, endpoint_id: str, document: Mapping[str, Any]) -> None:
    """Put a document in place of whichever there is; its host is locked for that, so that it is the one that was read."""
    sql.run(
        conn,
        "UPDATE machines SET document = CAST(:document AS jsonb), version = version + 1, progress = '{}'"
        " WHERE endpoint_id = CAST(:id AS uuid)",
        id=endpoint_id,
        document=orjson.dumps(document).decode(),
    )


def inherit(conn: Connection, endpoint_id: str, known: Sequence[str]) -> None:
    """Of machines that are enrolled anew: one that was in quarantine when it was last in our care is so still. A journal that there is
    already stays as it is.
    """
    sql.run(
        conn,
        "INSERT INTO machines (endpoint_id, document, version)"
        " SELECT CAST(:id AS uuid), jsonb_build_object('quarantine', document->'quarantine', 'left', document->'left'), 1 FROM ("
        "  SELECT m.document FROM machines m JOIN hosts h ON h.endpoint_id = m.endpoint_id"
        "  WHERE h.machine = ANY(:known) AND h.endpoint_id <> CAST(:id AS uuid) ORDER BY h.endpoint_id DESC LIMIT 1) AS before"
        " WHERE jsonb_typeof(document->'quarantine') = 'object' ON CONFLICT (endpoint_id) DO NOTHING",
        id=endpoint_id,
        known=[one for one in known if one],
    )


def distrust(conn: Connection, why: str) -> Sequence[str]:
    """Put machines that are nobody's, for all that is on record, into quarantine, for when the record may know less than there is; their
    hosts' ids. Nothing that was asked of them, or worked on them, is gone on with.
    """
    found = sql.rows(
        conn,
        "UPDATE machines m SET version = version + 1, document = document || jsonb_build_object('work', NULL, 'served', asked,"
        " 'quarantine', jsonb_build_object('code', CAST(:why AS text), 'params', jsonb_build_object()))"
        " FROM hosts h WHERE h.endpoint_id = m.endpoint_id AND h.state <> 'retired' AND coalesce(document->'tenant', 'null') = 'null'"
        " AND coalesce(document->'quarantine', 'null') = 'null' RETURNING h.id",
        why=why,
    )
    return [row["id"] for row in found]


def confirm(conn: Connection, endpoint_id: str, run_id: str, progress: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Say that the run on record goes on; the document, or None where it isn't that one."""
    found: Mapping[str, Any] | None = sql.scalar(
        conn,
        "UPDATE machines SET confirmed_at = clock_timestamp(), progress = CAST(:progress AS jsonb)"
        " WHERE endpoint_id = CAST(:id AS uuid) AND document->'work'->>'run_id' = :run RETURNING document",
        id=endpoint_id,
        run=run_id,
        progress=orjson.dumps(progress).decode(),
    )
    return found


def cancel(conn: Connection, endpoint_id: str, run_id: str) -> bool:
    """Put on record that the run is to end; False where it isn't the one on record (any more)."""
    marked = sql.run(
        conn,
        "UPDATE machines SET document = jsonb_set(document, '{work,cancelled}', 'true'), version = version + 1"
        " WHERE endpoint_id = CAST(:id AS uuid) AND document->'work'->>'run_id' = :run",
        id=endpoint_id,
        run=run_id,
    )
    return marked == 1


def ask(conn: Connection, endpoint_id: str, what: str, user_id: str) -> None:
    """Count one more time that its operators asked for that, and keep who did."""
    sql.run(
        conn,
        "INSERT INTO machines AS m (endpoint_id, asked, asked_by)"
        " VALUES (CAST(:id AS uuid), jsonb_build_object(CAST(:what AS text), 1),"
        " jsonb_build_object(CAST(:what AS text), CAST(:user AS text)))"
        " ON CONFLICT (endpoint_id) DO UPDATE SET"
        " asked = m.asked || jsonb_build_object(CAST(:what AS text), coalesce((m.asked->>:what)::int, 0) + 1),"
        " asked_by = m.asked_by || excluded.asked_by",
        id=endpoint_id,
        what=what,
        user=user_id,
    )


def asked_by(conn: Connection, endpoint_id: str, what: str, instance_id: str) -> str | None:
    """The user who asked that of a machine last or, where nothing is asked of it, who asked for the instance."""
    found: str | None
    if what:
        found = sql.scalar(conn, "SELECT asked_by->>:what FROM machines WHERE endpoint_id = CAST(:id AS uuid)", id=endpoint_id, what=what)
    else:
        found = sql.scalar(conn, "SELECT created_by FROM instances WHERE id = CAST(:id AS uuid)", id=instance_id)
    return found


# -- runs ------------------------------------------------------------------------------------------------------------------------


def keep_run(conn: Connection, record: Mapping[str, Any]) -> bool:
    """Enter a run, or how far it is; whether it had not ended before."""
    kept = sql.run(
        conn,
        "INSERT INTO runs AS o (id, endpoint_id, instance_id, project_id, step, playbook, digest, state, reason, tasks, progress, ended_at)"
        " SELECT id, endpoint_id, instance_id, project_id, step, playbook, coalesce(digest, ''), state, reason, coalesce(tasks, '[]'),"
        " coalesce(progress, '{}'), CASE WHEN state IN ('waiting', 'running') THEN NULL ELSE now() END"
        " FROM json_populate_recordset(NULL::runs, CAST(:records AS json))"
        " ON CONFLICT (id) DO UPDATE SET digest = CASE WHEN excluded.digest = '' THEN o.digest ELSE excluded.digest END,"
        " state = excluded.state, reason = excluded.reason,"
        " tasks = CASE WHEN excluded.tasks = '[]' THEN o.tasks ELSE excluded.tasks END,"
        " progress = excluded.progress, ended_at = excluded.ended_at WHERE o.ended_at IS NULL",
        records=sql.document([record]),
    )
    return kept == 1


def run(conn: Connection, run_id: str) -> Row | None:
    """One, with its tasks."""
    return sql.one(conn, f"{_RUN.format(more=', r.tasks, r.endpoint_id')} WHERE r.id = CAST(:id AS uuid)", id=run_id)


def page_runs(conn: Connection, filters: Mapping[str, str | None], before: str, limit: int) -> Sequence[Row]:
    """Newest first, by endpoint, instance and state."""
    where = _where("r", filters)
    return sql.rows(conn, f"{_RUN.format(more='')} WHERE {where} ORDER BY r.id DESC LIMIT :limit", before=before, limit=limit, **filters)


def _where(table: str, filters: Mapping[str, str | None]) -> str:
    """Before `before`, and what is narrowed by, said so that an index serves: a machine has few of what a cloud has many."""
    columns = {"endpoint": ("endpoint_id", "uuid"), "instance": ("instance_id", "uuid"), "state": ("state", "text")}
    given = [f"{table}.{columns[name][0]} = CAST(:{name} AS {columns[name][1]})" for name, value in filters.items() if value is not None]
    return " AND ".join([f"{table}.id < CAST(:before AS uuid)", *given])


PAIRS = {"signing": ("signing_key", "verify_key"), "login": ("login_key", "login_public")}
"""Keys that all controllers share, what certificates are signed with and by which hypervisors let us in: columns of the sealed private half
and of the public one."""


def keys(conn: Connection, pair: str) -> tuple[str, str] | None:
    """Both halves, the private one sealed; locked where there are none yet, so that one of several makes them."""
    private, public = PAIRS[pair]
    for lock in ("", " FOR UPDATE"):
        found = sql.rows(conn, f"SELECT {private} AS private, {public} AS public FROM cloud{lock}")[0]
        if found["private"] is not None:
            return found["private"], found["public"]
    return None


def verify_key(conn: Connection) -> str | None:
    """The public half of what certificates are signed with, PEM; null before the first."""
    found: str | None = sql.scalar(conn, "SELECT verify_key FROM cloud")
    return found


def keep_keys(conn: Connection, pair: str, private: str, public: str) -> None:
    """Keep the first pair."""
    columns = PAIRS[pair]
    sql.run(conn, f"UPDATE cloud SET {columns[0]} = :private, {columns[1]} = :public", private=private, public=public)


# -- certificates ----------------------------------------------------------------------------------------------------------------


def keep_certificate(conn: Connection, record: Mapping[str, Any]) -> None:
    """Keep one for good; one of that id is there already: nothing happens."""
    sql.run(
        conn,
        "INSERT INTO certificates (id, endpoint_id, run_id, instance_id, project_id, disk_serial, document, signature)"
        " SELECT id, endpoint_id, run_id, instance_id, project_id, disk_serial, document, signature"
        " FROM json_populate_recordset(NULL::certificates, CAST(:records AS json)) ON CONFLICT (id) DO NOTHING",
        records=sql.document([record]),
    )


def certificate(conn: Connection, certificate_id: str) -> Row | None:
    """One."""
    return sql.one(
        conn, f"{_CERTIFICATE.replace(' FROM ', ', c.project_id, p.ancestors FROM ', 1)} WHERE c.id = CAST(:id AS uuid)", id=certificate_id
    )


def page_certificates(
    conn: Connection, scope: Sequence[str] | None, filters: Mapping[str, str | None], before: str, limit: int
) -> Sequence[Row]:
    """Newest first, by endpoint and instance; of those projects, or (None) all, those that were nobody's included."""
    where = _where("c", filters)
    return sql.rows(
        conn,
        f"{_CERTIFICATE} WHERE {where} AND (:everybody OR c.project_id = ANY(CAST(:scope AS uuid[]))) ORDER BY c.id DESC LIMIT :limit",
        everybody=scope is None,
        scope=list(scope or ()),
        before=before,
        limit=limit,
        **filters,
    )
