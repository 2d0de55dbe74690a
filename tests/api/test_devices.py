"""CPU baselines, NUMA nodes and GPUs, from the operator's flavor to what a department is given and told."""

from __future__ import annotations

import pytest

from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh


@pytest.fixture
def department(cloud: Cloud) -> Department:
    return cloud.department(PLENTY | {"gpus": 8})


def pool_of(operator: Caller, **knobs: object) -> str:
    """A pool of its own with one host of eight vCPUs in two NUMA nodes and two shared GPUs, but for the knobs; its name."""
    name = fresh("pool")
    shape = {"hosts": 1, "vcpus": 8, "memory_mib": 65536, "cells": 2, "gpus": 2, "gpu_model": "a100", "gpu_shared": 1, **knobs}
    operator.ask("POST /v1/pools", {"name": name, "zone": fresh("zone"), "overcommit": {"vcpus": 1.0}, "reserved": {"vcpus": 0}})
    uri = f"fake:{name}?cpu_baselines=x86-64-v1,x86-64-v2&{'&'.join(f'{key}={value}' for key, value in shape.items())}"
    operator.ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": uri, "pool": name})
    return name


def flavor(operator: Caller, **more: object) -> str:
    return str(operator.ask("POST /v1/flavors", {"name": fresh("size"), "vcpus": 1, "memory_mib": 512, "disk_gib": 5, **more})["name"])


def wish(department: Department, flavor: str, pool: str, count: int = 1, **more: object) -> dict[str, object]:
    return {"project": department.path, "items": [{"flavor": flavor, "image": "debian", "count": count, "pool": pool}], **more}


def rules(refusal: dict[str, object]) -> list[str]:
    details = refusal["details"]
    assert isinstance(details, dict)
    return [one["rule"] for one in details["rules"]]


def test_a_department_gets_quarters_of_gpus_until_they_are_all_given_out(operator: Caller, department: Department) -> None:
    pool, quarter = pool_of(operator), flavor(operator, gpus=1, gpu_model="a100", gpu_milli=250)
    made = department.member.ask("POST /v1/requests", wish(department, quarter, pool, 7))
    one = department.member.settled(made["instances"][0], "active")
    assert (one["gpus"], one["gpu_milli"], one["gpu_model"], one["numa_nodes"], one["cpu_baseline"]) == (1, 250, "a100", 0, None)
    (host,) = operator.ask("GET /v1/hosts", pool=pool)["items"]
    assert sorted(gpu["used_milli"] for gpu in host["gpu_devices"]) == [750, 1000]
    assert (host["gpu_model"], host["used"]["gpus"], host["capacity"]["gpus"]) == ("a100", 1.75, 2)
    (row,) = [row for row in department.member.ask(f"GET /v1/projects/{department.path}/quota")["rows"] if row["resource"] == "gpus"][:1]
    assert row["used"] == 1.75
    whole = flavor(operator, gpus=1)
    assert rules(department.member.refused(409, "no_capacity", "POST /v1/requests", wish(department, whole, pool)))[-1] == "gpus"
    department.member.ask("POST /v1/requests", wish(department, quarter, pool))
    full = operator.ask("GET /v1/hosts", pool=pool)["items"][0]
    assert full["used"]["gpus"] == 2
    assert rules(department.member.refused(409, "no_capacity", "POST /v1/requests", wish(department, quarter, pool)))[-1] in (
        "vcpus",
        "gpus",
    )


def test_operators_are_told_which_gpus_and_numa_nodes_it_was_given(operator: Caller, department: Department) -> None:
    pool, size = pool_of(operator), flavor(operator, vcpus=3, numa_nodes=1, gpus=1, gpu_milli=600)
    made = department.member.ask("POST /v1/requests", wish(department, size, pool, 2))["instances"]
    (host,) = operator.ask("GET /v1/hosts", pool=pool)["items"]
    gpus, nodes = [one["id"] for one in host["gpu_devices"]], [one["number"] for one in host["numa_nodes"]]
    for id_ in made:
        told = operator.ask(f"GET /v1/instances/{id_}/explain")["placement"]
        assert sorted(one["gpus"] for one in told["given"]) == [[gpus[0]], [gpus[1]]]
        assert sorted(one["numa_nodes"] for one in told["given"]) == [[nodes[0]], [nodes[1]]]
        assert department.member.ask(f"GET /v1/instances/{id_}/explain")["placement"]["given"] is None


def test_what_a_gpu_has_too_little_of_is_told_in_parts_of_it(operator: Caller, department: Department) -> None:
    pool, most, half = pool_of(operator), flavor(operator, gpus=1, gpu_milli=700), flavor(operator, gpus=1, gpu_milli=500)
    department.member.ask("POST /v1/requests", wish(department, most, pool, 2))
    refusal = department.member.refused(409, "no_capacity", "POST /v1/requests", wish(department, half, pool))
    assert {"change": "smaller_gpu_share", "gpu_milli": 300, "text": refusal["details"]["changes"][0]["text"]} in refusal["details"][
        "changes"
    ]
    (kept,) = operator.ask("GET /v1/placements", project=department.path, placed=False)["items"]
    assert [one["short"] for one in kept["nearest"]] == [{"gpus": 0.2}], "0.6 are free, and not on one GPU"


