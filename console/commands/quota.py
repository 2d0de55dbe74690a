"""`chutian quota`: what a project may use, what it uses, and which project each limit comes from."""

from __future__ import annotations

import click

from console import render
from console.app import App, note
from console.cells import KINDS, kind
from console.client import Body, at
from console.pairs import limits
from console.verbs import Verb, arg, opt

RESOURCES = ("instances", "vcpus", "memory_mib", "disk_gib", "gpus")
BAR = 20


def show(app: App, project: str) -> None:
    """Limits, usage and what is left, the project's own rows first, then each ancestor's that limits it."""
    _print(app, app.client().get(at("projects", project, "quota")))


def set_(app: App, project: str, amounts: tuple[str, ...], kind: str) -> None:
    """Set limits of the project itself."""
    wanted = limits(app, amounts, RESOURCES)
    body = {"limits": [{"kind": kind, "resource": name, "amount": amount} for name, amount in wanted.items()]}
    _print(app, app.client().put(at("projects", project, "limits"), body))


def _print(app: App, body: Body) -> None:
    if not app.for_people:
        render.programs(app, body)
        return
    names = ("project", "kind", "resource", "limit", "used", "held", "free", "usage")
    render.table([app.say(f"col.{name}") for name in names], [_row(app, row) for row in body["rows"]])
    note(app.say("quota.legend" if body["rows"] else "quota.no_limits"))


def _row(app: App, row: Body) -> list[str]:
    figures = ["∞" if row[name] is None else str(row[name]) for name in ("limit", "used", "held", "free")]
    return [row["project"], kind(app.say, row["kind"]), row["resource"], *figures, bar(row)]


def bar(row: Body) -> str:
    """Used (█), held by undecided requests (▒) and free (·) as parts of the limit; a part that isn't nothing shows as at least one mark."""
    if row["limit"] is None:
        return ""
    limit, used, held = int(row["limit"]), int(row["used"]), int(row["held"])
    if limit == 0:
        return "█" * BAR + " 100%"
    full = min(BAR, max(round(BAR * used / limit), 1 if used else 0))
    half = min(BAR - full, max(round(BAR * held / limit), 1 if held else 0))
    return "█" * full + "▒" * half + "·" * (BAR - full - half) + f" {100 * (used + held) // limit}%"


VERBS = {
    "show": Verb(show, (arg("project"),)),
    "set": Verb(
        set_,
        (
            arg("project"),
            arg("amounts", nargs=-1, required=True, metavar="RESOURCE=N..."),
            opt("--kind", type=click.Choice(KINDS), default="any"),
        ),
    ),
}
