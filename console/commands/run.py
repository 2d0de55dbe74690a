"""`chutian run`: playbooks that work, or worked, on machines."""

from __future__ import annotations

import time

import click

from console import listing, lookup, progress, render
from console.app import App, sure, tell
from console.client import Body, at
from console.exits import FAILED, OK
from console.verbs import LISTING, YES, Verb, arg, flag, opt

COLUMNS = ("id", "host", "step", "instance", "state", "progress", "began_at", "ended_at", "reason", "+project", "+instance_id", "+digest")
STATES = ("waiting", "running", "done", "failed", "cancelled", "interrupted")
_PATIENCE_S = 86400


def list_(app: App, limit: int | None, cursor: str | None, everything: bool, **filters: str | None) -> None:
    """Runs, the newest first."""
    listing.show(app, at("runs"), COLUMNS, limit, cursor, everything, **filters)


def show(app: App, run: str, follow: bool) -> int:
    """One run, task by task."""
    found = lookup.newest(app, "runs", run)
    if follow:
        code, body = progress.run(app, lambda: found, "", time.monotonic() + _PATIENCE_S)
    else:
        code, body = OK, app.client().get(at("runs", found))
    if body is None:
        return FAILED
    _print(app, body)
    return code


def cancel(app: App, run: str, yes: bool) -> None:
    """Have it end."""
    found = lookup.newest(app, "runs", run)
    sure(app, yes, "confirm.cancel_run", what=found)
    render.done(app, "run.cancel", app.client().post(at("runs", found, "cancel")), name=found)


def _print(app: App, body: Body) -> None:
    tasks = body.get("tasks") or []
    if not app.for_people:
        render.programs(app, body)
        return
    render.detail(app, {name: value for name, value in body.items() if name != "tasks"})
    tell("")
    render.parts(app, tasks, ("name", "state", "seconds", "text"), "task.")


VERBS = {
    "list": Verb(
        list_,
        (
            opt("--host", text="on-host"),
            opt("--instance", text="about-instance"),
            opt("--state", text="in-state", type=click.Choice(STATES)),
            *LISTING,
        ),
    ),
    "cancel": Verb(cancel, (arg("run"), YES)),
    "show": Verb(show, (arg("run"), flag("--follow", "-f", text="follow-run"))),
}
