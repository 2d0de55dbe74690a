"""What every command is handed: the language, the form of output, the client; and the three ways to speak to the person at the
terminal.

Results go to stdout and nothing else does; progress, notes, questions and errors go to stderr, so that a pipe carries only what was
asked for.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass

import click

from console.client import Client
from console.profiles import Profile
from console.texts import Say

FOR_PROGRAMS = frozenset({"json", "yaml"})


@dataclass(frozen=True, slots=True)
class App:
    """One invocation of the command line."""

    say: Say
    lang: str
    output: str  # "table" | "wide" | "json" | "yaml"
    profile: Profile
    client: Callable[[], Client]  # makes the connection at the first call, then gives the same one

    @property
    def for_people(self) -> bool:
        """Whether a person reads stdout, not a program."""
        return self.output not in FOR_PROGRAMS

    @property
    def live(self) -> bool:
        """Whether stderr is a terminal that can redraw itself."""
        return sys.stderr.isatty()


def tell(text: str) -> None:
    """A result, to stdout."""
    click.echo(text)


def note(text: str) -> None:
    """Something to know that isn't the result, to stderr."""
    click.echo(text, err=True)


def sure(app: App, yes: bool, key: str, **params: str) -> None:
    """Ask before what can't be undone; only a terminal is asked, a script has decided already. Raises click.Exit when the answer is no."""
    if yes or not sys.stdin.isatty():
        return
    answer = click.prompt(app.say(key, **params), default="", show_default=False, prompt_suffix=" [y/N] ", err=True)
    if answer.strip().lower() not in {"y", "yes", "是"}:
        note(app.say("message.nothing_done"))
        raise click.exceptions.Exit(1)
