"""The reconciler one step at a time: what the loops do with threads and pauses, done here in order and without waiting.

A `Stepper` is one controller's reconciler. With `fatal=k` it dies at its k-th touch of the world (before or after a driver call, before or
after a commit), as a killed process would: what was in its memory is lost, what it leased stays leased until the lease runs out. A new
Stepper is the controller that is started afterwards.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Collection, Iterable
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from sqlalchemy import Connection

from controller import sealing
from controller.reconcile import instance_pass
from controller.reconcile.endpoints import EndpointLoop
from controller.reconcile.fencing import Fencing
from controller.reconcile.instances import write
from controller.store import fleet, instances
from drivers.adopting import Adopts, Foreign
from drivers.base import Driver, HostPower, InstanceSpec, Inventory, Observation, PowerControl, Releases
from tests.controller.fixtures import Cloud

T = TypeVar("T")
_WAITING = (
    "SELECT i.id FROM instances i JOIN hosts h ON h.id = i.host_id WHERE i.due_at IS NOT NULL AND h.state = 'up'"
    " AND (i.goal = 'gone' OR (coalesce(i.starts_at, now()) <= now()"
    "      AND NOT EXISTS (SELECT 1 FROM allocations a WHERE a.instance_id = i.id AND a.after IS NOT NULL)))"
)


class Crash(BaseException):
    """The controller was killed here. Not an Exception: nothing in the controller may catch it, as nothing catches SIGKILL."""


@dataclass(slots=True)
class Points:
    """Counts the places where a controller could die; at number `fatal` (from 1) it does."""

    fatal: int | None = None
    passed: list[str] = field(default_factory=list)

    def at(self, where: str) -> None:
        """One such place."""
        self.passed.append(where)
        if len(self.passed) == self.fatal:
            raise Crash(f"{self.fatal}: {where}")


@dataclass(frozen=True, slots=True)
class Mortal:
    """A driver whose caller may die before and after every call."""

    inner: Driver
    points: Points

    def _call(self, verb: str, call: Callable[[], T]) -> T:
        self.points.at(f"before {verb}")
        answer = call()
        self.points.at(f"after {verb}")
        return answer

    def inventory(self) -> Inventory:
        return self._call("inventory", self.inner.inventory)

    def inventory_with(self, adopted: Collection[str]) -> Inventory:
        assert isinstance(self.inner, Adopts)
        return self._call("inventory", partial(self.inner.inventory_with, adopted))

    def foreign(self, after: str, most: int) -> tuple[tuple[Foreign, ...], str]:
        assert isinstance(self.inner, Adopts)
        return self._call("foreign", partial(self.inner.foreign, after, most))

    def foreigner(self, id_: str) -> Foreign | None:
        assert isinstance(self.inner, Adopts)
        return self._call("foreigner", partial(self.inner.foreigner, id_))

    def disown(self, instance_id: str, adopted: str) -> None:
        assert isinstance(self.inner, Adopts)
        self._call("disown", partial(self.inner.disown, instance_id, adopted))

    def observe(self, instance_id: str) -> Observation:
        return self._call("observe", lambda: self.inner.observe(instance_id))

    def observe_all(self) -> Iterable[Observation]:
        return self._call("observe_all", lambda: list(self.inner.observe_all()))

    def ensure(self, spec: InstanceSpec) -> None:
        self._call("ensure", lambda: self.inner.ensure(spec))

    def remove(self, instance_id: str) -> None:
        self._call("remove", lambda: self.inner.remove(instance_id))

    def release(self, instance_id: str, host: str) -> None:
        assert isinstance(self.inner, Releases)
        self._call("release", partial(self.inner.release, instance_id, host))

    def switch_power(self, host: str, wanted: HostPower) -> HostPower:
        assert isinstance(self.inner, PowerControl)
        return self._call("switch_power", partial(self.inner.switch_power, host, wanted))

    def close(self) -> None:
        self.inner.close()


class Stepper:
    """One controller's reconciler."""

    def __init__(self, cloud: Cloud, fatal: int | None = None, lease_s: float = 0.0) -> None:
        self.cloud, self.points, self._lease_s = cloud, Points(fatal), lease_s
        self._connections = cloud.connections()

    def commit(self, what: str, work: Callable[[Connection], T]) -> T:
        """One transaction, with a place to die before it and one right after its commit."""
        self.points.at(f"before {what}")
        answer = self.cloud.run(work)
        self.points.at(f"after {what}")
        return answer

    def once(self) -> int:
        """Pick what is due, pass over it, record; how many there were."""
        picked = self.commit("pick", lambda conn: instances.pick(conn, self._lease_s, [], 256))
        found = [self.examine(row) for row in picked]
        if found:
            self.commit("record", lambda conn: write(conn, found))
        silent = {row["endpoint_id"] for row, one in zip(picked, found, strict=True) if one.unreachable}
        if silent:
            self.commit("look_now", lambda conn: fleet.look_now(conn, sorted(silent)))
        return len(picked)

    def examine(self, row: Any) -> instance_pass.Outcome:
        """One pass over one picked instance; nothing is recorded yet."""
        connect = partial(self.open, row["endpoint"])
        off = partial(Fencing(MortalDatabase(self), MortalConnections(self)).off, row["endpoint_id"])
        return instance_pass.run(connect, row, self.cloud.settings, sealing.load(self.cloud.settings.seal_path), off=off)

    def open(self, endpoint: Any) -> Driver:
        """The driver of an endpoint, mortal."""
        return Mortal(self._connections.driver(endpoint), self.points)

    def settle(self, timeout_s: float = 10.0) -> None:
        """Step until nothing is due, nor will be without somebody asking for it. Pauses are cut short, as by a backend's hints."""
        until = time.monotonic() + timeout_s
        while True:
            if self.once() == 0:
                waiting = [row["id"] for row in self.cloud.rows(_WAITING)]
                if not waiting:
                    return
                time.sleep(0.02)
                self.cloud.run(partial(instances.make_due, ids=waiting))
            assert time.monotonic() < until, self.cloud.rows("SELECT name, goal, state, condition, reason, attempts, due_at FROM instances")

    def looking(self) -> EndpointLoop:
        """A loop that remembers what it told of, as one controller's does; it dies where the Stepper does."""
        return EndpointLoop(MortalDatabase(self), MortalConnections(self), self.cloud.env)

    def look(self, loop: EndpointLoop | None = None) -> None:
        """Look at every endpoint once, due or not."""
        self.cloud.run(
            lambda conn: fleet.look_now(
                conn, [row["id"] for row in fleet.page_endpoints(conn, {"driver": None, "pool": None, "state": None}, "", 100)]
            )
        )
        for endpoint in self.cloud.run(lambda conn: fleet.pick_endpoints(conn, 5.0, 32)):
            (loop or self.looking()).look(endpoint)


@dataclass(frozen=True, slots=True)
class MortalDatabase:
    """As a loop uses a database, with places to die around each commit."""

    stepper: Stepper

    def run(self, work: Callable[[Connection], T]) -> T:
        return self.stepper.commit("commit", work)


@dataclass(frozen=True, slots=True)
class MortalConnections:
    """As a loop uses connections, with places to die around each call."""

    stepper: Stepper

    def driver(self, endpoint: Any) -> Driver:
        return self.stepper.open(endpoint)
