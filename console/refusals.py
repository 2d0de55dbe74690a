"""An error, told so that the reader knows what to do next: the message, the figures behind it, and a next step.

Enters: an `ApiError`. Leaves: text on stderr and the exit code. For programs (`--output json`) the API's own error body goes to
stderr instead.
"""

from __future__ import annotations

import json
from collections.abc import Callable

from console import exits
from console.app import App, note
from console.cells import cell, clean, kind
from console.client import Body
from console.errors import ApiError
from console.render import columns_of, pad

OVER = ("project", "kind", "resource", "limit", "used", "held", "asked")
HINTS = {
    "unauthenticated",
    "bad_token",
    "forbidden",
    "not_found",
    "already_exists",
    "stale_generation",
    "invalid_state",
    "quota_exceeded",
    "no_capacity",
    "approval_required",
    "unavailable",
    "unreachable",
    "untrusted",
    "bad_answer",
    "ambiguous",
    "conflict",
    "command_unended",
}


def tell(app: App, error: ApiError) -> int:
    """Print the error and give its exit code."""
    if not app.for_people:
        note(json.dumps(error.body, ensure_ascii=False, indent=2))
    else:
        note(app.say("error.prefix", message=clean(error.message)))
        explain(app, error.code, error.details)
    return exits.code_of(error.code, error.status)


def explain(app: App, code: str, details: Body) -> None:
    """The figures behind a refusal and what to do next, to stderr."""
    if code in FIGURES:
        FIGURES[code](app, details)
    if code in HINTS:
        note(app.say(f"hint.{code}", server=app.profile.server))


def _over(app: App, details: Body) -> None:
    over = [{**row, "kind": kind(app.say, str(row.get("kind", "")))} for row in details.get("over", [])]
    rows = [[cell(app.say, "figure", row.get(key)) for key in OVER] for row in over]
    _aligned([[app.say(f"col.{key}") for key in OVER], *rows] if rows else [])


def _rules(app: App, details: Body) -> None:
    """Per rule how many hosts it left out; then the smallest changes that would fit."""
    looked_at = details.get("hosts")
    if looked_at is not None:
        note("  " + app.say("refusal.looked_at", count=looked_at))
    for rule in details.get("rules", []):
        note("  " + app.say("refusal.rule", rule=clean(str(rule.get("text") or rule.get("rule"))), count=rule.get("excluded", "?")))
    preemption = details.get("preemption")
    if preemption:
        note(clean(str(preemption["text"])))
        for victim in preemption["victims"] or []:
            note("  " + app.say("refusal.victim", **{name: clean(str(victim[name])) for name in ("name", "project", "host", "priority")}))
    changes = details.get("changes", [])
    items = details.get("items", [])
    if max(items, default=1) > 1:
        note(app.say("refusal.items", items=", ".join(map(str, items))))
    note(app.say("refusal.would_fit" if changes else "refusal.nothing_fits"))
    for change in changes:
        note(f"  · {cell(app.say, 'change', change)}")


def _fields(app: App, details: Body) -> None:  # noqa: ARG001 - the table's signature
    """What was wrong with which field of the request's body."""
    problems = details.get("errors", [])
    for problem in problems if len(problems) > 1 else []:  # a single one is in the message
        note(f"  {clean(str(problem.get('where', '')))}: {clean(str(problem.get('what', '')))}")


def _in_the_way(app: App, details: Body) -> None:  # noqa: ARG001
    """Who has to go first: instances with their project and id, and what keeps each where that is told, or hosts."""
    columns = ("name", "project", "id", "text")
    _aligned([[str(one.get(key) or "") for key in columns] for one in details.get("instances", []) if isinstance(one, dict)])
    for host in details.get("hosts", []):
        note(f"  {clean(str(host))}")


FIGURES: dict[str, Callable[[App, Body], None]] = {
    "quota_exceeded": _over,
    "no_capacity": _rules,
    "invalid_request": _fields,
    "invalid_state": _in_the_way,
}


def _aligned(lines: list[list[str]]) -> None:
    widths = [max(columns_of(line[index]) for line in lines) for index in range(len(lines[0]))] if lines else []
    for line in lines:
        note("  " + "  ".join(pad(clean(text), width) for text, width in zip(line, widths, strict=True)).rstrip())
