"""Look at whole endpoints: are they there, what hosts do they have, and does what runs there agree with what we know.

A look changes no instance by itself; it only makes those due that are not as recorded, so that a pass deals with them. An endpoint that
does not answer makes its hosts unreachable and their instances unknown; nothing is freed and nothing is started elsewhere. Only what a host
ran of which the endpoint, or its machine's BMC (`fencing`), makes it certain that it runs nothing any more is started elsewhere
(`actions.relocating`). What bears our
mark and is no instance of ours is dealt with by stated policy: left over from a deleted instance, it is removed; unknown altogether (a
restored database knows less than the backend), it is reported and left alone.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from typing import Any

import orjson
import structlog
from sqlalchemy import Connection

from controller.actions import relocating
from controller.actions.env import Env
from controller.actions.fleet import bury, discover
from controller.connections import Connections
from controller.model import translate
from controller.model.lifecycle import SETTLED, State
from controller.reconcile.fencing import Fencing
from controller.reconcile.switching import Switching
from controller.reconcile.tenants import settle
from controller.store import bmcs, events, fleet, instances
from controller.store.database import Database
from drivers.adopting import Adopts
from drivers.base import Condition, Driver, Inventory, Looks, Observation, PowerControl, Prepare
from drivers.container import Meddled
from drivers.errors import DriverError, HostUnreachable, Timeout
from drivers.journal import Tends

log = structlog.get_logger()
Row = Mapping[str, Any]
_IDLE_S = 0.5
_PREPARE_S = 300.0


@dataclass(frozen=True, slots=True)
class Looked:
    """What a look found. `adopted`: what it took for ours because that is on record; None: by a driver that adopts nothing."""

    inventory: Inventory
    seen: Mapping[str, Observation]
    adopted: frozenset[str] | None


class EndpointLoop:
    """The threads that look at endpoints in one controller."""

    def __init__(self, database: Database, connections: Connections, env: Env) -> None:
        self._database, self._connections, self._env = database, connections, env
        self._settings, self._fencing = env.settings, Fencing(database, connections)
        self._ending = threading.Event()
        self._pool = ThreadPoolExecutor(max(4, env.settings.workers // 3), thread_name_prefix="look")
        self._thread = threading.Thread(target=self._run, name="endpoints", daemon=True)
        self._reported: dict[str, set[str]] = defaultdict(set)  # orphans already told of, by endpoint
        self._beside: dict[str, set[str]] = defaultdict(set)  # what stands among ours and isn't, by endpoint
        self._under_way: set[str] = set()
        self._hints: set[str] = set()  # endpoints whose hosts changed
        self._asked_at: dict[str, float] = {}  # when an endpoint was last asked whether all that it needs is there

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def stop(self) -> None:
        """End after the looks under way."""
        self._ending.set()
        self._thread.join(timeout=10)  # first: it hands looks to the pool
        self._pool.shutdown(wait=True, cancel_futures=True)

    def look_soon(self, endpoint_id: str) -> None:
        """Its hosts changed, a backend says."""
        self._hints.add(endpoint_id)

    def _run(self) -> None:
        lease = self._settings.lease_s + self._settings.observe_interval_s
        while not self._ending.wait(_IDLE_S):
            try:
                for endpoint in self._database.run(lambda conn: self._pick(conn, lease)):
                    self._under_way.add(endpoint["id"])
                    self._pool.submit(self._look, endpoint)
            except Exception:
                log.exception("loop_broke", loop="endpoints")

    def _pick(self, conn: Connection, lease_s: float) -> Sequence[Row]:
        hints, self._hints = self._hints, set()
        if hints:
            fleet.look_now(conn, sorted(hints))
        return fleet.pick_endpoints(conn, lease_s, 32, list(self._under_way))

    def _look(self, endpoint: Row) -> None:
        try:
            self.look(endpoint)
        except Exception:
            log.exception("look_broke", endpoint=endpoint["name"])
        finally:
            self._under_way.discard(endpoint["id"])

    def look(self, endpoint: Row) -> None:
        """One look at one endpoint, and what follows from it."""
        switching = Switching(self._database, endpoint)
        try:
            driver = self._connections.driver(endpoint)
            self._prepare(endpoint["id"], driver)
            if isinstance(driver, PowerControl):  # those of others are never asked for
                switching.act(driver)
            if isinstance(driver, Tends):
                driver.tend()
            adopted = self._adopted(endpoint, driver)
            inventory, seen = self._ask(endpoint["id"], driver, adopted)
        except (HostUnreachable, Timeout) as error:
            log.warning("endpoint_silent", endpoint=endpoint["name"], reason=str(error))
            self._database.run(partial(silent, endpoint=endpoint, error=error, again_s=self._settings.observe_interval_s))
            self._bury(endpoint)
            return
        except DriverError as error:  # it answers, if not as it should: no reason to call what runs there unknown
            log.warning("endpoint_troubled", endpoint=endpoint["name"], reason=str(error))
            self._database.run(partial(troubled, endpoint=endpoint, error=error, again_s=self._settings.observe_interval_s / 3))
            return
        strangers = self._database.run(lambda conn: self._compare(conn, endpoint, Looked(inventory, seen, adopted), switching))
        for id_, row in strangers.items():
            self._stranger(endpoint, id_, row)
        if moved := self._database.run(lambda conn: relocating.off(conn, self._env, endpoint["id"])):
            log.info("relocated", endpoint=endpoint["name"], instances=len(moved))
        try:
            settle(self._database, driver, endpoint["id"])
            self._tell_meddling(endpoint, driver)
        except DriverError as error:
            log.warning("endpoint_troubled", endpoint=endpoint["name"], reason=str(error))
            self._database.run(partial(troubled, endpoint=endpoint, error=error, again_s=self._settings.observe_interval_s))

    def _ask(self, endpoint_id: str, driver: Driver, adopted: frozenset[str] | None) -> tuple[Inventory, dict[str, Observation]]:
        """What hosts there are, and what runs there."""
        found: Iterable[Observation] | None = None
        if isinstance(driver, Looks):
            inventory, found = driver.look(adopted or ())
        else:
            inventory = driver.inventory_with(adopted or ()) if isinstance(driver, Adopts) else driver.inventory()
        inventory = self._fencing.judge(endpoint_id, inventory)
        return inventory, {one.instance_id: one for one in (driver.observe_all() if found is None else found)}

    def _bury(self, endpoint: Row) -> None:
        """Of hosts whose endpoint does not answer, those whose machine is off are fenced, for as long as it is."""
        proofs = self._fencing.dead(endpoint["id"], self._database.run(lambda conn: bmcs.seen_off(conn, endpoint["id"])))
        self._database.run(lambda conn: bury(conn, endpoint["id"], proofs))
        if proofs:
            self._database.run(lambda conn: relocating.off(conn, self._env, endpoint["id"]))

    def _prepare(self, endpoint_id: str, driver: Driver) -> None:
        """Now and then, not only when it is connected to: rights may have been taken away since."""
        now = time.monotonic()
        if isinstance(driver, Prepare) and now - self._asked_at.setdefault(endpoint_id, now) > _PREPARE_S:
            self._asked_at[endpoint_id] = now
            driver.prepare()

    def _adopted(self, endpoint: Row, driver: Driver) -> frozenset[str] | None:
        """What counts as ours behind an endpoint, whether it bears our marks yet or not."""
        return self._database.run(lambda conn: instances.adopted_on(conn, endpoint["id"])) if isinstance(driver, Adopts) else None

    def _compare(self, conn: Connection, endpoint: Row, looked: Looked, switching: Switching) -> dict[str, Row | None]:
        current = fleet.in_care(conn, endpoint["id"])
        if current is None:
            return {}
        why = _kept(switching.settle(conn, looked.inventory))
        fleet.endpoint_seen(conn, endpoint["id"], "connected", why, switching.again_s(self._settings.observe_interval_s))
        if current["state"] != "connected":
            events.add(conn, [events.event("endpoint.connected", "endpoint", endpoint["id"], endpoint["name"], None, "chutian")])
        if looked.adopted is None or instances.adopted_on(conn, endpoint["id"]) == looked.adopted:
            discover(conn, self._env.new_id, current, looked.inventory)
        else:  # what hosts have was told without what was adopted meanwhile, or with what was given back
            fleet.look_now(conn, [endpoint["id"]])
        due, moved, unknown, seen = [], {}, set(looked.seen), looked.seen
        for row in instances.on_endpoint(conn, endpoint["id"]):
            one = seen.get(row["id"])
            unknown.discard(row["id"])
            if differs(row, one):
                due.append(row["id"])
            if one is not None and _other_addresses(row, one):
                moved[row["id"]] = one.addresses
        instances.make_due(conn, due)
        if moved:
            instances.set_addresses(conn, moved)
        known = instances.among(conn, sorted(unknown)) if unknown else {}
        return {id_: known.get(id_) for id_ in unknown}

    def _stranger(self, endpoint: Row, id_: str, row: Row | None) -> None:
        """Something with our mark that should not be on this endpoint."""
        if row is not None and row["state"] == State.DELETED:
            driver = self._connections.driver(endpoint)
            if driver.observe(id_).condition is Condition.ABSENT:
                return
            if row["disowned"]:  # marked by a controller that was late; it isn't ours to remove
                if isinstance(driver, Adopts):
                    driver.disown(id_, row["adopted"])
                return
            driver.remove(id_)
            self._say("instance.leftover_removed", "instance", id_, row["name"], row["project_id"], endpoint)
        elif id_ not in self._reported[endpoint["id"]]:
            self._reported[endpoint["id"]].add(id_)
            if row is None:
                self._say("endpoint.orphan_found", "endpoint", endpoint["id"], endpoint["name"], None, endpoint, instance=id_)
            else:
                self._say("instance.seen_elsewhere", "instance", id_, row["name"], row["project_id"], endpoint)

    def _tell_meddling(self, endpoint: Row, driver: Driver) -> None:
        """What somebody did around projects there, each time; what stands among ours, once."""
        found = driver.meddled() if isinstance(driver, Meddled) else ()
        beside = {one.what for one in found if not one.mended}
        for one in found:
            if one.mended or one.what not in self._beside[endpoint["id"]]:
                kind = "endpoint.meddled" if one.mended else "endpoint.stranger_found"
                self._say(kind, "endpoint", endpoint["id"], endpoint["name"], None, endpoint, what=one.what, path=one.project)
        self._beside[endpoint["id"]] = beside

    def _say(self, kind: str, object_kind: str, id_: str, name: str, project_id: str | None, endpoint: Row, **params: Any) -> None:
        fact = events.event(kind, object_kind, id_, name, project_id, "chutian", endpoint=endpoint["name"], **params)
        self._database.run(lambda conn: events.add(conn, [fact]))


def _kept(error: DriverError | None) -> str | None:
    """Why, as it is kept."""
    return None if error is None else orjson.dumps(translate.reason(error.reason)).decode()


def differs(row: Row, seen: Observation | None) -> bool:
    """Whether what is seen of an instance is not what is recorded."""
    if row["due"]:
        return False
    condition = seen.condition if seen else Condition.ABSENT
    if condition != row["condition"]:
        return True
    settled = row["state"] in SETTLED
    return (
        settled and seen is not None and seen.generation != row["observed_generation"] and row["generation"] == row["observed_generation"]
    )


def _other_addresses(row: Row, seen: Observation) -> bool:
    return seen.condition is Condition.RUNNING and bool(seen.addresses) and list(seen.addresses) != row["addresses"]


def troubled(conn: Connection, endpoint: Row, error: DriverError, again_s: float) -> None:
    """Record why a look at an endpoint failed that does answer; it stays as it was, and is looked at again sooner."""
    current = fleet.in_care(conn, endpoint["id"])
    if current is not None:
        fleet.endpoint_seen(conn, endpoint["id"], current["state"], _kept(error), again_s)


def silent(conn: Connection, endpoint: Row, error: DriverError, again_s: float) -> None:
    """Record that an endpoint does not answer: its hosts are unreachable, what runs there unknown."""
    current = fleet.in_care(conn, endpoint["id"])
    if current is None:
        return
    reason = translate.reason(error.reason) or {}
    fleet.endpoint_seen(conn, endpoint["id"], "unreachable", orjson.dumps(reason).decode(), again_s)
    facts: list[events.Event] = []
    if current["state"] != "unreachable":
        facts.append(_fact("endpoint.unreachable", "endpoint", endpoint, why=reason["code"], **reason["params"]))
    hosts = fleet.set_hosts_state(conn, endpoint["id"], "up", "unreachable")
    facts += [_fact("host.unreachable", "host", row, instances=row["used_instances"]) for row in hosts]
    events.add(conn, facts)
    events.add_for_all_on(conn, [row["id"] for row in hosts], "instance.unseen")


def _fact(kind: str, object_kind: str, row: Row, **params: Any) -> events.Event:
    return events.event(kind, object_kind, row["id"], row["name"], None, "chutian", **params)
