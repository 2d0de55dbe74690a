"""Checks that every action shares: may this identity do it, has it seen the newest generation, is nobody where he may not be."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection

from controller import errors
from controller.model.identity import Identity, Right
from controller.store import fleet, projects

Row = Mapping[str, Any]


def project(conn: Connection, identity: Identity, reference: str, right: Right) -> Row:
    """The project, where the identity may read it and has the right on it.

    Raises NotFound where it may not even know of it, Forbidden where it only may not do this.
    """
    row = projects.get(conn, reference)
    if row is None or not identity.may(Right.READ, row["ancestors"]):
        raise errors.NotFound("project_not_found", project=reference)
    allow(identity, right, row)
    return row


def allow(identity: Identity, right: Right, owned: Row) -> None:
    """The right on what a project owns; `owned` carries the project's `ancestors`."""
    if not identity.may(right, owned["ancestors"]):
        raise errors.Forbidden("needs_right", right=right, project=owned.get("project") or owned["path"])


def overall(identity: Identity, right: Right) -> None:
    """The right on a whole tree."""
    if not identity.may_overall(right):
        raise errors.Forbidden("needs_right_overall", right=right)


def nobody_misplaced(conn: Connection, column: str, value: str, name: str) -> None:
    """After a change of `name`: nobody of those that `fleet.misplaced` looks among is where he may not be.

    Raises InvalidState, with some of them.
    """
    wrong = fleet.misplaced(conn, column, value)
    if wrong:
        listed = [{"name": one["name"], "project": one["path"]} for one in wrong]
        raise errors.InvalidState("would_misplace", details={"instances": listed}, name=name, count=len(wrong), first=wrong[0]["name"])


def seen(row: Row, generation: int | None) -> None:
    """The caller's generation (None: it named none) is the newest."""
    if generation is not None and row["generation"] != generation:
        raise errors.StaleGeneration(seen=generation, now=row["generation"])
