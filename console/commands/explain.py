"""`chutian explain`: why it is so, or what would happen."""

from __future__ import annotations

from console import lookup, plans, render
from console.app import App, tell
from console.cells import clean
from console.client import at
from console.commands.events import line
from console.commands.request import load
from console.verbs import Verb, arg, opt


def request(app: App, file: str, project: str | None) -> int:
    """Whether the request in a file would fit, without making it."""
    return plans.show(app, at("requests"), load(app, file) | ({"project": project} if project else {}))


def instance(app: App, instance: str, project: str | None) -> None:
    """Why an instance is where it is and as it is."""
    body = app.client().get(at("instances", lookup.instance(app, instance, project), "explain"))
    if not app.for_people:
        render.programs(app, body)
        return
    tell(clean(str(body.get("text", ""))))
    for event in body.get("events") or []:
        tell("  " + line(event))


VERBS = {
    "request": Verb(request, (arg("file"), opt("--project", "-p"))),
    "instance": Verb(instance, (arg("instance"), opt("--project", "-p", text="in-project"))),
}
