"""Projects, their limits and roles.

A project is named by id or by its path; the routes of one project alone come last, since a path may have any length.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Final

from fastapi import APIRouter, Query
from sqlalchemy import Connection

from controller.actions import guard
from controller.actions import projects as actions
from controller.api.answers.base import page_of, responses
from controller.api.answers.people import RoleOut
from controller.api.answers.projects import ProjectOut, QuotaOut
from controller.api.call import Call, TheCall
from controller.api.json import Json
from controller.api.paging import Cursor, Limit, named, page_out
from controller.api.schemas import LimitsIn, ProjectChange, ProjectIn, RoleIn
from controller.model import views
from controller.model.identity import Right, Role
from controller.store import people
from controller.store import projects as store

router = APIRouter(prefix="/v1/projects", tags=["projects"])


@router.post("", status_code=201, responses=responses(ProjectOut, 201), response_model=None)
def create_project(call: TheCall, given: ProjectIn) -> Json:
    """A new project below another, or a new root."""
    policy = given.policy.model_dump()

    def work(conn: Connection) -> dict[str, object]:
        return views.project(
            actions.create(conn, call.env, call.identity, given.name, given.parent, given.description, policy, given.level)
        )

    return _forgetting(call, call.change(work, 201))


@router.get("", responses=responses(page_of(ProjectOut)), response_model=None)
def list_projects(call: TheCall, parent: str | None = None, cursor: Cursor = None, limit: Limit = 50) -> Json:
    """Projects that the caller may read, in order of path."""
    after = named(cursor)

    def work(conn: Connection) -> dict[str, object]:
        parent_id = guard.project(conn, call.identity, parent, Right.READ)["id"] if parent else None
        rows = store.page(conn, call.scope(conn, None), parent_id, after, limit)
        return page_out(rows, limit, views.project, lambda row: row["path"])

    return call.read(work)


def _quota(conn: Connection, call: Call, project: str) -> dict[str, object]:
    row, rows = actions.show_quota(conn, call.identity, project)
    fields = ("kind", "resource", "limit", "used", "held", "free")
    return {"project": row["path"], "rows": [{"project": one.path, **{name: getattr(one, name) for name in fields}} for one in rows]}


@router.get("/{project:path}/quota", responses=responses(QuotaOut), response_model=None)
def show_quota(call: TheCall, project: str) -> Json:
    """Limits, usage and holds, of the project and of the ancestors that bound it."""
    return call.read(lambda conn: _quota(conn, call, project))


@router.put("/{project:path}/limits", responses=responses(QuotaOut), response_model=None)
def set_limits(call: TheCall, project: str, given: LimitsIn) -> Json:
    """Set limits; one below what is in use is refused."""

    def work(conn: Connection) -> dict[str, object]:
        actions.set_limits(conn, call.identity, project, [(one.kind, one.resource, one.amount) for one in given.limits])
        return _quota(conn, call, project)

    return call.change(work)


@router.get("/{project:path}/roles", responses=responses(page_of(RoleOut)), response_model=None)
def list_roles(
    call: TheCall,
    project: str,
    user: Annotated[str | None, Query()] = None,
    role: Role | None = None,
    cursor: Cursor = None,
    limit: Limit = 50,
) -> Json:
    """Who has which role on the project itself, in order of user."""
    after, filters = named(cursor), {"user": user, "role": role.value if role else None}
    return call.read(lambda conn: _roles(conn, call, project, filters, after, limit))


_ALL: Final = {"user": None, "role": None}


def _roles(
    conn: Connection, call: Call, project: str, filters: Mapping[str, str | None] = _ALL, after: str = "", limit: int = 500
) -> dict[str, object]:
    row = guard.project(conn, call.identity, project, Right.READ)
    rows = people.page_roles(conn, row["id"], filters, after, limit)
    return page_out(rows, limit, dict, lambda one: f"{one['user']} {one['role']}")


@router.put("/{project:path}/roles", responses=responses(page_of(RoleOut)), response_model=None)
def grant_role(call: TheCall, project: str, given: RoleIn) -> Json:
    """Give a user a role; again changes nothing."""

    def work(conn: Connection) -> dict[str, object]:
        actions.grant(conn, call.identity, project, given.user, Role(given.role))
        return _roles(conn, call, project)

    return _forgetting(call, call.change(work))


@router.delete("/{project:path}/roles", responses=responses(page_of(RoleOut)), response_model=None)
def revoke_role(call: TheCall, project: str, user: Annotated[str, Query()], role: Role) -> Json:
    """Take a role away."""

    def work(conn: Connection) -> dict[str, object]:
        actions.revoke(conn, call.identity, project, user, role)
        return _roles(conn, call, project)

    return _forgetting(call, call.change(work))


@router.get("/{project:path}", responses=responses(ProjectOut), response_model=None)
def show_project(call: TheCall, project: str) -> Json:
    """One project."""
    return call.read(lambda conn: views.project(guard.project(conn, call.identity, project, Right.READ)))


@router.patch("/{project:path}", responses=responses(ProjectOut), response_model=None)
def change_project(call: TheCall, project: str, given: ProjectChange) -> Json:
    """Change its description, policy or protection level; the latter two are set from above."""
    changes: dict[str, object] = {}
    if given.description is not None:
        changes["description"] = given.description
    if given.policy is not None:
        changes |= given.policy.model_dump(include=given.policy.model_fields_set)
    if "level" in given.model_fields_set:
        changes["level"] = given.level
    return call.change(lambda conn: views.project(actions.update(conn, call.identity, project, call.seen, changes)))


@router.delete("/{project:path}", responses=responses(None), response_model=None)
def delete_project(call: TheCall, project: str) -> Json:
    """Remove a project that owns nothing and never did."""

    def work(conn: Connection) -> dict[str, object]:
        actions.delete(conn, call.identity, project, call.seen)
        return {}

    return call.change(work)


def _forgetting(call: Call, answer: Json) -> Json:
    call.services.identities.forget()
    return answer
