"""What one run showed, of either side; pure."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from bench.kubernetes.cluster import Asked, Spent


@dataclass(frozen=True, slots=True)
class Round:
    """`count` containers, in `took_s` seconds. `placed`: pods by node."""

    count: int
    took_s: float
    spent: Spent
    asked: Asked
    placed: Counter[str]

    def __post_init__(self) -> None:
        """Raises ValueError for a run that did not do what it should have."""
        if self.placed.total() != self.count or self.placed[""]:
            raise ValueError(f"of {self.count} pods {self.placed.total()} are there, {self.placed['']} of them not bound")

    @property
    def rate(self) -> float:
        """Containers a second."""
        return self.count / self.took_s

    @property
    def cpu_ms(self) -> float:
        """CPU of all components for each."""
        return self.spent.total * 1000 / self.count

    @property
    def requests(self) -> float:
        """Requests to the API server for each."""
        return self.asked.total() / self.count

    @property
    def nodes_used(self) -> int:
        return len(self.placed)


def median(rounds: Sequence[Round], of: Callable[[Round], float]) -> float:
    """Of several runs."""
    return float(statistics.median(map(of, rounds)))


def parts(rounds: Sequence[Round]) -> dict[str, float]:
    """CPU for each container by component, in milliseconds: medians."""
    names = rounds[0].spent.by
    return {name: median(rounds, lambda one, name=name: one.spent.by[name] * 1000 / one.count) for name in names}  # type: ignore[misc]
