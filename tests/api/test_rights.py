"""Who may do what, operation by operation: every operation of the OpenAPI document has a row here, and a new one without a row fails."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec

from controller.api.app import build
from drivers.fake.foreign import populace
from tests.api.outside import PLENTY, Caller, Cloud, fresh, keep_run

ROLES = ("member", "approver", "operator", "admin", "auditor")
CALLERS = ("stranger", *ROLES, *(f"root {role}" for role in ROLES))

NOBODY: frozenset[str] = frozenset()
EVERYBODY = frozenset(CALLERS)
READERS = EVERYBODY - {"stranger"}
USERS = frozenset({"member", "admin", "root member", "root admin"})
DECIDERS = frozenset({"approver", "root approver"})
SETTERS = frozenset({"admin", "root admin"})
ABOVE = frozenset({"root admin"})
FLEET = frozenset({"root operator", "root admin", "root auditor"})
OPERATORS = frozenset({"root operator", "root admin"})

Where = Mapping[str, str]


@dataclass(frozen=True)
class Row:
    """Who may; with which body. `fresh` names what has to be made anew for each call, because a call uses it up."""

    who: frozenset[str]
    body: Callable[[Where], Any] = lambda _: None
    fresh: str | None = None


def _item(at: Where) -> dict[str, Any]:
    return {"flavor": "tiny", "image": "debian"}


def _guest(at: Where) -> str:
    """The one that isn't ours."""
    return next(populace(at["pool"], ["host-0001"], 1)).instance_id


def _request() -> str:
    """A certificate signing request with a new key."""
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    return builder.sign(ec.generate_private_key(ec.SECP256R1()), hashes.SHA256()).public_bytes(serialization.Encoding.PEM).decode()


