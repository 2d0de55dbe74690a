"""A better assignment by simulated annealing over shifts, swaps and chains of two.

Enters: a problem, an assignment that breaks no rule, a seed, and `spent`, which says from the number of moves tried so far which share of
the effort is used up: time or moves, as the caller likes. Leaves: the cheapest assignment seen, which breaks no rule either. No clock and
no global dice: the same seed and the same answers of `spent` give the same result.
Temperatures are by what an average process weighs, so that nothing is to be tuned for an instance. With more effort than one cooling can
use, further rounds heat the best again. Rejected: rounds for large problems too, where one slow cooling finds more; neighbourhoods solved
exactly, which need a solver of integer programs.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from scheduler.reassign.anneal import COUNT, FIRST, ORDER, RANK, Dice, Peers, anneal
from scheduler.reassign.check import cost
from scheduler.reassign.problem import Ints, Problem
from scheduler.reassign.state import COST, fixed, grouped, moving

CHUNK = 20_000  # moves between two questions how much is spent: a few milliseconds
# By the share of a round that is over: temperatures, by the weight of an average process. Quickly through the liquid, slowly through where
# it freezes; in what is left of the round nothing dearer is taken.
_MELTED, _FROZEN, _STILL = 0.1, 0.8, 0.97
_SHARES = (0.0, _MELTED, _FROZEN, _STILL)
_HEATS = (0.5, 0.1, 6e-4, 1e-6)
_ROUND = 10_000  # moves of a round, by processes and by machines
_MOST_ROUNDS = 12
_KNOWN = 0.002  # from this share of the effort on it is known how many moves there will be
_STICK = 4.0  # what the average process is charged for being away, by temperature; nothing in every second round: it can hide a small gain


class Found(NamedTuple):
    """An assignment, and its cost by the sums of the search."""

    assignment: Ints
    cost: int


def improve(problem: Problem, assignment: Ints, seed: int, spent: Callable[[int], float]) -> Found:
    """The best that is found until `spent` says 1."""
    if not assignment.size or len(problem.capacity) < 2:
        return Found(assignment.copy(), cost(problem, assignment))
    problem = transient_first(problem)
    rules, state = fixed(problem), moving(problem, assignment)
    who, dice = peers(problem), scattered(seed)
    stick = who.stick
    weight = weight_of_one(problem)
    best, least = assignment.copy(), int(state.totals[COST])
    tried, rounds, number = 0, 0, 0
    while (share := spent(tried)) < 1:
        if not rounds and share >= _KNOWN:
            rounds = _rounds(problem, tried / share)
        if int(share * rounds) > number:
            number, state = int(share * rounds), moving(problem, best)
            who = who._replace(stick=stick * (1 - number % 2))
        anneal(rules, state, who, dice, weight * _temperature(share * max(rounds, 1) - number), CHUNK)
        tried += CHUNK
        if state.totals[COST] < least:
            best, least = state.at[:-1].copy(), int(state.totals[COST])
    return Found(best, least)


def _rounds(problem: Problem, moves: float) -> int:
    """How often to heat with so many moves in all: a small problem gains by another round, a large one by a slower one."""
    return min(max(int(moves / (_ROUND * problem.initial.size * len(problem.capacity))), 1), _MOST_ROUNDS)


def _temperature(share: float) -> float:
    """Of a round, by its share that is over."""
    return 0.0 if share >= _STILL else float(np.exp(np.interp(share, _SHARES, np.log(_HEATS))))


def weight_of_one(problem: Problem) -> float:
    """What an average process can cost where it is, by load or by balance, whichever is more."""
    mean = problem.need.mean(axis=0)
    balance = sum(weight * (ratio * mean[first] + mean[second]) for first, second, ratio, weight in problem.balance.tolist())
    return max(float(mean @ problem.load_weight), float(balance))


def scattered(seed: int) -> Dice:
    """Dice of a seed. Neighbouring seeds shall not begin alike, and zero would stay zero."""
    return np.random.SeedSequence(seed).generate_state(1, np.uint64) | np.uint64(1)


def peers(problem: Problem) -> Peers:
    """Processes by size and by service, and how much each holds of what is transient."""
    share = problem.need / problem.capacity.sum(axis=0).clip(min=1)
    order = np.argsort(share.sum(axis=1), kind="stable").astype(np.int64)
    table = np.empty((len(order), 4), np.int64)
    table[:, ORDER] = order
    table[order, RANK] = np.arange(len(order))
    held = (share * problem.transient).sum(axis=1)
    members, members_from = grouped(problem.service, np.arange(len(order)), len(problem.spread))
    table[:, FIRST] = members_from[problem.service]
    table[:, COUNT] = members_from[problem.service + 1] - table[:, FIRST]
    stick = np.append(_STICK * held / held.mean() if held.any() else held, 0.0)
    return Peers(table, members, stick)


def transient_first(problem: Problem) -> Problem:
    """The same with transient resources before others: they are the first to be full, and room is asked for in this order."""
    order = np.argsort(~problem.transient, kind="stable")
    place = np.argsort(order)
    balance = problem.balance.copy()
    balance[:, :2] = place[balance[:, :2]]
    return problem._replace(
        need=np.ascontiguousarray(problem.need[:, order]),
        capacity=np.ascontiguousarray(problem.capacity[:, order]),
        safety=np.ascontiguousarray(problem.safety[:, order]),
        transient=problem.transient[order],
        load_weight=problem.load_weight[order],
        balance=balance,
    )
