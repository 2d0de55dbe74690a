"""Two departments never learn of each other, and nobody but operators learns of hosts."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh


@pytest.fixture(scope="module")
def bureau(cloud: Cloud) -> str:
    """A limited project above two departments."""
    path = cloud.project()
    cloud.admin.ask(f"PUT /v1/projects/{path}/limits", {"limits": [{"resource": "vcpus", "amount": 10}]})
    return path


@pytest.fixture(scope="module")
def mine(cloud: Cloud, bureau: str) -> Department:
    return cloud.department(PLENTY, parent=bureau)


@pytest.fixture(scope="module")
def theirs(cloud: Cloud, bureau: str) -> tuple[Department, dict[str, Any]]:
    """The other department, with an instance."""
    department = cloud.department(PLENTY, parent=bureau)
    wish = {"project": department.path, "flavor": "small", "image": "debian", "name": fresh("secret")}
    instance = department.member.ask("POST /v1/instances", wish)
    return department, department.member.settled(instance["id"], "active")


def _people(department: Department) -> Iterator[Caller]:
    yield from (department.member, department.approver, department.admin)


def test_what_another_department_has_does_not_exist_for_us(mine: Department, theirs: tuple[Department, dict[str, Any]]) -> None:
    other, instance = theirs
    project = other.member.ask(f"GET /v1/projects/{other.path}")["id"]
    for caller in _people(mine):
        for address in (
            f"GET /v1/projects/{other.path}",
            f"GET /v1/projects/{project}",
            f"GET /v1/projects/{other.path}/quota",
            f"GET /v1/projects/{other.path}/roles",
            f"GET /v1/instances/{instance['id']}",
            f"GET /v1/instances/{instance['id']}/console",
            f"GET /v1/instances/{instance['id']}/explain",
            f"POST /v1/instances/{instance['id']}/stop",
            f"DELETE /v1/instances/{instance['id']}",
            f"GET /v1/requests/{instance['request_id']}",
            f"POST /v1/requests/{instance['request_id']}/cancel",
            f"GET /v1/instances?project={other.path}",
            f"GET /v1/requests?project={project}",
            f"GET /v1/events?project={other.path}",
        ):
            refusal = caller.refused(404, "not_found", address)
            nothing = address.replace(other.path, other.path + "-x").replace(project, mine.path + "-y").replace(instance["id"], "none")
            nothing = nothing.replace(instance["request_id"], "none")
            absent = caller.call(nothing).json()["error"]
            assert (absent["code"], absent["details"]) == (refusal["code"], refusal["details"]), "an absent thing looks just the same"
        caller.refused(404, "not_found", "POST /v1/requests", {"project": other.path, "items": [{"flavor": "tiny", "image": "debian"}]})
        caller.refused(404, "not_found", "POST /v1/instances", {"project": project, "flavor": "tiny", "image": "debian"})
        caller.refused(404, "not_found", "POST /v1/projects", {"name": "spy", "parent": other.path})
        caller.refused(404, "not_found", f"PUT /v1/projects/{other.path}/roles", {"user": caller.name, "role": "admin"})


def test_no_list_holds_a_word_of_another_department(mine: Department, theirs: tuple[Department, dict[str, Any]], bureau: str) -> None:
    other, instance = theirs
    words = [other.path, instance["id"], instance["name"], instance["request_id"], other.member.name, other.approver.name]
    for caller in _people(mine):
        for address in ("GET /v1/projects", "GET /v1/instances", "GET /v1/requests"):
            text = json.dumps(caller.walk(address))
            assert not [word for word in words if word in text], f"{address} tells {caller.name} of another department"
        for address in ("GET /v1/events?limit=500", f"GET /v1/events?object={instance['id']}", "GET /v1/events?after=0.0&limit=500"):
            text = json.dumps(caller.ask(address))
            assert not [word for word in words if word in text], f"{address} tells {caller.name} of another department"
        assert caller.ask("GET /v1/instances", request=instance["request_id"])["items"] == []
        assert caller.ask("GET /v1/instances", name=instance["name"])["items"] == []
        assert [one["path"] for one in caller.walk("GET /v1/projects")] == [mine.path]


def test_a_department_does_not_see_its_ancestors_sums(mine: Department, theirs: tuple[Department, dict[str, Any]], bureau: str) -> None:
    for caller in _people(mine):
        quota = caller.ask(f"GET /v1/projects/{mine.path}/quota")
        assert {row["project"] for row in quota["rows"]} <= {mine.path}
        caller.refused(404, "not_found", f"GET /v1/projects/{bureau}")
        caller.refused(404, "not_found", f"GET /v1/projects/{bureau}/quota")


def test_a_refusal_at_an_ancestors_limit_tells_no_numbers(
    cloud: Cloud, mine: Department, theirs: tuple[Department, dict[str, Any]], bureau: str
) -> None:
    wish = {"project": mine.path, "items": [{"flavor": "large", "image": "debian", "count": 2}]}
    (over,) = mine.member.refused(409, "quota_exceeded", "POST /v1/requests", wish)["details"]["over"]
    assert over == {"project": bureau, "kind": "any", "resource": "vcpus", "asked": 16}
    (shown,) = cloud.admin.refused(409, "quota_exceeded", "POST /v1/requests", wish)["details"]["over"]
    assert shown == over | {"limit": 10, "used": 2, "held": 0, "free": 8}
    verdict = mine.member.ask("POST /v1/requests", wish, explain="true")
    assert verdict["refusal"]["details"]["over"] == [over]


def test_hosts_are_named_to_nobody_but_those_who_see_the_fleet(cloud: Cloud, theirs: tuple[Department, dict[str, Any]]) -> None:
    department, instance = theirs
    host = cloud.admin.ask(f"GET /v1/instances/{instance['id']}")["host"]
    endpoint = cloud.admin.ask(f"GET /v1/hosts/{host}")["endpoint"]
    for role in ("operator", "auditor", "admin"):
        assert cloud.user((cloud.root, role)).ask(f"GET /v1/instances/{instance['id']}")["host"] == host
    for caller in (*_people(department), cloud.user((department.path, "operator")), cloud.user((department.path, "auditor"))):
        for address in (
            f"GET /v1/instances/{instance['id']}",
            f"GET /v1/instances/{instance['id']}/explain",
            f"GET /v1/requests/{instance['request_id']}",
            "GET /v1/instances",
            "GET /v1/requests",
            "GET /v1/events?limit=500",
        ):
            text = caller.call(address).text
            assert not [name for name in (host, f'"{endpoint}"') if name in text], f"{address} names a host to {caller.name}"
        for address in ("GET /v1/hosts", f"GET /v1/hosts/{host}", "GET /v1/endpoints", f"GET /v1/instances?host={host}", "GET /metrics"):
            caller.refused(403, "forbidden", address)
    wish = {"project": department.path, "flavor": "giant-of-isolation", "image": "debian"}
    cloud.admin.ask("POST /v1/flavors", {"name": "giant-of-isolation", "vcpus": 1, "memory_mib": 400_000, "disk_gib": 1})
    assert host not in json.dumps(department.member.refused(409, "no_capacity", "POST /v1/instances", wish))


def test_a_host_that_does_not_answer_is_not_named_to_its_departments(cloud: Cloud) -> None:
    name, department = fresh("rack"), cloud.department(PLENTY)
    cloud.admin.ask("POST /v1/pools", {"name": name, "zone": fresh("zone")})
    backend = cloud.data_dir / name
    endpoint = {"name": name, "driver": "fake", "uri": f"fake://{backend}?hosts=1", "pool": name}
    (host,) = cloud.admin.ask("POST /v1/endpoints", endpoint)["hosts"]
    wish = {"project": department.path, "flavor": "tiny", "image": "debian", "pool": name}
    id_ = department.member.settled(department.member.ask("POST /v1/instances", wish)["id"], "active")["id"]
    (backend / "silent" / "host-0001").touch()
    seen = department.member.until(f"GET /v1/instances/{id_}", lambda one: one["condition"] == "unknown")
    assert (seen["state"], seen["reason"]) == ("active", {"code": "host_unreachable", "text": "The host does not answer."})
    refusal = department.member.refused(503, "unavailable", f"GET /v1/instances/{id_}/console")
    assert refusal["message"] == "The host does not answer."
    for address in (f"GET /v1/instances/{id_}", f"GET /v1/instances/{id_}/explain", f"GET /v1/instances/{id_}/console", "GET /v1/events"):
        text = department.member.call(address).text
        assert not [word for word in ("host-0001", host, str(backend)) if word in text], f"{address} names the host: {text}"
    told = cloud.admin.refused(503, "host_unreachable", f"GET /v1/instances/{id_}/console")["message"]
    assert told > "The host does not answer: ", "those who see the fleet read the details"
    (backend / "silent" / "host-0001").unlink()
    department.member.until(f"GET /v1/instances/{id_}", lambda one: one["condition"] == "running")


def test_a_user_without_any_role_sees_the_catalogue_and_nothing_else(cloud: Cloud) -> None:
    stranger = cloud.user()
    for address in ("GET /v1/projects", "GET /v1/instances", "GET /v1/requests"):
        assert stranger.walk(address) == [], address
    assert stranger.ask("GET /v1/events")["items"] == []
    assert stranger.ask("GET /v1/whoami")["roles"] == []
    assert stranger.ask("GET /v1/flavors")["items"]
    stranger.refused(404, "not_found", f"GET /v1/projects/{cloud.root}")
    stranger.refused(404, "not_found", f"GET /v1/users/{fresh('user')}")