def test_quota_counts_shares_exactly(cloud: Cloud, operator: Caller, department: Department) -> None:
    pool, third = pool_of(operator), flavor(operator, gpus=1, gpu_milli=334)
    cloud.admin.ask(f"PUT /v1/projects/{department.path}/limits", {"limits": [{"resource": "gpus", "amount": 1}]})
    department.member.ask("POST /v1/requests", wish(department, third, pool, 2))
    refusal = department.member.refused(409, "quota_exceeded", "POST /v1/requests", wish(department, third, pool))
    (over,) = refusal["details"]["over"]
    assert (over["resource"], over["asked"], over["used"], over["free"]) == ("gpus", 0.334, 0.668, 0.332)
    rest = flavor(operator, gpus=1, gpu_milli=332)
    department.member.ask("POST /v1/requests", wish(department, rest, pool))


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ({"cpu_baseline": "x86-64-v9"}, "unknown_baseline"),
        ({"cpu_baseline": "x86-64-v2", "arch": "aarch64"}, "unknown_baseline"),
        ({"numa_nodes": 2}, "numa_too_many"),
        ({"gpu_model": "a100"}, "gpu_fields_alone"),
        ({"gpu_milli": 500}, "gpu_fields_alone"),
        ({"gpus": 2, "gpu_milli": 500}, "gpu_share_of_one"),
    ],
)
@pytest.mark.parametrize("lang", ["en", "zh"])
def test_a_flavor_that_makes_no_sense_is_refused_with_the_reason(operator: Caller, more: dict[str, object], why: str, lang: str) -> None:
    size = {"name": fresh("size"), "vcpus": 1, "memory_mib": 512, "disk_gib": 5, **more}
    operator.refused(400, why, "POST /v1/flavors", size, headers={"Accept-Language": lang})


@pytest.mark.parametrize("more", [{"gpus": 1, "gpu_milli": 0}, {"gpus": 1, "gpu_milli": 1001}, {"numa_nodes": -1}, {"cpu_baseline": ""}])
def test_a_field_out_of_its_bounds_is_refused(operator: Caller, more: dict[str, object]) -> None:
    operator.refused(400, "invalid_request", "POST /v1/flavors", {"name": fresh("s"), "vcpus": 1, "memory_mib": 512, "disk_gib": 5, **more})


@pytest.mark.parametrize(
    ("more", "knobs", "rule"),
    [
        ({"cpu_baseline": "x86-64-v3"}, {}, "baseline"),
        ({"gpus": 1, "gpu_model": "h100"}, {}, "gpu_model"),
        ({"gpus": 1, "gpu_milli": 500}, {"gpu_shared": 0}, "gpu_share"),
        ({"vcpus": 5, "numa_nodes": 1}, {}, "cells"),
    ],
)
def test_a_refusal_says_which_of_it_no_host_has(
    operator: Caller, department: Department, more: dict[str, object], knobs: dict[str, object], rule: str
) -> None:
    pool = pool_of(operator, **knobs)
    asked = wish(department, flavor(operator, **more), pool)
    refusal = department.member.refused(409, "no_capacity", "POST /v1/requests", asked, headers={"Accept-Language": "zh"})
    assert rule in rules(refusal)
    assert all(one["text"] for one in refusal["details"]["rules"])
    assert department.member.ask("POST /v1/requests?explain=true", asked)["fits"] is False
    (kept,) = department.member.ask("GET /v1/placements", project=department.path, placed=False)["items"]
    size = {"vcpus": 1, "memory_mib": 512, "disk_gib": 5} | more
    assert kept["asked"] | size == kept["asked"]


def test_operators_see_who_fills_which_numa_node_and_plan_with_it(operator: Caller, department: Department) -> None:
    pool, near = pool_of(operator), flavor(operator, vcpus=3, numa_nodes=1, cpu_baseline="x86-64-v2")
    made = department.member.ask("POST /v1/requests", wish(department, near, pool, 2))
    for id_ in made["instances"]:
        department.member.settled(id_, "active")
    (host,) = operator.ask("GET /v1/hosts", pool=pool)["items"]
    assert host["cpu_baselines"] == ["x86-64-v1", "x86-64-v2"]
    assert [(node["number"], node["capacity"]["vcpus"], node["used"]["vcpus"]) for node in host["numa_nodes"]] == [(0, 4, 3), (1, 4, 3)]
    pair = flavor(operator, vcpus=2, numa_nodes=1)
    tried = operator.ask("POST /v1/what-if", {"place": [{"flavor": pair, "pool": pool}]})
    assert (tried["placed"], len(tried["refused"])) == (0, 1), "two vCPUs are free, and not in one node"
    split = flavor(operator, vcpus=2, numa_nodes=2)
    assert operator.ask("POST /v1/what-if", {"place": [{"flavor": split, "pool": pool}]})["placed"] == 1
    answer = operator.ask(f"GET /v1/instances/{made['instances'][0]}")
    assert (answer["cpu_baseline"], answer["numa_nodes"]) == ("x86-64-v2", 1)


