"""Lists: pages while rows come and go, cursors, filters."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.api.outside import PLENTY, Cloud, Department, fresh

LISTS = (
    "GET /v1/projects",
    "GET /v1/requests",
    "GET /v1/instances",
    "GET /v1/users",
    "GET /v1/flavors",
    "GET /v1/images",
    "GET /v1/pools",
    "GET /v1/endpoints",
    "GET /v1/hosts",
    "GET /v1/placements",
)


def _create(department: Department, count: int = 1, **more: Any) -> list[str]:
    item = {"flavor": "tiny", "image": "debian", "count": count, "name": fresh("page")} | more
    return list(department.member.ask("POST /v1/requests", {"project": department.path, "items": [item]})["instances"])


def test_walking_all_pages_while_rows_are_added_finds_each_row_once(cloud: Cloud, free_department: Department) -> None:
    member = free_department.member
    there = set(_create(free_department, 17))
    seen = [one["id"] for one in member.walk("GET /v1/instances", 5, lambda: _create(free_department, 2))]
    assert len(seen) == len(set(seen)), "no row comes twice"
    assert there <= set(seen), "none is missed that was there all the time"
    assert seen == sorted(seen, reverse=True), "newest first"
    requests = [one["id"] for one in member.walk("GET /v1/requests", 2)]
    assert len(requests) == len(set(requests))
    assert requests == sorted(requests, reverse=True)


def test_walking_while_rows_are_deleted_misses_none_that_stays(free_department: Department) -> None:
    member = free_department.member
    ids = _create(free_department, 12)
    doomed = iter(ids[::3])

    def delete_one() -> None:
        if (id_ := next(doomed, None)) is not None:
            member.ask(f"DELETE /v1/instances/{id_}")
            member.settled(id_, "deleted")

    seen = [one["id"] for one in member.walk("GET /v1/instances", 3, delete_one)]
    assert set(ids) - set(ids[::3]) <= set(seen)
    assert len(seen) == len(set(seen))


def test_named_things_are_walked_in_order_of_name(cloud: Cloud) -> None:
    names = {fresh("walk") for _ in range(7)}
    for name in names:
        cloud.admin.ask("POST /v1/flavors", {"name": name, "vcpus": 1, "memory_mib": 1, "disk_gib": 1})
    for line in ("GET /v1/flavors", "GET /v1/users", "GET /v1/pools", "GET /v1/images", "GET /v1/endpoints", "GET /v1/hosts"):
        seen = [one["name"] for one in cloud.admin.walk(line, 2)]
        assert seen == sorted(set(seen)), line
    assert names <= {one["name"] for one in cloud.admin.walk("GET /v1/flavors", 3)}
    paths = [one["path"] for one in cloud.admin.walk("GET /v1/projects", 2)]
    assert paths == sorted(set(paths))


@pytest.mark.parametrize("line", LISTS)
def test_a_cursor_that_is_garbage_is_refused_and_a_strange_one_harmless(cloud: Cloud, line: str) -> None:
    for junk in (
        "!",
        "a",
        "====",
        "\x00",
        "🙂",
        "AA",
        "A" * 1024,
        base64.urlsafe_b64encode(b"\xff\xfe").decode(),
        "'; DROP TABLE users; --",
    ):
        answer = cloud.admin.call(line, cursor=junk)
        assert answer.status_code in (200, 400), f"{line} {junk!r}: {answer.text}"
    cloud.admin.refused(400, "bad_cursor", line, cursor="!")
    cloud.admin.refused(400, "bad_cursor", line, cursor=base64.urlsafe_b64encode(b"a\x00").decode())
    cloud.admin.refused(400, "invalid_request", line, cursor="A" * 1025)
    foreign = base64.urlsafe_b64encode(b"'; DROP TABLE users; --").decode().rstrip("=")
    assert cloud.admin.call(line, cursor=foreign).status_code in (200, 400)
    for limit in ("0", "501", "-1", "x", "1.5", "9" * 40, ""):
        cloud.admin.refused(400, "invalid_request", line, limit=limit)


def test_filters_narrow_and_unknown_ones_are_refused(cloud: Cloud) -> None:
    department, other = cloud.department(PLENTY), cloud.department(PLENTY)
    name = fresh("needle")
    (id_,) = _create(department, name=name)
    _create(other, 2)
    department.member.settled(id_, "active")
    ask = cloud.admin.ask
    host = ask(f"GET /v1/instances/{id_}")["host"]

    def ids(**query: str) -> set[str]:
        return {one["id"] for one in cloud.admin.walk("GET /v1/instances", **query)}

    assert ids(project=department.path) == {id_}
    assert ids(name=name) == {id_}
    assert ids(project=department.path, state="active", host=host, name=name) == {id_}
    assert ids(project=department.path, state="stopped") == set()
    assert ids(project=other.path, name=name) == set()
    assert id_ in ids(host=host)
    request = ask(f"GET /v1/instances/{id_}")["request_id"]
    assert ids(request=request) == {id_}
    assert {one["id"] for one in cloud.admin.walk("GET /v1/requests", project=department.path, state="approved")} == {request}
    assert cloud.admin.walk("GET /v1/requests", project=department.path, state="pending") == []
    assert {one["state"] for one in ask("GET /v1/hosts", state="up")["items"]} == {"up"}
    assert ask("GET /v1/hosts", zone="nowhere")["items"] == []
    assert {one["pool"] for one in ask("GET /v1/hosts", pool="general")["items"]} == {"general"}
    cloud.admin.refused(400, "invalid_request", "GET /v1/instances", state="sleeping")
    told = cloud.admin.refused(400, "invalid_request", "GET /v1/instances", stat="active")
    assert told["message"] == "The request is not valid: query.stat: there is no such parameter here"
    cloud.nobody.refused(401, "unauthenticated", "GET /v1/instances", stat="active")
    cloud.admin.refused(404, "not_found", "GET /v1/instances", project="hubei/nowhere")
    cloud.admin.refused(404, "not_found", "GET /v1/instances", host="nowhere")
    assert ids(project=cloud.root) >= {id_}, "a project stands for all below it"


def test_the_catalogue_the_fleet_and_people_are_filtered(cloud: Cloud) -> None:
    ask, walk, name = cloud.admin.ask, cloud.admin.walk, fresh("f")

    def names(line: str, **query: str) -> set[str]:
        return {one["name"] for one in walk(line, 100, **query)}

    ask("POST /v1/flavors", {"name": name, "vcpus": 1, "memory_mib": 1, "disk_gib": 1, "kind": "container", "arch": "aarch64"})
    assert name in names("GET /v1/flavors", kind="container", arch="aarch64")
    assert name not in names("GET /v1/flavors", kind="vm") | names("GET /v1/flavors", arch="x86_64")
    ask("POST /v1/images", {"name": name, "arch": "aarch64", "format": "raw"})
    assert name in names("GET /v1/images", state="waiting", arch="aarch64")
    assert name not in names("GET /v1/images", state="ready") | names("GET /v1/images", arch="x86_64")
    ask("POST /v1/pools", {"name": name, "zone": f"z-{name}", "site": "襄阳"})
    assert names("GET /v1/pools", zone=f"z-{name}", site="襄阳") == {name}
    assert names("GET /v1/pools", zone=f"z-{name}", site="武汉") == set()
    ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": f"fake:{name}", "pool": name})
    assert names("GET /v1/endpoints", pool=name, driver="fake", state="connected") == {name}
    assert names("GET /v1/endpoints", pool=name, driver="libvirt") | names("GET /v1/endpoints", pool=name, state="unreachable") == set()
    ask("POST /v1/users", {"name": name})
    assert name in names("GET /v1/users", disabled="false")
    ask(f"PATCH /v1/users/{name}", {"disabled": True})
    assert name in names("GET /v1/users", disabled="true")
    assert name not in names("GET /v1/users", disabled="false")


def test_tokens_and_roles_are_walked_and_filtered(cloud: Cloud) -> None:
    ask, walk, user, project = cloud.admin.ask, cloud.admin.walk, fresh("u"), cloud.project()
    ask("POST /v1/users", {"name": user})
    tokens = [ask(f"POST /v1/users/{user}/tokens", {"name": f"t{number}"})["id"] for number in range(5)]
    ask(f"DELETE /v1/tokens/{tokens[1]}")
    line = f"GET /v1/users/{user}/tokens"
    cloud.admin.refused(400, "bad_cursor", line, cursor="garbage!")
    assert [one["id"] for one in walk(line, 2)] == tokens[::-1]
    assert [one["id"] for one in walk(line, 2, revoked="true")] == [tokens[1]]
    assert tokens[1] not in [one["id"] for one in walk(line, 2, revoked="false")]
    for role in ("member", "approver", "auditor"):
        ask(f"PUT /v1/projects/{project}/roles", {"user": user, "role": role})
    line = f"GET /v1/projects/{project}/roles"
    assert [one["role"] for one in walk(line, 2, user=user)] == ["approver", "auditor", "member"]
    assert {one["user"] for one in walk(line, 1, role="auditor")} == {user}
    assert walk(line, 2, user="nobody") == []
