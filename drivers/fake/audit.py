"""What a test may ask a fake backend afterwards: who was booted how often and where, and what should never have been asked.

In: acts, one after the other, as they happened. Out: histories, and violations. A world in memory feeds its acts at once; one in a
directory replays its journal. Invariant: an act sets what an instance claims (never adds to it), so that an act lost with a killed
process can't make every later sum wrong.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from math import inf

from drivers.base import GpuPart
from drivers.fake.lifecycle import Act

HISTORY = frozenset({"define", "resize", "rebuild", "boot", "stop", "gone"})
RESOURCES = ("vcpus", "memory_mib", "disk_gib", "gpus")
WHOLE = GpuPart("").milli

Claim = tuple[int, int, int, int]


@dataclass(frozen=True, slots=True)
class Violation:
    """Something that a correct controller never does: `live_twice`, `changed_without_generation`, `over_capacity`, `released_alive`."""

    at: float
    kind: str
    instance_id: str
    host: str
    detail: str


class Audit:
    """A fold over acts. `ceiling`: how much of each resource a host may be asked to hold."""

    def __init__(self, ceiling: tuple[float, float, float, float]) -> None:
        self.violations: list[Violation] = []
        self._ceiling = ceiling
        self._claims: dict[str, tuple[str, Claim]] = {}
        self._parts: dict[str, dict[str, tuple[tuple[str, int], ...]]] = {}  # of GPUs, by host and instance
        self._used: dict[str, list[int]] = {}
        self._history: dict[str, tuple[tuple[float, str, str], ...]] = {}

    def apply(self, act: Act) -> None:
        """Take one act in."""
        if act.what not in HISTORY:
            self.violations.append(Violation(act.at, act.what, act.instance_id, act.host, act.detail))
            return
        self._history[act.instance_id] = (*self._history.get(act.instance_id, ()), (act.at, act.what, act.host))
        if act.claim is not None:
            self._hold(act, act.claim)
        elif act.what == "gone":
            self._release(act.instance_id)

    def history(self, instance_id: str) -> tuple[tuple[float, str, str], ...]:
        """What happened to it, oldest first: (time, what, host). Outlives the instance."""
        return self._history.get(instance_id, ())

    def used(self, host: str) -> Claim:
        """What the instances on a host hold together, running or not."""
        vcpus, memory_mib, disk_gib, gpus = self._used.get(host, (0, 0, 0, 0))
        return (vcpus, memory_mib, disk_gib, gpus)

    def _hold(self, act: Act, claim: Claim) -> None:
        self._release(act.instance_id)
        self._claims[act.instance_id] = (act.host, claim)
        used = self._used.setdefault(act.host, [0, 0, 0, 0])
        for i, amount in enumerate(claim):
            used[i] += amount
            if amount and used[i] > self._ceiling[i]:
                detail = f"{RESOURCES[i]}: {used[i]} of {self._ceiling[i]:g}"
                self.violations.append(Violation(act.at, "over_capacity", act.instance_id, act.host, detail))
        if act.devices:
            self._parts.setdefault(act.host, {})[act.instance_id] = act.devices
            for id_, _ in act.devices:
                held = self.milli(act.host, id_)
                if held > WHOLE:
                    self.violations.append(Violation(act.at, "over_capacity", act.instance_id, act.host, f"GPU {id_}: {held} of {WHOLE}"))

    def milli(self, host: str, gpu: str) -> int:
        """The thousandths of one GPU that instances hold together."""
        return sum(milli for parts in self._parts.get(host, {}).values() for id_, milli in parts if id_ == gpu)

    def _release(self, instance_id: str) -> None:
        held = self._claims.pop(instance_id, None)
        if held is not None:
            host, claim = held
            self._parts.get(host, {}).pop(instance_id, None)
            used = self._used[host]
            for i, amount in enumerate(claim):
                used[i] -= amount


def live_twice(*histories: tuple[tuple[float, str, str], ...]) -> bool:
    """Whether one instance's histories (of several worlds on one clock) show it switched on in two places at once.

    A life ends the moment before its `stop`: handing over within one tick of the clock is no overlap.
    """
    lives = sorted((start, end) for history in histories for start, end in _lives(history))
    return any(start < end_before for (_, end_before), (start, _) in pairwise(lives))


def _lives(history: tuple[tuple[float, str, str], ...]) -> list[tuple[float, float]]:
    """When it was on: from each boot to the earliest stop that follows, or to the end of time."""
    lives: list[tuple[float, float]] = []
    latest: dict[str, int] = {}  # by host, in `lives`
    for at, what, host in history:
        if what == "boot":
            latest[host] = len(lives)
            lives.append((at, inf))
        elif what in {"stop", "gone"} and host in latest:
            start, end = lives[latest[host]]
            lives[latest[host]] = (start, min(end, at))
    return [(start, end) for start, end in lives if start < end]
