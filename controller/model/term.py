"""How long something is asked for: from when, until when, and what is done about it as time passes."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any

Row = Mapping[str, Any]

WARN_DAYS = 7
AHEAD_DAYS = 365  # how far ahead something may be asked for
BEHIND_DAYS = 1  # a moment that has passed so recently is now: an offer that was taken up late


class Due(StrEnum):
    """What a term wants when it is looked at."""

    WARN = "warn"  # its end is near
    END = "end"
    KEEP = "keep"  # it is over, and the instance is protected


def begins(starts_at: datetime | None, now: datetime) -> datetime:
    """When something begins that is asked for now."""
    return now if starts_at is None else max(starts_at, now)


def span(request: Row, now: datetime) -> dict[str, Any]:
    """The columns of a new instance that tell of its time; `request`: what it was asked for with."""
    start = begins(request["starts_at"], now)
    end = start + timedelta(days=request["term_days"]) if request["term_days"] else None
    return {
        "starts_at": request["starts_at"],
        "asked_at": start,
        "term_ends_at": end,
        "ends": request["ends"],
        "term_due_at": end - timedelta(days=WARN_DAYS) if end and request["ends"] else None,
        "reason": {"code": "starts_later", "params": {"at": _minute(start)}} if start > now else None,
    }


def _minute(at: datetime) -> str:
    return at.strftime("%Y-%m-%d %H:%M UTC")


def look(row: Row) -> tuple[Due, datetime | None]:
    """What the term of an instance wants now, and when it is to be looked at again."""
    if row["now"] < row["term_ends_at"]:
        return Due.WARN, row["term_ends_at"]
    return (Due.KEEP, None) if row["protected"] else (Due.END, None)
