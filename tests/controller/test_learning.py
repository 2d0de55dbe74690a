"""What controllers learn of the work that is asked for: from what is there when they start, and from what they admit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from controller.actions.admit import admit
from controller.actions.draft import Admission
from controller.config import Settings
from controller.store.database import Database
from scheduler.history import Work
from tests.controller.asking import look
from tests.controller.fixtures import PLENTY, ROOT, Cloud, forget, make_cloud, submission


@pytest.fixture
def gpu_cloud(database: Database, settings: Settings) -> Iterator[Cloud]:
    made = make_cloud(database, settings, gpus=2)
    made.auto_approve(ROOT, PLENTY)
    made.flavor("trainer", 8, 8192, 20, gpus=1)
    yield made
    forget(made.uri)


def hand_in(cloud: Cloud, admission: Admission, flavor: str, **more: object) -> None:
    cloud.run(lambda conn: admit(conn, admission, [submission(cloud.admin, flavor=flavor, **more)]))


def test_a_controller_learns_from_what_it_admits_and_another_from_what_is_there(gpu_cloud: Cloud) -> None:
    one = gpu_cloud.admission()
    hand_in(gpu_cloud, one, "small")
    assert not one.view.fleet.learnt.work
    hand_in(gpu_cloud, one, "trainer", explain=True)
    assert not one.view.fleet.learnt.work, "a question is not an application"
    hand_in(gpu_cloud, one, "trainer")
    assert set(one.view.fleet.learnt.work) == {Work(8, 1, 1000)}
    other = gpu_cloud.admission()
    look(gpu_cloud, other)
    assert other.view.fleet.learnt == one.view.fleet.learnt


def test_what_was_learnt_outlives_a_look_that_began_anew(gpu_cloud: Cloud) -> None:
    admission = gpu_cloud.admission()
    hand_in(gpu_cloud, admission, "trainer")
    learnt = admission.view.fleet.learnt
    admission.view.forget()
    look(gpu_cloud, admission)
    assert admission.view.fleet.learnt == learnt
