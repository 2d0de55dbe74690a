"""Driving the scheduler through a trace, and the figures of it.

In: hosts and requests. Out: `Figures`: what was placed and refused, and curves over time. Requests come one at a time, in order of their
start; what ends at a moment leaves before what starts then; what is refused does not come again. What starts before `since` fills the
hosts, and is not counted. The scheduler is the controller's: it learns from arrivals as it goes, and knows no end before it has happened.
"""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from math import inf

import numpy as np

from scheduler.columns import Floats
from scheduler.fleet import Fleet
from scheduler.history import Arrivals
from scheduler.place import propose
from scheduler.types import SIZES, WHOLE_GPU, Host, Item, NoValidHost, Placement
from simulation.traces import Request

_MOMENTS = 500  # of the curves
Progress = Callable[[int, int], None]


@dataclass(slots=True)
class Moment:
    """The fleet at one time. `used`: 0..1 by size; `stranded`: the part of free vCPUs on hosts that have no room for the mean request."""

    hours: float
    used: tuple[float, ...]
    hosts: int
    stranded: float
    refused: int


@dataclass(slots=True)
class Figures:
    """What came of a trace. `mean_used` and `host_hours` are over time, up to the last start."""

    requests: int
    hosts: int
    placed: int = 0
    refused: Counter[str] = field(
        default_factory=Counter
    )  # by the last rule in the order of rules that excluded any: what the nearest hosts lacked
    hours: float = 0.0
    mean_used: tuple[float, ...] = (0.0,) * len(SIZES)
    peak_used: tuple[float, ...] = (0.0,) * len(SIZES)
    host_hours: float = 0.0
    peak_hosts: int = 0
    mean_stranded: float = 0.0
    moments: list[Moment] = field(default_factory=list)


def replay(
    hosts: Sequence[Host], requests: Sequence[Request], since: float = -inf, progress: Progress = lambda _done, _of: None
) -> Figures:
    """Run the whole trace."""
    run = _Run(hosts, requests, since)
    every = max(1, len(requests) // _MOMENTS)
    for number, request in enumerate(sorted(requests, key=lambda one: one.start)):
        run.until(request.start)
        run.arrive(request)
        if number % every == 0 or number + 1 == len(requests):
            run.look()
            progress(number + 1, len(requests))
    return run.end()


def decide(fleet: Fleet, item: Item, arrivals: Arrivals | None = None) -> Placement | NoValidHost:
    """Place one and claim. What arrives is learnt from, placed or not."""
    if arrivals is not None and arrivals.count(item):
        fleet.teach(arrivals.learnt(fleet.gpus()))
    (result,) = propose(fleet, [[item]]).results
    return result if isinstance(result, NoValidHost) else result[0]


class _Run:
    """One replay under way."""

    def __init__(self, hosts: Sequence[Host], requests: Sequence[Request], since: float) -> None:
        self._fleet, self._arrivals = Fleet(hosts), Arrivals()
        self._figures = Figures(sum(request.start >= since for request in requests), len(hosts))
        self._since = since
        self._whole = np.array([sum(getattr(host.capacity, size) for host in hosts) for size in SIZES], np.float64)
        self._used = np.zeros(len(SIZES))
        self._now = min((request.start for request in requests), default=0.0)
        self._area = np.zeros(len(SIZES))  # of use, over time
        self._ends: list[tuple[float, int, Item, Placement]] = []
        self._living: Counter[str] = Counter()
        self._members: dict[str, Counter[str]] = {}
        self._asked = np.zeros(2)  # vcpus and memory_mib of all that came
        self._came = 0
        self._stranded: list[float] = []

    def until(self, hours: float) -> None:
        """Let time pass, and what ends meanwhile leave."""
        while self._ends and self._ends[0][0] <= hours:
            end, _, item, placement = heapq.heappop(self._ends)
            if end == inf:
                break
            self._pass(end)
            self._fleet.release_item(item, placement)
            self._count(item, placement, -1)
        if hours != inf:
            self._pass(hours)

    def arrive(self, request: Request) -> None:
        """Place one, or count why not."""
        item = request.item
        if item.spread is not None:
            item = replace(item, members=self._members.setdefault(item.spread.group, Counter()))
        self._asked += (item.resources.vcpus, item.resources.memory_mib)
        self._came += 1
        result = decide(self._fleet, item, self._arrivals)
        if isinstance(result, NoValidHost):
            if self._counted():
                self._figures.refused[result.rules[-1].rule if result.rules else "host"] += 1
            return
        self._figures.placed += self._counted()
        self._count(item, result, 1)
        heapq.heappush(self._ends, (request.end, self._came, item, result))

    def look(self) -> None:
        """One more point of the curves."""
        if not self._counted():
            return
        free = np.maximum(self._fleet.columns.free[:, :2], 0)
        mean = self._asked / max(self._came, 1)
        lost = free[(free < mean).any(axis=1), 0].sum()
        stranded = float(lost / max(free[:, 0].sum(), 1))
        self._stranded.append(stranded)
        used, refused = tuple(self._parts().tolist()), sum(self._figures.refused.values())
        self._figures.moments.append(Moment(self._now, used, len(self._living), stranded, refused))

    def end(self) -> Figures:
        """The figures of the whole."""
        figures = self._figures
        if figures.hours > 0:
            figures.mean_used = tuple((self._area / figures.hours).tolist())
        figures.mean_stranded = float(np.mean(self._stranded)) if self._stranded else 0.0
        return figures

    def _pass(self, hours: float) -> None:
        passed = max(hours - max(self._now, self._since), 0.0)
        self._area += self._parts() * passed
        self._figures.host_hours += len(self._living) * passed
        self._figures.hours += passed
        self._now = hours

    def _counted(self) -> bool:
        return self._now >= self._since

    def _parts(self) -> Floats:
        return self._used / np.maximum(self._whole, 1)

    def _count(self, item: Item, placement: Placement, sign: int) -> None:
        size = item.resources
        self._used += sign * np.array([size.vcpus, size.memory_mib, size.disk_gib, size.gpus * item.gpu_milli / WHOLE_GPU])
        where = [self._living] + ([self._members[item.spread.group]] if item.spread is not None else [])
        for counts in where:
            counts[placement.host_id] += sign
            if not counts[placement.host_id]:
                del counts[placement.host_id]
        if self._counted():
            peak = np.maximum(self._figures.peak_used, self._parts())
            self._figures.peak_used, self._figures.peak_hosts = tuple(peak.tolist()), max(self._figures.peak_hosts, len(self._living))
