"""Plans and what-if from the outside: what an operator is told, and that nothing is done by asking."""

from __future__ import annotations

import pytest

from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh


@pytest.fixture
def department(cloud: Cloud) -> Department:
    return cloud.department(PLENTY)


@pytest.fixture
def pool(operator: Caller) -> tuple[str, list[str]]:
    name = fresh("pool")
    operator.ask("POST /v1/pools", {"name": name, "zone": fresh("zone"), "overcommit": {"vcpus": 1.0}})
    uri = f"fake:{name}?hosts=3&vcpus=4&memory_mib=65536&disk_gib=400&overcommit_vcpus=1.0"
    return name, operator.ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": uri, "pool": name})["hosts"]


def create(department: Department, pool: str, count: int, **more: object) -> list[str]:
    item = {"flavor": "tiny", "image": "debian", "pool": pool, "count": count, **more}
    return department.member.ask("POST /v1/requests", {"project": department.path, "items": [item]})["instances"]


def test_a_plan_names_every_move_that_empties_a_host_and_does_none(
    operator: Caller, department: Department, pool: tuple[str, list[str]]
) -> None:
    name, hosts = pool
    ids = create(department, name, 3)
    where = {id_: operator.ask(f"GET /v1/instances/{id_}")["host"] for id_ in ids}
    (full,) = set(where.values())
    plan = operator.ask("POST /v1/plans", {"kind": "drain", "host": full})
    assert plan["reason"] == "done"
    assert {move["id"] for move in plan["moves"]} == set(ids)
    assert all(move["source"] == full and move["target"] in hosts and move["project"] == department.path for move in plan["moves"])
    assert (plan["before"]["in_use"], plan["benefit"]) == (1, 3.0)
    assert {id_: operator.ask(f"GET /v1/instances/{id_}")["host"] for id_ in ids} == where, "nothing was done"
    assert operator.ask("POST /v1/plans", {"kind": "consolidate", "pool": name})["reason"] == "no_beneficial_move"
    empty = next(host for host in hosts if host != full)
    assert operator.ask("POST /v1/plans", {"kind": "drain", "host": empty})["reason"] == "nothing_to_move"


def test_who_finds_no_place_is_named_with_the_reason_before_anything_begins(
    operator: Caller, department: Department, pool: tuple[str, list[str]]
) -> None:
    name, _ = pool
    (apart, _, _) = create(department, name, 3, spread={"mode": "anti_affinity"})
    host = operator.ask(f"GET /v1/instances/{apart}")["host"]
    plan = operator.ask("POST /v1/plans", {"kind": "drain", "host": host})
    assert (plan["reason"], plan["moves"]) == ("unsolvable", [])
    (nowhere,) = plan["unsolvable"]
    assert (nowhere["id"], nowhere["host"]) == (apart, host)
    assert {one["rule"] for one in nowhere["rules"]} >= {"anti_affinity"}
    assert all(one["text"] for one in nowhere["rules"])


def test_scattered_instances_are_brought_together_and_a_full_host_is_relieved(
    operator: Caller, department: Department, pool: tuple[str, list[str]]
) -> None:
    name, _ = pool
    create(department, name, 3, spread={"mode": "spread"})
    plan = operator.ask("POST /v1/plans", {"kind": "consolidate", "pool": name})
    assert (plan["reason"], plan["benefit"], len(plan["moves"])) == ("done", 2.0, 2)
    assert (plan["before"]["in_use"], plan["after"]["in_use"]) == (3, 1)
    plan = operator.ask("POST /v1/plans", {"kind": "consolidate", "pool": name, "spare_hosts": 1})
    assert plan["after"]["in_use"] >= 1
    assert plan["after"]["resilient"] is True
    create(department, name, 3)
    plan = operator.ask("POST /v1/plans", {"kind": "rebalance", "pool": name})
    assert plan["after"]["peak"] < plan["before"]["peak"]
    assert operator.ask("POST /v1/plans", {"kind": "defragment", "pool": name, "flavor": "tiny"})["reason"] == "no_beneficial_move"


