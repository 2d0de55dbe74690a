"""Where everything is during the search, with all sums that a move changes, and the moves themselves, compiled.

Enters: a problem and an assignment that breaks no rule. Leaves: `Fixed`, which the search only reads, and `Moving`, which it changes.
A move puts a process p on machine b; a process q may leave b for c at the same time (c is where p came from: a swap; another: a chain).
NOTHING to move is the last row of `need`, all zeros, so that one evaluation serves shifts, swaps and chains. The sums are those that
would be computed from the assignment anew, always: `put` changes them without asking, and its inverse restores them.
Rejected: sums of exact costs by process, kept in a heap: one move on a machine changes those of all processes there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from scheduler.compiled import inlined, inner
from scheduler.reassign.check import cost
from scheduler.reassign.problem import Bytes, Flags, Ints, Problem

ROOM, SAFE, FREE = 0, 1, 2  # of each machine and resource: until nothing fits, until it costs, until the capacity is used
COST, HIGHEST = 0, 1  # totals: the whole cost, most processes moved of one service


class Fixed(NamedTuple):
    """What a search doesn't change. The last process and the last service are NOTHING's."""

    need: Ints  # P+1 x R
    service: Ints  # P+1
    home: Ints  # P+1
    leaving: Ints  # P+1, weighted
    travel: Ints  # M x M, weighted
    location: Ints
    neighbourhood: Ints
    transient: Flags
    load_weight: Ints
    balance: Ints
    spread: Ints
    needed: Ints  # services that others depend on, by service: needed[needed_from[s]:needed_from[s + 1]]
    needed_from: Ints
    users: Ints  # the other way round
    users_from: Ints
    service_weight: int


class Moving(NamedTuple):
    """What moves change."""

    at: Ints  # P+1
    left: Ints  # M x 3 x R
    machine: Ints  # M: cost of load and balance
    here: Bytes  # S+1 x M: processes of a service on a machine; small, because most draws end with a look at it
    located: Ints  # S+1 x locations
    covered: Ints  # S+1: locations with any
    beside: Ints  # S+1 x neighbourhoods
    moved: Ints  # S+1
    counts: Ints  # services with so many moved
    totals: Ints  # COST, HIGHEST


def fixed(problem: Problem) -> Fixed:
    """The problem with weights multiplied in and NOTHING added."""
    services = len(problem.spread)
    needed, needed_from = grouped(problem.depends[:, 0], problem.depends[:, 1], services)
    users, users_from = grouped(problem.depends[:, 1], problem.depends[:, 0], services)
    return Fixed(
        need=np.vstack([problem.need, np.zeros((1, problem.need.shape[1]), np.int64)]),
        service=np.append(problem.service, services),
        home=np.append(problem.initial, -1),
        leaving=np.append(problem.process_cost * problem.process_weight, 0),
        travel=problem.machine_cost * problem.machine_weight,
        location=np.unique(problem.location, return_inverse=True)[1].astype(np.int64),
        neighbourhood=np.unique(problem.neighbourhood, return_inverse=True)[1].astype(np.int64),
        transient=problem.transient,
        load_weight=problem.load_weight,
        balance=problem.balance,
        spread=np.append(problem.spread, 0),
        needed=needed,
        needed_from=needed_from,
        users=users,
        users_from=users_from,
        service_weight=problem.service_weight,
    )


def moving(problem: Problem, assignment: Ints) -> Moving:
    """The sums of an assignment."""
    services, machines = len(problem.spread) + 1, len(problem.capacity)
    left = _left(problem, assignment)
    over = np.minimum(left[:, SAFE], 0) @ problem.load_weight
    for first, second, ratio, weight in problem.balance.tolist():
        over -= weight * (ratio * left[:, FREE, first] - left[:, FREE, second]).clip(min=0)
    moved = np.bincount(problem.service[assignment != problem.initial], minlength=services)
    location = np.unique(problem.location, return_inverse=True)[1]
    neighbourhood = np.unique(problem.neighbourhood, return_inverse=True)[1]
    located = _counted(problem.service, location[assignment], services, location)
    return Moving(
        at=np.append(assignment, 0),
        left=left,
        machine=-over,
        here=_counted(problem.service, assignment, services, np.arange(machines)).astype(np.int8),
        located=located,
        covered=(located > 0).sum(axis=1),
        beside=_counted(problem.service, neighbourhood[assignment], services, neighbourhood),
        moved=moved,
        counts=np.bincount(moved, minlength=len(assignment) + 2),
        totals=np.array([cost(problem, assignment), moved.max()]),
    )


def _left(problem: Problem, assignment: Ints) -> Ints:
    used, held = np.zeros_like(problem.capacity), np.zeros_like(problem.capacity)
    gone = assignment != problem.initial
    np.add.at(used, assignment, problem.need)
    np.add.at(held, problem.initial[gone], problem.need[gone])
    room = problem.capacity - used - held * problem.transient
    return np.ascontiguousarray(np.stack([room, problem.safety - used, problem.capacity - used], axis=1))


def _counted(service: Ints, place: Ints, services: int, places: Ints) -> Ints:
    counts = np.zeros((services, int(places.max(initial=0)) + 1), np.int64)
    np.add.at(counts, (service, place), 1)
    return counts


def grouped(keys: Ints, values: Ints, groups: int) -> tuple[Ints, Ints]:
    """Values in the order of their keys, and where those of each key begin."""
    begins = np.append(0, np.bincount(keys, minlength=groups + 1).cumsum())
    return values[np.argsort(keys, kind="stable")].astype(np.int64), begins.astype(np.int64)


# -- what a move would do --------------------------------------------------------------------------------------------------------


@inlined
def fits(left: Ints, machine: int, need: Ints, home: Ints, transient: Flags, come: int, go: int) -> bool:
    """Whether the machine has room for one process when another goes. What is transient is never given back at home, nor taken again."""
    good = True
    for resource in range(need.shape[1]):
        change = 0
        if not (transient[resource] and home[come] == machine):
            change += need[come, resource]
        if not (transient[resource] and home[go] == machine):
            change -= need[go, resource]
        if change > left[machine, ROOM, resource]:
            good = False
            break
    return good


@inlined
def cost_with(left: Ints, machine: int, need: Ints, load_weight: Ints, balance: Ints, come: int, go: int) -> int:
    """What load and balance of the machine would cost when one process comes and another goes."""
    total = 0
    for resource in range(need.shape[1]):
        spare = left[machine, SAFE, resource] - need[come, resource] + need[go, resource]
        if spare < 0:
            total -= load_weight[resource] * spare
    for row in range(balance.shape[0]):
        first, second = balance[row, 0], balance[row, 1]
        lack = balance[row, 2] * (left[machine, FREE, first] - need[come, first] + need[go, first])
        lack -= left[machine, FREE, second] - need[come, second] + need[go, second]
        if lack > 0:
            total += balance[row, 3] * lack
    return total


@inlined
def way(travel: Ints, leaving: Ints, home: Ints, process: int, before: int, after: int) -> int:
    """What moving the process costs more when it is on one machine rather than on another."""
    start = home[process]
    more = travel[start, after] - travel[start, before]
    if after != start:
        more += leaving[process]
    if before != start:
        more -= leaving[process]
    return int(more)


@inner
def allowed(fixed: Fixed, moving: Moving, service: int, before: int, after: int, other: int, source: int, target: int) -> bool:
    """Whether a service keeps to spread and neighbours when one of its processes moves, and one of another service at the same time."""
    old, new = fixed.location[before], fixed.location[after]
    lost, won = moving.located[service, old] == 1, moving.located[service, new] == 0
    if old != new and moving.covered[service] - lost + won < fixed.spread[service]:
        return False
    old, new = fixed.neighbourhood[before], fixed.neighbourhood[after]
    source, target = fixed.neighbourhood[source], fixed.neighbourhood[target]
    if old == new:
        return True
    for place in range(fixed.needed_from[service], fixed.needed_from[service + 1]):
        needed = fixed.needed[place]
        count = moving.beside[needed, new] + (needed == other) * (int(target == new) - int(source == new))
        if count == 0 and needed != service:
            return False
    if moving.beside[service, old] == 1:
        for place in range(fixed.users_from[service], fixed.users_from[service + 1]):
            user = fixed.users[place]
            count = moving.beside[user, old] + (user == other) * (int(target == old) - int(source == old))
            if count > 0 and user != service:
                return False
    return True


# -- doing it --------------------------------------------------------------------------------------------------------------------


@inner
def put(fixed: Fixed, moving: Moving, process: int, machine: int) -> None:
    """The process is on the machine from now on. Costs of machines and the total are the caller's to write."""
    before, home, service = moving.at[process], fixed.home[process], fixed.service[process]
    for resource in range(fixed.need.shape[1]):
        need = fixed.need[process, resource]
        for kind in (SAFE, FREE):
            moving.left[before, kind, resource] += need
            moving.left[machine, kind, resource] -= need
        if not (fixed.transient[resource] and before == home):
            moving.left[before, ROOM, resource] += need
        if not (fixed.transient[resource] and machine == home):
            moving.left[machine, ROOM, resource] -= need
    moving.at[process] = machine
    moving.here[service, before] -= 1
    moving.here[service, machine] += 1
    _count_places(fixed, moving, service, before, machine)
    if (machine != home) != (before != home):
        _count_moved(moving, service, 1 if machine != home else -1)


@inner
def _count_places(fixed: Fixed, moving: Moving, service: int, before: int, after: int) -> None:
    old, new = fixed.location[before], fixed.location[after]
    moving.located[service, old] -= 1
    if moving.located[service, old] == 0:
        moving.covered[service] -= 1
    if moving.located[service, new] == 0:
        moving.covered[service] += 1
    moving.located[service, new] += 1
    moving.beside[service, fixed.neighbourhood[before]] -= 1
    moving.beside[service, fixed.neighbourhood[after]] += 1


@inner
def _count_moved(moving: Moving, service: int, change: int) -> None:
    old = moving.moved[service]
    moving.moved[service] = old + change
    moving.counts[old] -= 1
    moving.counts[old + change] += 1
    highest = moving.totals[HIGHEST]
    if old + change > highest:
        moving.totals[HIGHEST] = old + change
    elif old == highest and moving.counts[old] == 0:
        moving.totals[HIGHEST] = highest - 1
