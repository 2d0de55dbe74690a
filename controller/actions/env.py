"""What actions need from the world beside a connection: new ids and the settings. Handed in, so that an action itself rolls no dice."""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from controller.config import Settings
from controller.model.naming import uuid7


@dataclass(frozen=True, slots=True)
class Env:
    """Handed to every action."""

    settings: Settings
    new_id: Callable[[], str]


def fresh_id() -> str:
    """A new id from the clock and the system's randomness."""
    return uuid7(time.time_ns() // 1_000_000, secrets.randbits(74))
