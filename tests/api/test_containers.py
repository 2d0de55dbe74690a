"""Containers beside machines: the same request, limits, decision, refusal and events; what they run in place of an image."""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest
from psycopg import sql

from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh

IMAGE = "registry.example/health/booking:2.4"


@pytest.fixture(scope="module")
def nodes(cloud: Cloud) -> Iterator[str]:
    """A pool whose hosts run containers alone, and a size for them."""
    name = fresh("nodes")
    cloud.admin.ask("POST /v1/pools", {"name": name, "zone": fresh("zone"), "overcommit": {"vcpus": 1.0}})
    uri = f"fake:{name}?hosts=4&vcpus=64&kinds=container&overcommit_vcpus=1.0"
    cloud.admin.ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": uri, "pool": name})
    cloud.admin.ask("POST /v1/flavors", {"name": "pod", "kind": "container", "vcpus": 1, "memory_mib": 256, "disk_gib": 2})
    cloud.admin.ask("POST /v1/flavors", {"name": "pod-large", "kind": "container", "vcpus": 2, "memory_mib": 512, "disk_gib": 2})
    yield name
    for host in cloud.admin.walk("GET /v1/hosts", pool=name):
        cloud.admin.ask(f"POST /v1/hosts/{host['id']}/cordon")


def runs(**more: Any) -> dict[str, Any]:
    return {"image": IMAGE, "ports": [{"name": "http", "port": 8080}]} | more


def item(count: int = 1, container: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"kind": "container", "name": fresh("app"), "flavor": "pod", "count": count, "container": container or runs()} | more


def test_machines_and_containers_come_of_one_request_and_count_against_one_limit(
    cloud: Cloud, nodes: str, free_department: Department
) -> None:
    member, path = free_department.member, free_department.path
    cloud.admin.ask(f"PUT /v1/projects/{path}/limits", {"limits": [{"resource": "vcpus", "amount": 10}]})
    machines = {"name": fresh("vm"), "flavor": "small", "image": "debian", "count": 2}
    request = member.ask("POST /v1/requests", {"project": path, "items": [machines, item(6, spread={"mode": "spread"})]})
    found = [member.settled(id_, "active") for id_ in request["instances"]]
    assert sorted(one["kind"] for one in found) == ["container"] * 6 + ["vm"] * 2
    assert {one["image"] for one in found} == {"debian", IMAGE}
    refusal = member.refused(409, "quota_exceeded", "POST /v1/requests", {"project": path, "items": [item()]})
    assert (refusal["details"]["over"][0]["resource"], refusal["details"]["over"][0]["limit"]) == ("vcpus", 10)
    rows = {(row["kind"], row["resource"]): row["used"] for row in free_department.admin.ask(f"GET /v1/projects/{path}/quota")["rows"]}
    assert rows["any", "vcpus"] == 10
    for one in found:
        assert member.call(f"DELETE /v1/instances/{one['id']}").status_code == 202
    for one in found:
        member.settled(one["id"], "deleted")


def test_secrets_are_shown_by_name_alone_and_kept_sealed(cloud: Cloud, nodes: str, free_department: Department) -> None:
    word = "kept-from-everybody-31415"
    container = runs(secrets={"DB_PASSWORD": word}, env={"LANG": "C.UTF-8"})
    request = free_department.member.ask("POST /v1/requests", {"project": free_department.path, "items": [item(container=container)]})
    (id_,) = request["instances"]
    shown = free_department.member.settled(id_, "active")
    assert shown["container"]["secrets"] == ["DB_PASSWORD"]
    assert shown["container"]["env"] == {"LANG": "C.UTF-8"}
    answers = [
        request,
        shown,
        free_department.member.ask("GET /v1/events", object=id_),
        cloud.admin.ask(f"GET /v1/requests/{request['id']}"),
    ]
    assert word not in json.dumps(answers)
    assert word not in cloud.log.read_text()
    with psycopg.connect(cloud.database_url) as conn:
        for table in ("requests", "instances", "events", "answers", "placements"):
            found = conn.execute(sql.SQL("SELECT 1 FROM {} t WHERE t::text LIKE %s").format(sql.Identifier(table)), (f"%{word}%",))
            assert found.fetchone() is None, table


