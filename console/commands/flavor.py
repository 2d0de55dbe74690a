"""`chutian flavor`: named sizes."""

from __future__ import annotations

import click

from console import listing, render
from console.app import App, sure
from console.client import Body, at
from console.verbs import LISTING, YES, Verb, arg, opt

ASKED = ("cpu_baseline", "numa_nodes", "gpu_model", "gpu_milli")
COLUMNS = ("name", "vcpus", "memory_mib", "disk_gib", "gpus", "kind", *(f"+{name}" for name in ASKED), "+arch", "+traits", "+id")


def create(app: App, name: str, trait: tuple[str, ...], **fields: str | int | None) -> None:
    """Make a flavor."""
    body: Body = {"name": name} | ({"traits": list(trait)} if trait else {})
    body |= {key: value for key, value in fields.items() if value is not None}
    made = app.client().post(at("flavors"), body)
    render.done(app, "message.created", made, name=made["name"], id=made["id"])


def list_(app: App, limit: int | None, cursor: str | None, everything: bool, **filters: str | None) -> None:
    """Flavors, with how much of which GPUs each asks for."""
    body = listing.fetch(app, at("flavors"), limit, cursor, everything, **filters)
    if app.for_people:
        listing.print_page(app, {**body, "items": [{**item, "gpus": _gpus(item)} for item in body["items"]]}, COLUMNS)
        return
    render.programs(app, body)


def _gpus(item: Body) -> str:
    """As `2 a100`, and `0.25 a100` for a share."""
    amount = (item.get("gpus") or 0) * (item.get("gpu_milli") or 1000) / 1000
    return f"{amount:g} {item.get('gpu_model') or ''}".rstrip()


def show(app: App, name: str) -> None:
    """One flavor."""
    render.detail(app, app.client().get(at("flavors", name)))


def delete(app: App, name: str, yes: bool) -> None:
    """Remove a flavor; what runs with it goes on."""
    sure(app, yes, "confirm.delete", what=name)
    render.done(app, "message.deleted", app.client().delete(at("flavors", name)), name=name)


KINDS = ("vm", "container", "bare_metal")
_COUNT = click.IntRange(min=0)
_NAME = arg("name")

VERBS = {
    "create": Verb(
        create,
        (
            _NAME,
            opt("--vcpus", type=click.IntRange(min=1), required=True),
            opt("--memory-mib", type=click.IntRange(min=1), required=True),
            opt("--disk-gib", type=_COUNT, required=True),
            opt("--gpus", type=_COUNT, default=0),
            opt("--gpu-model", metavar="MODEL"),
            opt("--gpu-milli", type=click.IntRange(1, 1000)),
            opt("--cpu-baseline", metavar="LEVEL"),
            opt("--numa-nodes", type=_COUNT),
            opt("--arch"),
            opt("--trait", multiple=True),
            opt("--kind", text="flavor-kind", type=click.Choice(KINDS)),
        ),
    ),
    "list": Verb(list_, (opt("--kind", text="of-kind", type=click.Choice(KINDS)), opt("--arch", text="of-arch"), *LISTING)),
    "show": Verb(show, (_NAME,)),
    "delete": Verb(delete, (_NAME, YES)),
}