def test_a_resize_to_a_larger_share_is_taken_and_one_to_what_is_not_there_refused(operator: Caller, department: Department) -> None:
    pool = pool_of(operator, gpus=1)
    quarter, half, other = (
        flavor(operator, gpus=1, gpu_milli=milli, **more) for milli, more in ((250, {}), (500, {}), (250, {"gpu_model": "t4"}))
    )
    made = department.member.ask("POST /v1/requests", wish(department, quarter, pool, 3))
    for id_ in made["instances"]:
        department.member.settled(id_, "active")
    first, second, _ = made["instances"]
    department.member.ask(f"POST /v1/instances/{first}/resize", {"flavor": half})
    assert department.member.settled(first, "active")["gpu_milli"] == 500
    refusal = department.member.refused(409, "no_capacity", f"POST /v1/instances/{second}/resize", {"flavor": half})
    assert rules(refusal) == ["gpus"]
    assert rules(department.member.refused(409, "no_capacity", f"POST /v1/instances/{second}/resize", {"flavor": other})) == ["gpu_model"]
    department.member.ask(f"POST /v1/instances/{first}/resize", {"flavor": quarter})
    department.member.settled(first, "active")
    department.member.ask(f"POST /v1/instances/{second}/resize", {"flavor": half})
    department.member.settled(second, "active")
    assert operator.ask("GET /v1/hosts", pool=pool)["items"][0]["gpu_devices"][0]["used_milli"] == 1000


@pytest.mark.parametrize(
    ("asked", "offered"),
    [
        ({"cpu_baseline": "x86-64-v3"}, {}),
        ({"vcpus": 5, "numa_nodes": 1}, {"vcpus": 4, "numa_nodes": 1}),
        ({"gpus": 1, "gpu_model": "h100", "gpu_milli": 400}, {"gpus": 1, "gpu_model": "a100", "gpu_milli": 400}),
        ({"gpus": 1, "gpu_model": "a100", "gpu_milli": 800}, {"gpus": 1, "gpu_model": "a100", "gpu_milli": 400}),
    ],
)
def test_another_flavor_is_offered_and_sent_again_with_it_the_request_is_taken(
    operator: Caller, department: Department, asked: dict[str, object], offered: dict[str, object]
) -> None:
    """Its size is what no other test's flavors have, so that those are further away."""
    pool, small, part = pool_of(operator), flavor(operator), flavor(operator, gpus=1, gpu_milli=600)
    department.member.ask("POST /v1/requests", wish(department, part, pool, 2))
    refused = flavor(operator, **asked, memory_mib=24_011, disk_gib=811)
    flavor(operator, **offered, memory_mib=24_010, disk_gib=811)

    def asking(second: str) -> dict[str, object]:
        return {"project": department.path, "items": [{"flavor": one, "image": "debian", "pool": pool} for one in (small, second)]}

    details = department.member.refused(409, "no_capacity", "POST /v1/requests", asking(refused))["details"]
    (change,) = [one for one in details["changes"] if one["change"] == "other_flavor"]
    best = department.member.ask(f"GET /v1/flavors/{change['flavor']}")
    assert {name: best[name] for name in (*offered, "memory_mib")} == offered | {"memory_mib": 24_010}
    assert details["items"] == [2]
    assert len(department.member.ask("POST /v1/requests", asking(best["name"]))["instances"]) == 2


def test_what_is_done_with_a_key_is_answered_also_where_parts_of_gpus_are_counted(
    cloud: Cloud, operator: Caller, department: Department
) -> None:
    pool, quarter = pool_of(operator), flavor(operator, gpus=1, gpu_milli=250)
    department.member.ask("POST /v1/requests", wish(department, quarter, pool))
    (host,) = operator.ask("GET /v1/hosts", pool=pool)["items"]
    keys = [{"Idempotency-Key": fresh("key")} for _ in range(2)]
    line, limits = f"PUT /v1/projects/{department.path}/limits", {"limits": [{"resource": "gpus", "amount": 3}]}
    for _ in range(2):
        assert operator.ask(f"POST /v1/hosts/{host['name']}/cordon", headers=keys[0])["used"]["gpus"] == 0.25
        cloud.admin.ask(line, limits, headers=keys[1])
