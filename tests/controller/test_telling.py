"""Where a backend tells when there is more to be seen, the controller relies on that: it doesn't ask in between, and misses nothing."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any, cast

from controller import sealing
from controller.connections import Connections
from controller.reconcile.instances import InstanceLoop
from drivers.base import Condition, Driver, InstanceSpec, Observation
from tests.controller.asking import create, row_of
from tests.controller.fixtures import Cloud

SOON_S = 8.0  # far less than what passes until somebody asks of his own


@dataclass
class Slow:
    """A backend that builds for as long as a test wants, and promises to say when it is done. `seen`: called after each look."""

    inner: Driver
    seen: Callable[[str], None] = lambda _: None
    built: set[str] = field(default_factory=set)
    looks: list[str] = field(default_factory=list)

    def driver(self, _endpoint: Any) -> Driver:
        return cast(Driver, self)

    def observe(self, instance_id: str) -> Observation:
        found = self.inner.observe(instance_id)
        building = found.condition is Condition.RUNNING and instance_id not in self.built  # as it is before `seen` may change that
        self.looks.append(instance_id)
        self.seen(instance_id)
        return replace(found, condition=Condition.BUSY, told=True) if building else found

    def ensure(self, spec: InstanceSpec) -> None:
        self.inner.ensure(spec)


@contextmanager
def looping(cloud: Cloud, slow: Slow) -> Iterator[InstanceLoop]:
    loop = InstanceLoop(cloud.database, cast(Connections, slow), cloud.settings, sealing.load(cloud.settings.seal_path))
    loop.start()
    try:
        yield loop
    finally:
        loop.stop()


def slow_driver(cloud: Cloud) -> Slow:
    (endpoint,) = cloud.rows("SELECT id, driver, uri, options, credentials FROM endpoints")
    return Slow(cloud.connections().driver(endpoint))


def until(holds: Callable[[], bool], what: str) -> None:
    deadline = time.monotonic() + SOON_S
    while not holds():
        assert time.monotonic() < deadline, what
        time.sleep(0.05)


def test_what_is_being_built_is_looked_at_when_its_backend_says_so_and_not_before(cloud: Cloud) -> None:
    slow = slow_driver(cloud)
    (id_,) = create(cloud)
    with looping(cloud, slow) as loop:
        until(lambda: row_of(cloud, id_)["condition"] == "busy", "nothing was built")
        looks = len(slow.looks)
        time.sleep(2.0)
        assert len(slow.looks) == looks, "it was asked though it promised to tell"
        slow.built.add(id_)
        loop.wake(id_)
        until(lambda: row_of(cloud, id_)["state"] == "active", "what the backend said was not heard")


def test_what_a_backend_says_right_after_it_was_looked_at_is_not_lost(cloud: Cloud) -> None:
    slow = slow_driver(cloud)
    (id_,) = create(cloud)
    with looping(cloud, slow) as loop:

        def at_once(instance_id: str) -> None:
            if slow.looks.count(instance_id) == 2:  # before and after it was made
                slow.built.add(instance_id)
                loop.wake(instance_id)

        slow.seen = at_once
        until(lambda: row_of(cloud, id_)["state"] == "active", "said while its pass was under way, and forgotten")
