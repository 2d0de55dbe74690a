"""Machine reassignment on an instance of the ROADEF/EURO challenge 2012.

In: the instance's two files, seconds, a seed. Out: initial cost, cost found, the bound from below, and the assignment in a file.
The seconds are those of the search on one core; compiling, once for each machine, and reading aren't counted. What the search says is
held against the plain evaluation of `scheduler.reassign.check`, and a difference ends the measurement.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from pathlib import Path

from bench.packing.instances import read_problem, write_assignment
from scheduler.reassign.bound import lower_bound
from scheduler.reassign.check import broken, cost
from scheduler.reassign.search import improve

_LINE_EVERY_S = 10.0


def measure(model: Path, assignment: Path, time_s: float, out: Path | None, seed: int = 42) -> dict[str, float]:
    """Search for so many seconds; the costs before and after, and the bound."""
    problem = read_problem(model, assignment)
    if complaints := broken(problem, problem.initial):
        raise ValueError(f"{assignment.name}: {complaints[0]}")
    improve(problem, problem.initial, seed, lambda tried: tried)  # compiles
    found = improve(problem, problem.initial, seed, _clock(model.name, time_s))
    if complaints := broken(problem, found.assignment):
        raise RuntimeError(f"the search broke a rule: {complaints[0]}")
    total = cost(problem, found.assignment)
    if total != found.cost:
        raise RuntimeError(f"the search says {found.cost}, the evaluation {total}")
    if out:
        write_assignment(out, found.assignment)
    return {
        "initial_cost": float(cost(problem, problem.initial)),
        "cost": float(total),
        "lower_bound": float(lower_bound(problem)),
    }


def _clock(name: str, time_s: float) -> Callable[[int], float]:
    """The share of the seconds that is over, from now on; on a terminal with a line now and then."""
    begin = time.monotonic()
    lines = 1

    def spent(tried: int) -> float:
        nonlocal lines
        passed = time.monotonic() - begin
        if passed > lines * _LINE_EVERY_S and sys.stderr.isatty():
            lines += 1
            print(f"{name}: {passed:.0f} of {time_s:g} s, {tried / 1e6:.0f} million moves", file=sys.stderr, flush=True)
        return passed / time_s

    return spent
