"""Waiting until what was asked for is so: also part of the Python SDK.

Enters: a client, ids and the state wanted. Leaves: how each ended, or ApiError `timeout`. `verdict` is pure; `until` looks again
and again, because a list of events could miss one and a look can't. An instance whose `observed_generation` is behind its
`generation` hasn't yet come to the last thing asked, so its state says nothing about it.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from enum import StrEnum
from typing import Protocol

from console.client import Body, Client, at
from console.errors import ApiError

PERIOD_S = 0.5
LONGEST_PERIOD_S = 3.0
GONE: Body = {"state": "deleted"}
OVER = frozenset({"deleting", "deleted"})


class Clock(Protocol):
    """The two functions of `time` that waiting needs."""

    def monotonic(self) -> float: ...

    def sleep(self, seconds: float, /) -> None: ...


class Verdict(StrEnum):
    """How it stands."""

    UNDER_WAY = "under_way"
    DONE = "done"
    FAILED = "failed"


def verdict(instance: Body, target: str) -> Verdict:
    """Whether an instance is what was wanted, can't become it, or is on its way."""
    state = instance["state"]
    if target == "deleted":
        return Verdict.DONE if state == "deleted" else Verdict.UNDER_WAY
    if state in OVER:
        return Verdict.FAILED
    if instance["observed_generation"] < instance["generation"]:
        return Verdict.UNDER_WAY
    if state == "error":
        return Verdict.FAILED
    return Verdict.DONE if state == target else Verdict.UNDER_WAY


def until(
    client: Client,
    ids: Sequence[str],
    target: str,
    deadline: float,
    on_look: Callable[[Mapping[str, Body]], None] = lambda _: None,
    time_of: Clock = time,
) -> dict[str, Body]:
    """Look at the instances until each is done or failed; `on_look` sees all of them after each round.

    Raises ApiError `timeout` when the clock passes `deadline`, with the instances seen last in its details.
    """
    found: dict[str, Body] = {}

    def settled() -> bool:
        for one in ids:
            if one not in found or verdict(found[one], target) is Verdict.UNDER_WAY:
                found[one] = _look(client, one, target)
        on_look(found)
        return all(verdict(instance, target) is not Verdict.UNDER_WAY for instance in found.values())

    if not _again(settled, deadline, time_of):
        raise ApiError("timeout", "timeout", {"instances": list(found.values())})
    return found


def decided(
    client: Client, request_id: str, deadline: float, on_look: Callable[[Body], None] = lambda _: None, time_of: Clock = time
) -> Body:
    """The request once somebody has decided it. Raises ApiError `timeout`, with the request in its details."""
    body: Body = {}

    def settled() -> bool:
        body.update(client.get(at("requests", request_id)))
        on_look(body)
        return bool(body["state"] != "pending")

    if not _again(settled, deadline, time_of):
        raise ApiError("timeout", "timeout", {"request": body})
    return body


def image(client: Client, image_id: str, deadline: float, time_of: Clock = time) -> Body:
    """The image once its import has ended, well (`ready`) or badly (`failed`). Raises ApiError `timeout`."""
    body: Body = {}

    def settled() -> bool:
        body.update(client.get(at("images", image_id)))
        return body["state"] in {"ready", "failed"}

    if not _again(settled, deadline, time_of):
        raise ApiError("timeout", "timeout", {"image": body})
    return body


def run(
    client: Client,
    newest: Callable[[], str],
    before: str,
    deadline: float,
    on_look: Callable[[Body], None] = lambda _: None,
    time_of: Clock = time,
) -> Body:
    """The run of a playbook that comes after `before`, once it has ended. Raises ApiError `timeout`, with the run in its details."""
    body: Body = {}

    def settled() -> bool:
        if not body and (found := newest()) != before:
            body["id"] = found
        if body:
            body.update(client.get(at("runs", body["id"])))
            on_look(body)
        return bool(body) and body["state"] not in {"waiting", "running"}

    if not _again(settled, deadline, time_of):
        raise ApiError("timeout", "timeout", {"run": body or None})
    return body


def thing(client: Client, path: str, done: Callable[[Body], bool], deadline: float, time_of: Clock = time) -> Body:
    """What is at that path, once it is as wished. Raises ApiError `timeout`, with it in the details."""
    body: Body = {}

    def settled() -> bool:
        body.update(client.get(path))
        return done(body)

    if not _again(settled, deadline, time_of):
        raise ApiError("timeout", "timeout", {"last": body})
    return body


def _again(settled: Callable[[], bool], deadline: float, time_of: Clock) -> bool:
    """Ask until it is so (True) or the deadline has passed (False), ever less often."""
    period = PERIOD_S
    while not settled():
        left = deadline - time_of.monotonic()
        if left <= 0:
            return False
        time_of.sleep(min(period, left))
        period = min(period * 1.3, LONGEST_PERIOD_S)
    return True


def _look(client: Client, instance_id: str, target: str) -> Body:
    try:
        return client.get(at("instances", instance_id))
    except ApiError as error:
        if error.status == 404 and target == "deleted":
            return {"id": instance_id, **GONE}
        raise
