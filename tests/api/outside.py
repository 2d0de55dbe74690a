"""How these tests see the controller: as anybody outside does, over HTTP, with a token.

`Caller` is one identity; `Cloud` is the running controller with its administrator, who makes whatever a tale needs.
Each tale makes departments of its own, so that tales don't meet.
"""

from __future__ import annotations

import itertools
import re
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from controller.messages import CATALOGUE

_numbers = itertools.count(1)


def fresh(prefix: str) -> str:
    """A name that nothing else in this run has."""
    return f"{prefix}-{next(_numbers)}"


@cache
def _sentence(text: str) -> re.Pattern[str]:
    """What a sentence of the catalogue looks like, in either language, with anything for its parameters."""
    forms = ["(?s:.*)".join(map(re.escape, re.split(r"\{\w+\}", form))) for form in CATALOGUE.get(text, ())]
    return re.compile("|".join(forms) or "(?!)")


@dataclass(frozen=True)
class Caller:
    """One identity. `ask` expects success and gives the body, `call` takes what comes.

    `refused` expects an error and gives it; `why` is its code, or the name of the sentence that it says.
    """

    http: httpx2.Client
    token: str | None = None
    name: str = ""

    def call(self, line: str, body: Any = None, headers: dict[str, str] | None = None, **query: Any) -> httpx2.Response:
        """`line` is method and address; a `body` of bytes goes as it is, anything else as JSON."""
        method, _, address = line.partition(" ")
        content = {"content": body} if isinstance(body, bytes) else {} if body is None else {"json": body}
        mine = {"Authorization": f"Bearer {self.token}"} if self.token else {}
        return self.http.request(method, address, headers=mine | (headers or {}), params=query or None, **content)

    def ask(self, line: str, body: Any = None, headers: dict[str, str] | None = None, **query: Any) -> Any:
        answer = self.call(line, body, headers, **query)
        assert answer.status_code < 300, f"{line} was answered {answer.status_code}: {answer.text}"
        return answer.json()

    def refused(self, status: int, why: str, line: str, body: Any = None, headers: dict[str, str] | None = None, **query: Any) -> Any:
        answer = self.call(line, body, headers, **query)
        assert answer.status_code == status, f"{line} was answered {answer.status_code}, not {status}: {answer.text}"
        error = answer.json()["error"]
        assert why == error["code"] or _sentence(why).fullmatch(error["message"]), f"{line} was refused as {error}, not for {why}"
        assert error["message"].strip(), f"{line} was refused without a word"
        return error

    def until(self, line: str, done: Callable[[Any], bool], within_s: float = 15.0) -> Any:
        """Ask until the answer is as wished."""
        end = time.monotonic() + within_s
        while not done(found := self.ask(line)):
            assert time.monotonic() < end, f"{line} did not become as wished within {within_s} s; it is {found}"
            time.sleep(0.05)
        return found

    def settled(self, instance_id: str, state: str) -> Any:
        """The instance, once it is in the state and nothing is under way."""
        return self.until(
            f"GET /v1/instances/{instance_id}", lambda one: one["state"] == state and one["generation"] == one["observed_generation"]
        )

    def settled_within(self, instance_id: str, state: str, within_s: float) -> Any:
        """The same, for guests that take their time."""
        address = f"GET /v1/instances/{instance_id}"
        return self.until(address, lambda one: one["state"] == state and one["generation"] == one["observed_generation"], within_s)

    def walk(self, line: str, limit: int = 50, between: Callable[[], object] = lambda: None, **query: Any) -> list[Any]:
        """All items of all pages; `between` happens between two pages."""
        items: list[Any] = []
        cursor: dict[str, str] = {}
        while True:
            page = self.ask(line, limit=limit, **query, **cursor)
            assert len(page["items"]) <= limit
            items += page["items"]
            if page["next"] is None:
                return items
            cursor = {"cursor": page["next"]}
            between()


@dataclass(frozen=True)
class Department:
    """A project with somebody in each role."""

    path: str
    member: Caller
    approver: Caller
    admin: Caller


@dataclass(frozen=True)
class Cloud:
    """The running controller."""

    url: str
    root: str
    admin: Caller
    nobody: Caller
    database_url: str
    data_dir: Path
    log: Path

    def as_(self, token: str | None, name: str = "") -> Caller:
        return Caller(self.admin.http, token, name)

    def user(self, *roles: tuple[str, str], name: str | None = None) -> Caller:
        """A new user with a token and roles: pairs of project and role."""
        name = name or fresh("user")
        self.admin.ask("POST /v1/users", {"name": name})
        for project, role in roles:
            self.admin.ask(f"PUT /v1/projects/{project}/roles", {"user": name, "role": role})
        token = self.admin.ask(f"POST /v1/users/{name}/tokens", {"name": "test"})["token"]
        return self.as_(token, name)

    def project(self, parent: str | None = None, **fields: Any) -> str:
        """The path of a new project."""
        return str(self.admin.ask("POST /v1/projects", {"name": fresh("bureau"), "parent": parent or self.root, **fields})["path"])

    def department(self, auto_approve: dict[str, int] | None = None, parent: str | None = None) -> Department:
        """A new department with its people."""
        path = self.project(parent, policy={"auto_approve": auto_approve})
        return Department(path, self.user((path, "member")), self.user((path, "approver")), self.user((path, "admin")))


PLENTY = {"instances": 50, "vcpus": 200, "memory_mib": 400_000, "disk_gib": 2_000, "gpus": 0}
"""Bounds of auto-approval that no tale passes by accident."""


def keep_run(cloud: Cloud, endpoint: str, project: str = "") -> str:
    """Put a run on record that is over, and the certificate that it left; their id. No machine was asked for anything."""
    id_ = str(uuid.uuid4())
    with psycopg.connect(cloud.database_url) as conn:
        (of,) = conn.execute("SELECT id FROM endpoints WHERE name = %s", (endpoint,)).fetchone() or (None,)
        (whose,) = conn.execute("SELECT id FROM projects WHERE path = %s", (project,)).fetchone() or (None,)
        conn.execute(
            "INSERT INTO runs (id, endpoint_id, project_id, step, playbook, state, ended_at)"
            " VALUES (%s, %s, %s, 'wipe', 'wipe.yml', 'done', now())",
            (id_, of, whose),
        )
        conn.execute(
            "INSERT INTO certificates (id, endpoint_id, project_id, run_id, disk_serial, document, signature)"
            " VALUES (%s, %s, %s, %s, 'S', '{}', '')",
            (id_, of, whose, id_),
        )
    return id_


def pool_of(operator: Caller, hosts: int) -> str:
    """A pool of its own with so many hosts of four vCPUs each; its name."""
    name = fresh("pool")
    operator.ask("POST /v1/pools", {"name": name, "zone": fresh("zone"), "overcommit": {"vcpus": 1.0}})
    uri = f"fake:{name}?hosts={hosts}&vcpus=4&memory_mib=65536&disk_gib=400&overcommit_vcpus=1.0"
    operator.ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": uri, "pool": name})
    return name
