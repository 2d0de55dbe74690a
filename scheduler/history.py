"""What the past teaches placing: which work typically asks for GPUs and for two NUMA cells, and for how long things run.

In: counts that the caller keeps: arrivals by shape; departures, and days at risk, by age. Out: `Learnt` for `Fleet.teach`, and curves of
survival for `Item.alive` and `Host.emptying`. Nothing here knows when anything will end: a departure is counted when it has happened. Ages
are cut into bins that grow by the square root of two; within a bin the risk of ending is constant. Rejected: fitting a distribution
(lives have several modes: minutes, a working day, for ever), and predicting one number for each item (what a host loses is in the tail).
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from scheduler.columns import Floats, Ints
from scheduler.compiled import compiled
from scheduler.types import Item

AGES = 48  # bins: the first is a minute, each later one the square root of two longer
_GROWTH = 1.25
_PAIR = 2  # cells
_MINUTES = 1440.0
_COVERED = 0.95  # of the arrivals, by the typical shapes
_SCARCITY = 0.75  # how strongly a shape's weight grows as fewer GPUs can serve it
_PRIOR = 2.0  # departures for each age that the prior is worth
_GROUP = 20.0  # departures that the whole is worth to a group
_TENANT = 0.3  # items that the group is worth to a tenant


@dataclass(frozen=True, slots=True)
class Work:
    """A shape of GPU work: vcpus, how many devices, thousandths of each, the models that would do (none: any)."""

    vcpus: int
    gpus: int
    gpu_milli: int
    models: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Learnt:
    """Slow statistics. `work`: typical GPU work and its weights (sum 1). `pair`: the mean half of the two-cell items seen."""

    work: Mapping[Work, float] = field(default_factory=dict)
    pair: tuple[float, float] = (0.0, 0.0)  # vcpus, memory_mib


def typical(arrivals: Mapping[Work, int], gpus: Mapping[str, int]) -> dict[Work, float]:
    """The most frequent GPU work and its weights.

    A shape's weight is its frequency over (the part of all GPUs that may serve it) ** 0.75: what few GPUs can serve counts for more on
    those, so that work that may go anywhere keeps off scarce models. `gpus`: how many there are, by model.
    """
    everything = max(sum(gpus.values()), 1)
    asked = sorted(((count, work) for work, count in arrivals.items() if work.gpus and count), key=lambda one: (-one[0], repr(one[1])))
    enough, seen, weights = _COVERED * sum(count for count, _ in asked), 0, {}
    for count, work in asked:
        part = sum(number for model, number in gpus.items() if not work.models or model in work.models) / everything
        weights[work] = count / max(part, 1e-3) ** _SCARCITY
        seen += count
        if seen >= enough:
            break
    whole = sum(weights.values())
    return {work: weight / whole for work, weight in weights.items()}


@dataclass(slots=True)
class Arrivals:
    """Counts of what was asked for. Learning anew costs all keys, so it is due whenever a quarter more has been seen."""

    work: dict[Work, int] = field(default_factory=dict)
    pairs: int = 0
    _halves: tuple[int, int] = (0, 0)
    _seen: int = 0
    _due: int = 1

    def count(self, item: Item, number: int = 1) -> bool:
        """Count an item, or so many alike; whether it is time to learn anew."""
        size = item.resources
        if size.gpus:
            work = Work(size.vcpus, size.gpus, item.gpu_milli, item.gpu_models)
            self.work[work] = self.work.get(work, 0) + number
        if item.cells == _PAIR:
            self.pairs += number
            self._halves = (self._halves[0] + number * size.vcpus, self._halves[1] + number * size.memory_mib)
        if size.gpus or item.cells == _PAIR:
            self._seen += number
        due = self._seen >= self._due
        if due:
            self._due = math.ceil(self._seen * _GROWTH)
        return due

    def learnt(self, gpus: Mapping[str, int]) -> Learnt:
        """What the counts teach a fleet with these GPUs."""
        half = max(self.pairs * _PAIR, 1)
        return Learnt(typical(self.work, gpus), (self._halves[0] / half, self._halves[1] / half))


# -- lifetimes -------------------------------------------------------------------------------------------------------------------


@compiled
def age_bin(days: float) -> int:
    """The bin of an age."""
    minutes = days * _MINUTES
    return 0 if minutes < 1.0 else min(1 + int(2 * math.log2(minutes)), AGES - 1)


@compiled
def age_bins(days: Floats) -> Ints:
    """The bins of ages."""
    out = np.empty(len(days), np.int64)
    for number in range(len(days)):
        out[number] = age_bin(days[number])
    return out


@compiled
def expose(whole: Floats, group: Floats, first: float, last: float) -> None:
    """Add to the days at risk of all and of a group that something went from one age to another."""
    age = first
    while age < last:
        bin_ = age_bin(age)
        end = min(2.0 ** (bin_ / 2) / _MINUTES, last) if bin_ < AGES - 1 else last
        end = max(end, age + 1e-9)  # of an age at the very end of a bin
        whole[bin_] += end - age
        group[bin_] += end - age
        age = end


@compiled
def expose_all(whole: Floats, by_group: Floats, groups: Ints, first: Floats, last: Floats) -> None:
    """`expose` for many."""
    for number in range(len(groups)):
        expose(whole, by_group[groups[number]], first[number], last[number])


@compiled
def age_of(bin_: int) -> float:
    """The age in days that stands for a bin."""
    return 0.0 if bin_ == 0 else float(2.0 ** ((bin_ - 0.5) / 2) / _MINUTES)


@compiled
def prior() -> tuple[Floats, Floats]:
    """Departures and days at risk before anything was seen: half of what has an age is still there after three times that age."""
    departures, exposure = np.full(AGES, _PRIOR), np.empty(AGES)
    for k in range(AGES):
        exposure[k] = _PRIOR * (age_of(k) + 1 / 24) / 0.5
    return departures, exposure


@compiled
def survival(departures: Floats, exposure: Floats, age: float, horizons: Floats) -> Floats:
    """For something of this age, the probability to run on to each horizon."""
    out = np.empty(len(horizons))
    passed, log = 0.0, 0.0
    for k in range(len(horizons)):
        while passed < horizons[k]:
            step = min(max((age + passed) * 0.15, 1 / _MINUTES), horizons[k] - passed)
            at = age_bin(age + passed)
            log -= departures[at] / exposure[at] * step
            passed += step
            if horizons[k] - passed < 1e-12:
                break
        out[k] = math.exp(log)
    return out


@compiled
def ages(departures: Floats, exposure: Floats, horizons: Floats) -> Floats:
    """[AGES, horizons] for something of each age, the probability to run on to each horizon."""
    table = np.empty((AGES, len(horizons)))
    for k in range(AGES):
        table[k] = survival(departures, exposure, age_of(k), horizons)
    return table


@compiled
def newcomers(departures: Floats, exposure: Floats, all_departures: Floats, all_exposure: Floats, horizons: Floats) -> Floats:
    """Survival of a new item of a group: the group's own counts, and the whole's as if it were twenty departures."""
    weight = _GROUP / all_departures.sum()
    return survival(departures + weight * all_departures, exposure + weight * all_exposure, 0.0, horizons)


def of_tenant(outlived: Floats, known: Floats, group: Floats) -> Floats:
    """Survival of a tenant's new item: how many outlived each horizon of those of which that is known, drawn towards the group."""
    return (outlived + _TENANT * group) / (known + _TENANT)
