"""Priority classes from the outside: who may ask for which, what is told of them, and who agreed to be preempted."""

from __future__ import annotations

import pytest

from tests.api.outside import PLENTY, Caller, Cloud, Department, pool_of


def wish(department: Department, **more: object) -> dict[str, object]:
    return {"project": department.path, "flavor": "tiny", "image": "debian", **more}


def test_a_class_is_asked_for_kept_and_listed(cloud: Cloud, free_department: Department) -> None:
    member = free_department.member
    plain = member.ask("POST /v1/instances", wish(free_department))
    assert (plain["priority"], plain["preemptible"]) == ("normal", False)
    low = member.ask("POST /v1/instances", wish(free_department, priority="batch", preemptible=True))
    assert (low["priority"], low["preemptible"]) == ("batch", True)
    listed = member.ask("GET /v1/instances", project=free_department.path, priority="batch")["items"]
    assert [one["id"] for one in listed] == [low["id"]]
    requests = member.ask("GET /v1/requests", project=free_department.path, priority="normal", state="approved")["items"]
    assert [(one["id"], one["priority"]) for one in requests] == [(plain["request_id"], "normal")]
    assert member.ask(f"GET /v1/requests/{low['request_id']}")["items"][0]["preemptible"] is True
    cloud.admin.refused(400, "invalid_request", "GET /v1/instances", priority="urgent")


def test_what_an_approver_agrees_to_keeps_its_class(department: Department) -> None:
    item = {"flavor": "tiny", "image": "debian", "preemptible": True}
    asked = department.member.ask("POST /v1/requests", {"project": department.path, "items": [item], "priority": "batch"})
    assert (asked["state"], asked["priority"]) == ("pending", "batch")
    made = department.approver.ask(f"POST /v1/requests/{asked['id']}/approve")["instances"]
    shown = department.member.ask(f"GET /v1/instances/{made[0]}")
    assert (shown["priority"], shown["preemptible"]) == ("batch", True)


def test_a_high_class_is_bounded_by_the_policy_in_force(cloud: Cloud, free_department: Department) -> None:
    path, member = free_department.path, free_department.member
    error = member.refused(403, "priority_too_high", "POST /v1/instances", wish(free_department, priority="critical"))
    assert "--max-priority critical" in error["message"]
    chinese = {"Accept-Language": "zh"}
    told = member.refused(403, "priority_too_high", "POST /v1/instances", wish(free_department, priority="critical"), headers=chinese)
    assert "优先级" in told["message"]
    free_department.admin.refused(403, "needs_right_above", f"PATCH /v1/projects/{path}", {"policy": {"max_priority": "critical"}})
    changed = cloud.admin.ask(f"PATCH /v1/projects/{path}", {"policy": {"max_priority": "critical"}})
    assert changed["policy"] == {"auto_approve": PLENTY, "max_priority": "critical", "may_preempt": None}, "the rest is left alone"
    assert member.ask("POST /v1/instances", wish(free_department, priority="critical"))["priority"] == "critical"
    cloud.admin.ask(f"PATCH /v1/projects/{path}", {"policy": {"max_priority": "batch"}})
    member.refused(403, "priority_too_high", "POST /v1/instances", wish(free_department))
    assert member.ask("POST /v1/instances", wish(free_department, priority="batch"))["priority"] == "batch"


def test_what_holds_above_holds_below_and_is_not_loosened_there(cloud: Cloud, department: Department) -> None:
    cloud.admin.ask(f"PATCH /v1/projects/{department.path}", {"policy": {"max_priority": "critical"}})
    child = department.admin.ask("POST /v1/projects", {"name": "child", "parent": department.path})
    assert child["policy"]["max_priority"] is None
    asked = {"project": child["path"], "items": [{"flavor": "tiny", "image": "debian"}], "priority": "critical"}
    assert department.member.ask("POST /v1/requests", asked)["priority"] == "critical"
    department.admin.ask(f"PATCH /v1/projects/{child['path']}", {"policy": {"max_priority": "normal"}})
    department.member.refused(403, "priority_too_high", "POST /v1/requests", asked)
    department.admin.refused(403, "bounds_looser", f"PATCH /v1/projects/{child['path']}", {"policy": {"may_preempt": True}})
    cloud.admin.ask(f"PATCH /v1/projects/{department.path}", {"policy": {"max_priority": "normal"}})
    department.admin.refused(403, "bounds_looser", f"PATCH /v1/projects/{child['path']}", {"policy": {"max_priority": "critical"}})


@pytest.mark.parametrize("wrong", [{"priority": "urgent"}, {"priority": None}, {"preemptible": "perhaps"}, {"preempt": 3}])
def test_what_is_no_class_is_refused(free_department: Department, wrong: dict[str, object]) -> None:
    free_department.member.refused(400, "invalid_request", "POST /v1/instances", wish(free_department, **wrong))


# -- preempting ------------------------------------------------------------------------------------------------------------------


@pytest.fixture
def pool(operator: Caller) -> str:
    """One host of four vCPUs."""
    return pool_of(operator, 1)


@pytest.fixture
def urgent(cloud: Cloud) -> Department:
    """A department that may ask for the highest class and preempt."""
    made = cloud.department(PLENTY)
    cloud.admin.ask(f"PATCH /v1/projects/{made.path}", {"policy": {"max_priority": "critical", "may_preempt": True}})
    return made


