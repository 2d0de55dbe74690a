"""Priority classes from the outside: who may ask for which, what is told of them, and who agreed to be preempted."""

from __future__ import annotations

import pytest

from tests.api.outside import PLENTY, Cloud, Department


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
    in_chinese = member.refused(403, "priority_too_high", "POST /v1/instances?lang=zh", wish(free_department, priority="critical"))
    assert in_chinese["message"]
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
