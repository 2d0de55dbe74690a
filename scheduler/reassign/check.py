"""The whole cost of an assignment and every rule it breaks, computed from the definition alone.

Enters: a problem and an assignment. Leaves: cost and complaints. Nothing here is shared with the search, which keeps its sums by small
changes: the two are held against each other in the tests and on every final answer. Written for being right, not for being quick.
"""

from __future__ import annotations

from collections import Counter, defaultdict

import numpy as np

from scheduler.reassign.problem import Ints, Problem


def use(problem: Problem, assignment: Ints) -> Ints:
    """How much of each resource each machine gives away."""
    used = np.zeros_like(problem.capacity)
    np.add.at(used, assignment, problem.need)
    return used


def cost(problem: Problem, assignment: Ints) -> int:
    """Load, balance and moves, weighted."""
    used = use(problem, assignment)
    total = int(((used - problem.safety).clip(min=0) * problem.load_weight).sum())
    free = problem.capacity - used
    for first, second, ratio, weight in problem.balance.tolist():
        total += weight * int((ratio * free[:, first] - free[:, second]).clip(min=0).sum())
    moved = assignment != problem.initial
    total += problem.process_weight * int(problem.process_cost[moved].sum())
    total += problem.service_weight * max(Counter(problem.service[moved].tolist()).values(), default=0)
    return total + problem.machine_weight * int(problem.machine_cost[problem.initial, assignment].sum())


def broken(problem: Problem, assignment: Ints) -> list[str]:
    """What is wrong with an assignment; nothing for a good one."""
    machines = len(problem.capacity)
    if assignment.shape != problem.initial.shape or assignment.min(initial=0) < 0 or assignment.max(initial=0) >= machines:
        return ["not an assignment of every process to a machine"]
    return [*_over_capacity(problem, assignment), *_services(problem, assignment)]


def _over_capacity(problem: Problem, assignment: Ints) -> list[str]:
    used = use(problem, assignment)
    gone = assignment != problem.initial
    held = np.zeros_like(used)
    np.add.at(held, problem.initial[gone], problem.need[gone])
    used += held * problem.transient
    return [f"machine {machine}: too much of resource {resource}" for machine, resource in np.argwhere(used > problem.capacity).tolist()]


def _services(problem: Problem, assignment: Ints) -> list[str]:
    complaints: list[str] = []
    machines: dict[int, list[int]] = defaultdict(list)
    for service, machine in zip(problem.service.tolist(), assignment.tolist(), strict=True):
        machines[service].append(machine)
    for service, chosen in machines.items():
        if len(set(chosen)) < len(chosen):
            complaints.append(f"service {service}: two processes on one machine")
    for service, least in enumerate(problem.spread.tolist()):
        if len({int(problem.location[machine]) for machine in machines[service]}) < least:
            complaints.append(f"service {service}: too few locations")
    for service, other in problem.depends.tolist():
        theirs = {int(problem.neighbourhood[machine]) for machine in machines[other]}
        if any(int(problem.neighbourhood[machine]) not in theirs for machine in machines[service]):
            complaints.append(f"service {service}: apart from {other}, which it depends on")
    return complaints
