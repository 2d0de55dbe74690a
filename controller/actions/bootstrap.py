"""The very first project and administrator, made before there is anybody who could be asked for a right."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from sqlalchemy import Connection

from controller import errors
from controller.actions.env import Env
from controller.actions.people import new_token, token_hash
from controller.model import naming
from controller.model.identity import Role
from controller.model.views import time
from controller.store import events, people, projects


def first_administrator(conn: Connection, env: Env, project: str, user: str, days: int) -> dict[str, Any]:
    """Make a root project, its administrator and a token. Where there is a project already, nothing changes and no token is given."""
    if projects.page(conn, None, None, "", 1):
        return {"status": "done already", "token": None}
    if not naming.is_label(project):
        raise errors.InvalidRequest("not_a_label", name=project)
    project_id, user_id = env.new_id(), env.new_id()
    projects.insert(
        conn,
        {
            "id": project_id,
            "parent_id": None,
            "name": project,
            "path": project,
            "ancestors": [project_id],
            "description": "",
            "auto_approve": None,
        },
    )
    people.insert_user(conn, {"id": user_id, "name": user, "display_name": ""})
    people.grant(conn, user_id, project_id, Role.ADMIN)
    token = new_token()
    made = people.insert_token(conn, env.new_id(), user_id, "bootstrap", token_hash(token), timedelta(days=days))
    events.add(
        conn,
        [
            events.event("project.created", "project", project_id, project, project_id, "chutian"),
            events.event("user.created", "user", user_id, user, None, "chutian"),
            events.event("token.issued", "user", user_id, user, None, "chutian", token="bootstrap", days=days),  # noqa: S106 - its name
        ],
    )
    return {"status": "made", "project": project, "user": user, "token": token, "expires_at": time(made["expires_at"])}