def fill(department: Department, pool: str, **more: object) -> list[str]:
    """Four that agreed to be preempted, running."""
    item = {"flavor": "tiny", "image": "debian", "pool": pool, "count": 4, "preemptible": True, **more}
    ids = department.member.ask("POST /v1/requests", {"project": department.path, "items": [item], "priority": "batch"})["instances"]
    return [department.member.settled(id_, "active")["id"] for id_ in ids]


def test_from_a_refusal_to_a_place_that_another_made(cloud: Cloud, free_department: Department, urgent: Department, pool: str) -> None:
    ids = fill(free_department, pool)
    mine = wish(urgent, flavor="small", pool=pool, priority="critical")
    refusal = urgent.member.refused(409, "no_capacity", "POST /v1/instances", mine)
    assert "preemption" not in refusal["details"]
    assert [one["text"] for one in refusal["details"]["changes"] if one["change"] == "preempt"]
    explained = urgent.member.ask("POST /v1/instances?explain=true", mine | {"preempt": True})
    assert explained["fits"] is True
    assert explained["preemption"]["text"]
    assert (explained["preemption"]["victims"], explained["preemption"]["places"]) == (None, None)
    made = urgent.member.ask("POST /v1/instances", mine | {"preempt": True})
    assert (made["state"], made["reason"]["code"]) == ("pending", "waits_for_preempted")
    assert urgent.member.settled(made["id"], "active")["reason"] is None
    left = free_department.member.ask("GET /v1/instances", project=free_department.path)["items"]
    assert len(left) == 2, "two of one vCPU made way for one of two"
    (victim, _) = set(ids) - {one["id"] for one in left}
    facts = free_department.member.ask("GET /v1/events", object=victim)["items"]
    (told,) = [one for one in facts if one["kind"] == "instance.preempted"]
    assert "critical" in told["text"]
    assert urgent.path not in str(told)
    assert urgent.member.name not in str(told)
    placement = cloud.admin.ask(f"GET /v1/instances/{made['id']}/explain")["placement"]
    assert all(one.startswith(f"{free_department.path}/") for one in placement["preempted"])
    assert len(placement["preempted"]) == 2
    assert urgent.member.ask(f"GET /v1/instances/{made['id']}/explain")["placement"]["preempted"] is None


def test_operators_learn_who_where_and_what_it_frees_before_it_is_done(
    cloud: Cloud, operator: Caller, free_department: Department, urgent: Department, pool: str
) -> None:
    ids = fill(free_department, pool)
    plan = operator.ask("POST /v1/plans", {"kind": "preempt", "pool": pool, "flavor": "small", "copies": 2})
    assert (plan["reason"], plan["moves"], plan["benefit"]) == ("done", [], 2.0)
    assert {one["id"] for one in plan["victims"]} == set(ids)
    assert all(one["project"] == free_department.path and one["frees"]["vcpus"] == 1 for one in plan["victims"])
    assert plan["places"] == [plan["victims"][0]["host"]] * 2
    body = wish(urgent, flavor="small", pool=pool, priority="critical")
    details = cloud.admin.refused(409, "no_capacity", "POST /v1/instances", body)["details"]
    assert len(details["preemption"]["victims"]) == 2
    assert details["preemption"]["text"]
    assert cloud.admin.ask("POST /v1/instances?explain=true", body | {"preempt": True})["preemption"]["places"] == plan["places"][:1]
    three = {"kind": "preempt", "pool": pool, "flavor": "small", "copies": 3}
    nowhere = operator.ask("POST /v1/plans", three)
    assert (nowhere["reason"], nowhere["victims"], [one["id"] for one in nowhere["unsolvable"]]) == ("no_room", [], [None])
    low = operator.ask("POST /v1/plans", {"kind": "preempt", "pool": pool, "flavor": "small", "priority": "batch"})
    assert low["reason"] == "no_room", "nobody makes way for his own class"
    free_department.member.ask(f"DELETE /v1/instances/{ids[0]}")
    free_department.member.until(f"GET /v1/instances/{ids[0]}", lambda one: one["state"] == "deleted")
    assert operator.ask("POST /v1/plans", {"kind": "preempt", "pool": pool, "flavor": "tiny"})["reason"] == "fits"
    operator.refused(400, "plan_of_what", "POST /v1/plans", {"kind": "preempt", "pool": pool})
    urgent.member.refused(403, "forbidden", "POST /v1/plans", three)
    assert all(free_department.member.ask(f"GET /v1/instances/{id_}")["state"] == "active" for id_ in ids[1:]), "nothing was done"


def test_who_may_not_preempt_is_refused_with_what_would_help(free_department: Department, department: Department, cloud: Cloud) -> None:
    body = wish(free_department, preempt=True)
    assert "--may-preempt" in free_department.member.refused(403, "may_not_preempt", "POST /v1/instances", body)["message"]
    cloud.admin.ask(f"PATCH /v1/projects/{department.path}", {"policy": {"may_preempt": True}})
    asked = {"project": department.path, "items": [{"flavor": "tiny", "image": "debian"}], "preempt": True}
    department.member.refused(403, "preempt_undecided", "POST /v1/requests", asked)
