"""Telling an endpoint of a project's share: once for all that wait, and never from before they came."""

from __future__ import annotations

import threading
import uuid
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor

import pytest

from controller.reconcile.tenants import Teller
from controller.store.database import Database
from drivers.container import Tenant
from drivers.errors import Transient
from drivers.fake.driver import open_fake

WAITING = 24


class Endpoint:
    """Keeps projects apart. The first telling lasts until `more` is set; each fails that `fails` still counts."""

    def __init__(self, fails: int = 0) -> None:
        self.told, self.fails = 0, fails
        self.begun, self.more = threading.Event(), threading.Event()

    def settle(self, tenants: Sequence[Tenant], whole: bool) -> None:
        assert not whole
        assert not tenants, "a project that has nothing there yet"
        self.told += 1
        self.begun.set()
        assert self.more.wait(10)
        if self.fails:
            self.fails -= 1
            raise Transient(detail="not now")


@pytest.fixture
def project() -> str:
    return str(uuid.uuid4())


@pytest.fixture
def endpoint_id() -> str:
    return str(uuid.uuid4())


def test_of_many_that_wait_two_tell_for_all(database: Database, endpoint_id: str, project: str) -> None:
    """Those that came while one told can't know whether they were counted: one of them tells again."""
    teller, endpoint = Teller(database), Endpoint()
    with ThreadPoolExecutor(WAITING) as pool:
        first = pool.submit(teller.tell, endpoint, endpoint_id, project)
        assert endpoint.begun.wait(10)
        others = [pool.submit(teller.tell, endpoint, endpoint_id, project) for _ in range(WAITING - 1)]
        while pool._work_queue.qsize():  # until each has come
            threading.Event().wait(0.01)
        threading.Event().wait(0.2)
        endpoint.more.set()
        for one in (first, *others):
            one.result(timeout=10)
    assert endpoint.told == 2


def test_who_comes_later_tells_anew(database: Database, endpoint_id: str, project: str) -> None:
    teller, endpoint = Teller(database), Endpoint()
    endpoint.more.set()
    for _ in range(3):
        teller.tell(endpoint, endpoint_id, project)
    assert endpoint.told == 3


def test_what_failed_was_not_told(database: Database, endpoint_id: str, project: str) -> None:
    teller, endpoint = Teller(database), Endpoint(fails=1)
    with ThreadPoolExecutor(2) as pool:
        first = pool.submit(teller.tell, endpoint, endpoint_id, project)
        assert endpoint.begun.wait(10)
        second = pool.submit(teller.tell, endpoint, endpoint_id, project)
        threading.Event().wait(0.2)
        endpoint.more.set()
        with pytest.raises(Transient):
            first.result(timeout=10)
        second.result(timeout=10)
    assert endpoint.told == 2


def test_an_endpoint_that_keeps_no_projects_apart_is_told_nothing(database: Database, endpoint_id: str, project: str) -> None:
    Teller(database).tell(open_fake("fake:apart?hosts=1", "tests", {}), endpoint_id, project)
