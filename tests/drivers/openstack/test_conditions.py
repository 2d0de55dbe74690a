"""What is concluded from an instance's servers, enumerated."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import product
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.messages import CATALOGUE
from drivers.base import Condition, Observation, Power, Reason
from drivers.openstack.conditions import ASIDE, AT_WORK, current, fault_reason, observation, seems_lost, verdict
from drivers.openstack.records import CRASHED, PAUSED, RUNNING, SHUTDOWN, SUSPENDED, Fault, Server
from tests.drivers.openstack.servers import ID, STATES, made, spec_of

NOW = datetime(2026, 1, 1, 0, 5, tzinfo=UTC)
STUCK_S = 600.0


def see(*servers: Server, host: str = "", now: datetime = NOW) -> Observation:
    return observation(ID, servers, host, now, STUCK_S)


def judged(status: str, **fields: Any) -> tuple[Condition, str | None]:
    condition, reason = verdict(made(spec_of(), status, **fields), NOW, STUCK_S)
    return condition, None if reason is None else reason.code


@pytest.mark.parametrize(
    ("status", "power", "expected"),
    [
        ("ACTIVE", RUNNING, (Condition.RUNNING, None)),
        ("ACTIVE", 0, (Condition.BUSY, "power_contradicts")),
        ("ACTIVE", SHUTDOWN, (Condition.BUSY, "power_contradicts")),
        ("ACTIVE", SUSPENDED, (Condition.BUSY, "power_contradicts")),
        ("ACTIVE", PAUSED, (Condition.FAILED, "guest_paused")),
        ("ACTIVE", CRASHED, (Condition.FAILED, "guest_crashed")),
        ("SHUTOFF", SHUTDOWN, (Condition.STOPPED, None)),
        ("SHUTOFF", 0, (Condition.STOPPED, None)),
        ("SHUTOFF", CRASHED, (Condition.STOPPED, None)),
        ("SHUTOFF", RUNNING, (Condition.BUSY, "power_contradicts")),
        ("SHUTOFF", PAUSED, (Condition.BUSY, "power_contradicts")),
        ("VERIFY_RESIZE", RUNNING, (Condition.RUNNING, None)),
        ("VERIFY_RESIZE", SHUTDOWN, (Condition.STOPPED, None)),
        ("ERROR", 0, (Condition.FAILED, "server_broken")),
        ("NEVER_HEARD_OF", RUNNING, (Condition.BUSY, None)),
    ],
)
def test_a_state_means_what_its_power_agrees_with(status: str, power: int, expected: tuple[Condition, str | None]) -> None:
    server = replace(made(spec_of()), status=status, power=power)
    condition, reason = verdict(server, NOW, STUCK_S)
    assert (condition, None if reason is None else reason.code) == expected


@pytest.mark.parametrize("status", sorted(AT_WORK))
def test_nova_at_work_is_busy(status: str) -> None:
    assert judged(status) == (Condition.BUSY, None)


@pytest.mark.parametrize("status", sorted(set(STATES) - {"DELETED"}))
def test_a_task_that_goes_on_is_busy_whatever_the_state(status: str) -> None:
    assert judged(status, task="powering-off") == (Condition.BUSY, None)


@pytest.mark.parametrize("status", sorted(ASIDE))
def test_what_somebody_set_aside_is_failed_and_says_how(status: str) -> None:
    assert see(made(spec_of(), status)).reason == Reason("server_set_aside", {"status": status.lower()})


@pytest.mark.parametrize(("status", "task"), [(status, task) for status in sorted(set(STATES) - {"DELETED"}) for task in ("", "spawning")])
def test_nothing_is_running_or_stopped_or_gone_on_a_hypervisor_out_of_sight(status: str, task: str) -> None:
    assert judged(status, task=task, host_status="UNKNOWN") == (Condition.BUSY, "host_silent")
    assert judged(status, task=task, host_status="DOWN") == (Condition.FAILED, "host_fenced")


@pytest.mark.parametrize("host", ["UP", "MAINTENANCE", ""])
def test_a_hypervisor_that_takes_nothing_new_still_runs_what_it_has(host: str) -> None:
    assert judged("ACTIVE", host_status=host) == (Condition.RUNNING, None)


@pytest.mark.parametrize(("seconds", "named"), [(599, False), (600, True), (90_000, True)])
def test_a_task_that_never_ends_is_named(seconds: int, named: bool) -> None:
    since = datetime(2026, 1, 1, 0, 1, tzinfo=UTC)
    now = since + timedelta(seconds=seconds)
    reason = see(made(spec_of(), "REBUILD", task="rebuilding"), now=now).reason
    assert reason == (Reason("server_stuck", {"task": "rebuilding", "since": "2026-01-01T00:01:00Z"}) if named else None)
    assert see(made(spec_of(), "REBUILD", task="rebuilding", updated="some day"), now=now).reason is None


@pytest.mark.parametrize(("seconds", "task", "lost"), [(599, "scheduling", False), (600, "scheduling", True), (9000, "spawning", False)])
def test_a_build_that_no_hypervisor_begins_is_lost_though_nova_says_that_it_changed_just_now(seconds: int, task: str, lost: bool) -> None:
    began = datetime(2026, 1, 1, tzinfo=UTC)
    now = began + timedelta(seconds=seconds)
    server = made(spec_of(), "BUILD", task=task, updated=f"{now:%Y-%m-%dT%H:%M:%SZ}")
    assert seems_lost(server, STUCK_S) == lost
    assert not seems_lost(replace(server, updated=server.created), STUCK_S), "whatever our own clock says"
    named = Reason("server_stuck", {"task": task, "since": "2026-01-01T00:00:00Z"})
    assert see(server, now=now).reason == (named if seconds >= STUCK_S else None)


# -- which server, which generation ------------------------------------------------------------------------------------------------------


def test_none_is_absent_and_so_is_a_deleted_one() -> None:
    assert see() == see(made(spec_of(), "DELETED")) == Observation(ID, Condition.ABSENT)


def test_one_being_deleted_is_not_absent_yet() -> None:
    seen = see(made(spec_of(), task="deleting"))
    assert (seen.condition, seen.reason) == (Condition.BUSY, None)


def test_the_oldest_that_stays_is_the_instance_and_its_spec_does_not_hold_while_there_are_more() -> None:
    old = made(spec_of(), id="z", created="2025-01-01T00:00:00Z", node="c1")
    new = made(spec_of(), id="a", node="c2")
    for order in ((old, new), (new, old)):
        seen = see(*order)
        assert (seen.host, seen.condition, seen.generation) == ("c1", Condition.RUNNING, None)
    leaving = replace(old, task="deleting")
    assert (see(leaving, new).host, see(leaving, new).generation) == ("c2", 1)
    assert current((leaving, new)) == (new, ())


@pytest.mark.parametrize(
    ("status", "name", "generation"), [("ACTIVE", "web", 1), ("ACTIVE", "renamed", None), ("VERIFY_RESIZE", "web", None)]
)
def test_what_ensure_mends_is_told_as_a_spec_that_does_not_hold(status: str, name: str, generation: int | None) -> None:
    assert see(made(spec_of(), status, name=name)).generation == generation


@pytest.mark.parametrize(("power", "status", "generation"), list(product(Power, ("ACTIVE", "ERROR"), (3,))))
def test_a_build_that_failed_is_the_end_of_the_generation_that_it_was_for(power: Power, status: str, generation: int) -> None:
    seen = see(made(spec_of(generation=generation, power=power), status))
    holds = status == "ERROR" or power is Power.RUNNING
    assert seen.generation == (generation if holds else None)


def test_where_it_is() -> None:
    assert see(made(spec_of())).host == "c1"
    assert see(made(spec_of(), "BUILD", node="")).host == "c1", "where it was put, until it is there"
    assert see(made(spec_of(), node="c7")).host == "c7", "moved by others"
    assert see(made(spec_of(), node="c7"), host="region").host == "region"


def test_addresses_are_those_of_what_runs() -> None:
    assert see(made(spec_of(), addresses=("10.0.0.1",))).addresses == ("10.0.0.1",)
    assert see(made(spec_of(), "SHUTOFF", addresses=("10.0.0.1",))).addresses == ()


# -- faults ------------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("No valid host was found. ", "no_valid_host"),
        ("No valid host was found. There are not enough hosts available.", "no_valid_host"),
        ("Quota exceeded for cores, instances: Requested 1, 1, but already used 1, 1 of 1, 1", "region_quota"),
        (
            "Exceeded maximum number of retries. Exceeded max scheduling attempts 3 for instance x. Last exception: lab",
            "build_failed",
        ),
        ("Exceeded maximum number of retries. Exhausted all hosts available for retrying build failures for instance x.", "build_failed"),
        ("Build of instance x aborted: lab: the build was aborted on c0001", "build_failed"),
        ("Image 4711 is not active.", "image_inactive"),
        ("Image 4711 could not be found.", "image_inactive"),
        ("Network 4711 could not be found.", "network_missing"),
        ("Build of instance x aborted: Failed to allocate the network(s), not rescheduling.", "build_failed"),
        ("Binding failed for port 4711, please check neutron logs for more information.", "network_missing"),
        ("No more IP addresses available on network 4711.", "network_missing"),
        ("Build of instance x aborted: Volume 4711 did not finish being created", "volume_failed"),
        ("Timed out during operation: cannot acquire state change lock", "build_failed"),
    ],
)
def test_novas_words_become_a_reason(message: str, code: str) -> None:
    reason = fault_reason(Fault(500, message), launched=False)
    assert reason.code == code
    assert reason.params["detail"] == " ".join(message.split())


def test_what_ran_before_is_broken_and_not_unbuilt() -> None:
    assert fault_reason(Fault(500, "libvirt: internal error"), launched=True).code == "server_broken"
    assert fault_reason(None, launched=True) == Reason("server_broken", {"detail": ""})


@given(st.text(max_size=2000), st.booleans())
def test_every_fault_has_a_reason_with_a_sentence(message: str, launched: bool) -> None:
    reason = fault_reason(Fault(500, message), launched)
    assert reason.code in CATALOGUE
    assert len(str(reason.params["detail"])) <= 301


@given(
    st.sampled_from([*STATES, "NEVER_HEARD_OF"]),
    st.sampled_from(["", "deleting", "never-heard-of"]),
    st.integers(-1, 9),
    st.sampled_from(["UP", "DOWN", "UNKNOWN", "MAINTENANCE", "", "NEVER_HEARD_OF"]),
    st.booleans(),
)
def test_whatever_nova_says_there_is_a_condition_with_a_sentence(status: str, task: str, power: int, host: str, launched: bool) -> None:
    server = replace(made(spec_of()), status=status, task=task, power=power, host_status=host, launched=launched)
    seen = see(server)
    assert seen.reason is None or seen.reason.code in CATALOGUE
    assert (seen.condition is Condition.ABSENT) == (status == "DELETED")
    if seen.condition is Condition.RUNNING:
        assert (power, task, host in ("UNKNOWN", "DOWN")) == (RUNNING, "", False)
