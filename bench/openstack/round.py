"""What one run showed, of whichever side; pure."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Round:
    """`wall_s`: for each server from when it was asked for to when its side knew that it runs. `cpu_s`: of all together; `requests` to the
    region, likewise.
    """

    wall_s: Sequence[float]
    cpu_s: float
    requests: int

    @property
    def cpu_ms_each(self) -> float:
        return self.cpu_s * 1000 / len(self.wall_s)

    @property
    def requests_each(self) -> float:
        return self.requests / len(self.wall_s)

    @property
    def wall_each(self) -> float:
        """The mean, in seconds."""
        return statistics.fmean(self.wall_s)


def median(rounds: Sequence[Round], of: Callable[[Round], float]) -> float:
    """Of several runs."""
    return float(statistics.median(map(of, rounds)))
