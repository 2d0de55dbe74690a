"""What no assignment can cost less than.

Enters: a problem. Leaves: a number. Loads and balances are sums over machines of what is above zero, and the sum of all machines' use
doesn't depend on the assignment: so all machines taken as one give a bound. Moving may cost nothing. Rejected: a linear relaxation,
which knows capacities too, but takes longer than the search for the large instances.
"""

from __future__ import annotations

from scheduler.reassign.problem import Problem


def lower_bound(problem: Problem) -> int:
    """A bound of the cost from below, in whole numbers."""
    used = problem.need.sum(axis=0)
    over = (used - problem.safety.sum(axis=0)).clip(min=0)
    free = problem.capacity.sum(axis=0) - used
    total = int((over * problem.load_weight).sum())
    for first, second, ratio, weight in problem.balance.tolist():
        total += weight * max(0, ratio * int(free[first]) - int(free[second]))
    return total
