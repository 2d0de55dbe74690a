"""`chutian pool`: the operators' named sets of hosts."""

from __future__ import annotations

from typing import Any

import click

from console import listing, render
from console.app import App, sure
from console.client import Body, at
from console.pairs import numbers, pairs, ratios
from console.verbs import LISTING, YES, Verb, arg, opt

COLUMNS = (
    "name",
    "zone",
    "site",
    "level",
    "+spare_hosts",
    "+fill_order",
    "+licences",
    "+may_wake",
    "overcommit",
    "+reserved",
    "+wipe",
    "+hypervisor_bridge",
    "+id",
)
RESOURCES = ("vcpus", "memory_mib", "disk_gib")
Texts = tuple[str, ...]
Given = Any  # an option's value: a text, a number, or texts


def create(app: App, name: str, zone: str, **given: Given) -> None:
    """Make a pool."""
    body: Body = {"name": name, "zone": zone} | _changes(app, **given)
    made = app.client().post(at("pools"), body)
    render.done(app, "message.created", made, name=made["name"], id=made["id"])


def update(app: App, name: str, **given: Given) -> None:
    """Change a pool; placements already made stay."""
    changes = _changes(app, **given)
    if not changes:
        raise click.UsageError(app.say("message.no_change"))
    present = app.client().get(at("pools", name))
    for figures in {
        "overcommit",
        "reserved",
    } & changes.keys():  # what isn't named stays; If-Match keeps a change in between from being lost
        changes[figures] = {**present[figures], **changes[figures]}
    body = app.client().patch(at("pools", name), changes, generation=present["generation"])
    render.done(app, "message.updated", body, name=name)


def _changes(app: App, overcommit: Texts = (), reserved: Texts = (), hypervisor_options: Texts = (), **plain: Given) -> Body:
    """What was given: an option that was not is None, or an empty list. An empty licence, or option of hypervisors, is none."""
    figures = {"overcommit": ratios(app, overcommit, RESOURCES), "reserved": numbers(app, reserved, RESOURCES)}
    said = {
        key: [one for one in value if one] if isinstance(value, tuple) else value for key, value in plain.items() if value not in (None, ())
    }
    said |= {"hypervisor_options": pairs(app, hypervisor_options, split=False)} if hypervisor_options else {}
    return said | {key: value for key, value in figures.items() if value}


def list_(app: App, limit: int | None, cursor: str | None, everything: bool, **filters: str | None) -> None:
    """Pools."""
    listing.show(app, at("pools"), COLUMNS, limit, cursor, everything, **filters)


def show(app: App, name: str) -> None:
    """One pool."""
    render.detail(app, app.client().get(at("pools", name)))


def delete(app: App, name: str, yes: bool) -> None:
    """Remove a pool without hosts."""
    sure(app, yes, "confirm.delete", what=name)
    render.done(app, "message.deleted", app.client().delete(at("pools", name)), name=name)


_NAME = arg("name")
_SETTINGS = (
    opt("--site"),
    opt("--spare-hosts", text="pool-spare-hosts", type=click.IntRange(0, 5)),
    opt("--level", text="pool-level", type=click.IntRange(0, 5)),
    opt("--order", "fill_order", text="pool-order", type=click.IntRange(0, 100)),
    opt("--licence", "licences", multiple=True, metavar="TRAIT"),
    opt("--may-wake/--no-may-wake", default=None),
    opt("--overcommit", multiple=True, metavar="RESOURCE=X"),
    opt("--reserved", multiple=True, metavar="RESOURCE=N"),
    opt("--wipe"),
    opt("--hypervisor-option", "hypervisor_options", multiple=True, metavar="KEY=VALUE"),
    opt("--hypervisor-bridge"),
)

VERBS = {
    "create": Verb(create, (_NAME, opt("--zone", text="pool-zone", required=True), *_SETTINGS)),
    "list": Verb(list_, (opt("--zone", text="in-zone"), opt("--site", text="in-site"), *LISTING)),
    "show": Verb(show, (_NAME,)),
    "update": Verb(update, (_NAME, opt("--zone", text="pool-zone"), *_SETTINGS)),
    "delete": Verb(delete, (_NAME, YES)),
}
