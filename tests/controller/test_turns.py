"""What waits together is decided class by class, and fairly between projects: with room for some, the right ones get it."""

from __future__ import annotations

from collections.abc import Sequence

from controller import errors
from controller.actions.admit import admit
from controller.actions.draft import Accepted
from controller.model.request import Submission
from tests.controller import ledger
from tests.controller.fixtures import ROOT, Cloud, submission


def taken(cloud: Cloud, given: Sequence[Submission]) -> list[bool]:
    """Which of these, handed in together, are taken."""
    outcomes = cloud.run(lambda conn: admit(conn, cloud.admission(), given))
    assert cloud.run(ledger.wrong) == []
    assert all(isinstance(one, Accepted | errors.NoCapacity | errors.QuotaExceeded) for one in outcomes), outcomes
    return [isinstance(one, Accepted) for one in outcomes]


def test_the_last_room_goes_to_the_highest_class(cloud: Cloud) -> None:
    cloud.policy(ROOT, max_priority="critical")
    project = cloud.project("health")
    many = [submission(cloud.admin, project, "large", name=f"n{n}", count=8) for n in range(2)]
    low = submission(cloud.admin, project, "large", name="low", count=8, priority="batch")
    high = submission(cloud.admin, project, "large", name="high", count=4, priority="critical")
    assert taken(cloud, [low, *many, high]) == [False, True, False, True], "room for 16, asked for 28: critical, then who came earlier"


def test_the_last_of_a_limit_goes_to_the_highest_class(cloud: Cloud) -> None:
    cloud.policy(ROOT, max_priority="critical")
    project = cloud.project("health", instances=1)
    given = [submission(cloud.admin, project, name=name, priority=name) for name in ("batch", "normal", "critical")]
    assert taken(cloud, given) == [False, False, True]


def test_the_last_room_goes_to_the_project_that_has_less_of_what_it_may_have(cloud: Cloud) -> None:
    rich, poor = cloud.project("rich", vcpus=64), cloud.project("poor", vcpus=64)
    assert taken(cloud, [submission(cloud.admin, rich, "large", name="first", count=8)]) == [True]
    wanted = [submission(cloud.admin, rich, "large", name=f"more{n}", count=2) for n in range(4)]
    given = [*wanted, *(submission(cloud.admin, poor, "large", name=f"n{n}", count=2) for n in range(4))]
    assert taken(cloud, given) == [False] * 4 + [True] * 4, "eight more fit, and only then have both the same"


def test_a_large_limit_makes_the_same_use_a_small_share(cloud: Cloud) -> None:
    wide, narrow = cloud.project("wide", vcpus=640), cloud.project("narrow", vcpus=64)
    assert taken(cloud, [submission(cloud.admin, path, "large", name="first", count=6) for path in (wide, narrow)]) == [True, True]
    given = [submission(cloud.admin, path, "large", name="second", count=4) for path in (narrow, wide)]
    assert taken(cloud, given) == [False, True]
