"""The sums that the search keeps are those of the whole assignment, and what it finds is good."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from scheduler.reassign.anneal import anneal
from scheduler.reassign.bound import lower_bound
from scheduler.reassign.check import broken, cost
from scheduler.reassign.problem import Problem, ints
from scheduler.reassign.search import CHUNK, improve, peers, scattered
from scheduler.reassign.state import COST, fixed, moving
from tests.scheduler.reassign.worlds import cheapest, world, worlds

MANY = settings(max_examples=150, deadline=None)


@given(worlds(), st.integers(0, 99), st.sampled_from([0.0, 5.0, 200.0]))
@MANY
def test_after_every_move_the_sums_are_those_of_the_assignment_and_no_rule_is_broken(
    problem: Problem, seed: int, temperature: float
) -> None:
    state, rules, who, dice = moving(problem, problem.initial), fixed(problem), peers(problem), scattered(seed)
    before = problem.initial
    for _ in range(60):
        anneal(rules, state, who, dice, temperature, 1)
        now = state.at[:-1].copy()
        assert broken(problem, now) == []
        assert state.totals[COST] == cost(problem, now)
        if (now != before).any():
            anew = moving(problem, now)
            for name, kept, counted in zip(state._fields, state, anew, strict=True):
                assert np.array_equal(kept, counted), name
        before = now


@given(worlds(processes=5, machines=3, services=3), st.integers(0, 99))
@settings(max_examples=25, deadline=None)
def test_of_few_processes_the_cheapest_assignment_is_found(problem: Problem, seed: int) -> None:
    several = [improve(problem, problem.initial, seed + more, lambda tried: tried / (30 * CHUNK)) for more in range(3)]
    for found in several:
        assert broken(problem, found.assignment) == []
        assert cost(problem, found.assignment) == found.cost
    assert min(found.cost for found in several) == cheapest(problem)


@given(worlds(processes=20, machines=8, services=8))
@settings(max_examples=20, deadline=None)
def test_what_is_found_is_between_the_bound_and_the_start(problem: Problem) -> None:
    found = improve(problem, problem.initial, 1, lambda tried: tried / (2 * CHUNK))
    assert lower_bound(problem) <= found.cost <= cost(problem, problem.initial)


def test_the_same_seed_and_effort_find_the_same() -> None:
    problem = world(7, processes=60, machines=12, services=20)
    first, again = (improve(problem, problem.initial, 3, lambda tried: tried / (4 * CHUNK)) for _ in range(2))
    assert np.array_equal(first.assignment, again.assignment)
    assert not np.array_equal(scattered(3), scattered(4))


def test_no_effort_leaves_everything_where_it_is() -> None:
    problem = world(8)
    found = improve(problem, problem.initial, 3, lambda _: 1.0)
    assert np.array_equal(found.assignment, problem.initial)
    assert found.cost == cost(problem, problem.initial)


@pytest.mark.parametrize(("processes", "machines"), [(0, 3), (3, 1)])
def test_where_nothing_can_move_nothing_does(processes: int, machines: int) -> None:
    problem = world(9, processes=processes, machines=machines)
    found = improve(problem, problem.initial, 3, lambda tried: tried / CHUNK)
    assert np.array_equal(found.assignment, problem.initial)


def test_a_search_goes_on_from_where_another_ended() -> None:
    problem = world(10, processes=60, machines=12, services=20)
    first = improve(problem, problem.initial, 3, lambda tried: tried / (2 * CHUNK))
    again = improve(problem, first.assignment, 4, lambda tried: tried / (2 * CHUNK))
    assert broken(problem, again.assignment) == []
    assert cost(problem, again.assignment) == again.cost <= first.cost < cost(problem, problem.initial)


@pytest.mark.parametrize(
    ("assignment", "complaint"),
    [
        ([0, 0, 1], "service 0: two processes on one machine"),
        ([0, 1, 0], "machine 0: too much of resource 0"),
        ([0, 2, 2], "service 0: too few locations"),
        ([2, 0, 1], "service 1: apart from 0, which it depends on"),
        ([0, 1, 3], "not an assignment of every process to a machine"),
        ([0, 1], "not an assignment of every process to a machine"),
    ],
)
def test_each_broken_rule_is_named(assignment: list[int], complaint: str) -> None:
    problem = _three_machines()
    assert broken(problem, problem.initial) == []
    assert complaint in broken(problem, ints(assignment, -1))


def test_what_moves_takes_a_transient_resource_on_both_machines() -> None:
    problem = _three_machines()._replace(spread=ints([0, 0], -1), depends=ints([], -1, 2))
    swapped = ints([1, 0, 2], -1)
    assert broken(problem, swapped) == []
    kept = broken(problem._replace(transient=np.array([True])), swapped)
    assert kept == ["machine 0: too much of resource 0", "machine 1: too much of resource 0"]


def _three_machines() -> Problem:
    """Two processes of service 0, in two locations, and one of service 1, which has to be where service 0 is."""
    return Problem(
        initial=ints([0, 1, 2], -1),
        need=ints([5, 5, 3], 3, 1),
        service=ints([0, 0, 1], -1),
        process_cost=ints([1, 1, 1], -1),
        capacity=ints([7, 7, 9], 3, 1),
        safety=ints([7, 7, 9], 3, 1),
        location=ints([0, 1, 0], -1),
        neighbourhood=ints([0, 1, 0], -1),
        machine_cost=ints([0] * 9, 3, 3),
        transient=np.array([False]),
        load_weight=ints([1], -1),
        spread=ints([2, 0], -1),
        depends=ints([1, 0], 1, 2),
        balance=ints([], 0, 4),
        process_weight=1,
        service_weight=1,
        machine_weight=1,
    )
