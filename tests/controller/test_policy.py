"""Which policy is in force on a project, and which is looser than another."""

from __future__ import annotations

from typing import Any

import pytest

from controller.model.request import in_force, looser

NOBODY = {"auto_approve": None, "max_priority": None, "may_preempt": None}
SMALL, LARGE = {"vcpus": 2}, {"vcpus": 8}


@pytest.mark.parametrize(
    ("path", "expected"),
    [
        ([{}, {}], {"auto_approve": None, "max_priority": "normal", "may_preempt": False}),
        ([{"max_priority": "critical", "may_preempt": True}, {}], {"auto_approve": None, "max_priority": "critical", "may_preempt": True}),
        ([{"may_preempt": True}, {"may_preempt": False}], {"auto_approve": None, "max_priority": "normal", "may_preempt": False}),
        ([{"max_priority": "critical"}, {"max_priority": "batch"}], {"auto_approve": None, "max_priority": "batch", "may_preempt": False}),
        ([{"auto_approve": LARGE}, {"auto_approve": {}}], {"auto_approve": {}, "max_priority": "normal", "may_preempt": False}),
    ],
)
def test_each_part_is_that_of_the_nearest_that_says_something(path: list[dict[str, Any]], expected: dict[str, Any]) -> None:
    assert in_force([NOBODY | row for row in path]) == expected


ABOVE = in_force([{"auto_approve": SMALL, "max_priority": "normal", "may_preempt": False}])


@pytest.mark.parametrize(
    ("wanted", "expected"),
    [
        ({}, False),
        (NOBODY, False),
        ({"auto_approve": SMALL, "max_priority": "normal", "may_preempt": False}, False),
        ({"max_priority": "batch"}, False),
        ({"auto_approve": LARGE}, True),
        ({"max_priority": "critical"}, True),
        ({"may_preempt": True}, True),
    ],
)
def test_looser_is_what_allows_more_in_any_part(wanted: dict[str, Any], expected: bool) -> None:
    assert looser(wanted, ABOVE) is expected
