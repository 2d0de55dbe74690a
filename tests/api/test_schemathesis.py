"""Anything that the OpenAPI document allows, and much that it forbids, is sent to every operation.

What comes back is what the document says, and never a 5xx.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.specs.openapi import checks

from controller.api.app import build
from tests.api.outside import PLENTY, Cloud, fresh, keep_run
from tests.api.server import controller, furnish, new_database

DOCUMENT: dict[str, Any] = build(None, 1 << 20).openapi()  # type: ignore[arg-type]  # the document needs no services
schema = schemathesis.openapi.from_dict(DOCUMENT)
pytestmark = pytest.mark.slow
CHECKS = [
    not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
    checks.response_headers_conformance,
]


def _instance(cloud: Cloud) -> str:
    body = {"project": "hubei/health", "flavor": "small", "image": "debian-12", "term_days": 30}
    return str(cloud.admin.ask("POST /v1/instances", body)["id"])


def _request(cloud: Cloud) -> str:
    body = {"project": "hubei/schools", "items": [{"flavor": "small", "image": "debian-12"}]}
    return str(cloud.admin.ask("POST /v1/requests", body)["id"])


def _endpoint(cloud: Cloud, hosts: int = 0, kinds: str = "vm") -> str:
    name = fresh("endpoint")
    uri = f"fake:{name}?hosts={hosts}&kinds={kinds}"
    cloud.admin.ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": uri, "pool": "spare"})
    return name


def _named(noun: str, body: dict[str, Any]) -> Callable[[Cloud], str]:
    def make(cloud: Cloud) -> str:
        return str(cloud.admin.ask(f"POST /v1/{noun}s", {"name": fresh(noun)} | body)["name"])

    return make


FRESH: dict[str, Callable[[Cloud], str]] = {
    "instance_id": _instance,
    "request_id": _request,
    "token": lambda cloud: str(cloud.admin.ask("POST /v1/users/zhang/tokens", {"name": "a"})["id"]),
    "project": lambda cloud: cloud.project(),
    "user": _named("user", {}),
    "flavor": _named("flavor", {"vcpus": 1, "memory_mib": 512, "disk_gib": 1}),
    "image": _named("image", {"arch": "x86_64", "format": "raw"}),
    "pool": _named("pool", {"zone": "wuhan-a"}),
    "endpoint": _endpoint,
    "driver": lambda _: "kubernetes",
    "host": lambda cloud: f"{_endpoint(cloud, hosts=1)}-host-0001",
    "machine": lambda cloud: f"{_endpoint(cloud, hosts=1, kinds='bare_metal')}-host-0001",
    "run": lambda cloud: keep_run(cloud, _endpoint(cloud)),
    "certificate": lambda cloud: keep_run(cloud, _endpoint(cloud)),
}
"""What a parameter of an address may name: made anew for each call, since calls change it."""


POWERLESS = {
    ("get", "/v1/instances/{instance_id}/log"): "409",
    ("post", "/v1/instances/{instance_id}/exec"): "409",
    ("post", "/v1/endpoints/{endpoint}/adopt"): "404",
    ("post", "/v1/instances/{instance_id}/disown"): "409",
    ("post", "/v1/machines/{machine}/patch"): "409",
    ("post", "/v1/machines/{machine}/trust"): "409",
    ("post", "/v1/machines/{machine}/write-off"): "409",
    ("post", "/v1/hosts/{host}/fence"): "409",
    ("post", "/v1/runs/{run}/cancel"): "409",
}
"""What the fake driver can't do, or has nothing to do it to: refused so at best here, and done in tests of their own or stories."""

SENT: set[tuple[str, str]] = set()
"""Operations that were tried in this process: workers share them out."""


@pytest.fixture(scope="module")
def wild(folder: Path, postgres: str) -> Iterator[Cloud]:
    """A controller of its own, furnished with what the examples in the document name."""
    home = folder / "wild"
    home.mkdir()
    with controller(home, new_database(postgres, "wild")) as cloud:
        furnish(cloud, "general", "debian-12", {"small": (2, 4096, 40), "large": (4, 8192, 80)})
        cloud.admin.ask("POST /v1/pools", {"name": "spare", "zone": "wuhan-b"})
        cloud.admin.ask("POST /v1/projects", {"name": "health", "parent": cloud.root, "policy": {"auto_approve": PLENTY}})
        cloud.admin.ask("POST /v1/projects", {"name": "schools", "parent": cloud.root})
        cloud.admin.ask("POST /v1/users", {"name": "zhang"})
        cloud.admin.ask(f"PUT /v1/projects/{cloud.root}/roles", {"user": "admin", "role": "approver"})
        yield cloud


@schema.parametrize()
@settings(max_examples=8, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck), phases=[Phase.explicit, Phase.generate])
def test_whatever_is_sent_the_answer_is_as_the_document_says(case: Any, wild: Cloud) -> None:
    SENT.add((case.operation.method.lower(), case.operation.path))
    if case.meta is None or case.meta.generation.mode is GenerationMode.POSITIVE:
        for name in case.path_parameters:
            case.path_parameters[name] = FRESH[name](wild)
    case.call_and_validate(base_url=wild.url, headers={"Authorization": f"Bearer {wild.admin.token}"}, checks=CHECKS, timeout=20)


def test_what_was_sent_above_reached_success_and_refusal_everywhere(wild: Cloud) -> None:
    """Else the test above would prove little."""
    told = wild.admin.call("GET /metrics").text
    seen = {key: set[str]() for key in SENT}
    assert seen
    for method, route, status in re.findall(r'chutian_http_answers_total\{method="(\w+)",route="([^"]+)",status="(\d+)"\}', told):
        key = (method.lower(), route.replace(":path}", "}"))
        if key in seen:
            seen[key].add(status)
    assert not [key for key, statuses in seen.items() if key not in POWERLESS and not any(one.startswith("2") for one in statuses)], seen
    assert not [key for key in POWERLESS.keys() & seen.keys() if POWERLESS[key] not in seen[key]], seen
