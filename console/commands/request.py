"""`chutian request`: what a department applies for, and how it is decided."""

from __future__ import annotations

import time
import uuid
from typing import Any

import click

from console import listing, lookup, plans, progress, render
from console.app import App, note
from console.cells import cell, clean
from console.client import Body, at
from console.documents import document
from console.moments import moment
from console.verbs import LISTING, OF_PRIORITY, PREEMPT, PRIORITY, WAITING, Verb, arg, flag, opt

STATES = ("pending", "approved", "refused", "expired", "cancelled")
COLUMNS = ("id", "project", "state", "priority", "reason", "items", "created_by", "created_at", "+starts_at", "+expires_at")


def create(
    app: App,
    file: str,
    *,
    pool: str | None,
    starts_at: str | None,
    explain: bool,
    wait: bool,
    timeout: int,
    idempotency_key: str | None,
    **fields: str | bool | int | None,
) -> int | None:
    """Apply for what a file says; options go before it."""
    body = load(app, file) | {key: value for key, value in fields.items() if value}
    body |= {"starts_at": moment(app, starts_at)} if starts_at else {}
    if pool:
        body["items"] = [{**item, "pool": pool} if isinstance(item, dict) else item for item in body["items"]]
    if explain:
        return plans.show(app, at("requests"), body)
    key = idempotency_key or str(uuid.uuid4())
    deadline = time.monotonic() + timeout
    made = plans.post_once(app, at("requests"), body, key)
    if app.for_people:
        note(
            app.say("request.created", id=made["id"], state=app.say(f"state.{made['state']}") if made["state"] in STATES else made["state"])
        )
    if wait:
        code, made = progress.request(app, made["id"], deadline)
    else:
        code = 0
    _print(app, made)
    return code


def load(app: App, file: str) -> Body:
    """The request in a YAML or JSON file; `-` is stdin. Raises click.UsageError for what isn't a mapping."""
    body = document(app, file)
    if not isinstance(body.get("items"), list):
        raise click.UsageError(app.say("request.not_a_request", file=file))
    return body | ({"starts_at": moment(app, body["starts_at"])} if body.get("starts_at") else {})


def list_(app: App, limit: int | None, cursor: str | None, everything: bool, **filters: str | None) -> None:
    """Requests, newest first."""
    body = listing.fetch(app, at("requests"), limit, cursor, everything, **filters)
    if not app.for_people:
        render.programs(app, body)
        return
    listing.print_page(app, {**body, "items": [{**item, "items": _asked(item)} for item in body["items"]]}, COLUMNS)


def _asked(item: Body) -> str:
    """The items in a few words: `3 × small, 1 × large`."""
    return ", ".join(f"{one.get('count', 1)} × {_named(one.get('flavor'))}" for one in item.get("items") or [])


def _named(value: Any) -> str:
    return str(value["name"]) if isinstance(value, dict) and "name" in value else str(value)


def show(app: App, request: str, project: str | None) -> None:
    """One request."""
    _print(app, app.client().get(at("requests", lookup.request(app, request, project))))


def _print(app: App, body: Body) -> None:
    if not app.for_people:
        render.programs(app, body)
        return
    decision = body.get("decision") or {}
    by = clean(str(decision.get("by") or app.say("word.policy")))
    when, why = cell(app.say, "at", decision.get("at")), cell(app.say, "reason", decision.get("reason"))
    render.detail(app, {**body, "items": _asked(body), "decision": f"{by}, {when}: {why}" if decision else None})


def approve(app: App, request: str, reason: str | None) -> None:
    """Its hold turns into instances."""
    _decide(app, request, "approve", {"reason": reason} if reason else {})


def refuse(app: App, request: str, reason: str) -> None:
    """Its hold is let go; the department reads the reason."""
    _decide(app, request, "refuse", {"reason": reason})


def cancel(app: App, request: str) -> None:
    """Whoever applied doesn't want it any more."""
    _decide(app, request, "cancel", None)


def _decide(app: App, request: str, verb: str, body: Body | None) -> None:
    found = lookup.request(app, request)
    render.done(app, f"request.{verb}", app.client().post(at("requests", found, verb), body), id=found)


def wait(app: App, request: str, timeout: int) -> int:
    """Until it is decided and its instances are active."""
    deadline = time.monotonic() + timeout
    code, body = progress.request(app, lookup.request(app, request), deadline)
    _print(app, body)
    return code


_REQUEST = arg("request")
_PROJECT = opt("--project", "-p", text="in-project")
_KEY = opt("--idempotency-key")

VERBS = {
    "create": Verb(
        create,
        (
            opt("--file", "-f", text="request-file", required=True),
            opt("--project", "-p"),
            opt("--reason"),
            opt("--pool", text="all-into-pool"),
            PRIORITY,
            PREEMPT,
            opt("--term-days", type=click.IntRange(min=1)),
            flag("--ends"),
            opt("--starts-at"),
            flag("--explain"),
            *WAITING,
            _KEY,
        ),
    ),
    "list": Verb(list_, (_PROJECT, opt("--state", text="in-state", type=click.Choice(STATES)), OF_PRIORITY, *LISTING)),
    "show": Verb(show, (_REQUEST, _PROJECT)),
    "approve": Verb(approve, (_REQUEST, opt("--reason", text="decision-reason"))),
    "refuse": Verb(refuse, (_REQUEST, opt("--reason", text="decision-reason", required=True))),
    "cancel": Verb(cancel, (_REQUEST,)),
    "wait": Verb(wait, (_REQUEST, WAITING[1])),
}
