"""`chutian project`: the tree of departments, and who may do what where."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import click

from console import render
from console.app import App, sure, tell
from console.cells import cell, clean
from console.client import Body, at
from console.pairs import numbers
from console.verbs import PRIORITIES, YES, Verb, arg, flag, opt

ROLES = ("member", "approver", "operator", "admin", "auditor")
BOUNDS = ("instances", "vcpus", "memory_mib", "disk_gib", "gpus")


def list_(app: App) -> None:
    """All projects the caller may see, as a tree."""
    body: Body = {"items": list(app.client().pages(at("projects"))), "next": None}
    if not app.for_people:
        render.programs(app, body)
        return
    rows = [
        [
            clean(drawn),
            cell(app.say, "description", item.get("description")),
            _bounds(app, item),
            *([item["id"]] if app.output == "wide" else []),
        ]
        for drawn, item in tree(body["items"])
    ]
    headers = [
        app.say("col.project"),
        app.say("col.description"),
        app.say("col.auto_approve"),
        *([app.say("col.id")] if app.output == "wide" else []),
    ]
    render.table(headers, rows)
    if not rows:
        tell(app.say("message.nothing_found"))


def tree(projects: Iterable[Body]) -> list[tuple[str, Body]]:
    """Each project with its name drawn under its parent's. One whose parent the caller can't see stands at the top with its whole path."""
    by_path = {item["path"]: item for item in sorted(projects, key=lambda item: item["path"].split("/"))}
    children: dict[str, list[str]] = {}
    for path in by_path:
        parent = path.rpartition("/")[0]
        children.setdefault(parent if parent in by_path else "", []).append(path)

    def under(parent: str, indent: str) -> list[tuple[str, Body]]:
        lines: list[tuple[str, Body]] = []
        paths = children.get(parent, [])
        for path in paths:
            last = path == paths[-1]
            drawn = path if parent == "" else f"{indent}{'└─ ' if last else '├─ '}{path.rpartition('/')[2]}"
            lines += [(drawn, by_path[path]), *under(path, "" if parent == "" else indent + ("   " if last else "│  "))]
        return lines

    return under("", "")


def _bounds(app: App, item: Body) -> str:
    return cell(app.say, "auto_approve", (item.get("policy") or {}).get("auto_approve"))


def show(app: App, project: str) -> None:
    """One project."""
    render.detail(app, app.client().get(at("projects", project)))


def create(app: App, path: str, level: int | None, **given: Any) -> None:
    """Make a project; the path up to the last slash is its parent."""
    parent, _, name = path.strip("/").rpartition("/")
    body: Body = {"name": name, "parent": parent or None} | _changes(app, **given) | ({} if level is None else {"level": level})
    made = app.client().post(at("projects"), body)
    render.done(app, "project.created", made, path=made["path"])


def update(app: App, project: str, level: int | None, no_level: bool, **given: Any) -> None:
    """Change description, policy or protection level."""
    changes = _changes(app, **given)
    if level is not None or no_level:
        changes["level"] = level
    if not changes:
        raise click.UsageError(app.say("message.no_change"))
    body = app.client().patch(at("projects", project), changes)
    render.done(app, "project.updated", body, path=body["path"])


def _changes(
    app: App,
    *,
    description: str | None,
    auto_approve: Sequence[str],
    max_priority: str | None,
    may_preempt: bool | None,
    no_auto_approve: bool = False,
) -> Body:
    policy: Body = {name: value for name, value in (("max_priority", max_priority), ("may_preempt", may_preempt)) if value is not None}
    if auto_approve or no_auto_approve:
        policy["auto_approve"] = numbers(app, auto_approve, BOUNDS) if auto_approve else None
    return ({} if description is None else {"description": description}) | ({"policy": policy} if policy else {})


def delete(app: App, project: str, yes: bool) -> None:
    """Remove an empty project."""
    sure(app, yes, "confirm.delete", what=project)
    render.done(app, "message.deleted", app.client().delete(at("projects", project)), name=project)


def grant(app: App, project: str, user: str, role: str) -> None:
    """Give a role."""
    body = app.client().put(at("projects", project, "roles"), {"user": user, "role": role})
    render.done(app, "project.granted", body, project=project, user=user, role=role)


def revoke(app: App, project: str, user: str, role: str) -> None:
    """Take a role away."""
    body = app.client().delete(at("projects", project, "roles"), user=user, role=role)
    render.done(app, "project.revoked", body, project=project, user=user, role=role)


def roles(app: App, project: str) -> None:
    """Who may do what here, inherited roles included."""
    render.items(app, app.client().get(at("projects", project, "roles")), ("user", "role", "project"))


_PROJECT = arg("project")
_DESCRIPTION = opt("--description")
_AUTO = opt("--auto-approve", multiple=True, metavar="RESOURCE=N")
_RANKED = (opt("--max-priority", type=PRIORITIES), opt("--may-preempt/--no-may-preempt", default=None))
_LEVEL = opt("--level", text="project-level", type=click.IntRange(0, 5))
_GRANT = (_PROJECT, arg("user"), arg("role", type=click.Choice(ROLES), metavar="ROLE"))

VERBS = {
    "list": Verb(list_),
    "show": Verb(show, (_PROJECT,)),
    "create": Verb(create, (arg("path"), _DESCRIPTION, _AUTO, *_RANKED, _LEVEL)),
    "update": Verb(update, (_PROJECT, _DESCRIPTION, _AUTO, flag("--no-auto-approve"), *_RANKED, _LEVEL, flag("--no-level"))),
    "delete": Verb(delete, (_PROJECT, YES)),
    "grant": Verb(grant, _GRANT),
    "revoke": Verb(revoke, _GRANT),
    "roles": Verb(roles, (_PROJECT,)),
}
