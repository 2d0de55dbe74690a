"""Waiting: the verdict is pure, the loop ends, and the command line tells how it went."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import pytest

from console import waiting
from console.client import Client
from console.errors import ApiError
from console.waiting import Verdict, verdict

ID = "019abf3c-1d20-7c3a-9f51-0c6b5f2f8a11"
OTHER = "019abf3c-1d20-7c3a-9f51-0c6b5f2f8a22"
Run = Callable[..., Any]


def _one(state: str, generation: int = 1, observed: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "id": ID,
        "name": "web",
        "project": "p",
        "goal": "running",
        "state": state,
        "generation": generation,
        "observed_generation": observed,
        **more,
    }


@pytest.mark.parametrize(
    ("instance", "target", "expected"),
    [
        (_one("active"), "active", Verdict.DONE),
        (_one("building", observed=0), "active", Verdict.UNDER_WAY),
        (_one("active", generation=2), "active", Verdict.UNDER_WAY),  # the state before the last change
        (_one("error"), "active", Verdict.FAILED),
        (_one("error", generation=2), "active", Verdict.UNDER_WAY),  # a change re-armed it
        (_one("error"), "deleted", Verdict.UNDER_WAY),
        (_one("deleting"), "active", Verdict.FAILED),
        (_one("deleted"), "stopped", Verdict.FAILED),
        (_one("deleted"), "deleted", Verdict.DONE),
        (_one("stopped"), "stopped", Verdict.DONE),
    ],
)
def test_the_verdict_on_an_instance(instance: dict[str, Any], target: str, expected: Verdict) -> None:
    assert verdict(instance, target) is expected


@dataclass
class Hurried:
    """A clock that jumps instead of sleeping."""

    now: float = 0.0
    slept: list[float] = field(default_factory=list)

    def monotonic(self) -> float:
        return self.now

    def sleep(self, seconds: float, /) -> None:
        self.slept.append(seconds)
        self.now += seconds


def test_waiting_looks_ever_less_often_and_ends_at_its_deadline(server: Any) -> None:
    server.on(f"GET /v1/instances/{ID}", _one("building"))
    clock = Hurried()
    with Client(server.url) as client, pytest.raises(ApiError) as caught:
        waiting.until(client, [ID], "active", 20.0, time_of=clock)
    assert caught.value.code == "timeout"
    assert caught.value.details["instances"][0]["state"] == "building"
    assert clock.now == 20.0
    assert clock.slept[0] == waiting.PERIOD_S
    assert max(clock.slept) <= waiting.LONGEST_PERIOD_S


def test_what_is_done_is_not_looked_at_again(server: Any) -> None:
    server.on(f"GET /v1/instances/{ID}", _one("active"))
    server.on(f"GET /v1/instances/{OTHER}", *[_one("building", id=OTHER)] * 3, _one("active", id=OTHER))
    with Client(server.url) as client:
        found = waiting.until(client, [ID, OTHER], "active", 60.0, time_of=Hurried())
    assert {one["state"] for one in found.values()} == {"active"}
    assert [one.path[-2:] for one in server.seen].count("11") == 1


def test_an_instance_that_is_no_longer_known_is_deleted(server: Any) -> None:
    with Client(server.url) as client:
        assert waiting.until(client, [ID], "deleted", 1.0, time_of=Hurried())[ID]["state"] == "deleted"
        with pytest.raises(ApiError, match="no GET /v1/instances"):
            waiting.until(client, [ID], "active", 1.0, time_of=Hurried())


CREATE = ("instance", "create", "-p", "p", "--flavor", "f", "--image", "i", "--wait")


def test_create_and_wait_tells_each_change_and_prints_the_instance(chutian: Run, server: Any) -> None:
    server.on("POST /v1/instances", (201, _one("pending", observed=0)))
    server.on(f"GET /v1/instances/{ID}", _one("building", observed=0), _one("building", observed=0), _one("active", addresses=["10.0.0.7"]))
    ran = chutian(*CREATE)
    assert ran.code == 0, ran.err
    assert [line for line in ran.err.splitlines() if line.startswith("web:")] == ["web: building", "web: active"]
    assert "10.0.0.7" in ran.out


def test_an_instance_that_ends_in_error_fails_with_its_reason(chutian: Run, server: Any) -> None:
    server.on("POST /v1/instances", (201, _one("pending", observed=0)))
    server.on(f"GET /v1/instances/{ID}", _one("error", reason={"code": "x", "text": "the image is broken"}))
    ran = chutian(*CREATE, "-o", "json")
    assert ran.code == 1
    assert "the image is broken" in ran.err
    assert json.loads(ran.out)["state"] == "error"


def test_waiting_too_long_has_its_own_exit_code(chutian: Run, server: Any) -> None:
    server.on(f"GET /v1/instances/{ID}", _one("building", observed=0))
    ran = chutian("instance", "wait", ID, "--timeout", "1")
    assert ran.code == 7
    assert "Waited too long" in ran.err


@pytest.mark.parametrize(
    ("verb", "ends"),
    [("stop", _one("stopped", 2, 2)), ("start", _one("active", 2, 2)), ("reboot", _one("active", 2, 2)), ("rebuild", _one("active", 2, 2))],
)
def test_a_change_is_waited_for_until_its_generation_is_reached(verb: str, ends: dict[str, Any], chutian: Run, server: Any) -> None:
    server.on(f"POST /v1/instances/{ID}/{verb}", _one("active", 2, 1))
    server.on(f"GET /v1/instances/{ID}", _one("active", 2, 1), ends)
    ran = chutian("instance", verb, ID, "--wait", "--if-generation", "1")
    assert ran.code == 0, ran.err
    assert server.seen[0].headers["if-match"] == '"1"'
    assert len(server.seen) == 3


def test_resizing_a_stopped_instance_waits_until_it_is_stopped_with_the_new_size(chutian: Run, server: Any) -> None:
    server.on(f"POST /v1/instances/{ID}/resize", _one("stopped", 2, 1, goal="stopped"))
    server.on(f"GET /v1/instances/{ID}", _one("stopped", 2, 2, goal="stopped"))
    assert chutian("instance", "resize", ID, "--flavor", "large", "--wait").code == 0


def test_delete_and_wait_ends_when_it_is_gone(chutian: Run, server: Any) -> None:
    server.on(f"DELETE /v1/instances/{ID}", (202, _one("deleting")))
    server.on(f"GET /v1/instances/{ID}", _one("deleting"), _one("deleted"))
    ran = chutian("instance", "delete", ID, "--wait")
    assert (ran.code, ran.out) == (0, "Deleted web\n")


def _request(state: str, **more: Any) -> dict[str, Any]:
    return {"id": ID, "project": "p", "state": state, "reason": "r", "items": [], "instances": [], "decision": None, **more}


def test_a_request_is_waited_for_through_approval_to_its_instances(chutian: Run, server: Any) -> None:
    approved = _request("approved", instances=[OTHER], decision={"by": "li", "at": "2026-11-23T08:30:00Z", "reason": "ok"})
    server.on(f"GET /v1/requests/{ID}", _request("pending"), approved)
    server.on(f"GET /v1/instances/{OTHER}", _one("active", id=OTHER))
    ran = chutian("request", "wait", ID)
    assert ran.code == 0, ran.err
    assert "waits for an approver" in ran.err
    assert "web: active" in ran.err
    assert "li, 2026-11-23 08:30:00: ok" in ran.out


@pytest.mark.parametrize("state", ["refused", "expired", "cancelled"])
def test_a_request_that_is_not_approved_fails_with_the_reason(state: str, chutian: Run, server: Any) -> None:
    server.on(f"GET /v1/requests/{ID}", _request(state, decision={"by": "li", "at": None, "reason": "use the shared database"}))
    ran = chutian("request", "wait", ID, CHUTIAN_LANG="zh")
    assert ran.code == 1
    assert "use the shared database" in ran.err
    assert "没有被批准" in ran.err


def test_a_request_nobody_decides_times_out(chutian: Run, server: Any) -> None:
    server.on(f"GET /v1/requests/{ID}", _request("pending"))
    assert chutian("request", "wait", ID, "--timeout", "1").code == 7
