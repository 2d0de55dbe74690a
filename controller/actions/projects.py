"""Projects, limits and roles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import orjson
from sqlalchemy import Connection

from controller import errors
from controller.actions import guard
from controller.actions.env import Env
from controller.model import naming
from controller.model.identity import Identity, Right, Role
from controller.model.request import POLICY, in_force, looser
from controller.store import events, people, projects
from controller.store.sql import Row
from quotas import check as quota


def create(
    conn: Connection,
    env: Env,
    identity: Identity,
    name: str,
    parent: str | None,
    description: str,
    policy: Mapping[str, Any],
    level: int | None = None,
) -> Row:
    """A new project below `parent`; a new root only for an administrator of a root.

    `policy`: parts of `model.request.POLICY`; what it doesn't name, like a `level` (of protection) of None, is its parent's.
    """
    above: Row | None = None
    if parent is None:
        guard.overall(identity, Right.SET_UP)
    else:
        above = guard.project(conn, identity, parent, Right.SET_UP)
    if not naming.is_label(name):
        raise errors.InvalidRequest("not_a_label", name=name)
    _no_looser(conn, identity, above, policy)
    path = f"{above['path']}/{name}" if above else name
    if projects.get(conn, path):
        raise errors.AlreadyExists("project_exists", path=path)
    id_ = env.new_id()
    projects.insert(
        conn,
        {
            "id": id_,
            "parent_id": above["id"] if above else None,
            "name": name,
            "path": path,
            "ancestors": [*(above["ancestors"] if above else []), id_],
            "description": description,
            **{part: policy.get(part) for part in POLICY},
            "level": level,
        },
    )
    if above is None:
        people.grant(conn, identity.user_id, id_, Role.ADMIN)  # else nobody could see it
    events.add(conn, [events.event("project.created", "project", id_, path, id_, identity.name)])
    made = projects.get(conn, id_)
    assert made is not None  # noqa: S101 - inserted above
    return made


def update(conn: Connection, identity: Identity, reference: str, generation: int | None, changes: Mapping[str, Any]) -> Row:
    """Change description, parts of the policy (`model.request.POLICY`) or protection level (`level`; null: that of the project above).

    Policy and level are set from above: by an administrator of the parent, or of the root. Raises InvalidState, with some of them, where
    instances are on hosts that the level forbids.
    """
    row = guard.project(conn, identity, reference, Right.SET_UP)
    guard.seen(row, generation)
    if not changes.keys().isdisjoint(POLICY):
        _from_above(identity, row)
        parent = projects.get(conn, row["parent_id"]) if row["parent_id"] else None
        _no_looser(conn, identity, parent, changes)
    if changes.get("auto_approve") is not None:
        changes = dict(changes) | {"auto_approve": orjson.dumps(changes["auto_approve"]).decode()}
    if "level" in changes:
        _from_above(identity, row)
        projects.lock_below(conn, row["id"])
    if not changes:
        return row
    changed = projects.update(conn, row["id"], row["generation"], **changes)
    if changed is None:
        raise errors.StaleGeneration(seen=row["generation"], now="?")
    if "level" in changes:
        guard.nobody_misplaced(conn, "project_id", row["id"], row["path"])
    events.add(
        conn,
        [events.event("project.changed", "project", row["id"], row["path"], row["id"], identity.name, fields=", ".join(sorted(changes)))],
    )
    return changed


def _from_above(identity: Identity, row: Row) -> None:
    """Nobody loosens the bounds he is under himself: the right must come from above the project, where there is an above."""
    if row["parent_id"] is not None and not identity.may(Right.SET_UP, row["ancestors"][:-1]):
        raise errors.Forbidden("needs_right_above", right=Right.SET_UP, project=row["path"])


def _no_looser(conn: Connection, identity: Identity, above: Row | None, policy: Mapping[str, Any]) -> None:
    """A child's policy is no looser than the one its parent is under, or making a child would be a way around it.

    Who sets up a whole tree is under nobody's policy.
    """
    if above is None or identity.may_overall(Right.SET_UP):
        return
    chain = projects.find(conn, above["ancestors"])
    if looser(policy, in_force([chain[id_] for id_ in above["ancestors"]])):
        raise errors.Forbidden("bounds_looser", project=above["path"])


def delete(conn: Connection, identity: Identity, reference: str, generation: int | None) -> None:
    """Remove a project that nothing hangs on."""
    row = guard.project(conn, identity, reference, Right.SET_UP)
    _from_above(identity, row)
    guard.seen(row, generation)
    inside = projects.occupants(conn, row["id"])
    if any(inside.values()):
        raise errors.InvalidState("project_occupied", details=inside, path=row["path"], **inside)
    events.add(conn, [events.event("project.deleted", "project", row["id"], row["path"], row["parent_id"], identity.name)])
    projects.delete(conn, row["id"])


def show_quota(conn: Connection, identity: Identity, reference: str) -> tuple[Row, Sequence[quota.QuotaRow]]:
    """Limits and usage of a project and of those ancestors that the caller may read."""
    row = guard.project(conn, identity, reference, Right.READ)
    ancestors = row["ancestors"]
    readable = [id_ for number, id_ in enumerate(ancestors) if identity.may(Right.READ, ancestors[: number + 1])]
    nodes = projects.nodes(conn, readable)
    return row, quota.rows([nodes[id_] for id_ in readable])


def set_limits(conn: Connection, identity: Identity, reference: str, limits: Sequence[tuple[str, str, int | None]]) -> None:
    """Set limits (kind, resource, amount; None takes the limit away).

    Raises InvalidState for a limit below what is in use and held: a limit is true at every moment, so usage comes down first.
    """
    row = guard.project(conn, identity, reference, Right.SET_UP)
    _from_above(identity, row)
    node = projects.nodes(conn, [row["id"]], lock=True)[row["id"]]
    for kind, resource, amount in limits:
        bounded = quota.Node(node.project_id, node.path, {} if amount is None else {(kind, resource): amount}, node.used, node.held)
        over = quota.check([bounded], {})
        if over:
            raise errors.InvalidState(
                "limit_below_usage", resource=resource, limit=amount, used=over[0].used, held=over[0].held, path=row["path"]
            )
        projects.set_limit(conn, row["id"], kind, resource, amount)
    events.add(conn, [_limit_fact(row, identity, *limit) for limit in limits])


def _limit_fact(row: Row, identity: Identity, kind: str, resource: str, amount: int | None) -> events.Event:
    what, params = ("limit.removed", {}) if amount is None else ("limit.set", {"amount": amount})
    return events.event(what, "project", row["id"], row["path"], row["id"], identity.name, of_kind=kind, resource=resource, **params)


def grant(conn: Connection, identity: Identity, reference: str, user: str, role: Role) -> None:
    """Give a user a role on a project."""
    row, who = _role_target(conn, identity, reference, user)
    people.grant(conn, who["id"], row["id"], role)
    events.add(conn, [events.event("role.granted", "user", who["id"], who["name"], row["id"], identity.name, role=role, path=row["path"])])


def revoke(conn: Connection, identity: Identity, reference: str, user: str, role: Role) -> None:
    """Take a role away."""
    row, who = _role_target(conn, identity, reference, user)
    if people.ungrant(conn, who["id"], row["id"], role) == 0:
        raise errors.NotFound("role_not_found", user=user, role=role, path=row["path"])
    events.add(conn, [events.event("role.revoked", "user", who["id"], who["name"], row["id"], identity.name, role=role, path=row["path"])])


def _role_target(conn: Connection, identity: Identity, reference: str, user: str) -> tuple[Row, Row]:
    row = guard.project(conn, identity, reference, Right.SET_UP)
    who = people.get_user(conn, user)
    if who is None:
        raise errors.NotFound("user_not_found", user=user)
    return row, who