def test_a_container_is_stopped_started_resized_and_rebuilt_from_another_image(nodes: str, free_department: Department) -> None:
    member = free_department.member
    made = member.ask("POST /v1/instances", {"project": free_department.path} | {k: v for k, v in item().items() if k != "count"})
    assert (made["kind"], made["image"], made["container"]["image"]) == ("container", IMAGE, IMAGE)
    address = f"/v1/instances/{made['id']}"
    member.settled(made["id"], "active")
    member.ask(f"POST {address}/stop")
    member.settled(made["id"], "stopped")
    member.ask(f"POST {address}/start")
    member.settled(made["id"], "active")
    member.ask(f"POST {address}/resize", {"flavor": "pod-large"})
    assert member.settled(made["id"], "active")["vcpus"] == 2
    member.refused(400, "flavor_kind", f"POST {address}/resize", {"flavor": "small"})
    member.refused(400, "bad_oci_image", f"POST {address}/rebuild", {"image": "no such thing"})
    member.refused(400, "bad_oci_image", f"POST {address}/rebuild", {"image": f"{IMAGE}\n"})
    member.ask(f"POST {address}/rebuild", {"image": "registry.example/health/booking:2.5"})
    assert member.settled(made["id"], "active")["image"] == "registry.example/health/booking:2.5"
    told = [one["kind"] for one in member.ask("GET /v1/events", object=made["id"])["items"]]
    assert told[-2:] == ["instance.rebuild_asked", "instance.active"]


def test_what_waits_for_approval_keeps_what_it_is_to_run(nodes: str, department: Department) -> None:
    word = "sealed-while-it-waits"
    body = {"project": department.path, "items": [item(container=runs(secrets={"KEY": word}))]}
    request = department.member.ask("POST /v1/requests", body)
    assert (request["state"], request["items"][0]["container"]["secrets"]) == ("pending", ["KEY"])
    assert word not in json.dumps(request)
    (id_,) = department.approver.ask(f"POST /v1/requests/{request['id']}/approve", {})["instances"]
    assert department.member.settled(id_, "active")["container"]["secrets"] == ["KEY"]


@pytest.mark.parametrize(
    ("changes", "where"),
    [
        ({"image": "debian"}, "items.0"),
        ({"user_data": "#cloud-config"}, "items.0"),
        ({"container": None}, "items.0"),
        ({"kind": "vm"}, "items.0"),
        ({"container": runs(ports=[], service="booking")}, "items.0.container"),
        ({"container": runs(ports=[{"name": "a", "port": 1}, {"name": "a", "port": 2}])}, "items.0.container"),
        ({"container": runs(ports=[{"name": "a", "port": 1}, {"name": "b", "port": 1}])}, "items.0.container"),
        ({"container": runs(ports=[{"name": "80", "port": 80}])}, "items.0.container.ports.0.name"),
        ({"container": runs(ports=[{"name": "a--b", "port": 80}])}, "items.0.container.ports.0.name"),
        ({"container": runs(service="1st")}, "items.0.container.service"),
        ({"container": runs(env={"A": "1"}, secrets={"A": "2"})}, "items.0.container"),
        ({"container": runs(env={f"A{number}": "x" * 30_000 for number in range(9)})}, "items.0.container"),
        ({"container": runs(liveness={"http_path": "/"})}, "items.0.container.liveness"),
        ({"container": runs(volumes=[{"name": "data", "path": "relative", "size_gib": 1}])}, "items.0.container.volumes.0.path"),
        ({"container": runs(volumes=[{"name": "data", "path": "/", "size_gib": 1}])}, "items.0.container.volumes.0.path"),
        ({"container": runs(volumes=[{"name": "data", "path": "/a/../etc", "size_gib": 1}])}, "items.0.container.volumes.0.path"),
        ({"container": runs(volumes=[{"name": "data", "path": "/a/", "size_gib": 1}])}, "items.0.container.volumes.0.path"),
        ({"container": {"image": "UPPER"}}, "items.0.container.image"),
    ],
)
def test_what_makes_no_sense_is_refused_where_it_stands(
    nodes: str, free_department: Department, changes: dict[str, Any], where: str
) -> None:
    error = free_department.member.refused(
        400, "invalid_request", "POST /v1/requests", {"project": free_department.path, "items": [item() | changes]}
    )
    assert where in json.dumps(error["details"])