def test_what_a_plan_is_about_must_be_said_and_must_be_there(operator: Caller, pool: tuple[str, list[str]]) -> None:
    name, (host, *_) = pool
    for wrong in (
        {"kind": "drain"},
        {"kind": "drain", "pool": name},
        {"kind": "rebalance", "host": host},
        {"kind": "defragment", "pool": name},
    ):
        operator.refused(400, "invalid_request", "POST /v1/plans", wrong)
    operator.refused(404, "not_found", "POST /v1/plans", {"kind": "drain", "host": "none"})
    operator.refused(404, "not_found", "POST /v1/plans", {"kind": "defragment", "pool": name, "flavor": "none"})
    operator.refused(404, "not_found", "POST /v1/what-if", {"lose": ["none"]})


def test_what_if_tells_who_would_be_restarted_and_what_more_would_fit(
    operator: Caller, department: Department, pool: tuple[str, list[str]]
) -> None:
    name, hosts = pool
    (id_,) = create(department, name, 1)
    host = operator.ask(f"GET /v1/instances/{id_}")["host"]
    found = operator.ask("POST /v1/what-if", {"lose": [host]})
    assert (found["restarted"], found["stranded"], found["stranded_count"]) == (1, [], 0)
    found = operator.ask("POST /v1/what-if", {"lose": hosts})
    (nowhere,) = found["stranded"]
    assert (nowhere["id"], nowhere["project"], nowhere["host"]) == (id_, department.path, host)
    large = {"flavor": "tiny", "count": 14, "pool": name}
    assert [one["name"] for one in operator.ask("POST /v1/what-if", {"place": [large]})["refused"]] == ["tiny"]
    found = operator.ask("POST /v1/what-if", {"place": [large], "add": [{"like": hosts[0], "count": 2}]})
    assert (found["placed"], found["refused"]) == (14, [])
    assert found["after"]["hosts"] == found["before"]["hosts"] + 2
    assert operator.ask(f"GET /v1/instances/{id_}")["host"] == host, "nothing was done"


def test_why_it_is_not_on_another_host_is_told_to_operators(operator: Caller, department: Department, pool: tuple[str, list[str]]) -> None:
    name, _ = pool
    first, second, third = create(department, name, 3, spread={"mode": "anti_affinity"})
    where = {id_: operator.ask(f"GET /v1/instances/{id_}")["host"] for id_ in (first, second, third)}
    there = operator.ask(f"GET /v1/instances/{first}/explain", host=where[second])["not_there"]
    assert (there["host"], [one["rule"] for one in there["rules"]], there["short"]) == (where[second], ["anti_affinity"], {})
    assert there["rules"][0]["text"]
    assert operator.ask(f"GET /v1/instances/{first}/explain", host=where[first])["not_there"]["rules"] == []
    assert operator.ask(f"GET /v1/instances/{first}/explain")["not_there"] is None
    operator.refused(404, "not_found", f"GET /v1/instances/{first}/explain?host=none")
    department.member.refused(403, "forbidden", f"GET /v1/instances/{first}/explain?host={where[second]}")


def test_plans_keep_the_hosts_to_spare_that_the_pool_keeps(operator: Caller, department: Department, pool: tuple[str, list[str]]) -> None:
    name, _ = pool
    create(department, name, 6, spread={"mode": "spread"})
    wish = {"kind": "consolidate", "pool": name}
    assert operator.ask("POST /v1/plans", wish)["reason"] == "done"
    operator.ask(f"PATCH /v1/pools/{name}", {"spare_hosts": 1})
    assert operator.ask("POST /v1/plans", wish)["reason"] == operator.ask("POST /v1/plans", wish | {"spare_hosts": 1})["reason"] != "done"
    assert operator.ask("POST /v1/plans", wish | {"spare_hosts": 0})["reason"] == "done", "asked for, it may be less"
