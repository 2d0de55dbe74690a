"""How answers look: tables and details for people, the API's own bodies for programs.

Enters: the API's bodies and a list of columns (dotted keys; a leading `+` means only in `--output wide`). Leaves: text on stdout.
On a terminal rich draws; in a pipe the same cells come aligned by their width on screen (a Chinese character takes two columns),
with no colour and no line breaks, so that `grep` works. Text that users of the cloud chose (names, reasons) is stripped of control
characters: it must not drive the terminal of an operator.
"""

from __future__ import annotations

import json
import sys
import unicodedata
from collections.abc import Mapping, Sequence
from typing import Any

from console.app import App, tell
from console.cells import cell
from console.client import Body

STYLES = {
    "active": "green",
    "ready": "green",
    "up": "green",
    "connected": "green",
    "approved": "green",
    "pending": "yellow",
    "building": "yellow",
    "importing": "yellow",
    "waiting": "yellow",
    "deleting": "yellow",
    "migrating": "yellow",
    "inspecting": "yellow",
    "provisioning": "yellow",
    "wiping": "yellow",
    "running": "yellow",
    "free": "green",
    "done": "green",
    "quarantined": "red",
    "interrupted": "red",
    "error": "red",
    "failed": "red",
    "unreachable": "red",
    "refused": "red",
    "expired": "red",
}


def programs(app: App, body: Any) -> None:
    """The API's body, unchanged, as JSON or YAML."""
    if app.output == "json":
        tell(json.dumps(body, ensure_ascii=False, indent=2))
        return
    import yaml

    tell(yaml.safe_dump(body, allow_unicode=True, sort_keys=False).rstrip("\n"))


def items(app: App, body: Body, columns: Sequence[str], whole_ids: bool = False) -> None:
    """A list: one row per item. `whole_ids` where the id is what another command wants."""
    if not app.for_people:
        programs(app, body)
        return
    shown = [column.removeprefix("+") for column in columns if app.output == "wide" or not column.startswith("+")]
    rows = [[cell(app.say, key, dig(item, key), whole_ids or app.output == "wide") for key in shown] for item in body["items"]]
    table([header(app, key) for key in shown], rows)
    if not rows:
        tell(app.say("message.nothing_found"))


def detail(app: App, body: Body) -> None:
    """One thing: a line per field, in the API's order."""
    if not app.for_people:
        programs(app, body)
        return
    rows = [[header(app, key), cell(app.say, key, value, True)] for key, value in body.items()]
    width = max((columns_of(name) for name, _ in rows), default=0)
    for name, value in rows:
        tell(f"{pad(name, width)}  {value}")


def parts(app: App, those: Sequence[Body], columns: Sequence[str], of: str = "") -> None:
    """What a thing is made of, a row for each; `of`: what the names of the columns begin with in the catalogue."""
    table([header(app, of + name) for name in columns], [[cell(app.say, name, one.get(name), True) for name in columns] for one in those])


def victims(app: App, those: Sequence[Body]) -> None:
    """Those who would be preempted, and what each frees."""
    parts(app, those, ("name", "project", "priority", "host", "frees"))


def done(app: App, key: str, body: Body, **params: Any) -> None:
    """What was done, in one sentence; for programs the API's body."""
    if not app.for_people:
        programs(app, body)
        return
    tell(app.say(key, **params))


def table(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    """A table; nothing at all where there are no rows."""
    if not rows:
        return
    if sys.stdout.isatty():
        _rich(headers, rows)
        return
    lines = [headers, *rows]
    widths = [max(columns_of(line[index]) for line in lines) for index in range(len(headers))]
    for line in lines:
        tell("  ".join(pad(text, width) for text, width in zip(line, widths, strict=True)).rstrip())


def _rich(headers: Sequence[str], rows: Sequence[Sequence[str]]) -> None:
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in headers:
        drawn.add_column(Text(name), overflow="fold")
    for row in rows:
        drawn.add_row(*(Text(text, style=STYLES.get(text, "")) for text in row))
    Console().print(drawn)


def header(app: App, key: str) -> str:
    """The column's name; a field this client doesn't know yet keeps the API's name."""
    try:
        return app.say(f"col.{key}")
    except KeyError:
        return key


def dig(item: Mapping[str, Any], key: str) -> Any:
    """The value at a dotted key, None where there is none."""
    value: Any = item
    for part in key.split("."):
        value = value.get(part) if isinstance(value, Mapping) else None
    return value


def columns_of(text: str) -> int:
    """How many columns the text takes on screen."""
    return sum(0 if unicodedata.combining(char) else 2 if unicodedata.east_asian_width(char) in "WF" else 1 for char in text)


def pad(text: str, width: int) -> str:
    """The text, filled up to a width on screen."""
    return text + " " * (width - columns_of(text))
