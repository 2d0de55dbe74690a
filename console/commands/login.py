"""`chutian login` and `chutian whoami`: who asks.

The token comes from a file, from stdin or from a hidden prompt; there is no option that takes it, since arguments are visible to
every user of the machine.
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

import click

from console import profiles, render
from console.app import App, note
from console.client import Client, at, sendable
from console.profiles import Profile
from console.verbs import GLOBAL, Verb, opt


def login(app: App, token_file: str | None) -> None:
    """Check the token with the server, then keep it in the profile."""
    token = _token(app, token_file)
    if not sendable(token):
        raise click.UsageError(app.say("login.bad_token"))
    ca = str(Path(app.profile.ca).expanduser().absolute()) if app.profile.ca else None
    profile = Profile(app.profile.name, app.profile.server, ca, token)
    with Client(profile.server, token, ca, app.lang) as client:
        body = client.get(at("whoami"))
    file = profiles.path(os.environ)
    profiles.save(file, profile)
    render.done(app, "login.done", body, name=body["user"]["name"], server=profile.server, profile=profile.name)
    note(app.say("login.kept", path=file))


def whoami(app: App) -> None:
    """The identity behind the token."""
    body = app.client().get(at("whoami"))
    if not app.for_people:
        render.programs(app, body)
        return
    token = body.get("token") or {}
    fields = {
        "user": body["user"]["name"],
        "server": app.profile.server,
        "token": token.get("name") or token.get("id"),
        "expires_at": token.get("expires_at"),
    }
    render.detail(app, fields)
    headers = [app.say("col.project"), app.say("col.role")]
    render.table(headers, [[role.get("project") or "*", role["role"]] for role in body.get("roles", [])])


def _token(app: App, token_file: str | None) -> str:
    if token_file:
        return Path(token_file).expanduser().read_text("utf-8").strip()
    if sys.stdin.isatty():
        return str(click.prompt(app.say("login.prompt"), hide_input=True, err=True)).strip()
    return sys.stdin.readline().strip()


_SHOWN = (GLOBAL[3], GLOBAL[4], GLOBAL[2])

VERBS = {
    "login": Verb(login, (opt("--token-file", type=click.Path(exists=True, dir_okay=False)), *_SHOWN)),
    "whoami": Verb(whoami),
}
