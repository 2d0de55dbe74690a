"""Who runs where since when, and what those that ended teach about those that come: for `Item.alive` and `Fleet.expect`.

In: what came, what ended, and the time, all in days on one clock of the caller's. Out: for something new the probability that it still
runs at each of `columns.HORIZONS`; for hosts the log of the probability that all that is on them has gone by then. Nothing here knows when
anything will end: an end is told when it has happened. Coming and going cost the same however many there are; once in a while (`renew`)
all are judged anew by their ages, a pass over arrays of 50 ms for 300,000.

Time at risk is counted to the minute, from `begin` on, of those that ended and of those that run: what runs says as much about lives as
what ended does. How long a tenant's items run is read from both, too: at each horizon, those known to have outlived it over those known.

A term is what was said when it was asked for, and binds nobody. Up to its end it says nothing that the curve doesn't. Beyond it the curve
is multiplied by the share of those with a term that were there a day after theirs, of those that were a day before; a term that has passed
says nothing more. Rejected: taking a term as the end (most clouds never enforce them, and a host would then be thought empty that isn't),
and curves of their own for each length of a term (too few of each to learn from).
"""

from __future__ import annotations

import math
from collections.abc import Hashable, Sequence, Set
from dataclasses import dataclass, field
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from scheduler import history
from scheduler.columns import HORIZONS, Floats, Ints
from scheduler.compiled import compiled
from scheduler.losses import LEAST, LOG_STEPS

FOREVER = math.inf
_HOUR = 1 / 24
_DAY = 1.0
_OUTLIVING = (1.0, 2.0)  # of two that came to the end of their term one stayed, before any was seen
_ROUNDING, _FEWEST = 2, -10  # steps for each halving of a probability, and the halvings after which it counts as none
_RESIDENT = np.dtype([("since", "f8"), ("until", "f8"), ("tenant", "i4"), ("group", "i4"), ("host", "i4"), ("gone", "i4", len(HORIZONS))])


class _Numbers:
    """Numbers from zero on for things as they are met."""

    def __init__(self) -> None:
        self._of: dict[Hashable, int] = {}

    def __len__(self) -> int:
        return len(self._of)

    def __call__(self, one: Hashable) -> int:
        return self._of.setdefault(one, len(self._of))


A = TypeVar("A", bound=np.generic)


def _grown(array: NDArray[A], rows: int) -> NDArray[A]:
    """The array with so many rows at least, zeros behind what there was."""
    if rows <= len(array):
        return array
    return np.concatenate([array, np.zeros((max(rows, 2 * len(array)) - len(array), *array.shape[1:]), array.dtype)])


def _steps(alive: Floats) -> Ints:
    """Probabilities to run as logs of those to be gone, in `losses.LOG_STEPS`: what is added can be taken away again exactly."""
    found: Ints = np.rint(np.log(np.maximum(LEAST, 1.0 - alive)) * LOG_STEPS).astype(np.int64)
    return found


@dataclass(slots=True)
class _Seen:
    """Counts: departures and days at risk by age, of all and by group; by tenant, how many ended before and after each horizon."""

    departures: Floats  # [AGES]
    exposure: Floats
    by_group: Floats = field(default_factory=lambda: np.zeros((0, history.AGES)))
    at_risk: Floats = field(default_factory=lambda: np.zeros((0, history.AGES)))
    outlived: Floats = field(default_factory=lambda: np.zeros((0, len(HORIZONS))))
    ended: Floats = field(default_factory=lambda: np.zeros((0, len(HORIZONS))))
    terms: Floats = field(default_factory=lambda: np.array(_OUTLIVING))  # how many outlived theirs, of how many

    def room(self, tenants: int, groups: int) -> None:
        """See to it that so many can be counted."""
        self.by_group, self.at_risk = _grown(self.by_group, groups), _grown(self.at_risk, groups)
        self.outlived, self.ended = _grown(self.outlived, tenants), _grown(self.ended, tenants)


@compiled
def _judge(slots: Ints, now: float, of: tuple[Any, ...], gone: Any, tables: tuple[Ints, Ints, Floats, Ints], horizons: Floats) -> None:
    """Write what residents at their ages count for, [slots, H] `gone`, and add it up by host; count by tenant what they have outlived.

    `of`: since when, until when, tenant and host by slot. `tables`: `gone` by age, and of those whose term ends before that; both sums.
    """
    since, until, tenant, host = of
    by_age, past_term, still, sums = tables
    for slot in slots:
        age, left = max(now - since[slot], 0.0), until[slot] - now
        bin_ = history.age_bin(age)
        for horizon in range(len(horizons)):
            found = past_term[bin_, horizon] if 0.0 < left <= horizons[horizon] else by_age[bin_, horizon]
            gone[slot, horizon] = found
            sums[host[slot], horizon] += found
            still[tenant[slot], horizon] += age > horizons[horizon]


