"""What is learnt from counts."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from scheduler import history
from scheduler.columns import HORIZONS
from scheduler.history import Arrivals, Work, typical
from scheduler.types import Resources
from tests.scheduler.worlds import item


def test_typical_work_is_the_frequent_with_gpus() -> None:
    half, whole, rare = Work(1, 1, 500), Work(1, 1, 1000), Work(1, 8, 1000)
    found = typical({Work(1, 0, 1000): 900, half: 60, whole: 37, rare: 3}, {"": 10})
    assert set(found) == {half, whole}
    assert sum(found.values()) == pytest.approx(1.0)
    assert found[half] > found[whole]


def test_nothing_is_typical_before_anything_came() -> None:
    assert typical({}, {"m": 4}) == {}
    assert Arrivals().learnt({}) == history.Learnt()


def test_work_that_few_gpus_can_serve_weighs_more() -> None:
    anywhere, tied = Work(1, 1, 1000), Work(1, 1, 1000, ("rare",))
    found = typical({anywhere: 50, tied: 50}, {"rare": 1, "plain": 15})
    assert found[tied] / found[anywhere] == pytest.approx(16**0.75)


def test_learning_is_due_at_first_and_whenever_a_quarter_more_has_come() -> None:
    seen, gpu = Arrivals(), item(resources=Resources(4, 1024, 1, 1))
    due = [number for number in range(1, 60) if seen.count(gpu)]
    assert due[:4] == [1, 2, 3, 4]
    assert all(later >= earlier * 1.25 for earlier, later in pairwise(due[3:]))
    assert not seen.count(item()), "what asks for neither teaches nothing"
    assert seen.work == {Work(4, 1, 1000): 59}


def test_the_half_of_a_pair_is_the_mean_of_those_seen() -> None:
    seen = Arrivals()
    for vcpus in (4, 8):
        seen.count(item(resources=Resources(vcpus, 1024 * vcpus, 1), cells=2))
    assert seen.learnt({}).pair == (3.0, 3072.0)


def test_without_history_what_is_old_is_expected_to_stay() -> None:
    departures, exposure = history.prior()
    young = history.survival(departures, exposure, 0.01, HORIZONS)
    old = history.survival(departures, exposure, 100.0, HORIZONS)
    assert (np.diff(young) <= 0).all()
    assert (old > young).all()
    assert old[-1] > 0.9


def test_departures_seen_shorten_what_is_expected() -> None:
    departures, exposure = history.prior()
    before = history.survival(departures, exposure, 0.0, HORIZONS)
    departures[history.age_bin(0.1)] += 100
    after = history.survival(departures, exposure, 0.0, HORIZONS)
    assert after[6] < before[6]


def test_a_tenant_is_judged_by_its_own_past_as_that_grows() -> None:
    group = np.array([0.5, 0.5])
    assert history.of_tenant(np.zeros(2), 0.0, group) == pytest.approx(group)
    assert history.of_tenant(np.array([10.0, 0.0]), 10.0, group) == pytest.approx([1.0, 0.0], abs=0.02)
