"""What happens behind the controller's back, in silence, and by time alone: noticed, told and mended, and nothing is freed too early."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Any

import pytest

from controller.actions import fleet, requests
from controller.actions.admit import admit
from controller.actions.draft import Accepted
from controller.config import Settings
from controller.model import views
from controller.model.identity import Role
from controller.reconcile.housekeeping import HousekeepingLoop
from controller.store import fleet as fleet_store
from drivers.errors import HostUnreachable, Transient
from tests.controller.asking import Case, arrived, ask, backend, create, nothing_left, quickly, row_of, running, sound, told
from tests.controller.fixtures import ROOT, Cloud, submission
from tests.controller.stepping import Crash, Stepper

Row = Mapping[str, Any]
_WRITTEN = ("instances", "allocations", "events", "usage", "hosts", "requests")


def test_a_look_writes_nothing_of_an_endpoint_that_is_being_let_go_of(cloud: Cloud) -> None:
    hosts = cloud.rows("SELECT id FROM hosts ORDER BY id")
    (endpoint,) = cloud.run(lambda conn: fleet_store.pick_endpoints(conn, 60.0, 9))
    look = threading.Thread(target=Stepper(cloud).looking().look, args=(endpoint,))
    with cloud.database.begin() as conn:
        fleet_store.retire_endpoint(conn, endpoint["id"])
        look.start()
        look.join(timeout=1)
        assert look.is_alive(), "it waits to know"
    look.join()
    assert cloud.rows("SELECT id FROM hosts ORDER BY id") == hosts
    assert cloud.rows("SELECT state FROM endpoints") == [{"state": "retired"}]


# -- behind our back -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("meddle", "event"), [("destroy", "instance.stopped_by_other"), ("undefine", "instance.vanished")])
def test_what_somebody_stops_or_removes_by_hand_is_noticed_told_and_mended(cloud: Cloud, meddle: str, event: str) -> None:
    id_ = running(cloud)
    getattr(cloud.world, meddle)(id_)
    stepper = Stepper(cloud)
    assert stepper.once() == 0, "nobody looked yet"
    stepper.look()
    stepper.settle()
    assert row_of(cloud, id_)["state"] == "active"
    assert backend(cloud, id_).live
    assert told(cloud, id_)[2:] == [event, "instance.mended"]
    sound(cloud)


def test_what_somebody_starts_by_hand_is_stopped_again_and_told(cloud: Cloud) -> None:
    id_ = running(cloud)
    ask(cloud, "stop", id_)
    stepper = Stepper(cloud)
    stepper.settle()
    cloud.world.start(id_)
    stepper.look()
    stepper.settle()
    assert row_of(cloud, id_)["state"] == "stopped"
    assert not backend(cloud, id_).live
    assert told(cloud, id_)[-2:] == ["instance.started_by_other", "instance.mended"]


def test_who_asks_for_a_look_while_one_is_under_way_gets_another(cloud: Cloud) -> None:
    running(cloud)
    pick = partial(fleet_store.pick_endpoints, lease_s=5.0, limit=32)
    loop = Stepper(cloud).looking()
    for asked in (False, True):
        cloud.run(lambda conn: fleet_store.look_now(conn, [row["id"] for row in cloud.rows("SELECT id FROM endpoints")]))
        (under_way,) = cloud.run(pick)
        if asked:
            cloud.run(lambda conn, row=under_way: fleet_store.look_now(conn, [row["id"]]))
            assert cloud.run(partial(pick, but=[under_way["id"]])) == [], "its own controller waits for the look to end"
        loop.look(under_way)
        assert len(cloud.run(pick)) == asked


def test_drift_is_told_once_although_mending_takes_many_tries(cloud: Cloud) -> None:
    id_ = running(cloud)
    cloud.world.destroy(id_)
    cloud.world.fail_next("ensure", Transient(detail="busy"), times=6)
    quick = quickly(cloud)
    stepper = Stepper(quick)
    stepper.look()
    stepper.settle()
    assert told(cloud, id_)[2:] == ["instance.stopped_by_other", "instance.retrying", "instance.mended"]
    assert row_of(cloud, id_)["state"] == "active"


def test_what_is_left_over_of_a_deleted_instance_is_removed_and_told(cloud: Cloud) -> None:
    id_ = running(cloud)
    kept = backend(cloud, id_)
    ask(cloud, "delete", id_)
    stepper = Stepper(cloud)
    stepper.settle()
    cloud.world.store.put(kept, [])  # a backend restored from its own backup
    stepper.look()
    assert cloud.world.records() == {}
    assert told(cloud, id_)[-1] == "instance.leftover_removed"


def test_what_bears_our_mark_and_is_unknown_is_reported_once_and_left_alone(cloud: Cloud) -> None:
    id_ = running(cloud)
    stranger = "00000000-0000-4000-8000-000000000001"
    cloud.world.store.put(replace(backend(cloud, id_), instance_id=stranger), [])
    (endpoint,) = cloud.rows("SELECT id FROM endpoints")
    stepper = Stepper(cloud)
    loop = stepper.looking()
    for _ in range(3):
        stepper.look(loop)
    assert cloud.world.records()[stranger].live
    assert told(cloud, endpoint["id"]).count("endpoint.orphan_found") == 1
    assert row_of(cloud, id_)["state"] == "active"


def test_looking_at_an_endpoint_converges_after_a_crash_at_any_point(cloud: Cloud) -> None:
    """One guest stopped by hand, one left over of a delete, one host gone quiet and back: whoever looks next finds it all again."""
    stepper = Stepper(cloud)
    died = True
    for fatal in range(1, 100):
        hit, left_over = create(cloud, count=2)
        stepper.settle()
        kept = backend(cloud, left_over)
        ask(cloud, "delete", left_over)
        stepper.settle()
        cloud.world.store.put(kept, [])
        cloud.world.silence()
        stepper.look()
        cloud.world.unsilence()
        cloud.world.destroy(hit)
        try:
            Stepper(cloud, fatal).look()
            died = False
        except Crash:
            Stepper(cloud).look()
        stepper.settle()
        assert {row["state"] for row in cloud.rows("SELECT state FROM hosts")} == {"up"}
        assert cloud.world.records().keys() == {hit}
        assert row_of(cloud, hit)["state"] == "active"
        assert told(cloud, hit)[2:] == ["instance.unseen", "instance.seen_again", "instance.stopped_by_other", "instance.mended"]
        sound(cloud)
        ask(cloud, "delete", hit)
        stepper.settle()
        nothing_left(cloud)
        if not died:
            break
    assert not died
    assert fatal > 10, "inventory, observe_all, compare, observe, remove and the telling, each with a before and an after"


# -- silence ---------------------------------------------------------------------------------------------------------------------


def condition(cloud: Cloud, id_: str) -> str:
    """As a reader sees it."""
    return str(views.instance(row_of(cloud, id_), views.Reader())["condition"])


def test_a_silent_endpoint_makes_its_hosts_unreachable_and_frees_nothing_and_comes_back(cloud: Cloud) -> None:
    id_ = running(cloud)
    stepper = Stepper(cloud)
    before = cloud.rows("SELECT * FROM allocations")
    cloud.world.silence()
    stepper.look()
    assert {row["state"] for row in cloud.rows("SELECT state FROM hosts")} == {"unreachable"}
    assert (row_of(cloud, id_)["state"], condition(cloud, id_)) == ("active", "unknown")
    assert cloud.rows("SELECT * FROM allocations") == before
    (outcome,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin)]))
    assert not isinstance(outcome, Accepted), "nothing is placed on a silent host"
    stepper.look()
    (endpoint,) = cloud.rows("SELECT id, state, reason FROM endpoints")
    assert (endpoint["state"], endpoint["reason"]["code"]) == ("unreachable", "host_unreachable")
    assert told(cloud, endpoint["id"]).count("endpoint.unreachable") == 1
    cloud.world.unsilence()
    stepper.look()
    assert {row["state"] for row in cloud.rows("SELECT state FROM hosts")} == {"up"}
    assert condition(cloud, id_) == "running"
    assert told(cloud, endpoint["id"])[-1] == "endpoint.connected"
    assert told(cloud, id_)[-2:] == ["instance.unseen", "instance.seen_again"], "each once, however often it is looked at"
    assert cloud.world.boots(id_) == 1
    sound(cloud)


@pytest.mark.parametrize("verb", ["stop", "delete"])
def test_what_is_asked_of_an_instance_on_a_silent_host_waits_and_is_done_when_it_is_back(cloud: Cloud, verb: str) -> None:
    id_ = running(cloud)
    stepper = Stepper(cloud)
    cloud.world.silence()
    ask(cloud, verb, id_)
    stepper.once()  # finds out
    stepper.look()
    assert stepper.once() == 0, "instances of an unreachable host are not tried again and again"
    assert cloud.rows("SELECT count(*) AS n FROM allocations") == [{"n": 1}], "silence is no absence"
    cloud.world.unsilence()
    stepper.look()
    Stepper(quickly(cloud)).settle()
    arrived(cloud, Case(verb, state={"stop": "stopped", "delete": "deleted"}[verb]), id_)


def test_what_changed_on_a_host_while_it_was_silent_is_mended_when_it_is_back(cloud: Cloud) -> None:
    id_ = running(cloud)
    stepper = Stepper(cloud)
    cloud.world.silence()
    stepper.look()
    cloud.world.destroy(id_)
    cloud.world.unsilence()
    stepper.look()
    stepper.settle()
    assert row_of(cloud, id_)["state"] == "active"
    assert cloud.world.boots(id_) == 2
    sound(cloud)


def test_a_host_missing_from_the_inventory_is_unreachable_and_keeps_its_instances(cloud: Cloud) -> None:
    id_ = running(cloud)
    name = row_of(cloud, id_)["host"]
    stepper = Stepper(cloud)
    lost = cloud.world.hosts.pop(name)
    stepper.look()
    states = {row["name"]: row["state"] for row in cloud.rows("SELECT name, state FROM hosts")}
    assert states.pop(name) == "unreachable"
    assert set(states.values()) == {"up"}
    assert cloud.rows("SELECT count(*) AS n FROM allocations") == [{"n": 1}]
    cloud.world.hosts[name] = lost
    stepper.look()
    assert {row["state"] for row in cloud.rows("SELECT state FROM hosts")} == {"up"}
    sound(cloud)


def test_a_new_host_behind_an_endpoint_is_taken_in_and_a_retired_one_stays_retired(cloud: Cloud) -> None:
    cloud.run(lambda conn: fleet.retire(conn, cloud.admin, "host-0002", None))
    cloud.world.hosts["host-0009"] = replace(cloud.world.hosts["host-0001"], name="host-0009")
    stepper = Stepper(cloud)
    stepper.look()
    states = {row["name"]: row["state"] for row in cloud.rows("SELECT name, state FROM hosts")}
    assert (states["host-0009"], states["host-0002"], len(states)) == ("up", "retired", 5)


@pytest.mark.parametrize("verb", ["inventory", "observe_all"])
def test_an_endpoint_that_falls_silent_in_the_middle_of_a_look_makes_nobody_absent(cloud: Cloud, verb: str) -> None:
    id_ = running(cloud)
    cloud.world.fail_next(verb, HostUnreachable(detail="gone"), after=True)
    stepper = Stepper(cloud)
    stepper.look()
    assert stepper.once() == 0
    assert row_of(cloud, id_)["condition"] == "running"
    stepper.look()
    assert condition(cloud, id_) == "running"
    assert cloud.world.boots(id_) == 1


# -- what time brings ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("verb", ["inventory", "observe_all"])
def test_an_endpoint_that_answers_with_an_error_stays_connected_and_says_why(cloud: Cloud, verb: str) -> None:
    running(cloud)
    cloud.world.fail_next(verb, Transient(detail="a hiccup"))
    Stepper(cloud).look()
    (endpoint,) = cloud.rows("SELECT state, reason FROM endpoints")
    assert endpoint["state"] == "connected"
    assert endpoint["reason"]["params"]["detail"] == "a hiccup"
    assert {row["state"] for row in cloud.rows("SELECT state FROM hosts")} == {"up"}
    Stepper(cloud).look()
    assert cloud.rows("SELECT reason FROM endpoints") == [{"reason": None}], "the next look went well"


def test_what_is_overdue_is_said_and_said_again_only_later(cloud: Cloud) -> None:
    hasty = quickly(cloud, build_deadline_s=1, change_deadline_s=1)
    hasty = replace(hasty, env=replace(cloud.env, settings=hasty.settings))
    id_ = running(hasty)
    cloud.world.fail_next("ensure", Transient(detail="busy"), times=1000)
    ask(hasty, "stop", id_)
    housekeeping = HousekeepingLoop(cloud.database, cloud.settings)
    assert housekeeping.report_overdue() == 0
    _wait_until(lambda: housekeeping.report_overdue() == 1)
    assert housekeeping.report_overdue() == 0, "once, not every second"
    assert told(cloud, id_).count("instance.overdue") == 1
    assert row_of(cloud, id_)["state"] == "active", "overdue is told, not given up"


def _wait_until(true: Callable[[], bool], timeout_s: float = 5.0) -> None:
    until = time.monotonic() + timeout_s
    while not true():
        assert time.monotonic() < until
        time.sleep(0.05)


def test_the_housekeeping_loop_lets_expired_holds_go_by_itself(cloud: Cloud, settings: Settings) -> None:
    project = cloud.project("health", auto={})
    short = replace(cloud, settings=settings.model_copy(update={"request_ttl_s": 1}))
    (outcome,) = cloud.run(lambda conn: admit(conn, short.admission(), [submission(cloud.admin, project)]))
    assert isinstance(outcome, Accepted)
    loop = HousekeepingLoop(cloud.database, cloud.settings)
    loop.start()
    _wait_until(lambda: cloud.rows("SELECT state FROM requests") == [{"state": "expired"}])
    loop.stop()
    nothing_left(cloud)


def test_an_approved_request_is_built_like_any_other(cloud: Cloud) -> None:
    project = cloud.project("health", auto={})
    (outcome,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, project, count=2)]))
    assert isinstance(outcome, Accepted)
    id_ = outcome.request["id"]
    Stepper(cloud).settle()
    assert cloud.world.records() == {}, "what is held is not built"

    approver, _ = cloud.user("li", ROOT, Role.APPROVER)
    decided = cloud.run(lambda conn: requests.approve(conn, cloud.env, approver, id_, None, None))
    Stepper(cloud).settle()
    assert {row_of(cloud, one)["state"] for one in decided["instances"]} == {"active"}
    sound(cloud)
