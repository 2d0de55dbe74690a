"""The elastic pool: how many hosts are open after each event, by first-fit, by best-fit, and by the scheduler.

In: requests and events. Out: open hosts after each event. Ours learns as the controller can: it counts departures by age, by group and by
tenant once they have happened, from day 0 on, and judges what runs by its age anew every hour. Ends are read where a departure happens,
and nowhere else.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np

from scheduler import history
from scheduler.columns import HORIZONS, Floats, Ints
from scheduler.compiled import compiled
from scheduler.fleet import Fleet
from scheduler.losses import LEAST
from scheduler.types import Item, NoValidHost, Placement, Resources
from simulation import traces
from simulation.replay import decide

_HOUR = 1 / 24
NONE = -1


class Requests(NamedTuple):
    """Start and end in days, need in the trace's units, tenant, group of like size and class."""

    start: Floats
    end: Floats
    need: Ints
    tenant: Ints
    group: Ints


def first_fit(requests: Requests, host: Ints, _at: Floats, what: Ints) -> Ints:
    """The open host that was opened first."""
    return _classic(requests.need, host, what, best=False)


def best_fit(requests: Requests, host: Ints, _at: Floats, what: Ints) -> Ints:
    """The open host whose fullest resource would be fullest."""
    return _classic(requests.need, host, what, best=True)


@compiled
def _classic(need: Ints, host: Ints, what: Ints, best: bool) -> Ints:
    count = len(need)
    free, living = np.zeros((count, 2), np.int64), np.zeros(count, np.int64)
    where, out = np.zeros(count, np.int64), np.zeros(len(what), np.int64)
    opened = used = 0
    for event in range(len(what)):
        k = what[event]
        if k < 0:
            k = -1 - k
            free[where[k]] += need[k]
            living[where[k]] -= 1
            opened -= living[where[k]] == 0
        else:
            chosen, most, closed = NONE, -1.0, used
            for row in range(used):
                if living[row] == 0:
                    closed = min(closed, row)
                elif free[row, 0] >= need[k, 0] and free[row, 1] >= need[k, 1]:
                    points = 1.0 - ((free[row] - need[k]) / host).min() if best else 0.0
                    if points > most:
                        chosen, most = row, points
            if chosen == NONE:
                chosen = closed
                used = max(used, closed + 1)
                free[chosen] = host
            where[k] = chosen
            free[chosen] -= need[k]
            opened += living[chosen] == 0
            living[chosen] += 1
        out[event] = opened
    return out


@dataclass(slots=True)
class _Seen:
    """Departures and days at risk by age, of all and by group; by tenant, how many have ended and what outlived each horizon."""

    departures: Floats
    exposure: Floats
    by_group: Floats
    at_risk: Floats
    outlived: Floats
    ended: Floats
    aged: Floats = field(default_factory=lambda: np.zeros(0))  # [AGES, H] log of being gone
    fresh: Floats = field(default_factory=lambda: np.zeros(0))  # [groups, H] survival of newcomers

    def learn(self) -> None:
        """Make the tables anew."""
        self.aged = history.emptying(self.departures, self.exposure, HORIZONS)
        self.fresh = np.array([
            history.newcomers(one, risk, self.departures, self.exposure, HORIZONS)
            for one, risk in zip(self.by_group, self.at_risk, strict=True)
        ])  # fmt: skip

    def depart(self, life: float, group: int, tenant: int) -> None:
        """Count one that has ended."""
        age = history.age_bin(life)
        self.departures[age] += 1
        self.by_group[group, age] += 1
        self.ended[tenant] += 1
        self.outlived[tenant] += life > HORIZONS


def _untaught(groups: int, tenants: int) -> _Seen:
    ages, horizons = history.AGES, len(HORIZONS)
    by_group, at_risk = np.zeros((groups, ages)), np.zeros((groups, ages))
    seen = _Seen(*history.prior(), by_group, at_risk, np.zeros((tenants, horizons)), np.zeros(tenants))
    seen.learn()
    return seen


def ours(requests: Requests, host: Ints, at: Floats, what: Ints) -> Ints:
    """The scheduler's choice among the open hosts."""
    pool = _Pool(requests, Resources(*host.tolist()), _untaught(int(requests.group.max()) + 1, int(requests.tenant.max()) + 1))
    out, renewed = np.zeros(len(what), np.int64), 0.0
    for event, (now, k) in enumerate(zip(at.tolist(), what.tolist(), strict=True)):
        if k < 0:
            pool.depart(-1 - k, now)
        else:
            if now > renewed + _HOUR:
                pool.renew(now, now - renewed)
                renewed = now
            pool.arrive(k)
        out[event] = len(pool.fleet)
    return out


class _Pool:
    """Open hosts, and which requests live on each."""

    def __init__(self, requests: Requests, size: Resources, seen: _Seen) -> None:
        self.fleet, self._requests, self._size, self._seen = Fleet(), requests, size, seen
        self._needs = [Resources(*need) for need in requests.need.tolist()]
        self._where: dict[int, str] = {}
        self._gone = np.zeros((len(requests.start), len(HORIZONS)))
        self._residents: dict[str, set[int]] = {}
        self._opened = 0

    def arrive(self, k: int) -> None:
        """Place one on an open host, else on a new one."""
        seen, tenant = self._seen, self._requests.tenant[k]
        alive = history.of_tenant(seen.outlived[tenant], seen.ended[tenant], seen.fresh[self._requests.group[k]])
        item = Item("vm", traces.KIND, self._needs[k], alive=tuple(alive.tolist()))
        placed = decide(self.fleet, item)
        if isinstance(placed, NoValidHost):
            self._opened += 1
            self.fleet.upsert([traces.host(f"host-{self._opened}", self._size)])
            placed = decide(self.fleet, item)
            assert isinstance(placed, Placement), "larger than a host"  # noqa: S101
            self._residents[placed.host_id] = set()
        where = placed.host_id
        self._where[k] = where
        self._residents[where].add(k)
        self._gone[k] = np.log(np.maximum(LEAST, 1 - alive))

    def depart(self, k: int, now: float) -> None:
        """Let one go, and close its host if it was the last."""
        where = self._where.pop(k)
        self._residents[where].remove(k)
        if self._residents[where]:
            self.fleet.release(where, self._needs[k])
            self.fleet.expect(where, self._emptying(where))
        else:
            del self._residents[where]
            self.fleet.drop(where)
        self._seen.depart(now - self._requests.start[k], int(self._requests.group[k]), int(self._requests.tenant[k]))

    def renew(self, now: float, passed: float) -> None:
        """Count the time at risk since the last time, learn, and judge what runs by its age."""
        living = np.fromiter(self._where, np.int64, len(self._where))
        ages = np.array([history.age_bin(age) for age in (now - self._requests.start[living]).tolist()], np.int64)
        np.add.at(self._seen.exposure, ages, passed)
        np.add.at(self._seen.at_risk, (self._requests.group[living], ages), passed)
        self._seen.learn()
        self._gone[living] = self._seen.aged[ages]
        for where in self._residents:
            self.fleet.expect(where, self._emptying(where))

    def _emptying(self, where: str) -> list[float]:
        found: list[float] = self._gone[list(self._residents[where])].sum(axis=0).tolist()
        return found