OPEN = {"GET /healthz", "GET /readyz"}
TABLE: dict[str, Row] = {
    "GET /v1/whoami": Row(EVERYBODY),
    "GET /v1/projects": Row(EVERYBODY),
    "POST /v1/projects": Row(SETTERS, lambda at: {"name": fresh("child"), "parent": at["project"]}),
    "GET /v1/projects/{project}": Row(READERS),
    "PATCH /v1/projects/{project}": Row(SETTERS, lambda _: {"description": "x"}),
    "DELETE /v1/projects/{project}": Row(ABOVE),
    "GET /v1/projects/{project}/quota": Row(READERS),
    "PUT /v1/projects/{project}/limits": Row(ABOVE, lambda _: {"limits": [{"resource": "gpus", "amount": 1}]}),
    "GET /v1/projects/{project}/roles": Row(READERS),
    "PUT /v1/projects/{project}/roles": Row(SETTERS, lambda at: {"user": at["user"], "role": "member"}),
    "DELETE /v1/projects/{project}/roles": Row(SETTERS, fresh="grant"),
    "GET /v1/users": Row(ABOVE),
    "POST /v1/users": Row(ABOVE, lambda _: {"name": fresh("user")}),
    "GET /v1/users/{user}": Row(ABOVE),
    "PATCH /v1/users/{user}": Row(ABOVE, lambda _: {"disabled": False}),
    "GET /v1/users/{user}/tokens": Row(ABOVE),
    "POST /v1/users/{user}/tokens": Row(ABOVE, lambda _: {"name": "t"}),
    "DELETE /v1/tokens/{token}": Row(ABOVE),
    "GET /v1/flavors": Row(EVERYBODY),
    "POST /v1/flavors": Row(OPERATORS, lambda _: {"name": fresh("f"), "vcpus": 1, "memory_mib": 1, "disk_gib": 1}),
    "GET /v1/flavors/{flavor}": Row(EVERYBODY),
    "DELETE /v1/flavors/{flavor}": Row(OPERATORS, fresh="flavor"),
    "GET /v1/images": Row(EVERYBODY),
    "POST /v1/images": Row(OPERATORS, lambda _: {"name": fresh("i"), "arch": "x86_64", "format": "raw"}),
    "GET /v1/images/{image}": Row(EVERYBODY),
    "DELETE /v1/images/{image}": Row(OPERATORS, fresh="image"),
    "PUT /v1/images/{image}/content": Row(OPERATORS, lambda _: b"content", fresh="image"),
    "GET /v1/pools": Row(EVERYBODY),
    "POST /v1/pools": Row(OPERATORS, lambda _: {"name": fresh("p"), "zone": "z"}),
    "GET /v1/pools/{pool}": Row(EVERYBODY),
    "PATCH /v1/pools/{pool}": Row(OPERATORS, lambda _: {"site": "x"}),
    "DELETE /v1/pools/{pool}": Row(OPERATORS),
    "GET /v1/endpoints": Row(FLEET),
    "GET /v1/hypervisors/trust": Row(FLEET),
    "POST /v1/hypervisors/certificates": Row(OPERATORS, lambda _: {"name": "kvm-01", "addresses": ["10.0.0.11"], "request": _request()}),
    "POST /v1/endpoints": Row(
        OPERATORS, lambda at: {"name": (name := fresh("e")), "driver": "fake", "uri": f"fake:{name}?hosts=0", "pool": at["pool"]}
    ),
    "GET /v1/endpoints/{endpoint}": Row(FLEET),
    "PATCH /v1/endpoints/{endpoint}": Row(OPERATORS, lambda _: {"options": {}}),
    "DELETE /v1/endpoints/{endpoint}": Row(OPERATORS),
    "GET /v1/endpoints/{endpoint}/foreign": Row(FLEET),
    "POST /v1/endpoints/{endpoint}/adopt": Row(OPERATORS, lambda at: {"id": _guest(at), "project": at["project"]}),
    "POST /v1/instances/{instance_id}/disown": Row(OPERATORS),
    "GET /v1/drivers/{driver}/rights": Row(FLEET),
    "GET /v1/hosts": Row(FLEET),
    "GET /v1/hosts/{host}": Row(FLEET),
    "PATCH /v1/hosts/{host}": Row(OPERATORS, lambda _: {"rack": "A-01"}),
    "POST /v1/hosts/{host}/drain": Row(OPERATORS),
    "POST /v1/hosts/{host}/cordon": Row(OPERATORS),
    "POST /v1/hosts/{host}/fence": Row(OPERATORS),
    "POST /v1/hosts/{host}/uncordon": Row(OPERATORS),
    "POST /v1/hosts/{host}/retire": Row(OPERATORS),
    "GET /v1/machines": Row(FLEET),
    "GET /v1/machines/{machine}": Row(FLEET),
    "POST /v1/machines/{machine}/inspect": Row(OPERATORS),
    "POST /v1/machines/{machine}/wipe": Row(OPERATORS),
    "POST /v1/machines/{machine}/patch": Row(OPERATORS),
    "POST /v1/machines/{machine}/trust": Row(OPERATORS),
    "POST /v1/machines/{machine}/write-off": Row(OPERATORS, lambda _: {"reason": "burnt"}),
    "POST /v1/machines/{machine}/power": Row(OPERATORS, lambda _: {"power": "on"}),
    "GET /v1/runs": Row(FLEET),
    "GET /v1/runs/{run}": Row(FLEET),
    "POST /v1/runs/{run}/cancel": Row(OPERATORS),
    "GET /v1/certificates": Row(EVERYBODY),
    "GET /v1/certificates/key": Row(EVERYBODY),
    "GET /v1/certificates/{certificate}": Row(READERS),
    "POST /v1/plans": Row(OPERATORS, lambda at: {"kind": "drain", "host": at["host"]}),
    "POST /v1/what-if": Row(OPERATORS, lambda _: {}),
    "GET /v1/requests": Row(EVERYBODY),
    "GET /v1/placements": Row(EVERYBODY),
    "POST /v1/requests": Row(USERS, lambda at: {"project": at["project"], "items": [_item(at)]}),
    "GET /v1/requests/{request_id}": Row(READERS),
    "POST /v1/requests/{request_id}/approve": Row(DECIDERS, fresh="request_id"),
    "POST /v1/requests/{request_id}/refuse": Row(DECIDERS, lambda _: {"reason": "no"}, fresh="request_id"),
    "POST /v1/requests/{request_id}/cancel": Row(USERS, fresh="request_id"),
    "GET /v1/instances": Row(EVERYBODY),
    "POST /v1/instances": Row(USERS, lambda at: {"project": at["project"], **_item(at)}),
    "GET /v1/instances/{instance_id}": Row(READERS),
    "DELETE /v1/instances/{instance_id}": Row(USERS, fresh="instance_id"),
    "POST /v1/instances/{instance_id}/start": Row(USERS),
    "POST /v1/instances/{instance_id}/stop": Row(USERS),
    "POST /v1/instances/{instance_id}/reboot": Row(USERS),
    "POST /v1/instances/{instance_id}/resize": Row(USERS, lambda _: {"flavor": "tiny"}),
    "POST /v1/instances/{instance_id}/rebuild": Row(USERS),
    "POST /v1/instances/{instance_id}/protect": Row(USERS),
    "POST /v1/instances/{instance_id}/unprotect": Row(USERS),
    "POST /v1/instances/{instance_id}/extend": Row(USERS, lambda _: {"days": 1}),
    "GET /v1/instances/{instance_id}/console": Row(USERS | {"operator", "root operator"}),
    "GET /v1/instances/{instance_id}/log": Row(USERS | {"operator", "root operator"}),
    "POST /v1/instances/{instance_id}/exec": Row(USERS, lambda _: {"command": ["true"]}),
    "GET /v1/instances/{instance_id}/explain": Row(READERS),
    "GET /v1/events": Row(EVERYBODY),
    "GET /metrics": Row(FLEET),
}


def operations() -> list[str]:
    paths = build(None, 1 << 20).openapi()["paths"]  # type: ignore[arg-type]  # the document needs no services
    return [f"{method.upper()} {path}" for path, methods in paths.items() for method in methods]