def test_volumes_are_part_of_the_disk_that_the_flavor_has(nodes: str, free_department: Department) -> None:
    container = runs(volumes=[{"name": "data", "path": "/data", "size_gib": 2}])
    body = {"project": free_department.path, "items": [item(container=container)]}
    free_department.member.refused(400, "flavor_disk_small", "POST /v1/requests", body)


def test_a_pool_without_nodes_says_why_a_container_finds_no_place(nodes: str, free_department: Department) -> None:
    body = {"project": free_department.path, "items": [item(pool="general")]}
    refusal = free_department.member.refused(409, "no_capacity", "POST /v1/requests", body)
    assert "kind" in [one["rule"] for one in refusal["details"]["rules"]]


def test_many_at_once_fill_one_limit_exactly_whatever_they_ask_for(cloud: Cloud, nodes: str) -> None:
    department = cloud.department(PLENTY)
    cloud.admin.ask(f"PUT /v1/projects/{department.path}/limits", {"limits": [{"resource": "vcpus", "amount": 20}]})

    def ask(number: int) -> int:
        wish = item() if number % 2 else {"name": fresh("vm"), "flavor": "tiny", "image": "debian", "count": 1}
        return department.member.call("POST /v1/requests", {"project": department.path, "items": [wish]}).status_code

    with ThreadPoolExecutor(32) as clients:
        answers = list(clients.map(ask, range(64)))
    assert (answers.count(201), answers.count(409)) == (20, 44)
    rows = department.admin.ask(f"GET /v1/projects/{department.path}/quota")["rows"]
    assert [row["used"] for row in rows if (row["project"], row["kind"], row["resource"]) == (department.path, "any", "vcpus")] == [20]


def test_an_endpoints_credentials_are_sealed_and_never_shown(cloud: Cloud, operator: Caller) -> None:
    name, word = fresh("sealed"), "credential-27182"
    operator.ask("POST /v1/pools", {"name": name, "zone": fresh("zone")})
    body = {"name": name, "driver": "fake", "uri": f"fake:{name}", "pool": name, "credentials": word}
    error = operator.refused(400, "endpoint_refused", "POST /v1/endpoints", body)
    assert word not in json.dumps(error), "the fake driver takes none, and says so without saying them"


def test_what_the_backend_can_not_do_is_said(nodes: str, free_department: Department) -> None:
    member = free_department.member
    made = member.ask("POST /v1/instances", {"project": free_department.path} | {k: v for k, v in item().items() if k != "count"})
    member.settled(made["id"], "active")
    member.refused(409, "no_log", f"GET /v1/instances/{made['id']}/log")
    member.refused(409, "no_exec", f"POST /v1/instances/{made['id']}/exec", {"command": ["id"]})
    told = [one["kind"] for one in member.ask("GET /v1/events", object=made["id"])["items"]]
    assert told[-1] == "instance.exec_asked", "what was tried is recorded, too"
    assert member.ask(f"GET /v1/instances/{made['id']}/explain")["text"].endswith("is active."), "and explains nothing"


def test_a_host_is_drained_over_http(cloud: Cloud, operator: Caller, free_department: Department) -> None:
    name = fresh("nodes")
    operator.ask("POST /v1/pools", {"name": name, "zone": fresh("zone"), "overcommit": {"vcpus": 1.0}})
    uri = f"fake:{name}?hosts=2&vcpus=4&kinds=container&overcommit_vcpus=1.0"
    operator.ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": uri, "pool": name})
    member = free_department.member
    request = member.ask("POST /v1/requests", {"project": free_department.path, "items": [item(3, pool=name)]})
    for id_ in request["instances"]:
        member.settled(id_, "active")
    busy = max(operator.walk("GET /v1/hosts", pool=name), key=lambda host: host["instances"])
    drained = operator.ask(f"POST /v1/hosts/{busy['id']}/drain")
    assert (drained["cordoned"], drained["draining"], drained["instances"]) == (True, True, 0)
    for id_ in request["instances"]:
        found = cloud.admin.settled(id_, "active")
        assert (found["host"] != busy["name"], found["condition"]) == (True, "running")
    (other,) = [host for host in operator.walk("GET /v1/hosts", pool=name) if host["id"] != busy["id"]]
    refusal = operator.refused(409, "drain_impossible", f"POST /v1/hosts/{other['id']}/drain")
    assert len(refusal["details"]["instances"]) == 3


