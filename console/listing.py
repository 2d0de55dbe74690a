"""What every `list` does: one page or all of them, and how to go on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from console import render
from console.app import App, note
from console.client import Body


def show(app: App, path: str, columns: Sequence[str], limit: int | None, cursor: str | None, everything: bool, **filters: Any) -> None:
    """Fetch and print."""
    print_page(app, fetch(app, path, limit, cursor, everything, **filters), columns)


def fetch(app: App, path: str, limit: int | None, cursor: str | None, everything: bool, **filters: Any) -> Body:
    """A page as the API gives it, or all pages in one body of the same form."""
    if everything:
        return {"items": list(app.client().pages(path, **filters)), "next": None}
    return app.client().get(path, limit=limit, cursor=cursor, **filters)


def print_page(app: App, body: Body, columns: Sequence[str], whole_ids: bool = False) -> None:
    """Print; on stderr, how to see the rest."""
    render.items(app, body, columns, whole_ids)
    if body.get("next") and app.for_people:
        note(app.say("message.more", cursor=body["next"]))
