"""What an endpoint has that isn't ours, over HTTP: listed with what it would count, adopted, given back; told from drivers that can't."""

from __future__ import annotations

from typing import Any

import pytest

from controller.api.answers.adopting import ForeignOut
from controller.api.answers.base import page_of
from controller.api.answers.requests import InstanceOut
from tests.api.outside import PLENTY, Caller, Cloud, fresh


@pytest.fixture
def endpoint(operator: Caller) -> str:
    """One with two hosts of 8 vCPUs, on which there are five guests of one vCPU each that aren't ours."""
    name = fresh("region")
    operator.ask("POST /v1/pools", {"name": name, "zone": fresh("zone"), "overcommit": {"vcpus": 1.0}})
    uri = f"fake:{name}?hosts=2&vcpus=8&memory_mib=65536&disk_gib=400&foreign=5"
    operator.ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": uri, "pool": name})
    return name


def listed(operator: Caller, endpoint: str, **query: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = list(operator.walk(f"GET /v1/endpoints/{endpoint}/foreign", **query))
    return found


def free(operator: Caller, endpoint: str) -> int:
    hosts = [operator.ask(f"GET /v1/hosts/{name}") for name in operator.ask(f"GET /v1/endpoints/{endpoint}")["hosts"]]
    return sum(host["capacity"]["vcpus"] - host["used"]["vcpus"] for host in hosts)


def test_an_operator_adopts_a_guest_and_gives_it_back(cloud: Cloud, operator: Caller, endpoint: str) -> None:
    department = cloud.department(PLENTY)
    page = operator.ask(f"GET /v1/endpoints/{endpoint}/foreign", limit=2)
    page_of(ForeignOut).model_validate(page)
    assert (len(page["items"]), [one["fits"] for one in page["items"]]) == (2, [None, None])
    guests = listed(operator, endpoint, limit=2, project=department.path)
    assert len(guests) == 5
    first = guests[0]
    assert (first["fits"], first["refusal"], first["obstacle"]) == (True, None, None)
    assert first["counts"] == {"instances": 1, "vcpus": 1, "memory_mib": 1024, "disk_gib": 10}
    assert free(operator, endpoint) == 11

    body = {"id": first["id"], "project": department.path, "name": "web", "reason": "it was theirs before"}
    key = {"headers": {"Idempotency-Key": fresh("key")}}
    made = operator.ask(f"POST /v1/endpoints/{endpoint}/adopt", body, **key)
    InstanceOut.model_validate(made)
    assert operator.ask(f"POST /v1/endpoints/{endpoint}/adopt", body, **key) == made
    assert free(operator, endpoint) == 11, "it neither frees anything nor takes it twice"
    again = operator.refused(409, "already_exists", f"POST /v1/endpoints/{endpoint}/adopt", body)
    assert again["message"] == f"It was adopted already: instance web of {department.path}."

    member = department.member
    seen = member.settled(made["id"], "active")
    assert (seen["name"], seen["image"], seen["adopted"], seen["host"]) == ("web", None, None, None)
    assert operator.ask(f"GET /v1/instances/{made['id']}")["adopted"] == first["id"]
    quota = member.ask(f"GET /v1/projects/{department.path}/quota")
    assert {row["resource"]: row["used"] for row in quota["rows"] if row["kind"] == "any"} == {
        "instances": 1, "vcpus": 1, "memory_mib": 1024, "disk_gib": 10, "gpus": 0,
    }  # fmt: skip
    (request,) = member.ask("GET /v1/requests", project=department.path)["items"]
    assert (request["state"], request["reason"], request["decision"]["by"]) == ("approved", body["reason"], operator.name)
    assert len(listed(operator, endpoint)) == 4
    member.refused(409, "invalid_state", f"POST /v1/instances/{made['id']}/rebuild")
    member.ask(f"POST /v1/instances/{made['id']}/stop")
    member.settled(made["id"], "stopped")
    member.refused(403, "forbidden", f"POST /v1/instances/{made['id']}/disown")

    operator.ask(f"POST /v1/instances/{made['id']}/disown")
    gone = member.settled(made["id"], "deleted")
    assert gone["disowned"] is True
    operator.until(f"GET /v1/endpoints/{endpoint}/foreign", lambda found: len(found["items"]) == 5)
    kinds = [event["kind"] for event in member.ask("GET /v1/events", object=made["id"])["items"]]
    assert (kinds[0], kinds[-2:]) == ("instance.adopted", ["instance.disown_asked", "instance.disowned"])
    operator.until(f"GET /v1/endpoints/{endpoint}", lambda _: free(operator, endpoint) == 11)


def test_a_limit_that_is_too_small_is_told_before_and_refuses_in_the_same_words(cloud: Cloud, operator: Caller, endpoint: str) -> None:
    project = cloud.project()
    cloud.admin.ask(f"PUT /v1/projects/{project}/limits", {"limits": [{"kind": "any", "resource": "memory_mib", "amount": 1000}]})
    for lang in ("en", "zh"):
        headers = {"Accept-Language": lang}
        guest = operator.ask(f"GET /v1/endpoints/{endpoint}/foreign", project=project, limit=1, headers=headers)["items"][0]
        assert guest["fits"] is False
        body = {"id": guest["id"], "project": project}
        refusal = operator.refused(409, "quota_exceeded", f"POST /v1/endpoints/{endpoint}/adopt", body, headers=headers)
        assert guest["refusal"] == refusal
        assert refusal["details"]["over"][0]["free"] == 1000
    assert len(listed(operator, endpoint)) == 5


def test_what_is_not_there_and_who_can_not_adopt_is_named(cloud: Cloud, operator: Caller, endpoint: str) -> None:
    project = cloud.project()
    line = f"POST /v1/endpoints/{endpoint}/adopt"
    refusal = operator.refused(404, "not_found", line, {"id": "../../flavors", "project": project})
    assert refusal["details"]["reason"] == "foreign_not_found"
    operator.refused(404, "not_found", line, {"id": "x", "project": "nowhere"})
    operator.refused(400, "invalid_request", f"GET /v1/endpoints/{endpoint}/foreign?cursor=%00")
    operator.refused(404, "not_found", "GET /v1/endpoints/nowhere/foreign")
