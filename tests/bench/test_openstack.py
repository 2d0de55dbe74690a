"""The pure parts of the benchmark on a region: what a table makes of rounds."""

from __future__ import annotations

import pytest

from bench.openstack.__main__ import compared
from bench.openstack.round import Round, median

THEIRS = [Round([8.0, 12.0], 0.2, 8)] * 3


def ratios(alone: list[Round], ours: list[Round]) -> dict[str, float]:
    return {row.key: row.value for row in compared(THEIRS, alone, ours, [7.0]) if row.key}


def test_each_server_has_its_share_of_what_a_round_took() -> None:
    one = THEIRS[0]
    assert (one.wall_each, one.cpu_ms_each, one.requests_each) == (10.0, 100.0, 4.0)
    assert median([Round([1.0], 0, 0), Round([9.0], 0, 0), Round([2.0], 0, 0)], lambda one: one.wall_each) == 2.0


def test_both_of_ours_are_compared_with_theirs_by_medians() -> None:
    alone = [Round([5.0, 5.0], 0.05, 4), Round([500.0, 500.0], 5, 400), Round([5.0, 5.0], 0.05, 4)]
    found = ratios(alone, [Round([20.0, 20.0], 0.4, 6)])
    assert found["requests_ratio_to_sdk"] == found["wall_ratio_to_sdk"] == 0.5
    assert found["cpu_ratio_to_sdk"] == pytest.approx(0.25)
    assert (found["controller_wall_ratio"], found["controller_requests_ratio"]) == (2.0, 0.75)
    assert found["controller_cpu_ratio"] == pytest.approx(2.0)
    assert (found["requests_per_instance"], found["sdk_requests"], found["database_cpu_ms"]) == (2.0, 4.0, 7.0)


def test_aims_are_missed_by_whoever_does_more_than_the_sdk() -> None:
    rows = {row.key: row.met() for row in compared(THEIRS, [Round([11.0, 11.0], 0.3, 9)], [Round([11.0, 11.0], 9.0, 9)], [7.0])}
    missed = {key for key, met in rows.items() if met is False}
    assert missed == {
        "requests_ratio_to_sdk",
        "cpu_ratio_to_sdk",
        "wall_ratio_to_sdk",
        "controller_requests_ratio",
        "controller_wall_ratio",
    }
