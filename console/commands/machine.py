"""`chutian machine`: bare machines, by their hosts' names."""

from __future__ import annotations

import time

from console import listing, progress, render
from console.app import App, sure
from console.client import at
from console.exits import OK
from console.verbs import LISTING, WAITING, YES, Verb, arg, opt

COLUMNS = ("host", "state", "power", "step", "progress", "instance_id", "reason", "+run_id", "+id")


def list_(app: App, pool: str | None, limit: int | None, cursor: str | None, everything: bool) -> None:
    """Machines and how far each is."""
    listing.show(app, at("machines"), COLUMNS, limit, cursor, everything, pool=pool)


def show(app: App, machine: str) -> None:
    """What a machine is made of."""
    render.detail(app, app.client().get(at("machines", machine)))


def inspect(app: App, machine: str, wait: bool, timeout: int, yes: bool) -> int:
    """Start it into the ramdisk and look."""
    return _ask(app, machine, "inspect", wait, timeout, yes)


def wipe(app: App, machine: str, wait: bool, timeout: int, yes: bool) -> int:
    """Clear its disks."""
    return _ask(app, machine, "wipe", wait, timeout, yes)


def trust(app: App, machine: str, yes: bool) -> None:
    """Out of quarantine, as it is."""
    sure(app, yes, "confirm.trust", what=machine)
    render.done(app, "machine.trust", app.client().post(at("machines", machine, "trust")), name=machine)


def _ask(app: App, machine: str, what: str, wait: bool, timeout: int, yes: bool) -> int:
    deadline = time.monotonic() + timeout
    sure(app, yes, f"confirm.{what}", what=machine)
    before = _newest(app, machine, what)
    body = app.client().post(at("machines", machine, what))
    if not wait:
        render.done(app, f"machine.{what}", body, name=machine)
        return OK
    code, run = progress.run(app, lambda: _newest(app, machine, what), before, deadline)
    if run is not None and not app.for_people:
        render.programs(app, run)
    return code


def _newest(app: App, machine: str, step: str) -> str:
    """The id of the latest run of that step; empty where there was none."""
    runs = app.client().get(at("runs"), host=machine, limit=20)["items"]
    return next((str(run["id"]) for run in runs if run["step"] == step), "")


_MACHINE = arg("machine")

VERBS = {
    "list": Verb(list_, (opt("--pool", text="in-pool"), *LISTING)),
    "show": Verb(show, (_MACHINE,)),
    "inspect": Verb(inspect, (_MACHINE, *WAITING, YES)),
    "wipe": Verb(wipe, (_MACHINE, *WAITING, YES)),
    "trust": Verb(trust, (_MACHINE, YES)),
}
