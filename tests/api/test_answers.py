"""What is answered has the shape that the models describe, field by field, for every kind of object."""

from __future__ import annotations

from typing import Any, get_args

import pytest
from pydantic import BaseModel

from controller.api.answers.base import ErrorOut, Verdict, page_of
from controller.api.answers.catalogue import FlavorOut, ImageOut
from controller.api.answers.fleet import EndpointOut, HostOut, PoolOut
from controller.api.answers.guests import ConsoleOut
from controller.api.answers.people import NewTokenOut, RoleOut, TokenOut, UserOut, WhoOut
from controller.api.answers.placements import WhyOut
from controller.api.answers.projects import ProjectOut, QuotaOut, QuotaRowOut
from controller.api.answers.requests import InstanceOut, RequestOut
from controller.api.answers.state import EventOut
from controller.model.identity import Role
from controller.model.lifecycle import Goal, State
from drivers.base import Condition
from quotas.check import KINDS, RESOURCES
from tests.api.outside import Cloud, Department, fresh

NOUNS: dict[str, type[BaseModel]] = {
    "projects": ProjectOut,
    "users": UserOut,
    "flavors": FlavorOut,
    "images": ImageOut,
    "pools": PoolOut,
    "endpoints": EndpointOut,
    "hosts": HostOut,
    "requests": RequestOut,
    "instances": InstanceOut,
}


def words(model: type[BaseModel], field: str) -> set[str]:
    return set(get_args(model.model_fields[field].annotation))


@pytest.fixture(scope="module")
def furnished(cloud: Cloud) -> None:
    """At least one of each kind, in more than one state."""
    department = cloud.department({"instances": 1, "vcpus": 1, "memory_mib": 512, "disk_gib": 1})
    wish = {"project": department.path, "items": [{"flavor": "tiny", "image": "debian"}]}
    instance = department.member.ask("POST /v1/requests", wish)["instances"][0]
    department.member.settled(instance, "active")
    spread = {"mode": "anti_affinity"}
    wish["items"] = [{"flavor": "tiny", "image": "debian", "count": 2, "pool": "general", "zone": "wuhan-a", "spread": spread}]
    department.member.ask("POST /v1/requests", wish)
    id_ = department.member.ask("POST /v1/requests", wish | {"term_days": 7})["id"]
    department.approver.ask(f"POST /v1/requests/{id_}/refuse", {"reason": "no"})
    cloud.admin.ask("POST /v1/images", {"name": fresh("failed"), "arch": "x86_64", "format": "qcow2", "url": "http://127.0.0.1:1/x"})


@pytest.mark.parametrize("noun", NOUNS)
def test_every_object_has_the_fields_of_its_model_and_no_others(cloud: Cloud, furnished: None, noun: str) -> None:
    page = cloud.admin.ask(f"GET /v1/{noun}", limit=500)
    page_of(NOUNS[noun]).model_validate(page)
    assert page["items"], f"there is nothing to look at among {noun}"
    for item in page["items"]:
        assert item.keys() == NOUNS[noun].model_fields.keys()
    name = {"projects": "path", "requests": "id", "instances": "id"}.get(noun, "name")
    for item in page["items"][:3]:
        NOUNS[noun].model_validate(cloud.admin.ask(f"GET /v1/{noun}/{item[name]}"))


@pytest.mark.parametrize("who", ["admin", "member"])
def test_everything_else_has_the_fields_of_its_model(cloud: Cloud, free_department: Department, who: str) -> None:
    caller = cloud.admin if who == "admin" else free_department.member
    path = free_department.path
    created = caller.ask("POST /v1/instances", {"project": path, "flavor": "tiny", "image": "debian"})
    InstanceOut.model_validate(created)
    caller.settled(created["id"], "active")
    WhyOut.model_validate(caller.ask(f"GET /v1/instances/{created['id']}/explain"))
    ConsoleOut.model_validate(caller.ask(f"GET /v1/instances/{created['id']}/console"))
    page_of(EventOut).model_validate(caller.ask("GET /v1/events", limit=500))
    QuotaOut.model_validate(caller.ask(f"GET /v1/projects/{path}/quota"))
    page_of(RoleOut).model_validate(caller.ask(f"GET /v1/projects/{path}/roles"))
    WhoOut.model_validate(caller.ask("GET /v1/whoami"))
    page_of(TokenOut).model_validate(caller.ask(f"GET /v1/users/{caller.name}/tokens"))
    NewTokenOut.model_validate(caller.ask(f"POST /v1/users/{caller.name}/tokens", {"name": "x"}))
    wish: dict[str, Any] = {"project": path, "items": [{"flavor": "tiny", "image": "debian"}]}
    Verdict.model_validate(caller.ask("POST /v1/requests", wish, explain="true"))
    wish["items"][0]["flavor"] = "nothing"
    Verdict.model_validate(caller.ask("POST /v1/requests", wish, explain="true"))
    ErrorOut.model_validate(caller.call("POST /v1/requests", wish).json())


def test_the_models_know_every_word_of_the_controller() -> None:
    assert words(InstanceOut, "state") == set(State)
    assert words(InstanceOut, "goal") == set(Goal)
    assert words(InstanceOut, "condition") == {*Condition, "unknown"}
    assert words(RoleOut, "role") == set(Role)
    assert words(QuotaRowOut, "kind") == {*KINDS, "any"}
    assert words(QuotaRowOut, "resource") == set(RESOURCES)
