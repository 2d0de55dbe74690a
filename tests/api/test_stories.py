"""Tales of departments and their instances, told from the outside from beginning to end."""

from __future__ import annotations

from typing import Any

from tests.api.outside import PLENTY, Cloud, Department, fresh


def _apply(department: Department, count: int = 1, **more: Any) -> Any:
    item = {"name": fresh("web"), "flavor": "small", "image": "debian", "count": count}
    return department.member.ask(
        "POST /v1/requests", {"project": department.path, "reason": "挂号系统上线", "items": [item], "term_days": 365} | more
    )


def _sums(department: Department, resource: str) -> tuple[int, int]:
    """Used and held, of the department's own row."""
    rows = department.admin.ask(f"GET /v1/projects/{department.path}/quota")["rows"]
    mine = [row for row in rows if row["project"] == department.path and row["resource"] == resource and row["kind"] in ("any", "vm")]
    return sum(row["used"] for row in mine), sum(row["held"] for row in mine)


def test_a_department_applies_and_is_refused_with_a_reason(cloud: Cloud, department: Department) -> None:
    cloud.admin.ask(f"PUT /v1/projects/{department.path}/limits", {"limits": [{"resource": "vcpus", "amount": 8}]})
    request = _apply(department, count=3)
    assert (request["state"], request["instances"], request["decision"]) == ("pending", [], None)
    assert request["expires_at"] > request["created_at"]
    assert _sums(department, "vcpus") == (0, 6), "what a request asks for is held while it waits"
    again = {"project": department.path, "items": [{"flavor": "small", "image": "debian", "count": 2}]}
    department.member.refused(409, "quota_exceeded", "POST /v1/requests", again)

    department.approver.refused(400, "invalid_request", f"POST /v1/requests/{request['id']}/refuse", {"reason": ""})
    department.approver.refused(400, "invalid_request", f"POST /v1/requests/{request['id']}/refuse", {"reason": "  "})
    refused = department.approver.ask(f"POST /v1/requests/{request['id']}/refuse", {"reason": "请使用共享数据库"})
    assert refused["state"] == "refused"
    assert (refused["decision"]["by"], refused["decision"]["reason"]) == (department.approver.name, "请使用共享数据库")
    assert department.member.ask(f"GET /v1/requests/{request['id']}") == refused, "the applicant reads why"
    assert _sums(department, "vcpus") == (0, 0), "what was held is free again"
    department.approver.refused(409, "request_decided", f"POST /v1/requests/{request['id']}/approve")
    department.member.refused(409, "request_decided", f"POST /v1/requests/{request['id']}/cancel")


def test_an_instance_lives_from_an_application_to_its_end_and_leaves_nothing(cloud: Cloud, department: Department) -> None:
    member = department.member
    request = _apply(department)
    approved = department.approver.ask(f"POST /v1/requests/{request['id']}/approve", {"reason": "在年度预算内"})
    assert (approved["state"], len(approved["instances"])) == ("approved", 1)
    (id_,) = approved["instances"]
    instance = member.settled(id_, "active")
    assert (instance["vcpus"], instance["goal"], instance["condition"]) == (2, "running", "running")
    assert instance["addresses"]
    assert instance["request_id"] == request["id"]
    assert instance["term_ends_at"] > instance["created_at"]
    assert "hostname=" + instance["name"] in member.ask(f"GET /v1/instances/{id_}/console")["text"]

    assert member.ask(f"POST /v1/instances/{id_}/stop")["goal"] == "stopped"
    assert member.settled(id_, "stopped")["condition"] == "stopped"
    member.refused(409, "reboot_stopped", f"POST /v1/instances/{id_}/reboot")
    member.ask(f"POST /v1/instances/{id_}/start")
    member.settled(id_, "active")
    member.ask(f"POST /v1/instances/{id_}/reboot")
    member.settled(id_, "active")
    assert member.ask(f"GET /v1/instances/{id_}/console")["text"].count("booting") == 3, "first boot, start, reboot"

    member.ask(f"POST /v1/instances/{id_}/resize", {"flavor": "large"})
    assert member.settled(id_, "active")["vcpus"] == 8
    assert _sums(department, "vcpus") == (8, 0)
    member.refused(400, "disk_shrinks", f"POST /v1/instances/{id_}/resize", {"flavor": "tiny"})
    member.ask(f"POST /v1/instances/{id_}/rebuild", {})
    assert member.settled(id_, "active")["id"] == id_

    assert member.ask(f"POST /v1/instances/{id_}/protect")["protected"] is True
    member.refused(409, "instance_protected", f"DELETE /v1/instances/{id_}")
    member.refused(409, "instance_protected", f"POST /v1/instances/{id_}/rebuild")
    assert member.ask(f"POST /v1/instances/{id_}/unprotect")["protected"] is False
    answer = member.call(f"DELETE /v1/instances/{id_}")
    assert (answer.status_code, answer.json()["goal"]) == (202, "gone")
    gone = member.settled(id_, "deleted")
    assert (gone["condition"], gone["addresses"]) == ("absent", [])
    member.refused(409, "instance_going", f"POST /v1/instances/{id_}/start")
    assert member.call(f"DELETE /v1/instances/{id_}").status_code == 202, "again changes nothing"

    assert _sums(department, "vcpus") == (0, 0)
    assert member.ask("GET /v1/instances", project=department.path)["items"] == []
    assert [one["id"] for one in member.ask("GET /v1/instances", project=department.path, state="deleted")["items"]] == [id_]
    told = [one["kind"] for one in member.ask("GET /v1/events", object=id_, limit=500)["items"]]
    assert told == [
        "instance.accepted",
        "instance.active",
        "instance.stop_asked",
        "instance.stopped",
        "instance.start_asked",
        "instance.active",
        "instance.reboot_asked",
        "instance.active",
        "instance.resize_asked",
        "instance.active",
        "instance.rebuild_asked",
        "instance.active",
        "instance.protected",
        "instance.unprotected",
        "instance.delete_asked",
        "instance.deleted",
    ]


