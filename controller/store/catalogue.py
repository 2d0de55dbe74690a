"""Flavors and images."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection

from controller.model.devices import SHAPE
from controller.store import sql
from controller.store.sql import Row

_COLUMNS = {
    "flavors": f"id, name, kind, {', '.join(SHAPE)}, arch, traits, generation, created_at",
    "images": "id, name, arch, format, os, min_disk_gib, min_memory_mib, state, reason, url, want_sha256, want_sm3,"
    " size_bytes, virtual_size_bytes, sha256, sm3, generation, created_at",
}


def find(conn: Connection, table: str, references: Iterable[str]) -> dict[str, Row]:
    """Flavors or images by id or name, in one query; the key is the reference given."""
    wanted = sorted(set(references))
    found = sql.rows(conn, f"SELECT {_COLUMNS[table]} FROM {table} WHERE name = ANY(:refs) OR id::text = ANY(:refs)", refs=wanted)
    return {key: row for row in found for key in (row["id"], row["name"])}


def get(conn: Connection, table: str, reference: str) -> Row | None:
    """One flavor or image by id or name."""
    return find(conn, table, [reference]).get(reference)


def of_kind(conn: Connection, kind: str) -> Sequence[Row]:
    """All flavors of a kind."""
    return sql.rows(conn, f"SELECT {_COLUMNS['flavors']} FROM flavors WHERE kind = :kind ORDER BY name", kind=kind)


def of_size(conn: Connection, kind: str, vcpus: int, memory_mib: int, disk_gib: int) -> Row | None:
    """The first flavor by name that is just this size, and asks for nothing else."""
    return sql.one(
        conn,
        f"SELECT {_COLUMNS['flavors']} FROM flavors WHERE kind = :kind AND vcpus = :vcpus AND memory_mib = :memory AND disk_gib = :disk"
        " AND gpus = 0 AND cpu_baseline IS NULL AND numa_nodes = 0 AND traits = '{}' ORDER BY name LIMIT 1",
        kind=kind,
        vcpus=vcpus,
        memory=memory_mib,
        disk=disk_gib,
    )


def image_of(conn: Connection, sha256: str) -> Row | None:
    """The first image by name that has these bytes."""
    return sql.one(
        conn, f"SELECT {_COLUMNS['images']} FROM images WHERE sha256 = :sha256 AND state = 'ready' ORDER BY name LIMIT 1", sha256=sha256
    )


def page(conn: Connection, table: str, filters: Mapping[str, str | None], after: str, limit: int) -> Sequence[Row]:
    """In order of name, by the columns that `filters` names."""
    where = sql.narrowed({name: name for name in filters})
    return sql.rows(
        conn,
        f"SELECT {_COLUMNS[table]} FROM {table} WHERE name > :after{where} ORDER BY name LIMIT :limit",
        after=after,
        limit=limit,
        **filters,
    )


def insert(conn: Connection, table: str, record: Mapping[str, Any]) -> None:
    """A new flavor or image."""
    sql.insert(conn, table, [record])


def delete(conn: Connection, table: str, id_: str) -> None:
    """Remove one that nothing uses."""
    sql.run(conn, f"DELETE FROM {table} WHERE id = CAST(:id AS uuid)", id=id_)


def uses_of_image(conn: Connection, image_id: str) -> int:
    """How many instances were ever made from an image, and undecided requests name it."""
    return int(
        sql.scalar(
            conn,
            "SELECT (SELECT count(*) FROM instances WHERE image_id = CAST(:id AS uuid))"
            " + (SELECT count(*) FROM requests WHERE state = 'pending' AND items @> CAST(:mention AS jsonb))",
            id=image_id,
            mention=sql.document([{"image_id": image_id}]),
        )
    )


def set_image(conn: Connection, image_id: str, only_in: Sequence[str], **changes: Any) -> Row | None:
    """Change an image that is in one of the states given; None where it isn't."""
    assignments = ", ".join(f"{name} = CAST(:{name} AS jsonb)" if name == "reason" else f"{name} = :{name}" for name in changes)
    return sql.one(
        conn,
        f"UPDATE images SET {assignments}, generation = generation + 1 WHERE id = CAST(:id AS uuid) AND state = ANY(:only_in)"
        f" RETURNING {_COLUMNS['images']}",
        id=image_id,
        only_in=list(only_in),
        **changes,
    )


def images_importing(conn: Connection) -> Sequence[Row]:
    """Images that are to be fetched by URL."""
    return sql.rows(conn, f"SELECT {_COLUMNS['images']} FROM images WHERE state = 'importing' AND url IS NOT NULL ORDER BY id")