class Lives:
    """The residents and the counts. Used by one thread at a time."""

    def __init__(self, now: float) -> None:
        """Begin: what is older than `now` counts as at risk from `now` on."""
        self._seen = _Seen(*history.prior())
        self._tenants, self._groups, self._hosts = _Numbers(), _Numbers(), _Numbers()
        self._residents = np.zeros(0, _RESIDENT)
        self._slots: dict[str, int] = {}
        self._empty: list[int] = []
        self._on: list[set[str]] = []  # by host
        self._sums = np.zeros((0, len(HORIZONS)), np.int64)  # [hosts] of `gone` of those on it
        self._counted = now
        self._learn(np.zeros(0, np.int64), now)

    # -- what happens ------------------------------------------------------------------------------------------------------------

    def come(self, key: str, host: str, kin: tuple[Hashable, Hashable], since: float, until: float = FOREVER) -> None:
        """Something is on a host, and if it was on another, no longer there. `kin`: its tenant and its group; `until`: the end of its term.

        Until the next `renew` it is judged as something new.
        """
        if key in self._slots:
            self.go(key, None)
        tenant, group, place = self._numbers(kin), self._groups(kin[1]), self._host(host)
        if not self._empty:
            self._more_room()
        slot = self._slots[key] = self._empty.pop()
        alive = self._newcomer(tenant, group, until - since)
        gone = _steps(alive)
        self._residents[slot] = (since, until, tenant, group, place, gone)
        self._sums[place] += gone
        self._on[place].add(key)

    def go(self, key: str, ended: float | None) -> None:
        """It is there no more; it ended then, or (None) it didn't, and tells nothing. Raises KeyError."""
        slot = self._slots.pop(key)
        one = self._residents[slot]
        self._sums[one["host"]] -= one["gone"]
        self._on[one["host"]].remove(key)
        if ended is not None:
            self._end(int(one["tenant"]), int(one["group"]), float(one["since"]), ended, float(one["until"]))
        self._empty.append(slot)

    def past(self, kin: tuple[Hashable, Hashable], since: float, ended: float, until: float = FOREVER) -> None:
        """Something ended before it was told of."""
        self._end(self._numbers(kin), self._groups(kin[1]), since, ended, until)

    def _numbers(self, kin: tuple[Hashable, Hashable]) -> int:
        tenant, group = self._tenants(kin[0]), self._groups(kin[1])
        self._seen.room(tenant + 1, group + 1)
        return tenant

    def _more_room(self) -> None:
        before = len(self._residents)
        self._residents = _grown(self._residents, before + 64)
        self._empty = list(range(len(self._residents) - 1, before - 1, -1))

    def _end(self, tenant: int, group: int, since: float, ended: float, until: float) -> None:
        seen, life = self._seen, ended - since
        age = history.age_bin(life)
        seen.departures[age] += 1
        seen.by_group[group, age] += 1
        from_ = max(self._counted - since, 0.0)
        history.expose(seen.exposure, seen.at_risk[group], from_, life)
        seen.outlived[tenant] += life > HORIZONS
        seen.ended[tenant] += 1
        seen.terms += (ended > until + _DAY, ended > until - _DAY)

    # -- what is thought ---------------------------------------------------------------------------------------------------------

    def due(self, now: float) -> bool:
        """Whether an hour has passed since all were judged."""
        return now >= self._counted + _HOUR

    def renew(self, now: float) -> None:
        """Count the time at risk since the last time, learn, and judge all that runs by its age."""
        slots = np.fromiter(self._slots.values(), np.int64, len(self._slots))
        living = self._residents[slots]
        first, last = np.maximum(self._counted - living["since"], 0.0), np.maximum(now - living["since"], 0.0)
        history.expose_all(self._seen.exposure, self._seen.at_risk, living["group"].astype(np.int64), first, last)
        self._counted = max(now, self._counted)
        self._learn(slots, now)

    def _learn(self, slots: Ints, now: float) -> None:
        seen, of = self._seen, self._residents
        self._still = np.zeros_like(seen.ended)  # [tenants, H] those that run and have outlived it
        late = float((of["until"][slots] < now - _DAY).sum())
        outlived, reached = seen.terms + late
        self._share = float(outlived / reached)
        self._fresh: dict[int, Floats] = {}  # by group, survival of newcomers
        self._sums[:] = 0
        aged = history.ages(seen.departures, seen.exposure, HORIZONS)
        tables = _steps(aged), _steps(aged * self._share), self._still, self._sums
        _judge(slots, now, (of["since"], of["until"], of["tenant"], of["host"]), of["gone"], tables, HORIZONS)

    def expect(self, kin: tuple[Hashable, Hashable], term: float = FOREVER) -> tuple[float, ...]:
        """For something new of a tenant and a group, the probability to run at each horizon. `term`: the days it was asked for.

        Rounded to half powers of two, so that lives that are nearly alike have one curve, and keys are kept for it (`scores.shape_of`).
        """
        alive = self._newcomer(self._numbers(kin), self._groups(kin[1]), term)
        halvings = np.rint(_ROUNDING * np.log2(np.maximum(alive, LEAST))) / _ROUNDING
        found: list[float] = np.where(halvings < _FEWEST, 0.0, 2.0**halvings).tolist()
        return tuple(found)

    def _newcomer(self, tenant: int, group: int, term: float) -> Floats:
        seen, fresh = self._seen, self._fresh.get(group)
        if fresh is None:
            one = seen.by_group[group], seen.at_risk[group]
            fresh = self._fresh[group] = history.newcomers(*one, seen.departures, seen.exposure, HORIZONS)
        still = self._still[tenant] if tenant < len(self._still) else 0.0
        alive = history.of_tenant(seen.outlived[tenant] + still, seen.ended[tenant] + still, fresh)
        return np.where(term <= HORIZONS, alive * self._share, alive) if term < FOREVER else alive

    def emptying(self, hosts: Sequence[str]) -> Floats:
        """[hosts, H] the log of the probability that all that is on each has gone; zeros where nobody is."""
        places = [self._host(host) for host in hosts]
        return self._sums[places] / LOG_STEPS

    def on(self, host: str) -> Set[str]:
        """Who is on a host."""
        return self._on[self._host(host)]

    def _host(self, host: str) -> int:
        place = self._hosts(host)
        if place == len(self._on):
            self._on.append(set())
            self._sums = _grown(self._sums, place + 1)
        return place