# -- services --------------------------------------------------------------------------------------------------------------------------

HTTP, ALSO, UDP, RENAMED = (
    {"name": "http", "port": 8080},
    {"name": "metrics", "port": 9100},
    {"name": "http", "port": 8080, "protocol": "udp"},
    {"name": "web", "port": 8080},
)


def behind(service: str, *ports: dict[str, Any]) -> dict[str, Any]:
    return item(container=runs(ports=list(ports), service=service))


@pytest.mark.parametrize(
    ("there", "asked", "have", "want"),
    [
        ([HTTP], [{"name": "http", "port": 8081}], "http 8080/tcp", "http 8081/tcp"),
        ([HTTP], [UDP], "http 8080/tcp", "http 8080/udp"),
        ([HTTP], [RENAMED], "http 8080/tcp", "web 8080/tcp"),
        ([HTTP], [HTTP, ALSO], "http 8080/tcp", "http 8080/tcp, metrics 9100/tcp"),
        ([ALSO, HTTP], [HTTP], "http 8080/tcp, metrics 9100/tcp", "http 8080/tcp"),
    ],
)
def test_a_service_has_one_set_of_ports_whether_asked_for_together_or_later(
    nodes: str, cloud: Cloud, there: list[Any], asked: list[Any], have: str, want: str
) -> None:
    department = cloud.department(PLENTY)
    member, path = department.member, department.path
    together = {"project": path, "items": [behind("front", *there), behind("front", *asked)]}
    told = member.refused(409, "service_ports_differ", "POST /v1/requests", together)
    assert "Item 2" in told["message"]
    assert f"has the ports {have}, not {want}." in told["message"]
    assert member.ask(f"GET /v1/instances?project={path}")["items"] == [], "nothing has changed"

    (id_,) = member.ask("POST /v1/requests", {"project": path, "items": [behind("front", *there)]})["instances"]
    later = {"project": path, "items": [item(), behind("front", *asked)]}
    told = member.refused(409, "service_ports_differ", "POST /v1/requests", later)
    assert f"has the ports {have}, not {want}." in told["message"]
    same = {"project": path, "items": [behind("front", *reversed(there)), behind("back", *asked)]}
    member.ask("POST /v1/requests", same)
    for one in member.ask(f"GET /v1/instances?project={path}")["items"]:
        member.settled(one["id"], "active")
        if one["container"]["service"] == "front":
            member.ask(f"DELETE /v1/instances/{one['id']}")
    member.ask("POST /v1/requests", later)  # who had other ports is to be gone
    member.settled(id_, "deleted")
    elsewhere = cloud.department(PLENTY)
    elsewhere.member.ask("POST /v1/requests", {"project": elsewhere.path, "items": [behind("front", ALSO)]})


def test_requests_that_wait_for_approval_have_a_say_in_a_services_ports_until_they_are_refused(nodes: str, cloud: Cloud) -> None:
    department = cloud.department()
    member, path = department.member, department.path
    waiting = member.ask("POST /v1/requests", {"project": path, "items": [behind("front", HTTP)]})
    assert waiting["state"] == "pending"
    other = {"project": path, "items": [behind("front", ALSO)]}
    member.refused(409, "service_ports_differ", "POST /v1/requests", other)
    department.approver.ask(f"POST /v1/requests/{waiting['id']}/refuse", {"reason": "not now"})
    assert member.ask("POST /v1/requests", other)["state"] == "pending"


def test_of_many_who_name_one_service_at_once_all_that_are_taken_agree(nodes: str, cloud: Cloud) -> None:
    department = cloud.department(PLENTY)

    def ask(number: int) -> int:
        body = {"project": department.path, "items": [behind("front", {"name": "http", "port": 8000 + number % 3})]}
        return department.member.call("POST /v1/requests", body).status_code

    with ThreadPoolExecutor(12) as clients:
        answers = list(clients.map(ask, range(12)))
    assert sorted(answers) == [201] * 4 + [409] * 8
    found = department.member.ask(f"GET /v1/instances?project={department.path}")["items"]
    assert len({one["container"]["ports"][0]["port"] for one in found}) == 1
