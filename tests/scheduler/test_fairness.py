"""The order in which what waits together is served."""

from __future__ import annotations

import math
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from scheduler.fairness import Account, Waiting, order, share

Case = tuple[list[Waiting], dict[str, Account]]
PROJECTS = {"a": ("root", "a"), "b": ("root", "b"), "c": ("root", "b", "c"), "d": ("d",)}
amounts = st.dictionaries(st.sampled_from(["vcpus", "memory", "gpus"]), st.integers(0, 8), max_size=3)


@st.composite
def cases(draw: st.DrawFn) -> Case:
    """Up to a dozen submissions of four projects, one below another, with few values so that shares are often equal."""
    one = st.builds(Waiting, st.sampled_from([*PROJECTS.values()]), st.integers(0, 2), amounts)
    known = draw(st.sets(st.sampled_from([*PROJECTS, "root"])))
    accounts = {name: Account(draw(amounts), draw(amounts)) for name in sorted(known)}
    return draw(st.lists(one, max_size=12)), accounts


def shares(case: Case, served: Sequence[int]) -> dict[str, float]:
    """Every project's share once these are served."""
    waiting, accounts = case
    found = {}
    for name in PROJECTS:
        account = accounts.get(name, Account({}, {}))
        mine = [waiting[number].asked for number in served if name in waiting[number].path]
        used = {resource: account.used.get(resource, 0) + sum(asked.get(resource, 0) for asked in mine) for resource in account.limits}
        found[name] = share(used, account.limits)
    return found


@given(cases())
def test_everybody_is_served_once_and_higher_classes_first(case: Case) -> None:
    waiting, accounts = case
    served = order(waiting, accounts)
    assert sorted(served) == list(range(len(waiting)))
    ranks = [waiting[number].rank for number in served]
    assert ranks == sorted(ranks, reverse=True)


@given(cases())
def test_nobody_is_served_while_a_project_with_a_lower_share_waits_in_the_same_class(case: Case) -> None:
    waiting, accounts = case
    served = order(waiting, accounts)
    for position, number in enumerate(served):
        now = shares(case, served[:position])
        mine = waiting[number]
        others = [one for one in served[position + 1 :] if waiting[one].rank == mine.rank]
        assert all(now[mine.path[-1]] <= now[waiting[one].path[-1]] for one in others)
        equal = [one for one in others if now[waiting[one].path[-1]] == now[mine.path[-1]]]
        assert all(number < one for one in equal), "of equal shares whoever came earlier"


@given(cases())
def test_within_a_project_and_a_class_the_order_is_that_of_arrival(case: Case) -> None:
    waiting, accounts = case
    served = order(waiting, accounts)
    for key in {(one.path, one.rank) for one in waiting}:
        mine = [number for number in served if (waiting[number].path, waiting[number].rank) == key]
        assert mine == sorted(mine)


def test_the_example_of_the_paper_is_served_as_the_paper_says() -> None:
    """NSDI 2011, figure 3: 9 CPUs and 18 GB, users asking for (1, 4) and (3, 1): three tasks of the first for two of the second."""
    limits = {"cpus": 9, "gb": 18}
    waiting = [Waiting(("first",), 0, {"cpus": 1, "gb": 4})] * 3 + [Waiting(("second",), 0, {"cpus": 3, "gb": 1})] * 2
    served = order(waiting, {"first": Account({}, limits), "second": Account({}, limits)})
    assert ["first" if number < 3 else "second" for number in served] == ["first", "second", "first", "second", "first"]


@pytest.mark.parametrize(
    ("used", "limits", "expected"),
    [
        ({}, {}, 0.0),
        ({"vcpus": 5}, {}, 0.0),
        ({"vcpus": 2, "memory": 3}, {"vcpus": 8, "memory": 4}, 0.75),
        ({"vcpus": 8}, {"vcpus": 4}, 2.0),
        ({"gpus": 1}, {"gpus": 0}, math.inf),
        ({}, {"gpus": 0}, 0.0),
    ],
)
def test_the_share_is_the_largest_part_of_a_limit(used: dict[str, int], limits: dict[str, int], expected: float) -> None:
    assert share(used, limits) == expected
