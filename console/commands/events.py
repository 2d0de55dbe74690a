"""`chutian events`: what happened, and what happens now."""

from __future__ import annotations

import json

from console import lookup, render
from console.app import App, tell
from console.cells import clean, local
from console.client import Body, at
from console.errors import ApiError
from console.verbs import LISTING, Verb, flag, opt


def events(app: App, project: str | None, object_: str | None, after: str | None, limit: int | None, follow: bool) -> None:
    """The newest events, or those after a cursor; with `--follow` on and on, one line each (one JSON document per line for programs)."""
    found = _object(app, object_, project) if object_ else None
    body = app.client().get(at("events"), after=after, project=project, object=found, limit=limit)
    if not follow:
        _page(app, body)
        return
    for event in body["items"]:
        _one(app, event)
    seen = body.get("next") or (body["items"][-1]["id"] if body["items"] else after)
    for event in app.client().events(after=seen, project=project, object=found):
        _one(app, event)


def _object(app: App, reference: str, project: str | None) -> str:
    """An instance's id where it is one; anything else is given to the API as it is."""
    try:
        return lookup.instance(app, reference, project)
    except ApiError as error:
        if error.code == "not_found":
            return reference
        raise


def _page(app: App, body: Body) -> None:
    if not app.for_people:
        render.programs(app, body)
        return
    for event in body["items"]:
        tell(line(event))
    if not body["items"]:
        tell(app.say("message.nothing_found"))


def _one(app: App, event: Body) -> None:
    if app.for_people:
        tell(line(event))
    elif app.output == "json":
        tell(json.dumps(event, ensure_ascii=False))
    else:
        tell("---")
        render.programs(app, event)


def line(event: Body) -> str:
    """One event as one line: when, where, about what, and what happened."""
    about = clean(str(event.get("object_name") or event.get("object_id") or ""))
    project = clean(str(event.get("project") or "-"))
    text = clean(str(event.get("text") or event.get("kind") or ""))
    return f"{local(event.get('at', ''))}  {project}  {about}  {text}".rstrip()


VERBS = {
    "events": Verb(
        events,
        (opt("--project", "-p", text="in-project"), opt("--object", "object_"), opt("--after"), LISTING[0], flag("--follow", "-f")),
    ),
}
