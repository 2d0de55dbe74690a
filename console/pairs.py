"""`name=value` arguments: quotas, overcommit, driver options."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import TypeVar

import click

from console.app import App

T = TypeVar("T", int, float)


def pairs(app: App, texts: Iterable[str], known: Sequence[str] = (), split: bool = True) -> dict[str, str]:
    """The values by name; `a=1,b=2` counts as two unless values may hold commas (`split` off).

    Raises click.UsageError for what isn't a pair, is named twice, or isn't `known`.
    """
    found: dict[str, str] = {}
    for text in (part for whole in texts for part in (whole.split(",") if split else [whole]) if part):
        name, equals, value = text.partition("=")
        if not equals or not name or not value or name in found:
            raise click.UsageError(app.say("message.not_a_pair", text=text))
        if known and name not in known:
            raise click.UsageError(app.say("message.unknown_name", name=name, known=", ".join(known)))
        found[name] = value
    return found


def numbers(app: App, texts: Iterable[str], known: Sequence[str]) -> dict[str, int]:
    """Whole numbers by name."""
    return {name: _number(app, value, int) for name, value in pairs(app, texts, known).items()}


def ratios(app: App, texts: Iterable[str], known: Sequence[str]) -> dict[str, float]:
    """Numbers by name."""
    return {name: _number(app, value, float) for name, value in pairs(app, texts, known).items()}


def limits(app: App, texts: Iterable[str], known: Sequence[str]) -> dict[str, int | None]:
    """Whole numbers by name; `none` takes a limit away."""
    return {name: None if value.lower() == "none" else _number(app, value, int) for name, value in pairs(app, texts, known).items()}


def _number(app: App, text: str, kind: Callable[[str], T]) -> T:
    try:
        value = kind(text)
    except ValueError:
        raise click.UsageError(app.say("message.not_a_number", text=text)) from None
    if value < 0:
        raise click.UsageError(app.say("message.not_a_number", text=text))
    return value
