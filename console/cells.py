"""From a field of the API to the text of one cell.

Enters: a field's name and value. Leaves: one line of text in the user's language and units (GiB, local time). The field's name
decides, in one literal table: units are part of the API's names.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from console.texts import Say

NONE = "-"
KINDS = ("any", "vm", "container", "bare_metal")
_CONTROL_SEQUENCE = re.compile(r"\x1b(\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b]*(\x07|\x1b\\)|[@-Z\\^_])")  # ECMA-48: CSI, OSC, two-character
SHORT_ID = 13  # ids begin with the millisecond they were made in: 12 hex digits and a dash tell two apart


def cell(say: Say, key: str, value: Any, wide: bool = False) -> str:
    """One value as one line."""
    field = key.rpartition(".")[2]
    if value is None or value in ("", [], {}):
        return NONE
    if field in SHOWN:
        return SHOWN[field](value)
    if isinstance(value, bool):
        return say("word.yes" if value else "word.no")
    if isinstance(value, Mapping):
        asked = {key: entry for key, entry in value.items() if entry} if field == "container" else value  # it may have much, and has little
        return _mapping(say, asked, wide)
    if isinstance(value, list):
        return ", ".join(cell(say, field, entry, wide) for entry in value)
    text = clean(str(value))
    return text[:SHORT_ID] if (field == "id" or field.endswith("_id")) and not wide else text


def clean(text: str) -> str:
    """Without characters that would move the cursor, colour the screen or reverse the reading direction."""
    return "".join(
        " " if char in "\n\t" else char for char in text if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cf", "Cs"}
    )


def clean_lines(text: str) -> str:
    """The same for a text of many lines: line ends and tabs stay."""
    text = _CONTROL_SEQUENCE.sub("", text.replace("\r\n", "\n"))
    return "".join(char for char in text if char in "\n\t" or unicodedata.category(char) not in {"Cc", "Cf", "Cs"})


def kind(say: Say, value: str) -> str:
    """A kind of instances, as limits name it; one that this client doesn't know yet as the API has it."""
    return say(f"kind.{value}") if value in KINDS else clean(value)


def mib(value: Any) -> str:
    """Memory: GiB where it is whole or much."""
    if not isinstance(value, int):
        return clean(str(value))
    if value >= 1024 and value % 1024 == 0:
        return f"{value // 1024} GiB"
    return f"{value / 1024:.1f} GiB" if value >= 10240 else f"{value} MiB"


def gib(value: Any) -> str:
    """Disk; an overcommit ratio of the same name stays a bare number."""
    return f"{value} GiB" if isinstance(value, int) else clean(str(value))


def size(value: Any) -> str:
    """Bytes, in the unit that keeps the number short."""
    if not isinstance(value, int | float):
        return clean(str(value))
    amount = float(value)
    for unit in ("B", "KiB", "MiB"):
        if amount < 1024:
            return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"
        amount /= 1024
    return f"{amount:.1f} GiB"


def local(value: Any) -> str:
    """A time of the API (ISO 8601, UTC), on this machine's clock."""
    try:
        return datetime.fromisoformat(str(value)).astimezone().strftime("%Y-%m-%d %H:%M:%S")
    except ValueError:
        return clean(str(value))


def seconds(value: Any) -> str:
    """A duration, to a tenth."""
    return f"{value:.1f}" if isinstance(value, int | float) else clean(str(value))


def far(value: Any) -> str:
    """How far a playbook is: the task and, of what takes long, its numbers."""
    if not isinstance(value, Mapping):
        return clean(str(value))
    units = {"task": "", "percent": " %", "mb_s": " MB/s"}
    return ", ".join(f"{clean(str(value[name]))}{unit}" for name, unit in units.items() if value.get(name) not in (None, "")) or NONE


def _mapping(say: Say, value: Mapping[str, Any], wide: bool) -> str:
    for telling in ("text", "message", "name"):
        if isinstance(value.get(telling), str):
            return clean(value[telling])
    return " ".join(
        f"{clean(str(key))}={cell(say, key, entry, wide)}".replace(" GiB", "GiB").replace(" MiB", "MiB") for key, entry in value.items()
    )


SHOWN: dict[str, Callable[[Any], str]] = {
    "memory_mib": mib,
    "min_memory_mib": mib,
    "disk_gib": gib,
    "min_disk_gib": gib,
    "bytes": size,
    "size_bytes": size,
    "virtual_size_bytes": size,
    "created_at": local,
    "expires_at": local,
    "revoked_at": local,
    "starts_at": local,
    "term_ends_at": local,
    "since": local,
    "at": local,
    "began_at": local,
    "ended_at": local,
    "cleared_at": local,
    "seconds": seconds,
    "progress": far,
}
