"""`chutian user`: people, programs, and their tokens."""

from __future__ import annotations

import click

from console import listing, render
from console.app import App, note, sure, tell
from console.client import at
from console.verbs import LISTING, YES, Verb, arg, opt

COLUMNS = ("name", "display_name", "disabled", "created_at", "+id")


def create(app: App, name: str, display_name: str | None) -> None:
    """Make a user; it can do nothing until it has a token and a role."""
    body = app.client().post(at("users"), {"name": name} | ({"display_name": display_name} if display_name else {}))
    render.done(app, "user.created", body, name=body["name"])


def list_(app: App, limit: int | None, cursor: str | None, everything: bool, **filters: str | None) -> None:
    """Users."""
    listing.show(app, at("users"), COLUMNS, limit, cursor, everything, **filters)


def show(app: App, user: str) -> None:
    """One user."""
    render.detail(app, app.client().get(at("users", user)))


def disable(app: App, user: str) -> None:
    """From now on its tokens are refused."""
    render.done(app, "user.disabled", app.client().patch(at("users", user), {"disabled": True}), name=user)


def enable(app: App, user: str) -> None:
    """Its tokens are good again."""
    render.done(app, "user.enabled", app.client().patch(at("users", user), {"disabled": False}), name=user)


def token(app: App, user: str, name: str, days: int) -> None:
    """Make a token. It is printed alone on stdout, so that `> file` keeps it and nothing else; the API never shows it again."""
    body = app.client().post(at("users", user, "tokens"), {"name": name, "expires_in_days": days}, once=True)
    if not app.for_people:
        render.programs(app, body)
        return
    note(app.say("user.token", user=user, name=body["name"], expires=body["expires_at"]))
    tell(body["token"])


def tokens(app: App, user: str) -> None:
    """A user's tokens, without their secret."""
    render.items(
        app, app.client().get(at("users", user, "tokens")), ("id", "name", "created_at", "expires_at", "revoked_at"), whole_ids=True
    )


def revoke(app: App, token_id: str, yes: bool) -> None:
    """A token is refused from now on."""
    sure(app, yes, "confirm.revoke", what=token_id)
    render.done(app, "user.revoked", app.client().delete(at("tokens", token_id)), id=token_id)


_USER = arg("user")

VERBS = {
    "create": Verb(create, (arg("name"), opt("--display-name"))),
    "list": Verb(list_, (opt("--disabled", text="of-disabled", type=bool), *LISTING)),
    "show": Verb(show, (_USER,)),
    "disable": Verb(disable, (_USER,)),
    "enable": Verb(enable, (_USER,)),
    "token": Verb(
        token,
        (_USER, opt("--name", text="token-name", required=True), opt("--days", type=click.IntRange(min=1), default=90, show_default=True)),
    ),
    "tokens": Verb(tokens, (_USER,)),
    "revoke": Verb(revoke, (arg("token_id"), YES)),
}
