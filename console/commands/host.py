"""`chutian host`: the places with capacity."""

from __future__ import annotations

import time

import click

from console import listing, progress, render
from console.app import App, sure
from console.cells import NONE, mib
from console.client import Body, at
from console.exits import OK
from console.verbs import LISTING, WAITING, YES, Verb, arg, flag, opt

STATES = ("up", "unreachable", "fenced", "retired")
COLUMNS = (
    "name",
    "pool",
    "zone",
    "arch",
    "state",
    "cordoned",
    "+draining",
    "power",
    "+power_wanted",
    "vcpus",
    "memory_mib",
    "disk_gib",
    "gpus",
    "instances",
    "reason",
    "+rack",
    "+idle_watts",
    "+dedicated_to",
    "+endpoint",
    "+traits",
    "+cpu_baselines",
    "+gpu_model",
    "+id",
)
SHARED = ("vcpus", "memory_mib", "disk_gib", "gpus")


def list_(app: App, limit: int | None, cursor: str | None, everything: bool, **filters: str | None) -> None:
    """Hosts, with what is used of each's capacity."""
    body = listing.fetch(app, at("hosts"), limit, cursor, everything, **filters)
    if app.for_people:
        listing.print_page(app, {**body, "items": [_with_usage(item) for item in body["items"]]}, COLUMNS)
        return
    render.programs(app, body)


def _with_usage(item: Body) -> Body:
    """`used/capacity` per resource as the columns' values."""
    used, capacity = item.get("used") or {}, item.get("capacity") or {}
    return {**item, **{name: _part(name, used.get(name), capacity.get(name)) for name in SHARED}}


def _part(name: str, used: float | None, capacity: int | None) -> str:
    if not capacity:
        return NONE
    if name == "memory_mib":
        return f"{mib(int(used or 0))} / {mib(capacity)}"
    return f"{used or 0} / {capacity}"


def show(app: App, host: str) -> None:
    """One host: capacity, what is used, what the controller noticed about it."""
    body = app.client().get(at("hosts", host))
    if app.for_people:
        body |= {"gpu_devices": [_gpu(app, one) for one in body.get("gpu_devices") or []]}
        body |= {"numa_nodes": [_node(app, one) for one in body.get("numa_nodes") or []]}
    render.detail(app, body)


def _gpu(app: App, one: Body) -> str:
    text = f"{one['id']} ({one['model'] or NONE}; {one['used_milli'] / 1000:g} / 1)"
    return text if one["there"] else app.say("host.part_gone", part=text)


def _node(app: App, one: Body) -> str:
    vcpus, memory = (_part(name, one["used"][name], one["capacity"][name]) for name in ("vcpus", "memory_mib"))
    text = app.say("host.node", number=one["number"], vcpus=vcpus, memory=memory)
    return text if one["there"] else app.say("host.part_gone", part=text)


def update(app: App, host: str, dedicated_to: str | None, no_dedication: bool, **plain: str | int | None) -> None:
    """Its rack, whether it is on, what it draws, and for whom it is."""
    changes: Body = {name: value for name, value in plain.items() if value is not None}
    if dedicated_to or no_dedication:
        changes["dedicated_to"] = dedicated_to or None
    if not changes:
        raise click.UsageError(app.say("message.no_change"))
    render.done(app, "message.updated", app.client().patch(at("hosts", host), changes), name=host)


def cordon(app: App, host: str) -> None:
    """No new placements; nothing moves."""
    render.done(app, "host.cordoned", app.client().post(at("hosts", host, "cordon")), name=host)


def drain(app: App, host: str, yes: bool) -> None:
    """Cordon it, and start elsewhere what it runs, or say who can't be."""
    sure(app, yes, "confirm.drain", what=host)
    left = app.client().post(at("hosts", host, "drain"))
    render.done(app, "host.draining", left, name=host, count=left.get("instances", 0))


def fence(app: App, host: str, wait: bool, timeout: int, yes: bool) -> int:
    """Have the machine of a silent host switched off by its BMC, and what can be started elsewhere is."""
    deadline = time.monotonic() + timeout
    sure(app, yes, "confirm.fence", what=host)
    body = app.client().post(at("hosts", host, "fence"))
    if not wait:
        render.done(app, "host.fence", body, name=host)
        return OK
    return progress.host(app, host, deadline)


def uncordon(app: App, host: str) -> None:
    """Placements again."""
    render.done(app, "host.uncordoned", app.client().post(at("hosts", host, "uncordon")), name=host)


def retire(app: App, host: str, yes: bool) -> None:
    """Leave our care for good; only an empty host."""
    sure(app, yes, "confirm.retire", what=host)
    render.done(app, "host.retired", app.client().post(at("hosts", host, "retire")), name=host)


_HOST = arg("host")
_SETTINGS = (
    opt("--rack"),
    opt("--power", type=click.Choice(("on", "off", "unknown"))),
    opt("--idle-watts", type=click.IntRange(0, 100_000)),
    opt("--dedicated-to", metavar="PROJECT"),
    flag("--no-dedication"),
)

VERBS = {
    "list": Verb(
        list_,
        (
            opt("--pool", text="in-pool"),
            opt("--zone", text="in-zone"),
            opt("--state", text="in-state", type=click.Choice(STATES)),
            *LISTING,
        ),
    ),
    "show": Verb(show, (_HOST,)),
    "update": Verb(update, (_HOST, *_SETTINGS)),
    "cordon": Verb(cordon, (_HOST,)),
    "drain": Verb(drain, (_HOST, YES)),
    "fence": Verb(fence, (_HOST, *WAITING, YES)),
    "uncordon": Verb(uncordon, (_HOST,)),
    "retire": Verb(retire, (_HOST, YES)),
}
