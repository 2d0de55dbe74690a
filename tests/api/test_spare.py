"""Hosts to spare: a pool takes nothing that would leave it unable to restart what one of its hosts runs."""

from __future__ import annotations

import pytest

from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh


@pytest.fixture
def department(cloud: Cloud) -> Department:
    return cloud.department(PLENTY)


def pool_of(operator: Caller, zone: str, hosts: int, spare_hosts: int) -> str:
    """Hosts of four vCPUs each."""
    name = fresh("pool")
    operator.ask("POST /v1/pools", {"name": name, "zone": zone, "overcommit": {"vcpus": 1.0}, "spare_hosts": spare_hosts})
    uri = f"fake:{name}?hosts={hosts}&vcpus=4&memory_mib=65536&disk_gib=400&overcommit_vcpus=1.0"
    operator.ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": uri, "pool": name})
    return name


def wish(department: Department, count: int = 1, **more: object) -> dict[str, object]:
    return {"project": department.path, "items": [{"flavor": "tiny", "image": "debian", "count": count, **more}]}


def test_a_pool_takes_what_it_could_restart_and_no_more(operator: Caller, department: Department) -> None:
    pool = pool_of(operator, fresh("zone"), hosts=3, spare_hosts=1)
    member = department.member
    member.ask("POST /v1/requests", wish(department, 8, pool=pool))
    refusal = member.refused(409, "no_capacity", "POST /v1/requests", wish(department, pool=pool))
    assert refusal["details"]["alone"] == [{"rule": "spare_hosts", "excluded": 1}], "one of three has room, which is kept"
    assert (refusal["details"]["rules"][-1]["rule"], refusal["details"]["rules"][-1]["excluded"]) == ("spare_hosts", 1)
    assert sum(one["excluded"] for one in refusal["details"]["rules"]) == refusal["details"]["hosts"]
    assert member.ask("POST /v1/requests?explain=true", wish(department, pool=pool))["fits"] is False
    (kept,) = member.ask("GET /v1/placements", project=department.path, placed=False)["items"]
    assert (kept["rules"][-1]["rule"], kept["rules"][-1]["excluded"], kept["fits"]) == ("spare_hosts", 1, 0)
    assert kept["rules"][-1]["text"]
    operator.ask(f"PATCH /v1/pools/{pool}", {"spare_hosts": 0})
    member.ask("POST /v1/requests", wish(department, 4, pool=pool))
    operator.ask(f"PATCH /v1/pools/{pool}", {"spare_hosts": 1})
    member.refused(409, "no_capacity", "POST /v1/requests", wish(department, pool=pool))


def test_what_would_break_one_pool_goes_to_another(operator: Caller, department: Department) -> None:
    zone = fresh("zone")
    careful, careless = pool_of(operator, zone, hosts=2, spare_hosts=1), pool_of(operator, zone, hosts=1, spare_hosts=0)
    for _ in range(8):
        department.member.ask("POST /v1/requests", wish(department, zone=zone))
    department.member.refused(409, "no_capacity", "POST /v1/requests", wish(department, zone=zone))
    used = {name: sum(host["used"]["vcpus"] for host in operator.ask("GET /v1/hosts", pool=name)["items"]) for name in (careful, careless)}
    assert used == {careful: 4, careless: 4}


def test_what_must_lie_apart_needs_a_host_more(operator: Caller, department: Department) -> None:
    pool = pool_of(operator, fresh("zone"), hosts=3, spare_hosts=1)
    apart = {"spread": {"mode": "anti_affinity"}, "pool": pool}
    department.member.refused(409, "no_capacity", "POST /v1/requests", wish(department, 3, **apart))
    department.member.ask("POST /v1/requests", wish(department, 2, **apart))


def test_a_held_request_counts_as_what_it_will_become(cloud: Cloud, operator: Caller) -> None:
    pool = pool_of(operator, fresh("zone"), hosts=2, spare_hosts=1)
    careful = cloud.department()
    assert careful.member.ask("POST /v1/requests", wish(careful, 4, pool=pool))["state"] == "pending"
    careful.member.refused(409, "no_capacity", "POST /v1/requests", wish(careful, pool=pool))


def test_growing_counts_as_well(operator: Caller, department: Department) -> None:
    pool = pool_of(operator, fresh("zone"), hosts=2, spare_hosts=1)
    made = department.member.ask("POST /v1/requests", wish(department, 2, pool=pool, spread={"mode": "spread"}))
    first = department.member.settled(made["instances"][0], "active")["id"]
    three, four = fresh("three"), fresh("four")
    for name, vcpus in ((three, 3), (four, 4)):
        operator.ask("POST /v1/flavors", {"name": name, "vcpus": vcpus, "memory_mib": 1024, "disk_gib": 10})
    refusal = department.member.refused(409, "no_capacity", f"POST /v1/instances/{first}/resize", {"flavor": four})
    assert refusal["details"]["rules"][-1]["rule"] == "spare_hosts"
    department.member.ask(f"POST /v1/instances/{first}/resize", {"flavor": three})
    assert department.member.settled(first, "active")["vcpus"] == 3


def test_what_is_offered_is_taken_also_by_pools_that_keep_hosts_to_spare(operator: Caller, department: Department) -> None:
    zone, full = fresh("zone"), fresh("zone")
    careful, other = pool_of(operator, zone, hosts=2, spare_hosts=1), pool_of(operator, full, hosts=1, spare_hosts=0)
    department.member.ask("POST /v1/requests", wish(department, 4, zone=zone))
    department.member.ask("POST /v1/requests", wish(department, 4, zone=full))
    for where in ({"pool": other}, {"zone": full}):
        refusal = department.member.refused(409, "no_capacity", "POST /v1/requests", wish(department, **where))
        told = refusal["details"]["changes"]
        assert careful not in [change.get("pool") for change in told], "it has room, and keeps it"
        assert zone not in [change.get("zone") for change in told]
        for change in told:
            moved = {name: change[name] for name in ("pool", "zone") if name in change}
            if moved:
                assert department.member.ask("POST /v1/requests", wish(department, **(where | moved)), explain="true")["fits"]


@pytest.mark.parametrize(
    ("asked", "more", "fewer"),
    [
        (12, {}, 8),  # there is room for all, and four of it are kept
        (4, {"spread": {"mode": "anti_affinity"}}, 2),  # three would have a host each, and then none were left to restart one on
    ],
)
def test_who_is_kept_from_hosts_to_spare_is_offered_what_would_be_taken(
    operator: Caller, department: Department, asked: int, more: dict[str, object], fewer: int
) -> None:
    careful, other = pool_of(operator, fresh("zone"), hosts=3, spare_hosts=1), pool_of(operator, fresh("zone"), hosts=4, spare_hosts=0)
    refusal = department.member.refused(409, "no_capacity", "POST /v1/requests", wish(department, asked, pool=careful, **more))
    told = {change["change"]: change for change in refusal["details"]["changes"]}
    assert (told["fewer_instances"]["count"], refusal["details"]["items"]) == (fewer, [1])
    elsewhere = wish(department, asked, pool=told["other_pool"]["pool"], **more)
    assert department.member.ask("POST /v1/requests", elsewhere, explain="true")["fits"]
    assert department.member.ask("POST /v1/requests", wish(department, asked, pool=other, **more), explain="true")["fits"]
    assert not department.member.ask("POST /v1/requests", wish(department, fewer + 1, pool=careful, **more), explain="true")["fits"]
    assert len(department.member.ask("POST /v1/requests", wish(department, fewer, pool=careful, **more))["instances"]) == fewer
