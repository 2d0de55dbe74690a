"""The clients of the soak: what they ask, how they repeat it, and what they remember of the answers.

Enters: where controllers listen, a token, dice. Leaves: a `Report` of what was asked and answered, `Shared` with what came of each key.
"""

from __future__ import annotations

import random
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import httpx2

FLAVORS = {"small": (1, 1024, 10), "wide": (3, 1024, 10), "large": (4, 4096, 40)}
PROJECTS = {"health": 30, "health/booking": 12, "health/records": 12, "education": 25, "transport": 15}  # vcpus at and below
HELD = "transport"  # every request there waits for an approver
GIVE_UP_S = 60.0  # one call, repeats included


@dataclass(slots=True)
class Report:
    """What happened, and what should not have."""

    operations: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    snapshots: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def blame(self, what: str) -> None:
        """Note something that should never be; each sort of thing a few times only."""
        if len(self.wrong) < 50:
            self.wrong.append(what)


# -- calls -----------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Caller:
    """One client: asks any controller that answers, until the answer is definite."""

    ports: Sequence[int]
    token: str
    report: Report
    dice: random.Random
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=20))

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None, content: bytes | None = None) -> tuple[int, Any]:
        """Status and body. 503 and a broken connection are no answer; 500 is one that must not be."""
        headers = {"Authorization": f"Bearer {self.token}", **({"Idempotency-Key": key} if key else {})}
        until = time.monotonic() + GIVE_UP_S
        while time.monotonic() < until:
            try:
                url = f"http://127.0.0.1:{self.dice.choice(self.ports)}/v1{path}"
                answer = self.http.request(method, url, headers=headers, json=body, content=content)
            except httpx2.TransportError:
                self.report.answers["broken off"] += 1
                time.sleep(self.dice.uniform(0.05, 0.4))
                continue
            found = answer.json() if answer.content else None
            self.report.answers[str(answer.status_code)] += 1
            if answer.status_code == 500:
                self.report.blame(f"{method} {path}: 500 {found}")
            elif answer.status_code != 503:
                return answer.status_code, found
            time.sleep(self.dice.uniform(0.05, 0.4))
        self.report.blame(f"{method} {path}: no definite answer within {GIVE_UP_S:.0f} s")
        return 0, None

    def must(self, method: str, path: str, body: Any = None, content: bytes | None = None) -> Any:
        """An answer of 2xx."""
        status, found = self.ask(method, path, body, content=content)
        assert 200 <= status < 300, (method, path, status, found)
        return found


# -- clients ---------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shared:
    """What all clients know together."""

    report: Report
    taken: dict[str, list[str]] = field(default_factory=dict)  # by key of an accepted create: its instances
    live: list[str] = field(default_factory=list)  # instances that nobody has asked to delete yet
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pick(self, dice: random.Random) -> str | None:
        with self.lock:
            return dice.choice(self.live) if self.live else None


def _body(dice: random.Random, key: str, project: str) -> dict[str, Any]:
    return {"project": f"hubei/{project}", "flavor": dice.choice(sorted(FLAVORS)), "image": "debian", "reason": key}


def _create(caller: Caller, shared: Shared, _approver: Caller) -> None:
    key = f"c-{caller.dice.getrandbits(64):x}"
    body = _body(caller.dice, key, caller.dice.choice([path for path in PROJECTS if path != HELD]))
    status, found = caller.ask("POST", "/instances", body, key)
    if status == 201:
        with shared.lock:
            shared.taken[key] = [found["id"]]
            shared.live.append(found["id"])
        if caller.dice.random() < 0.3:
            again = caller.ask("POST", "/instances", body, key)
            if again != (201, found):
                shared.report.blame(f"key {key} was answered {found['id']} first and {again} when it was repeated")
    elif status not in (0, 409):
        shared.report.blame(f"create: {status} {found}")


def _apply(caller: Caller, shared: Shared, approver: Caller) -> None:
    """A request that waits, and its decision by somebody else."""
    key = f"r-{caller.dice.getrandbits(64):x}"
    one = _body(caller.dice, key, HELD)
    body = {name: one.pop(name) for name in ("project", "reason")} | {"items": [{**one, "count": caller.dice.randint(1, 3)}]}
    status, found = caller.ask("POST", "/requests", body, key)
    if status != 201:
        return
    with shared.lock:
        shared.taken[key] = []
    id_, approved = found["id"], caller.dice.random() < 0.6
    verb, reason = ("approve", {}) if approved else ("refuse", {"reason": "no"})
    status, found = approver.ask("POST", f"/requests/{id_}/{verb}", reason, key + "-decided")
    if status != 200:
        shared.report.blame(f"{verb}: {status} {found}")
    elif approved:
        with shared.lock:
            shared.taken[key] = list(found["instances"])
            shared.live += found["instances"]


def _change(caller: Caller, shared: Shared, _approver: Caller) -> None:
    id_ = shared.pick(caller.dice)
    if id_ is None:
        return
    verb = caller.dice.choice(["stop", "start", "reboot", "resize", "resize", "rebuild"])
    body = {"flavor": caller.dice.choice(sorted(FLAVORS))} if verb == "resize" else None
    status, found = caller.ask("POST", f"/instances/{id_}/{verb}", body, f"a-{caller.dice.getrandbits(64):x}")
    if status not in (0, 200, 400, 409):  # 400: a disk does not shrink
        shared.report.blame(f"{verb}: {status} {found}")


def _delete(caller: Caller, shared: Shared, _approver: Caller) -> None:
    id_ = shared.pick(caller.dice)
    if id_ is None:
        return
    status, found = caller.ask("DELETE", f"/instances/{id_}")
    if status != 202:
        shared.report.blame(f"delete: {status} {found}")
    with shared.lock:
        if id_ in shared.live:
            shared.live.remove(id_)


OPERATIONS: Mapping[Callable[[Caller, Shared, Caller], None], int] = {_create: 45, _apply: 8, _change: 30, _delete: 17}


def run_client(caller: Caller, approver: Caller, shared: Shared, left: Iterator[int], pause_s: float) -> None:
    with caller.http, approver.http:
        while _one_more(left, shared):
            time.sleep(caller.dice.uniform(0, 2 * pause_s))
            _do_something(caller, approver, shared)


def _one_more(left: Iterator[int], shared: Shared) -> bool:
    with shared.lock:
        return next(left, None) is not None


def _do_something(caller: Caller, approver: Caller, shared: Shared) -> None:
    (operation,) = caller.dice.choices(list(OPERATIONS), list(OPERATIONS.values()))
    shared.report.operations[operation.__name__.strip("_")] += 1
    try:
        operation(caller, shared, approver)
    except Exception as error:  # noqa: BLE001 - a client that breaks is something wrong too
        shared.report.blame(f"client: {operation.__name__} {type(error).__name__} {error}")
