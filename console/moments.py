"""Moments as people write them, for the API: RFC 3339 with an offset; what names none means this machine's clock."""

from __future__ import annotations

from datetime import date, datetime
from typing import Any

import click

from console.app import App


def moment(app: App, value: Any) -> str:
    """`2026-12-01`, `2026-12-01 08:00`, `2026-12-01T00:00:00Z`, or what YAML made of such. Raises click.UsageError for anything else."""
    try:
        at = value if isinstance(value, date) else datetime.fromisoformat(str(value))
        whole = at if isinstance(at, datetime) else datetime(at.year, at.month, at.day)  # noqa: DTZ001 - `astimezone` gives it one
        return (whole if whole.tzinfo else whole.astimezone()).isoformat()
    except (ValueError, OverflowError) as error:
        raise click.UsageError(app.say("message.not_a_moment", value=value)) from error