def test_bounds_of_auto_approval_decide_who_decides(cloud: Cloud) -> None:
    bounds = {"instances": 2, "vcpus": 4, "memory_mib": 4096, "disk_gib": 20, "gpus": 0}
    department = cloud.department(bounds)
    within = _apply(department, count=2)
    assert within["state"] == "approved"
    assert len(within["instances"]) == 2
    assert within["decision"]["by"] is None, "the policy decided"
    beyond = _apply(department, count=3)
    assert (beyond["state"], beyond["instances"]) == ("pending", [])
    child = cloud.department(None, parent=department.path)
    assert _apply(child)["state"] == "approved", "without bounds of its own, the parent's hold"
    department.admin.refused(403, "needs_right_above", f"PATCH /v1/projects/{department.path}", {"policy": {"auto_approve": PLENTY}})
    cloud.admin.ask(f"PATCH /v1/projects/{department.path}", {"policy": {"auto_approve": None}})
    assert _apply(department)["state"] == "pending"


def test_automation_creates_an_instance_and_is_told_at_once_when_it_may_not(cloud: Cloud) -> None:
    department = cloud.department({"instances": 1, "vcpus": 2, "memory_mib": 2048, "disk_gib": 10})
    wish = {"project": department.path, "flavor": "small", "image": "debian"}
    created = department.member.call("POST /v1/instances", wish)
    assert created.status_code == 201
    instance = created.json()
    assert (instance["state"], instance["project"], instance["flavor"]) == ("pending", department.path, "small")
    department.member.settled(instance["id"], "active")
    request = department.member.ask(f"GET /v1/requests/{instance['request_id']}")
    assert (request["state"], request["instances"]) == ("approved", [instance["id"]])
    department.member.refused(409, "approval_required", "POST /v1/instances", wish | {"flavor": "large"})
    department.member.refused(400, "unknown_flavor", "POST /v1/instances", wish | {"flavor": "huge"})
    department.member.refused(400, "unknown_image", "POST /v1/instances", wish | {"image": "nothing"})
    department.member.refused(400, "unknown_pool", "POST /v1/instances", wish | {"pool": "nowhere"})
    department.member.refused(400, "unknown_zone", "POST /v1/instances", wish | {"zone": "nowhere"})


def test_an_approver_does_not_decide_on_what_he_asked_for_himself(cloud: Cloud) -> None:
    path = cloud.project()
    both = cloud.user((path, "member"), (path, "approver"))
    department = Department(path, both, both, both)
    request = _apply(department)
    both.refused(403, "own_request", f"POST /v1/requests/{request['id']}/approve")
    assert both.ask(f"POST /v1/requests/{request['id']}/cancel")["state"] == "cancelled"


