"""Whether a resize that was begun has come to its end: pure.

Nova takes a resize and carries it out later, or doesn't: the server is then as it was, and only its list of actions tells. So before one is
asked for, its generation and the server's newest action are written into the mark (`tried`); what is newer than that one is what came of
it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import takewhile
from typing import Any


def trying(generation: int, actions: Iterable[Mapping[str, Any]]) -> str:
    """What is written before a resize is asked for. `actions`: GET os-instance-actions, the newest first."""
    return f"{generation} {next((str(one.get('request_id')) for one in actions), '-')}"


def ended(tried: str, generation: int, actions: Iterable[Mapping[str, Any]]) -> str:
    """The request that a resize for this generation was refused in; empty where none was begun, or nova never heard of it."""
    asked, _, before = tried.partition(" ")
    if asked != str(generation):
        return ""
    newer = takewhile(lambda one: str(one.get("request_id")) != before, actions)
    return next((str(one.get("request_id")) for one in newer if one.get("action") == "resize"), "")


def why(events: Iterable[Mapping[str, Any]]) -> str:
    """The last words of what went wrong in an action; empty where only an administrator may read them."""
    for event in events:
        text = str(event.get("traceback") or "").strip()
        if text:
            last = text.splitlines()[-1].strip()
            return last.partition(": ")[2][:300] or last[:300]
    return ""
