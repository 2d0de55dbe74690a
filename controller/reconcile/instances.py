"""Bring instances to what was asked: pick what is due, pass over it, record what was found.

Any number of controllers may run this on one database. An instance that is picked is leased, so that no two of them work on it; a lease of
a controller that died runs out and another goes on. Passes of one endpoint share a bounded number of threads, so that one that is silent
leaves room for the others. What passes found is recorded in groups, one transaction for many.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict, deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from functools import partial
from typing import Any

import structlog

from controller.config import Settings
from controller.connections import Connections
from controller.model.lifecycle import SETTLED, State
from controller.reconcile.fencing import Fencing
from controller.reconcile.instance_pass import Outcome, run
from controller.reconcile.tenants import Teller
from controller.sealing import Seal
from controller.store import events, fleet, instances
from controller.store.database import Database

log = structlog.get_logger()
Row = Mapping[str, Any]
_IDLE_S = 0.5  # longest wait before looking for work that nobody announced
_PICK = 256
_GATHER_S = 0.05  # what is found while more waits is kept for so long, to be recorded together
_QUEUE_LONG = 96  # picked but waiting instances of one endpoint, beyond which no more of its are picked


class InstanceLoop:
    """The threads that reconcile instances in one controller."""

    def __init__(self, database: Database, connections: Connections, settings: Settings, seal: Seal) -> None:
        self._database, self._connections, self._settings, self._seal = database, connections, settings, seal
        self._lock = threading.Lock()
        self._waiting: dict[str, deque[Row]] = defaultdict(deque)  # by endpoint
        self._running: dict[str, int] = defaultdict(int)  # threads by endpoint
        self._held: dict[str, str] = {}  # instances leased by us, with their endpoint
        self._teller, self._fencing = Teller(database), Fencing(database, connections)
        self._hints: set[str] = set()
        self._stirred: set[str] = set()  # held instances of which a backend said something meanwhile
        self._found: deque[Outcome] = deque()
        self._work, self._results = threading.Event(), threading.Event()
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(settings.workers, thread_name_prefix="driver")
        self._threads = [
            threading.Thread(target=self._forever, args=(loop,), name=loop.__name__, daemon=True) for loop in (self._pick, self._record)
        ]
        self._renewed = time.monotonic()

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def stop(self) -> None:
        """End after the passes under way; what is left is somebody else's when its lease runs out."""
        self._ending.set()
        self._work.set()
        self._pool.shutdown(wait=True, cancel_futures=True)
        self._results.set()
        for thread in self._threads:
            thread.join(timeout=10)

    def wake(self, instance_id: str | None = None) -> None:
        """Something may be due; `instance_id`: a backend says that this one changed.

        One that is being worked on is looked at anyway: most hints are echoes of what a pass itself just did. Only where the pass ends
        relying on such hints is it looked at once more.
        """
        if instance_id is not None:
            with self._lock:
                if instance_id in self._held:
                    self._stirred.add(instance_id)
                    return
                self._hints.add(instance_id)
        self._work.set()

    def _forever(self, loop: Callable[[], None]) -> None:
        while not self._ending.is_set():
            try:
                loop()
            except Exception:
                log.exception("loop_broke", loop=loop.__name__)
                self._ending.wait(1.0)
        if loop == self._record:
            loop()

    # -- pick --------------------------------------------------------------------------------------------------------------------

    def _pick(self) -> None:
        self._work.wait(_IDLE_S)
        self._work.clear()
        if self._ending.is_set():
            return
        with self._lock:
            hints, self._hints = self._hints, set()
            hints -= self._held.keys()
            saturated = [id_ for id_, queue in self._waiting.items() if len(queue) >= _QUEUE_LONG]
        lease = self._settings.lease_s

        def pick(conn: Any) -> Sequence[Row]:
            instances.make_due(conn, sorted(hints))
            return instances.pick(conn, lease, saturated, _PICK)

        picked = self._database.run(pick)
        if picked:
            self._spread(picked)
        if len(picked) == _PICK:
            self._work.set()
        self._renew()

    def _spread(self, picked: Sequence[Row]) -> None:
        """Hand picked instances to the threads of their endpoints."""
        with self._lock:
            for row in picked:
                self._held[row["id"]] = row["endpoint_id"]
                self._waiting[row["endpoint_id"]].append(row)
            starts = []
            for endpoint_id, driver in {row["endpoint_id"]: row["endpoint"]["driver"] for row in picked}.items():
                free = self._settings.at_once(driver) - self._running[endpoint_id]
                more = min(free, len(self._waiting[endpoint_id]))
                self._running[endpoint_id] += more
                starts += [endpoint_id] * more
        for endpoint_id in starts:
            with suppress(RuntimeError):  # no more threads are given once the end has begun: whoever comes next goes on
                self._pool.submit(self._drain, endpoint_id)

    def _renew(self) -> None:
        if time.monotonic() - self._renewed < self._settings.lease_s / 3:
            return
        with self._lock:
            held = list(self._held)
        if held:
            self._database.run(lambda conn: instances.renew(conn, held, self._settings.lease_s))
        self._renewed = time.monotonic()

    # -- pass --------------------------------------------------------------------------------------------------------------------

    def _drain(self, endpoint_id: str) -> None:
        """Pass over the waiting instances of one endpoint until none is left."""
        while True:
            with self._lock:
                if not self._waiting[endpoint_id] or self._ending.is_set():
                    self._running[endpoint_id] -= 1
                    return
                row = self._waiting[endpoint_id].popleft()
                if len(self._waiting[endpoint_id]) == _QUEUE_LONG // 2:
                    self._work.set()  # before it runs dry
            connect = partial(self._connections.driver, row["endpoint"])
            settle = partial(self._teller.tell, endpoint_id=endpoint_id, project_id=row["project_id"])
            off = partial(self._fencing.off, endpoint_id)
            self._found.append(run(connect, row, self._settings, self._seal, settle, off))
            self._results.set()

    # -- record ------------------------------------------------------------------------------------------------------------------

    def _record(self) -> None:
        self._results.wait(_IDLE_S)
        if any(self._waiting.values()):
            time.sleep(_GATHER_S)
        self._results.clear()
        batch = [self._found.popleft() for _ in range(min(len(self._found), _PICK))]
        if not batch:
            return
        if self._found:
            self._results.set()
        try:
            self._database.run(lambda conn: write(conn, batch))
        except Exception:
            self._found.extendleft(reversed(batch))  # nothing found is lost while the database is away
            self._results.set()
            raise
        with self._lock:
            silent = {self._held[one.record["id"]] for one in batch if one.unreachable and one.record["id"] in self._held}
            for one in batch:
                self._held.pop(one.record["id"], None)
            told = {one.record["id"] for one in batch if one.told} & self._stirred
            self._hints |= told
            self._stirred -= {one.record["id"] for one in batch}
        if told:
            self._work.set()
        if silent:
            self._database.run(lambda conn: fleet.look_now(conn, sorted(silent)))
        if any(one.record["again_s"] is not None and one.record["again_s"] < _IDLE_S for one in batch):
            self._work.set()


def write(conn: Any, batch: Sequence[Outcome]) -> None:
    """Record what passes found, in one transaction: states, freed and fitted allocations, events."""
    written = instances.record(conn, [one.record for one in batch])
    gone = [one.record["id"] for one in batch if one.record["state"] == State.DELETED and one.record["id"] in written]
    if gone:
        _free(conn, gone)
    settled = [one.record["id"] for one in batch if one.record["settled"] and one.record["state"] in SETTLED and one.record["resized"]]
    if settled:
        instances.fit_allocations(conn, settled)
    events.add(conn, [fact for one in batch if one.record["id"] in written for fact in one.facts])


def _free(conn: Any, gone: Sequence[str]) -> None:
    """What was given back goes on where it is, in nobody's ledger: until a look has told how much is left there, nothing is."""
    left = instances.left_alone(conn, gone)
    if left:  # first: endpoints are locked before hosts
        fleet.look_now(conn, sorted({row["endpoint_id"] for row in left}))
    instances.free(conn, gone)
    if left:
        fleet.fill(conn, [row["host_id"] for row in left])