def test_what_does_not_fit_is_refused_with_the_rule_and_what_would_fit(cloud: Cloud, free_department: Department) -> None:
    cloud.admin.ask("POST /v1/flavors", {"name": "giant", "vcpus": 512, "memory_mib": 1024, "disk_gib": 10})
    cloud.admin.ask(f"PATCH /v1/projects/{free_department.path}", {"policy": {"auto_approve": PLENTY | {"vcpus": 10_000}}})
    wish = {"project": free_department.path, "flavor": "giant", "image": "debian", "pool": "general"}
    refusal = free_department.member.refused(409, "no_capacity", "POST /v1/instances", wish)
    rules = {one["rule"]: one for one in refusal["details"]["rules"]}
    assert rules["vcpus"]["excluded"] >= 4, "each of the pool's hosts is too small"
    assert rules["vcpus"]["text"] == "have too few free vCPUs"
    assert sum(one["excluded"] for one in rules.values()) == refusal["details"]["hosts"], "every host is accounted for once"
    (change,) = [one for one in refusal["details"]["changes"] if one["change"] == "fewer_vcpus"]
    assert 0 < change["vcpus"] <= 256
    assert str(change["vcpus"]) in change["text"]
    verdict = free_department.member.ask("POST /v1/instances", wish, explain="true")
    assert (verdict["fits"], verdict["refusal"]["code"]) == (False, "no_capacity"), "explain says what a create would"


def test_items_that_nobody_named_get_names_of_their_own(free_department: Department) -> None:
    lines = [{"flavor": "tiny", "image": "debian", "count": count} for count in (2, 1, 1)]
    made = free_department.member.ask("POST /v1/requests", {"project": free_department.path, "items": lines})
    names = {free_department.member.ask(f"GET /v1/instances/{id_}")["name"] for id_ in made["instances"]}
    assert len(names) == 4


def test_explaining_a_request_tells_what_would_happen_and_does_nothing(cloud: Cloud, department: Department) -> None:
    cloud.admin.ask(f"PUT /v1/projects/{department.path}/limits", {"limits": [{"resource": "instances", "amount": 2}]})
    wish = {"project": department.path, "items": [{"flavor": "tiny", "image": "debian", "count": 2}]}
    assert department.member.ask("POST /v1/requests", wish, explain="true") == {"fits": True, "refusal": None, "preemption": None}
    wish["items"] = [{"flavor": "tiny", "image": "debian", "count": 3}]
    verdict = department.member.ask("POST /v1/requests", wish, explain="true")
    assert (verdict["fits"], verdict["refusal"]["code"]) == (False, "quota_exceeded")
    (over,) = verdict["refusal"]["details"]["over"]
    assert over | {"kind": "any"} == {
        "project": department.path,
        "kind": "any",
        "resource": "instances",
        "limit": 2,
        "used": 0,
        "held": 0,
        "free": 2,
        "asked": 3,
    }
    assert department.member.ask("GET /v1/requests", project=department.path)["items"] == []
    assert _sums(department, "instances") == (0, 0)


def test_an_instance_says_why_it_is_as_it_is(free_department: Department) -> None:
    wish = {"project": free_department.path, "flavor": "tiny", "image": "debian", "name": fresh("why")}
    id_ = free_department.member.ask("POST /v1/instances", wish)["id"]
    free_department.member.settled(id_, "active")
    why = free_department.member.ask(f"GET /v1/instances/{id_}/explain")
    assert why["instance"]["id"] == id_
    assert why["text"] == f"{wish['name']} is active."
    assert [one["kind"] for one in why["events"]] == ["instance.accepted", "instance.active"]


