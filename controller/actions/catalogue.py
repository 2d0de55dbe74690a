"""Flavors and images. An image's bytes are taken in by `controller.images`; here are its rows."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import orjson
from sqlalchemy import Connection

from controller import errors
from controller.actions import guard
from controller.actions.env import Env
from controller.model import devices
from controller.model.identity import Identity, Right
from controller.store import catalogue, events
from controller.store.sql import Row

_NOUN = {"flavors": "flavor", "images": "image"}


def create(conn: Connection, env: Env, identity: Identity, table: str, record: Mapping[str, Any]) -> Row:
    """A new flavor or image."""
    guard.overall(identity, Right.OPERATE)
    noun = _NOUN[table]
    if table == "flavors":
        devices.check(record)
    if catalogue.get(conn, table, record["name"]):
        raise errors.AlreadyExists(f"{noun}_exists", name=record["name"])
    id_ = env.new_id()
    catalogue.insert(conn, table, {"id": id_, **record})
    events.add(conn, [events.event(f"{noun}.created", noun, id_, record["name"], None, identity.name)])
    return find(conn, table, id_)


def find(conn: Connection, table: str, reference: str) -> Row:
    """A flavor or image; the catalogue is everybody's to read."""
    row = catalogue.get(conn, table, reference)
    if row is None:
        raise errors.NotFound(f"{_NOUN[table]}_not_found", name=reference)
    return row


def delete(conn: Connection, identity: Identity, table: str, reference: str, generation: int | None) -> Row:
    """Take it out of the catalogue. An image that instances were made from, or that an undecided request names, stays."""
    guard.overall(identity, Right.OPERATE)
    row = find(conn, table, reference)
    guard.seen(row, generation)
    if table == "images":
        uses = catalogue.uses_of_image(conn, row["id"])
        if uses:
            raise errors.InvalidState("image_in_use", name=row["name"], uses=uses)
    catalogue.delete(conn, table, row["id"])
    events.add(conn, [events.event(f"{_NOUN[table]}.deleted", _NOUN[table], row["id"], row["name"], None, identity.name)])
    return row


def may_upload(conn: Connection, identity: Identity, reference: str) -> Row:
    """The image that is to receive its bytes: it waits for them, or an earlier try failed."""
    guard.overall(identity, Right.OPERATE)
    row = find(conn, "images", reference)
    if row["state"] not in ("waiting", "failed"):
        raise errors.InvalidState("image_has_content", name=row["name"], state=row["state"])
    return row


def end_import(
    conn: Connection, image_id: str, actor: str, measured: Mapping[str, Any] | None, reason: Mapping[str, Any] | None
) -> Row | None:
    """Record how an import ended: what was measured, or why it failed."""
    changes = dict(measured) if measured else {}
    state = "ready" if measured else "failed"
    row = catalogue.set_image(
        conn, image_id, ["waiting", "importing", "failed"], state=state, reason=orjson.dumps(reason).decode() if reason else None, **changes
    )
    if row is not None:
        params = dict(reason["params"]) | {"why": reason["code"]} if reason else {"sha256": row["sha256"]}
        events.add(conn, [events.event(f"image.{state}", "image", image_id, row["name"], None, actor, **params)])
    return row
