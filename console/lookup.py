"""From what a person types (a name, an id, the beginning of an id) to an id.

Enters: a reference and, for instances, maybe a project. Leaves: the id, or ApiError `not_found` / `ambiguous`. Flavors, images,
pools, endpoints, hosts, users and projects need nothing of this: the API takes their names. A beginning has at least `SHORTEST`
characters, so that a mistyped name isn't taken for one.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from console.app import App
from console.client import Body, at
from console.errors import ApiError

SHORTEST = 6
_ID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_BEGINNING = re.compile(rf"[0-9a-f-]{{{SHORTEST},36}}")


def instance(app: App, reference: str, project: str | None = None) -> str:
    """The id of an instance, by id, by name (in a project, where several have one of that name), or by the beginning of its id."""
    if _ID.fullmatch(reference):
        return reference
    named = [item for item in app.client().pages(at("instances"), name=reference, project=project) if item["name"] == reference]
    if named:
        return _only(app, "instance", reference, named)
    return _begins(app, "instance", reference, at("instances"), project)


def request(app: App, reference: str, project: str | None = None) -> str:
    """The id of a request, by id or its beginning: requests have no names."""
    return reference if _ID.fullmatch(reference) else _begins(app, "request", reference, at("requests"), project)


def newest(app: App, noun: str, reference: str) -> str:
    """The id of a run or a certificate (`noun`: as the API's address has it), by id or its beginning."""
    return reference if _ID.fullmatch(reference) else _begins(app, noun, reference, at(noun), None)


def _begins(app: App, noun: str, reference: str, path: str, project: str | None) -> str:
    found: list[Body] = []
    if _BEGINNING.fullmatch(reference):
        found = [item for item in app.client().pages(path, **({"project": project} if project else {})) if item["id"].startswith(reference)]
    return _only(app, noun, reference, found)


def _only(app: App, noun: str, reference: str, found: Iterable[Body]) -> str:
    several = list(found)
    if not several:
        raise ApiError("not_found", app.say(f"lookup.no_{noun}", reference=reference), status=404)
    if len(several) > 1:
        where = ", ".join(f"{item.get('project') or item.get('host')}: {item['id']}" for item in several[:8])
        raise ApiError("ambiguous", app.say("lookup.ambiguous", reference=reference, where=where))
    return str(several[0]["id"])