def test_operators_bring_hosts_in_and_out(cloud: Cloud) -> None:
    operator = cloud.user((cloud.root, "operator"))
    pool, endpoint = fresh("pool"), fresh("rack")
    zone = fresh("zone")
    operator.ask("POST /v1/pools", {"name": pool, "zone": zone})
    enrolled = operator.ask("POST /v1/endpoints", {"name": endpoint, "driver": "fake", "uri": f"fake:{endpoint}?hosts=2", "pool": pool})
    assert (enrolled["state"], len(enrolled["hosts"])) == ("connected", 2)
    refusal = operator.refused(
        400, "invalid_request", "POST /v1/endpoints", {"name": fresh("x"), "driver": "fake", "uri": "qemu:///system", "pool": pool}
    )
    assert refusal["details"] == {"reason": "invalid_spec"}
    operator.refused(409, "pool_in_use", f"DELETE /v1/pools/{pool}")
    first, second = enrolled["hosts"]
    assert operator.ask(f"POST /v1/hosts/{first}/cordon")["cordoned"] is True
    department = cloud.department(PLENTY)
    wish = {"project": department.path, "flavor": "tiny", "image": "debian", "pool": pool, "zone": zone}
    id_ = department.member.ask("POST /v1/instances", wish)["id"]
    assert operator.ask(f"GET /v1/instances/{id_}")["host"] == second, "a cordoned host takes nothing new"
    assert department.member.ask(f"GET /v1/instances/{id_}")["host"] is None
    refusal = operator.refused(409, "host_occupied", f"POST /v1/hosts/{second}/retire")
    assert [one["id"] for one in refusal["details"]["instances"]] == [id_]
    department.member.settled(id_, "active")
    department.member.ask(f"DELETE /v1/instances/{id_}")
    department.member.settled(id_, "deleted")
    operator.refused(409, "endpoint_has_hosts", f"DELETE /v1/endpoints/{endpoint}")
    again = {"name": fresh("again"), "driver": "fake", "uri": f"fake:{endpoint}?hosts=2", "pool": pool}
    told = operator.refused(409, "endpoint_enrolled", "POST /v1/endpoints", again)["message"]
    assert f"'{endpoint}'" in told, "its hosts would count twice"
    for host in (first, second):
        assert operator.ask(f"POST /v1/hosts/{host}/retire")["state"] == "retired"
    operator.refused(409, "host_retired", f"POST /v1/hosts/{second}/uncordon")
    operator.ask(f"DELETE /v1/endpoints/{endpoint}")
    operator.refused(404, "not_found", f"GET /v1/endpoints/{endpoint}")
    assert operator.ask("GET /v1/hosts", pool=pool)["items"] == []
    assert operator.ask("POST /v1/endpoints", again)["state"] == "connected", "what was let go of may come again"


def test_a_project_comes_and_goes_and_stays_while_anything_hangs_on_it(cloud: Cloud) -> None:
    department = cloud.department(PLENTY)
    child = cloud.project(department.path, description="信息科")
    assert child.startswith(department.path + "/")
    assert department.admin.ask("GET /v1/projects", parent=department.path)["items"][0]["path"] == child
    cloud.admin.refused(409, "project_occupied", f"DELETE /v1/projects/{department.path}")
    department.admin.ask(f"DELETE /v1/projects/{child}")
    department.admin.refused(404, "not_found", f"GET /v1/projects/{child}")
    department.admin.refused(403, "needs_right_above", f"DELETE /v1/projects/{department.path}")
    cloud.admin.ask(f"DELETE /v1/projects/{department.path}")
    department.member.refused(404, "not_found", f"GET /v1/projects/{department.path}")


def test_a_limit_is_never_set_below_what_is_in_use(cloud: Cloud, free_department: Department) -> None:
    wish = {"project": free_department.path, "flavor": "small", "image": "debian"}
    free_department.member.ask("POST /v1/instances", wish)
    address = f"PUT /v1/projects/{free_department.path}/limits"
    cloud.admin.refused(409, "limit_below_usage", address, {"limits": [{"resource": "vcpus", "amount": 1}]})
    rows = cloud.admin.ask(address, {"limits": [{"resource": "vcpus", "amount": 2}, {"kind": "vm", "resource": "gpus", "amount": 0}]})[
        "rows"
    ]
    bounded = {(row["kind"], row["resource"]): row for row in rows if row["project"] == free_department.path and row["limit"] is not None}
    assert (bounded["any", "vcpus"]["limit"], bounded["any", "vcpus"]["free"]) == (2, 0)
    assert bounded["vm", "gpus"]["limit"] == 0
    free_department.member.refused(409, "quota_exceeded", "POST /v1/instances", wish)
    cloud.admin.ask(address, {"limits": [{"resource": "vcpus", "amount": None}]})
    free_department.member.ask("POST /v1/instances", wish)
    free_department.admin.refused(403, "needs_right_above", address, {"limits": [{"resource": "vcpus", "amount": 100}]})


def test_a_department_s_administrator_makes_no_child_with_looser_bounds_than_his_own(cloud: Cloud) -> None:
    department = cloud.department(auto_approve={"instances": 2, "vcpus": 4, "memory_mib": 4096, "disk_gib": 20})
    child = {"name": "child", "parent": department.path, "policy": {"auto_approve": {"instances": 3, "vcpus": 4}}}
    error = department.admin.refused(403, "forbidden", "POST /v1/projects", child)
    assert department.path in error["message"]
    child["policy"]["auto_approve"]["instances"] = 1
    path = department.admin.ask("POST /v1/projects", child)["path"]
    department.admin.refused(403, "forbidden", f"PATCH /v1/projects/{path}", {"policy": {"auto_approve": {"vcpus": 5}}})
    cloud.admin.ask(f"PATCH /v1/projects/{path}", {"policy": {"auto_approve": {"vcpus": 5}}})
