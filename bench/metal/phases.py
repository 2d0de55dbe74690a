"""How long a machine took for what is done to it."""

from __future__ import annotations

from dataclasses import dataclass

PHASES = ("inspect", "provision", "wipe")


@dataclass(frozen=True, slots=True)
class Phases:
    """Seconds of each."""

    inspect: float
    provision: float
    wipe: float

    @property
    def whole(self) -> float:
        """All of it."""
        return self.inspect + self.provision + self.wipe
