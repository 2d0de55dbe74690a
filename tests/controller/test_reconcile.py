"""The reconciler against a fake backend and real PostgreSQL: it converges, stays put, survives dying anywhere, and leaves nothing behind.

The crash tests enumerate: each run is cut off at the first place where a controller can die (before and after each driver call, before and
after each commit), then at the second, and so on until a run passes whole; after each, a fresh controller goes on. What must hold
afterwards is the same for every place.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Connection

from controller.actions import instances as verbs
from controller.reconcile.instances import write
from controller.store import instances as store
from controller.store import sql
from drivers.base import Condition, Observation, Reason
from drivers.errors import DiskMissing, InvalidSpec, Transient
from tests.controller.asking import Case, all_rows, arrived, ask, backend, create, nothing_left, quickly, row_of, running, sound, told
from tests.controller.fixtures import Cloud
from tests.controller.stepping import Crash, Stepper

Row = Mapping[str, Any]
_WRITTEN = ("instances", "allocations", "events", "usage", "hosts", "requests")


# -- picking ---------------------------------------------------------------------------------------------------------------------


def test_picking_a_few_of_many_neither_reads_nor_sorts_the_whole(cloud: Cloud) -> None:
    """Tables that have just grown: nothing is known of them yet."""
    create(cloud, count=40)

    def plan(conn: Connection) -> str:
        sql.along_indexes(conn)
        found = sql.rows(conn, f"EXPLAIN {store.PICK}", lease=30, saturated=[], limit=10)
        return "\n".join(row["QUERY PLAN"] for row in found)

    made = cloud.run(plan)
    assert "Index Scan using instances_due" in made
    assert not [line for line in made.splitlines() if "Sort" in line or "Seq Scan" in line], made


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
    quick = quickly(cloud)
    Stepper(quick).settle(20.0)
    arrived(cloud, case, id_)


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


def test_a_lease_that_was_given_back_is_not_renewed(cloud: Cloud) -> None:
    id_ = running(cloud)
    cloud.run(lambda conn: store.renew(conn, [id_], 60.0))  # by a thread that still thought it was being worked on
    ask(cloud, "stop", id_)
    Stepper(cloud).settle()
    assert row_of(cloud, id_)["state"] == "stopped"


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


def test_what_a_paused_controller_found_long_ago_says_nothing_of_what_another_did_since(cloud: Cloud) -> None:
    id_ = running(cloud)
    cloud.run(lambda conn: store.make_due(conn, [id_]))
    paused = Stepper(cloud)
    (picked,) = cloud.run(lambda conn: store.pick(conn, 0.0, [], 10))  # its lease runs out while it is paused
    ask(cloud, "reboot", id_)
    Stepper(cloud).settle()
    found = paused.examine(picked)  # asks for what was wanted before the reboot, and is refused
    cloud.run(lambda conn: write(conn, [found]))
    assert row_of(cloud, id_)["state"] == "active"
    Stepper(cloud).settle()
    assert "instance.failed" not in told(cloud, id_)
    arrived(cloud, Case("reboot", boots=2), id_)


def test_protecting_during_a_pass_keeps_nobody_waiting_for_a_lease(cloud: Cloud) -> None:
    id_ = running(cloud)
    cloud.world.destroy(id_)
    stepper = Stepper(cloud)
    stepper.look()
    (picked,) = cloud.run(lambda conn: store.pick(conn, 60.0, [], 10))
    cloud.run(lambda conn: verbs.protect(conn, cloud.admin, id_, True, None))
    found = stepper.examine(picked)
    cloud.run(lambda conn: write(conn, [found]))
    stepper.settle()
    arrived(cloud, Case("start", boots=2), id_)


# -- failing ---------------------------------------------------------------------------------------------------------------------


def test_a_backend_that_is_busy_is_tried_again_and_said_once(cloud: Cloud) -> None:
    cloud.world.fail_next("ensure", Transient(detail="full"), times=5)
    (id_,) = create(cloud)
    Stepper(quickly(cloud)).settle()
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
    hasty = quickly(cloud, build_deadline_s=1)
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
    short = quickly(cloud, stop_grace_s=1)
    ask(cloud, "stop", id_)
    stepper = Stepper(short)
    stepper.once()
    assert backend(cloud, id_).live, "it is asked politely first"
    stepper.settle()
    assert not backend(cloud, id_).live
    assert row_of(cloud, id_)["state"] == "stopped"
