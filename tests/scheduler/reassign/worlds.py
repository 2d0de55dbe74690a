"""Small machine reassignment problems with a first assignment that breaks no rule."""

from __future__ import annotations

import random
from itertools import product

import numpy as np
from hypothesis import strategies as st

from scheduler.reassign.check import broken, cost
from scheduler.reassign.problem import Ints, Problem, ints


def world(seed: int, processes: int = 12, machines: int = 5, resources: int = 3, services: int = 6) -> Problem:
    """Any problem of a size. The first assignment is made first, and the rules so that it keeps them."""
    dice = random.Random(seed)  # noqa: S311
    initial, service = _placed(dice, processes, machines, services)
    need = ints([[dice.randint(0, 9) for _ in range(resources)] for _ in range(processes)], processes, resources)
    used = np.zeros((machines, resources), np.int64)
    np.add.at(used, initial, need)
    capacity = used + ints([dice.randint(0, 14) for _ in range(machines * resources)], machines, resources)
    location = ints([dice.randrange(3) for _ in range(machines)], -1)
    neighbourhood = ints([dice.randrange(2) for _ in range(machines)], -1)
    covered = [len({int(location[machine]) for machine in initial[service == one]}) for one in range(services)]
    near = [{int(neighbourhood[machine]) for machine in initial[service == one]} for one in range(services)]
    pairs = [(one, other) for one in range(services) for other in range(services) if one != other and near[one] <= near[other]]
    balances = [(first, second) for first in range(resources) for second in range(resources) if first != second and dice.random() < 0.3]
    return Problem(
        initial=initial,
        need=need,
        service=service,
        process_cost=ints([dice.randint(0, 3) for _ in range(processes)], -1),
        capacity=capacity,
        safety=capacity * dice.randint(3, 9) // 10,
        location=location,
        neighbourhood=neighbourhood,
        machine_cost=ints([0 if a == b else dice.randint(0, 4) for a in range(machines) for b in range(machines)], machines, machines),
        transient=np.array([dice.random() < 0.4 for _ in range(resources)]),
        load_weight=ints([dice.randint(0, 10) for _ in range(resources)], -1),
        spread=ints([dice.randint(0, most) for most in covered], -1),
        depends=ints([pair for pair in pairs if dice.random() < 0.4], -1, 2),
        balance=ints([(*pair, dice.randint(1, 3), dice.randint(1, 10)) for pair in balances], -1, 4),
        process_weight=dice.randint(0, 2),
        service_weight=dice.randint(0, 9),
        machine_weight=dice.randint(0, 2),
    )


def _placed(dice: random.Random, processes: int, machines: int, services: int) -> tuple[Ints, Ints]:
    """Machines and services of processes, never two of one service on one machine."""
    free = [(machine, service) for machine in range(machines) for service in range(services)]
    chosen = dice.sample(free, processes)
    return ints([machine for machine, _ in chosen], -1), ints([service for _, service in chosen], -1)


def worlds(**sizes: int) -> st.SearchStrategy[Problem]:
    """Problems of a size."""
    return st.integers(0, 1 << 30).map(lambda seed: world(seed, **sizes))


def cheapest(problem: Problem) -> int:
    """The least cost of all assignments that one comes to by moves that break no rule: what rules wall off isn't to be found."""
    every = product(range(len(problem.capacity)), repeat=len(problem.initial))
    good = {one for one in every if not broken(problem, ints(one, -1))}
    reached: set[tuple[int, ...]] = set()
    border = {tuple(problem.initial.tolist())}
    while border:
        reached |= border
        border = {one for one in good - reached if any(_a_move(other, one) for other in border)}
    return min(cost(problem, ints(one, -1)) for one in reached)


def _a_move(before: tuple[int, ...], after: tuple[int, ...]) -> bool:
    """Whether one process moved, or a second one from where the first went."""
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    if len(changed) != 2:
        return len(changed) == 1
    (source, target), (other, beyond) = changed
    return other == target or source == beyond
