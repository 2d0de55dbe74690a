"""Who of those that wait together is served first: higher classes, then projects that have less, then who came earlier.

In: what waits, each for a project with its class and sizes; what every project has and by what it is bounded. Out: the order. Fair between
projects is dominant-resource fairness (Ghodsi et al., "Dominant Resource Fairness: Fair Allocation of Multiple Resource Types", NSDI 2011,
algorithm 1): a project's dominant share is the largest part that it has of any resource that it is bounded in, and the one with the lowest
is served next, its share then counted with what it was given. Deterministic: equal shares go by arrival. Invariant: nobody is served while
a project of equal class that has a lower share waits. Everything is counted as if it were given: who is refused later has only been looked
at too early. Rejected: shares of the whole cloud (they cost a look at all of it, and projects without limits would outweigh the others).
"""

from __future__ import annotations

import heapq
import math
from collections import defaultdict, deque
from collections.abc import Hashable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

Amounts = Mapping[Any, int | Decimal]
"""By resource; the caller says what a resource is."""


@dataclass(frozen=True, slots=True)
class Account:
    """What a project has, and the limits that bound it. A resource without a limit counts for no share."""

    used: Amounts
    limits: Amounts


@dataclass(frozen=True, slots=True)
class Waiting:
    """Something that waits. `path`: the projects that it counts for, the one that asks last. `rank`: of its class, the higher first."""

    path: tuple[str, ...]
    rank: int
    asked: Amounts


def share(used: Amounts, limits: Amounts) -> float:
    """The dominant share: the largest part of a limit that is used; infinite where something is used that may not be."""
    parts = (float(used.get(resource, 0) / limit) if limit else math.inf for resource, limit in limits.items() if used.get(resource, 0))
    return max(parts, default=0.0)


def order(waiting: Sequence[Waiting], accounts: Mapping[str, Account]) -> list[int]:
    """Numbers of what waits (given in order of arrival), in the order in which it is served.

    `accounts` by project; one that is not named has nothing and is bounded in nothing.
    """
    used: dict[str, dict[Hashable, int | Decimal]] = {id_: dict(account.used) for id_, account in accounts.items()}
    classes: dict[int, dict[str, deque[int]]] = defaultdict(lambda: defaultdict(deque))
    for number, one in enumerate(waiting):
        classes[one.rank][one.path[-1]].append(number)
    served: list[int] = []
    for rank in sorted(classes, reverse=True):
        served += _in_turn(waiting, classes[rank], accounts, used)
    return served


def _in_turn(
    waiting: Sequence[Waiting],
    queues: Mapping[str, deque[int]],
    accounts: Mapping[str, Account],
    used: dict[str, dict[Hashable, int | Decimal]],
) -> list[int]:
    """One class: project by project, the lowest share first. Counts in `used` what is served."""

    def now(project: str) -> float:
        return share(used[project], accounts[project].limits) if project in accounts else 0.0

    served: list[int] = []
    heap = [(now(project), queue[0], project) for project, queue in queues.items()]
    heapq.heapify(heap)
    while heap:
        was, number, project = heapq.heappop(heap)
        if (is_ := now(project)) > was:  # grown since by what a project below it was given
            heapq.heappush(heap, (is_, number, project))
            continue
        served.append(queues[project].popleft())
        for id_ in waiting[number].path:
            for resource, amount in waiting[number].asked.items() if id_ in used else ():
                used[id_][resource] = used[id_].get(resource, 0) + amount
        if queues[project]:
            heapq.heappush(heap, (now(project), queues[project][0], project))
    return served
