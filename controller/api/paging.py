"""Pages: a cursor is where the last page ended, so that a page costs the same wherever it is and rows that come and go shift nothing."""

from __future__ import annotations

import base64
import binascii
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any

from fastapi import Query

from controller import errors
from controller.model.naming import is_id
from controller.store.instances import TOP

Cursor = Annotated[str | None, Query(max_length=1024, description="`next` of the page before.")]
Limit = Annotated[int, Query(ge=1, le=500, description="Most items on a page.")]


def _encode(text: str) -> str:
    return base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")


def named(cursor: str | None) -> str:
    """The name after which a page begins. Raises InvalidRequest."""
    if cursor is None:
        return ""
    try:
        text = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True).decode()
    except (binascii.Error, ValueError) as error:
        raise errors.InvalidRequest("bad_cursor") from error
    if "\x00" in text:
        raise errors.InvalidRequest("bad_cursor")
    return text


def time_ordered(cursor: str | None) -> str:
    """The id before which a page begins (newest first). Raises InvalidRequest."""
    id_ = named(cursor) or TOP
    if not is_id(id_):
        raise errors.InvalidRequest("bad_cursor")
    return id_


def truth(value: bool | None) -> str | None:
    """A yes or no to filter by, as PostgreSQL writes it."""
    return None if value is None else str(value).lower()


def page_out(rows: Sequence[Any], limit: int, view: Callable[[Any], Mapping[str, Any]], place: Callable[[Any], str]) -> dict[str, Any]:
    """A page of views; `place` tells where a row stands in the order."""
    return {"items": [view(row) for row in rows], "next": following(place(rows[-1]) if len(rows) == limit else "")}


def following(place: str) -> str | None:
    """The cursor of the page after a place in the order; none where that is empty."""
    return _encode(place) if place else None