@pytest.fixture(scope="module")
def callers(cloud: Cloud, where: dict[str, str]) -> dict[str, Caller]:
    """Somebody without a role, somebody for each role on the department, and somebody for each on the root."""
    here = {role: cloud.user((where["project"], role)) for role in ROLES}
    above = {f"root {role}": cloud.user((cloud.root, role)) for role in ROLES}
    return {"stranger": cloud.user(), **here, **above}


@pytest.fixture(scope="module")
def where(cloud: Cloud) -> dict[str, str]:
    """One of each thing, owned by one department or by nobody."""
    project = cloud.project(policy={"auto_approve": PLENTY})
    pool, user = fresh("pool"), fresh("somebody")
    cloud.admin.ask("POST /v1/pools", {"name": pool, "zone": fresh("zone")})
    cloud.admin.ask("POST /v1/users", {"name": user})
    token = cloud.admin.ask(f"POST /v1/users/{user}/tokens", {"name": "his"})["id"]
    endpoint = cloud.admin.ask(
        "POST /v1/endpoints", {"name": pool, "driver": "fake", "uri": f"fake:{pool}?hosts=1&foreign=1", "pool": pool}
    )
    wish = {"project": project, "flavor": "tiny", "image": "debian"}
    instance = cloud.admin.settled(cloud.admin.ask("POST /v1/instances", wish)["id"], "active")
    return {
        "project": project,
        "pool": pool,
        "user": user,
        "token": token,
        "endpoint": endpoint["name"],
        "host": endpoint["hosts"][0],
        "machine": endpoint["hosts"][0],
        "run": (run := keep_run(cloud, endpoint["name"], project)),
        "certificate": run,
        "driver": "kubernetes",
        "instance_id": instance["id"],
        "request_id": instance["request_id"],
        "flavor": "tiny",
        "image": "debian",
    }


def _renewed(cloud: Cloud, where: dict[str, str], what: str | None) -> dict[str, str]:
    """The same things, but for what a call uses up."""
    if what == "request_id":
        waiting = cloud.project()
        for role in ROLES:
            cloud.admin.ask(f"PUT /v1/projects/{waiting}/roles", {"user": where[role], "role": role})
        wish = {"project": waiting, "items": [{"flavor": "tiny", "image": "debian"}]}
        return where | {"request_id": cloud.admin.ask("POST /v1/requests", wish)["id"]}
    if what == "instance_id":
        wish = {"project": where["project"], "flavor": "tiny", "image": "debian"}
        return where | {"instance_id": cloud.admin.ask("POST /v1/instances", wish)["id"]}
    if what == "flavor":
        wish = {"name": fresh("f"), "vcpus": 1, "memory_mib": 1, "disk_gib": 1}
        return where | {"flavor": cloud.admin.ask("POST /v1/flavors", wish)["name"]}
    if what == "image":
        wish = {"name": fresh("i"), "arch": "x86_64", "format": "raw"}
        return where | {"image": cloud.admin.ask("POST /v1/images", wish)["name"]}
    if what == "grant":
        cloud.admin.ask(f"PUT /v1/projects/{where['project']}/roles", {"user": where["user"], "role": "member"})
    return where


def _call(caller: Caller, line: str, at: dict[str, str], row: Row | None) -> tuple[int, str]:
    query = f"?user={at['user']}&role=member" if line == "DELETE /v1/projects/{project}/roles" else ""
    answer = caller.call(line.format(**at) + query, row.body(at) if row else None)
    return answer.status_code, answer.text


def test_every_operation_has_a_row_and_every_row_an_operation() -> None:
    assert sorted(operations()) == sorted([*TABLE, *OPEN])


@pytest.mark.parametrize("line", operations())
def test_without_a_valid_token_there_is_nothing_but_the_state_of_health(cloud: Cloud, where: dict[str, str], line: str) -> None:
    row = TABLE.get(line)
    for caller in (cloud.nobody, cloud.as_("ct_wrong"), cloud.as_("")):
        status, text = _call(caller, line, where, row)
        assert status == (200 if line in OPEN else 401), f"{line}: {status} {text}"
    if line not in OPEN:
        assert cloud.nobody.call("GET /v1/whoami").headers["www-authenticate"] == "Bearer"


@pytest.mark.parametrize("line", TABLE)
def test_each_role_may_do_what_its_row_says_and_nothing_else(
    cloud: Cloud, where: dict[str, str], callers: dict[str, Caller], line: str
) -> None:
    row = TABLE[line]
    names = {role: callers[role].name for role in ROLES}
    for who in CALLERS:
        at = _renewed(cloud, where | names, row.fresh)
        status, text = _call(callers[who], line, at, row)
        if who in row.who:
            assert status not in (401, 403, 404, 405), f"{who} may {line}, but was answered {status} {text}"
            assert status < 500, f"{line} by {who}: {status} {text}"
        else:
            assert status in (403, 404), f"{who} may not {line}, but was answered {status} {text}"
