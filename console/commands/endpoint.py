"""`chutian endpoint`: what the drivers connect to."""

from __future__ import annotations

import uuid

import click

from console import listing, plans, render
from console.app import App, sure
from console.client import Body, at
from console.documents import text
from console.pairs import pairs
from console.verbs import LISTING, YES, Verb, arg, opt

COLUMNS = ("name", "driver", "pool", "state", "reason", "+uri", "+id")
FOREIGN = (
    "id",
    "name",
    "status",
    "counts",
    "host",
    "+group",
    "+flavor",
    "image",
    "+addresses",
    "+created_at",
    "fits",
    "refusal",
    "obstacle",
)


def create(app: App, name: str, driver: str, uri: str, pool: str, option: tuple[str, ...], credentials: str | None) -> None:
    """Enrol an endpoint: its hosts are looked up at once; one that doesn't answer is refused."""
    body: Body = {"name": name, "driver": driver, "uri": uri, "pool": pool, **_proof(app, credentials)}
    body |= {"options": pairs(app, option, split=False)} if option else {}
    made = app.client().post(at("endpoints"), body)
    render.done(app, "message.created", made, name=made["name"], id=made["id"])
    if app.for_people:
        _hosts(app, made)


def _hosts(app: App, made: Body) -> None:
    render.items(app, {"items": [{"hosts": host} for host in made.get("hosts") or []]}, ("hosts",))


def _proof(app: App, file: str | None) -> Body:
    return {"credentials": text(app, file)} if file else {}


def update(app: App, name: str, option: tuple[str, ...], credentials: str | None) -> None:
    """Other credentials or options; tried first."""
    changes: Body = _proof(app, credentials) | ({"options": pairs(app, option, split=False)} if option else {})
    if not changes:
        raise click.UsageError(app.say("message.no_change"))
    render.done(app, "message.updated", app.client().patch(at("endpoints", name), changes), name=name)


def rbac(app: App, driver: str, option: tuple[str, ...]) -> None:
    """What to apply to a cluster before it is enrolled."""
    given = [f"{name}={value}" for name, value in pairs(app, option, split=False).items()]
    body = app.client().get(at("drivers", driver, "rights"), option=given)
    if app.for_people:
        click.echo(body["manifest"], nl=False)
    else:
        render.programs(app, body)


def list_(app: App, limit: int | None, cursor: str | None, everything: bool, **filters: str | None) -> None:
    """Endpoints."""
    listing.show(app, at("endpoints"), COLUMNS, limit, cursor, everything, **filters)


def show(app: App, name: str) -> None:
    """One endpoint."""
    render.detail(app, app.client().get(at("endpoints", name)))


def delete(app: App, name: str, yes: bool) -> None:
    """Let an endpoint go whose hosts are retired."""
    sure(app, yes, "confirm.delete", what=name)
    render.done(app, "message.deleted", app.client().delete(at("endpoints", name)), name=name)


def adopt(
    app: App,
    endpoint: str,
    id_: str | None,
    limit: int | None,
    cursor: str | None,
    everything: bool,
    idempotency_key: str | None,
    **of: str | None,
) -> None:
    """What isn't ours there; or one of it becomes an instance."""
    project = of["project"]
    if id_ is None:
        page = listing.fetch(app, at("endpoints", endpoint, "foreign"), limit, cursor, everything, project=project)
        shown = FOREIGN if project else tuple(column for column in FOREIGN if column not in ("fits", "refusal"))
        listing.print_page(app, page, shown, whole_ids=True)
        return
    if project is None:
        raise click.UsageError(app.say("message.adopt_project"))
    body: Body = {"id": id_} | {key: value for key, value in of.items() if value is not None}
    made = plans.post_once(app, at("endpoints", endpoint, "adopt"), body, idempotency_key or str(uuid.uuid4()))
    render.done(app, "instance.adopted", made, name=made["name"], id=made["id"], project=project)


_NAME = arg("name")
_OPTION = opt("--option", multiple=True, metavar="KEY=VALUE")
_HOW = (
    _OPTION,
    opt("--credentials-file", "credentials", type=click.Path(exists=True, dir_okay=False)),
)

VERBS = {
    "create": Verb(
        create,
        (
            _NAME,
            opt("--driver", required=True),
            opt("--uri", required=True),
            opt("--pool", text="endpoint-pool", required=True),
            *_HOW,
        ),
    ),
    "update": Verb(update, (_NAME, *_HOW)),
    "list": Verb(
        list_,
        (
            opt("--state", text="in-state", type=click.Choice(("connected", "unreachable"))),
            opt("--pool", text="in-pool"),
            opt("--driver", text="of-driver"),
            *LISTING,
        ),
    ),
    "show": Verb(show, (_NAME,)),
    "adopt": Verb(
        adopt,
        (
            arg("endpoint"),
            arg("id_", required=False, metavar="[ID]"),
            opt("--project", "-p", text="adopt-project"),
            opt("--name", text="adopt-name"),
            opt("--reason"),
            opt("--idempotency-key"),
            *LISTING,
        ),
    ),
    "rbac": Verb(rbac, (opt("--driver", default="kubernetes", show_default=True), _OPTION)),
    "delete": Verb(delete, (_NAME, YES)),
}
