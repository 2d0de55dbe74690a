"""The console of a guest: once, or as it grows; and what a command in it says.

Enters: the text the API gives, the last `max_bytes` of what the guest wrote. Leaves: on stdout what is new. The guest decides what
it writes, so on a terminal control sequences are taken out unless `--raw` asks for them; a pipe gets every character.
"""

from __future__ import annotations

import sys
import time

import click

from console import render
from console.app import App
from console.cells import clean_lines
from console.client import at
from console.errors import ApiError

PERIOD_S = 1.0


def whole(app: App, instance_id: str, max_bytes: int, raw: bool) -> None:
    """What is there."""
    body = app.client().get(at("instances", instance_id, "console"), max_bytes=max_bytes)
    if not app.for_people:
        render.programs(app, body)
        return
    write(str(body["text"]), raw)


def follow(app: App, instance_id: str, max_bytes: int, raw: bool) -> None:
    """What is there, then what comes, until interrupted."""
    seen = ""
    while True:
        text = str(app.client().get(at("instances", instance_id, "console"), max_bytes=max_bytes)["text"])
        write(fresh(seen, text), raw)
        seen = text
        time.sleep(PERIOD_S)


def stream(app: App, instance_id: str, max_bytes: int, raw: bool) -> None:
    """The same of a container, as it prints; of what can't be followed, by asking again and again."""
    try:
        for piece in app.client().text(at("instances", instance_id, "log"), max_bytes=max_bytes):
            write(piece, raw)
            sys.stdout.flush()
    except ApiError as error:
        if error.details.get("reason") != "no_log":
            raise
        follow(app, instance_id, max_bytes, raw)


def fresh(seen: str, now: str) -> str:
    """The end of `now` that wasn't in `seen`.

    Both are windows on the end of one growing text, so a tail of the old is somewhere in the new.
    """
    if now.startswith(seen):
        return now[len(seen) :]
    for length in (len(seen), 4096, 1024, 256, 64):
        tail = seen[-length:]
        at_ = now.rfind(tail) if tail else -1
        if at_ >= 0:
            return now[at_ + len(tail) :]
    return now  # rebooted, or more was written than the window holds


def write(text: str, raw: bool = False, err: bool = False) -> None:
    """What a guest or a command in it says, on stdout or stderr."""
    terminal = (sys.stderr if err else sys.stdout).isatty()
    click.echo(clean_lines(text) if terminal and not raw else text, nl=False, err=err, color=True)
