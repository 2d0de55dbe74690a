"""Hosts that are on or off, pools in their order, licences: what is placed where, and what is said of it. Nothing is switched."""

from __future__ import annotations

import pytest

from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh


@pytest.fixture
def department(cloud: Cloud) -> Department:
    return cloud.department(PLENTY)


def pool_of(operator: Caller, zone: str, query: str, **settings: object) -> str:
    """Hosts of four vCPUs each."""
    name = fresh("pool")
    operator.ask("POST /v1/pools", {"name": name, "zone": zone, "overcommit": {"vcpus": 1.0}, **settings})
    uri = f"fake:{name}?vcpus=4&memory_mib=65536&disk_gib=400&overcommit_vcpus=1.0&{query}"
    operator.ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": uri, "pool": name})
    return name


def wish(department: Department, count: int = 1, **more: object) -> dict[str, object]:
    return {"project": department.path, "items": [{"flavor": "tiny", "image": "debian", "count": count, **more}]}


def used(operator: Caller, pool: str) -> dict[str, int]:
    """vCPUs in use, by whether the host is on."""
    found: dict[str, int] = {}
    for host in operator.ask("GET /v1/hosts", pool=pool)["items"]:
        found[host["power"]] = found.get(host["power"], 0) + host["used"]["vcpus"]
    return found


def test_a_host_that_is_off_is_no_capacity_unless_its_pool_wakes_hosts(operator: Caller, department: Department) -> None:
    pool = pool_of(operator, fresh("zone"), "hosts=2&off=1")
    member = department.member
    member.ask("POST /v1/requests", wish(department, 4, pool=pool))
    refusal = member.refused(409, "no_capacity", "POST /v1/requests", wish(department, pool=pool))
    assert {one["rule"]: one["excluded"] for one in refusal["details"]["rules"] if one["rule"] not in ("pool", "kind")} == {
        "off": 1,
        "vcpus": 1,
    }
    operator.ask(f"PATCH /v1/pools/{pool}", {"may_wake": True})
    (id_,) = member.ask("POST /v1/requests", wish(department, pool=pool))["instances"]
    assert used(operator, pool) == {"on": 4, "off": 1}
    waiting = member.ask(f"GET /v1/instances/{id_}")
    assert (waiting["state"], waiting["reason"]["code"]) == ("pending", "host_off")
    (off,) = (host for host in operator.ask("GET /v1/hosts", pool=pool)["items"] if host["power"] == "off")
    assert [note for note in off["notes"] if "1 instances wait" in note]
    (best, *_) = operator.ask(f"GET /v1/instances/{id_}/explain")["placement"]["best"]
    assert (best["host"], best["minus"]) == (off["name"], {"off": -3.0})


def test_hosts_that_are_on_come_first(operator: Caller, department: Department) -> None:
    pool = pool_of(operator, fresh("zone"), "hosts=3&off=2", may_wake=True)
    for _ in range(4):
        department.member.ask("POST /v1/requests", wish(department, pool=pool))
    assert used(operator, pool) == {"on": 4, "off": 0}


def test_where_the_driver_sees_it_nobody_says_otherwise(operator: Caller) -> None:
    pool = pool_of(operator, fresh("zone"), "hosts=1")
    (host,) = operator.ask("GET /v1/hosts", pool=pool)["items"]
    assert host["power"] == "on"
    operator.refused(409, "power_is_seen", f"PATCH /v1/hosts/{host['name']}", {"power": "off"})


def test_a_lower_order_is_filled_first_then_what_nobody_paid_for(operator: Caller, department: Department) -> None:
    zone = fresh("zone")
    late = pool_of(operator, zone, "hosts=1", fill_order=2)
    licensed = pool_of(operator, zone, "hosts=1", licences=["oracle"])
    plain = pool_of(operator, zone, "hosts=1")
    operator.ask(f"PATCH /v1/pools/{late}", {"fill_order": 1})
    for pools in ({plain: 4}, {plain: 4, licensed: 4}, {plain: 4, licensed: 4, late: 4}):
        for _ in range(4):
            made = department.member.ask("POST /v1/requests", wish(department, zone=zone))
        full = {name: sum(used(operator, name).values()) for name in (late, licensed, plain)}
        assert full == {late: 0, licensed: 0, plain: 0} | pools
    (best,) = operator.ask(f"GET /v1/instances/{made['instances'][0]}/explain")["placement"]["best"]
    assert best["minus"] == {"pool": -1024.0}


def test_consolidating_names_what_could_be_off_and_what_that_saves(operator: Caller, department: Department) -> None:
    pool = pool_of(operator, fresh("zone"), "hosts=4&off=1")
    apart = {"spread": {"mode": "spread"}, "pool": pool}
    department.member.ask("POST /v1/requests", wish(department, 2, **apart))
    hosts = {host["name"]: host for host in operator.ask("GET /v1/hosts", pool=pool)["items"]}
    for name in hosts:
        operator.ask(f"PATCH /v1/hosts/{name}", {"idle_watts": 150})
    plan = operator.ask("POST /v1/plans", {"kind": "consolidate", "pool": pool})
    (move,) = plan["moves"]
    on = {name for name, host in hosts.items() if host["power"] == "on"}
    assert {one["host"] for one in plan["switch_off"]} == on - {move["target"]}
    assert plan["saves_watts"] == 300
    spare = operator.ask("POST /v1/plans", {"kind": "consolidate", "pool": pool, "spare_hosts": 1})
    left = on - {one["host"] for one in spare["switch_off"]}
    assert len(left) == 2, "of all that run on one host, one more is needed to restart it"
    assert {move["target"] for move in spare["moves"]} <= left
