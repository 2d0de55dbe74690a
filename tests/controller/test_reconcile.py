"""The reconciler against a fake backend and real PostgreSQL: it converges, stays put, survives dying anywhere, and leaves nothing behind.

The crash tests enumerate: each run is cut off at the first place where a controller can die (before and after each driver call, before and
after each commit), then at the second, and so on until a run passes whole; after each, a fresh controller goes on. What must hold
afterwards is the same for every place.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

import pytest

from controller.actions import fleet, requests
from controller.actions import instances as verbs
from controller.actions.admit import Accepted, admit
from controller.config import Settings
from controller.model import views
from controller.model.identity import Role
from controller.reconcile.housekeeping import HousekeepingLoop
from controller.reconcile.instances import write
from controller.store import events
from controller.store import instances as store
from drivers.base import Condition, Observation, Reason
from drivers.errors import DiskMissing, HostUnreachable, InvalidSpec, Transient
from drivers.fake.lifecycle import Record
from tests.controller import ledger
from tests.controller.fixtures import ROOT, Cloud, submission
from tests.controller.stepping import Crash, Stepper

Row = Mapping[str, Any]
_WRITTEN = ("instances", "allocations", "events", "usage", "hosts", "requests")


def create(cloud: Cloud, count: int = 1, **more: Any) -> list[str]:
    """New instances, accepted but not built; their ids."""
    (outcome,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, count=count, **more)]))
    assert isinstance(outcome, Accepted), outcome
    return list(outcome.request["instances"])


def running(cloud: Cloud, **more: Any) -> str:
    """A new instance that runs."""
    (id_,) = create(cloud, **more)
    Stepper(cloud).settle()
    assert row_of(cloud, id_)["state"] == "active"
    return id_


def ask(cloud: Cloud, verb: str, id_: str, *more: Any) -> None:
    """What a person asks of an instance."""
    action = getattr(verbs, verb)
    cloud.run(lambda conn: action(conn, cloud.env, cloud.admin, id_, *more, None))


def row_of(cloud: Cloud, id_: str) -> Row:
    found = cloud.run(lambda conn: store.get(conn, id_))
    assert found is not None
    return found


def told(cloud: Cloud, id_: str) -> list[str]:
    """The kinds of all facts about an object, oldest first."""
    return [row["kind"] for row in cloud.run(lambda conn: events.latest(conn, None, id_, 200))]


def backend(cloud: Cloud, id_: str) -> Record:
    return cloud.world.records()[id_]


def all_rows(cloud: Cloud) -> list[Any]:
    """Every row that a pass might write."""
    return [cloud.rows(f"SELECT * FROM {table} ORDER BY 1, 2") for table in _WRITTEN]  # noqa: S608


def sound(cloud: Cloud) -> None:
    assert cloud.run(ledger.wrong) == []
    assert cloud.world.violations == []


def nothing_left(cloud: Cloud) -> None:
    sound(cloud)
    assert cloud.world.records() == {}
    assert cloud.rows("SELECT * FROM allocations") == []
    assert cloud.rows("SELECT * FROM usage WHERE instances + vcpus + memory_mib + disk_gib + held_instances <> 0") == []
    assert cloud.rows("SELECT * FROM hosts WHERE used_instances + used_vcpus + used_memory_mib <> 0") == []


# -- converges; a second pass does nothing ---------------------------------------------------------------------------------------


def test_new_instances_are_built_and_say_so_once(cloud: Cloud) -> None:
    ids = create(cloud, count=5)
    Stepper(cloud).settle()
    for id_ in ids:
        row = row_of(cloud, id_)
        assert (row["state"], row["condition"], row["observed_generation"], row["deadline_at"]) == ("active", "running", 1, None)
        assert row["addresses"]
        assert told(cloud, id_) == ["instance.accepted", "instance.active"]
        assert cloud.world.boots(id_) == 1
    sound(cloud)


def test_a_second_pass_over_settled_instances_does_nothing(cloud: Cloud) -> None:
    ids = create(cloud, count=3)
    stepper = Stepper(cloud)
    stepper.settle()
    ask(cloud, "stop", ids[0])
    stepper.settle()
    before, calls = all_rows(cloud), cloud.world.counts.copy()
    stepper.settle()
    Stepper(cloud).settle()
    assert all_rows(cloud) == before
    assert cloud.world.counts == calls
    cloud.run(lambda conn: store.make_due(conn, ids))
    stepper.settle()
    made = cloud.world.counts - calls
    assert (made["observe"], made["ensure"], made["remove"]) == (3, 0, 0), "looking again is no reason to act"
    assert _without_times(all_rows(cloud)) == _without_times(before)


def _without_times(tables: list[Any]) -> list[Any]:
    return [[{name: value for name, value in row.items() if name not in ("due_at", "leased_until")} for row in rows] for rows in tables]


def test_a_second_look_at_an_endpoint_changes_no_row(cloud: Cloud) -> None:
    running(cloud)
    stepper = Stepper(cloud)
    stepper.look()
    before = all_rows(cloud)
    stepper.look()
    assert all_rows(cloud) == before


def test_a_build_that_takes_time_is_building_until_it_is_seen_running(cloud: Cloud) -> None:
    cloud.world.set(build_s=0.5)
    (id_,) = create(cloud)
    stepper = Stepper(cloud)
    stepper.once()
    assert (row_of(cloud, id_)["state"], row_of(cloud, id_)["condition"]) == ("building", "busy")
    stepper.settle()
    assert row_of(cloud, id_)["state"] == "active"
    assert cloud.world.boots(id_) == 1
    assert cloud.world.counts["ensure"] == 1, "one that is on its way is not asked again"


@dataclass(frozen=True)
class Case:
    """A verb and what it leads to: state, power, and how often it was switched on in all."""

    verb: str
    more: tuple[Any, ...] = ()
    stopped_first: bool = False
    state: str = "active"
    boots: int = 1
    flavor: str = "small"
    build: int = 1


CASES = [
    Case("stop", state="stopped"),
    Case("stop", stopped_first=True, state="stopped"),
    Case("start"),
    Case("start", stopped_first=True, boots=2),
    Case("reboot", boots=2),
    Case("resize", ("medium",), boots=2, flavor="medium"),
    Case("resize", ("medium",), stopped_first=True, state="stopped", flavor="medium"),
    Case("rebuild", (None,), boots=2, build=2),
    Case("rebuild", (None,), stopped_first=True, state="stopped", build=2),
    Case("delete", state="deleted"),
    Case("delete", stopped_first=True, state="deleted"),
]
by_verb = pytest.mark.parametrize("case", CASES, ids=lambda case: f"{case.verb}-{'stopped' if case.stopped_first else 'running'}")


def prepared(cloud: Cloud, case: Case) -> str:
    id_ = running(cloud)
    if case.stopped_first:
        ask(cloud, "stop", id_)
        Stepper(cloud).settle()
    return id_


def arrived(cloud: Cloud, case: Case, id_: str) -> None:
    """All that must hold in the end, whatever happened on the way."""
    row = row_of(cloud, id_)
    assert (row["state"], row["observed_generation"]) == (case.state, row["generation"]), row
    assert row["deadline_at"] is None
    sound(cloud)
    if case.state == "deleted":
        nothing_left(cloud)
        return
    record = backend(cloud, id_)
    assert record.live == (case.state == "active")
    assert (record.generation, record.build) == (row["generation"], case.build)
    assert row["flavor"] == case.flavor
    assert record.vcpus == row["vcpus"]
    assert cloud.rows("SELECT vcpus FROM allocations") == [{"vcpus": record.vcpus}]
    assert cloud.world.boots(id_) == case.boots


@by_verb
def test_each_verb_converges_from_each_settled_state(cloud: Cloud, case: Case) -> None:
    id_ = prepared(cloud, case)
    ask(cloud, case.verb, id_, *case.more)
    Stepper(cloud).settle()
    arrived(cloud, case, id_)


@by_verb
def test_each_verb_converges_while_the_backend_fails_half_of_its_calls(cloud: Cloud, case: Case) -> None:
    id_ = prepared(cloud, case)
    cloud.world.set(fail=0.3)
    ask(cloud, case.verb, id_, *case.more)
    quick = _quickly(cloud)
    Stepper(quick).settle(20.0)
    arrived(cloud, case, id_)


def _quickly(cloud: Cloud, **changes: Any) -> Cloud:
    """The same cloud with other settings; by default it tries again at once."""
    return replace(cloud, settings=cloud.settings.model_copy(update={"retry_max_s": 0.02, **changes}))


# -- dying anywhere --------------------------------------------------------------------------------------------------------------


def dies(cloud: Cloud, fatal: int) -> bool:
    """Run a controller that dies at this place, then a fresh one to the end; False where the first came through."""
    try:
        Stepper(cloud, fatal).settle()
    except Crash:
        Stepper(cloud).settle()
        return True
    return False


@by_verb
def test_each_verb_converges_after_a_crash_at_any_point(cloud: Cloud, case: Case) -> None:
    died = True
    for fatal in range(1, 100):
        id_ = prepared(cloud, case)
        ask(cloud, case.verb, id_, *case.more)
        died = dies(cloud, fatal)
        arrived(cloud, case, id_)
        if not died:
            break
        if case.state != "deleted":
            ask(cloud, "delete", id_)
            Stepper(cloud).settle()
        nothing_left(cloud)
    assert not died
    assert fatal > 8, "a run has at least: pick, observe, record, each with a before and an after, and the act itself"


def test_building_converges_after_a_crash_at_any_point(cloud: Cloud) -> None:
    cloud.world.set(build_s=0.05)
    for fatal in range(1, 13):  # pick, observe, ensure, observe, record; then it is watched until it runs
        (id_,) = create(cloud)
        assert dies(cloud, fatal)
        assert row_of(cloud, id_)["state"] == "active"
        assert cloud.world.boots(id_) == 1
        assert told(cloud, id_)[-1] == "instance.active"
        sound(cloud)
        ask(cloud, "delete", id_)
        Stepper(cloud).settle()
        nothing_left(cloud)


@pytest.mark.parametrize("begun", [False, True], ids=["unbuilt", "being-built"])
def test_deleting_what_was_never_built_leaves_nothing_wherever_the_controller_dies(cloud: Cloud, begun: bool) -> None:
    cloud.world.set(build_s=30.0)
    died = True
    for fatal in range(1, 100):
        (id_,) = create(cloud)
        if begun:
            Stepper(cloud).once()
        ask(cloud, "delete", id_)
        died = dies(cloud, fatal)
        assert row_of(cloud, id_)["state"] == "deleted"
        nothing_left(cloud)
        if not died:
            break
    assert not died
    assert fatal > 4


def test_what_a_dead_controller_leased_is_taken_over_when_the_lease_ends(cloud: Cloud) -> None:
    (id_,) = create(cloud)
    with pytest.raises(Crash):
        Stepper(cloud, 2, lease_s=0.4).once()
    assert Stepper(cloud).once() == 0, "still leased"
    Stepper(cloud).settle()
    assert row_of(cloud, id_)["state"] == "active"


def test_a_change_asked_during_a_pass_is_not_lost(cloud: Cloud) -> None:
    id_ = running(cloud)
    ask(cloud, "stop", id_)
    slow = Stepper(cloud)
    picked = cloud.run(lambda conn: store.pick(conn, 5.0, [], 10))
    found = [slow.examine(row) for row in picked]
    ask(cloud, "start", id_)
    cloud.run(lambda conn: write(conn, found))
    slow.settle()
    arrived(cloud, Case("start", boots=2), id_)


def test_a_pass_of_an_older_generation_never_ends_a_newer_delete(cloud: Cloud) -> None:
    (id_,) = create(cloud)
    slow = Stepper(cloud)
    (picked,) = cloud.run(lambda conn: store.pick(conn, 5.0, [], 10))
    ask(cloud, "delete", id_)
    found = slow.examine(picked)  # builds it, by what it knows
    cloud.run(lambda conn: write(conn, [found]))
    assert id_ in cloud.world.records()
    slow.settle()
    assert row_of(cloud, id_)["state"] == "deleted"
    nothing_left(cloud)


# -- failing ---------------------------------------------------------------------------------------------------------------------


def test_a_backend_that_is_busy_is_tried_again_and_said_once(cloud: Cloud) -> None:
    cloud.world.fail_next("ensure", Transient(detail="full"), times=5)
    (id_,) = create(cloud)
    Stepper(_quickly(cloud)).settle()
    assert row_of(cloud, id_)["state"] == "active"
    assert told(cloud, id_) == ["instance.accepted", "instance.retrying", "instance.active"]


def test_a_refusal_of_the_backend_is_an_error_with_its_reason_and_an_action_arms_it_again(cloud: Cloud) -> None:
    cloud.world.fail_next("ensure", InvalidSpec(detail="no such machine type"))
    (id_,) = create(cloud)
    Stepper(cloud).settle()
    row = row_of(cloud, id_)
    assert (row["state"], row["reason"]["code"]) == ("error", "invalid_spec")
    assert told(cloud, id_)[-1] == "instance.failed"
    _look_again(cloud, id_)
    before = all_rows(cloud)
    _look_again(cloud, id_)
    assert row_of(cloud, id_)["reason"]["code"] == "invalid_spec"
    assert cloud.world.counts["ensure"] == 1
    assert _without_times(all_rows(cloud)) == _without_times(before), "an error that nobody asked to mend is left alone, with its reason"
    ask(cloud, "start", id_)
    Stepper(cloud).settle()
    assert row_of(cloud, id_)["state"] == "active"
    assert row_of(cloud, id_)["reason"] is None
    sound(cloud)


def _look_again(cloud: Cloud, id_: str) -> None:
    cloud.run(lambda conn: store.make_due(conn, [id_]))
    Stepper(cloud).settle()


def test_a_missing_disk_is_an_error_that_says_so_and_is_never_made_up_for(cloud: Cloud) -> None:
    id_ = running(cloud)
    cloud.world.destroy(id_)
    cloud.world.fail_next("ensure", lambda: DiskMissing(detail="overlay"), times=100)
    stepper = Stepper(cloud)
    stepper.look()
    stepper.settle()
    row = row_of(cloud, id_)
    assert (row["state"], row["reason"]["code"]) == ("error", "disk_missing")
    assert told(cloud, id_)[2:] == ["instance.stopped_by_other", "instance.failed"]
    calls = cloud.world.counts["ensure"]
    for _ in range(3):
        stepper.look()
        stepper.settle()
    assert cloud.world.counts["ensure"] == calls
    assert row_of(cloud, id_)["reason"]["code"] == "disk_missing"
    ask(cloud, "delete", id_)
    stepper.settle()
    nothing_left(cloud)


def test_the_driver_is_told_that_the_disk_was_made_before(cloud: Cloud) -> None:
    """`built` is what lets a driver tell lost data from a first build; it must stand after the first arrival and fall with a rebuild."""
    id_ = running(cloud)
    row = row_of(cloud, id_)
    assert row["built"] == row["build"] == 1
    ask(cloud, "rebuild", id_, None)
    row = row_of(cloud, id_)
    assert row["built"] < row["build"]
    Stepper(cloud).settle()
    row = row_of(cloud, id_)
    assert row["built"] == row["build"] == 2


def test_a_build_past_its_deadline_is_given_up_with_a_reason(cloud: Cloud) -> None:
    cloud.world.set(build_s=1e9)
    hasty = _quickly(cloud, build_deadline_s=1)
    (id_,) = create(hasty)
    Stepper(hasty).settle()
    row = row_of(cloud, id_)
    assert (row["state"], row["reason"]["code"]) == ("error", "deadline_passed")
    sound(cloud)


def test_a_broken_guest_is_an_error_with_the_backends_reason(cloud: Cloud) -> None:
    id_ = running(cloud)
    cloud.world.lie(id_, Observation(id_, Condition.FAILED, 1, "host-0001", Reason("guest_crashed", {})))
    stepper = Stepper(cloud)
    stepper.look()
    stepper.settle()
    assert (row_of(cloud, id_)["state"], row_of(cloud, id_)["reason"]["code"]) == ("error", "guest_crashed")
    cloud.world.lie(id_, None)
    stepper.look()
    stepper.settle()
    assert row_of(cloud, id_)["state"] == "active", "the backend healed by itself"


def test_a_guest_that_ignores_a_shutdown_is_cut_off_when_the_grace_is_over(cloud: Cloud) -> None:
    id_ = running(cloud)
    cloud.world.set(ignores_shutdown=True)
    short = _quickly(cloud, stop_grace_s=1)
    ask(cloud, "stop", id_)
    stepper = Stepper(short)
    stepper.once()
    assert backend(cloud, id_).live, "it is asked politely first"
    stepper.settle()
    assert not backend(cloud, id_).live
    assert row_of(cloud, id_)["state"] == "stopped"


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


def test_drift_is_told_once_although_mending_takes_many_tries(cloud: Cloud) -> None:
    id_ = running(cloud)
    cloud.world.destroy(id_)
    cloud.world.fail_next("ensure", Transient(detail="busy"), times=6)
    quick = _quickly(cloud)
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
    Stepper(_quickly(cloud)).settle()
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


def test_what_is_overdue_is_said_and_said_again_only_later(cloud: Cloud) -> None:
    hasty = _quickly(cloud, build_deadline_s=1, change_deadline_s=1)
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
