"""Protection levels, dedicated hosts, racks and sites: who may be where, told to operators and kept to at every moment."""

from __future__ import annotations

from dataclasses import dataclass

from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh


@dataclass(frozen=True)
class Pool:
    """A pool of one's own, with its hosts."""

    name: str
    zone: str
    site: str
    hosts: list[str]


def pool_of(operator: Caller, hosts: int = 3, **more: object) -> Pool:
    name, zone, site = fresh("pool"), fresh("zone"), fresh("site")
    operator.ask("POST /v1/pools", {"name": name, "zone": zone, "site": site, **more})
    enrolled = operator.ask("POST /v1/endpoints", {"name": name, "driver": "fake", "uri": f"fake:{name}?hosts={hosts}", "pool": name})
    return Pool(name, zone, site, enrolled["hosts"])


def wish(department: Department, **more: object) -> dict[str, object]:
    return {"project": department.path, "flavor": "tiny", "image": "debian", **more}


def excluded(refusal: dict) -> dict[str, int]:
    return {one["rule"]: one["excluded"] for one in refusal["details"]["rules"]}


def test_a_system_goes_only_where_its_level_is_met(cloud: Cloud, operator: Caller) -> None:
    low, high = pool_of(operator), pool_of(operator, level=3)
    department = cloud.department(PLENTY)
    assert cloud.admin.ask(f"PATCH /v1/projects/{department.path}", {"level": 3})["level"] == 3
    refusal = department.member.refused(409, "no_capacity", "POST /v1/instances", wish(department, pool=low.name))
    assert excluded(refusal)["level"] == 3
    id_ = department.member.ask("POST /v1/instances", wish(department, pool=high.name))["id"]
    refusal = operator.refused(409, "invalid_state", f"PATCH /v1/pools/{high.name}", {"level": 2})
    assert refusal["details"]["instances"] == [
        {"name": department.member.ask(f"GET /v1/instances/{id_}")["name"], "project": department.path}
    ]
    assert operator.ask(f"GET /v1/pools/{high.name}")["level"] == 3, "nothing has changed"
    assert operator.ask(f"PATCH /v1/pools/{high.name}", {"level": 5})["level"] == 5


def test_a_level_holds_below_until_another_is_set_and_is_set_from_above(cloud: Cloud, operator: Caller) -> None:
    low = pool_of(operator)
    department = cloud.department(PLENTY)
    cloud.admin.ask(f"PATCH /v1/projects/{department.path}", {"level": 2})
    child = cloud.project(department.path)
    department.member.refused(409, "no_capacity", "POST /v1/instances", wish(department, project=child, pool=low.name))
    department.admin.refused(403, "forbidden", f"PATCH /v1/projects/{department.path}", {"level": 0})
    department.admin.ask(f"PATCH /v1/projects/{child}", {"level": 0})
    department.member.ask("POST /v1/instances", wish(department, project=child, pool=low.name))
    refusal = department.admin.refused(409, "invalid_state", f"PATCH /v1/projects/{child}", {"level": None})
    assert refusal["details"]["reason"] == "would_misplace"
    assert department.admin.ask(f"GET /v1/projects/{child}")["level"] == 0


def test_a_dedicated_host_is_for_its_project_and_those_below_alone(cloud: Cloud, operator: Caller) -> None:
    pool = pool_of(operator, hosts=1)
    (host,) = pool.hosts
    ours, others = cloud.department(PLENTY), cloud.department(PLENTY)
    below = cloud.project(ours.path)
    assert operator.ask(f"PATCH /v1/hosts/{host}", {"dedicated_to": ours.path})["dedicated_to"] == ours.path
    refusal = others.member.refused(409, "no_capacity", "POST /v1/instances", wish(others, pool=pool.name))
    assert excluded(refusal)["dedicated"] == 1
    assert ours.path not in str(refusal), "whose it is is nobody else's business"
    ours.member.ask("POST /v1/instances", wish(ours, project=below, pool=pool.name))
    refusal = operator.refused(409, "invalid_state", f"PATCH /v1/hosts/{host}", {"dedicated_to": others.path})
    assert refusal["details"]["instances"][0]["project"] == below
    operator.refused(404, "not_found", f"PATCH /v1/hosts/{host}", {"dedicated_to": "no/such"})
    assert operator.ask(f"PATCH /v1/hosts/{host}", {"dedicated_to": None})["dedicated_to"] is None
    others.member.ask("POST /v1/instances", wish(others, pool=pool.name))
    refusal = operator.refused(409, "invalid_state", f"PATCH /v1/hosts/{host}", {"dedicated_to": ours.path})
    assert refusal["details"]["instances"][0]["project"] == others.path


def test_from_level_four_on_a_system_gets_hosts_of_its_own(cloud: Cloud, operator: Caller) -> None:
    pool = pool_of(operator, hosts=2, level=4)
    department = cloud.department(PLENTY)
    cloud.admin.ask(f"PATCH /v1/projects/{department.path}", {"level": 4})
    refusal = department.member.refused(409, "no_capacity", "POST /v1/instances", wish(department, pool=pool.name))
    assert excluded(refusal)["dedicated"] == 2
    operator.ask(f"PATCH /v1/hosts/{pool.hosts[1]}", {"dedicated_to": department.path})
    id_ = department.member.ask("POST /v1/instances", wish(department, pool=pool.name))["id"]
    assert operator.ask(f"GET /v1/instances/{id_}")["host"] == pool.hosts[1]
    operator.refused(409, "invalid_state", f"PATCH /v1/hosts/{pool.hosts[1]}", {"dedicated_to": None})


def test_members_are_kept_apart_by_rack_and_may_ask_for_a_site(cloud: Cloud, operator: Caller) -> None:
    pool = pool_of(operator)
    for host, rack in zip(pool.hosts, ("A", "A", "B"), strict=True):
        assert operator.ask(f"PATCH /v1/hosts/{host}", {"rack": rack})["rack"] == rack
    department = cloud.department(PLENTY)
    item = {"flavor": "tiny", "image": "debian", "site": pool.site, "spread": {"mode": "anti_affinity", "domain": "rack"}}
    asked = {"project": department.path, "items": [{**item, "count": 3}]}
    refusal = department.member.refused(409, "no_capacity", "POST /v1/requests", asked)
    assert excluded(refusal)["anti_affinity"] == 3
    made = department.member.ask("POST /v1/requests", {"project": department.path, "items": [{**item, "count": 2}]})
    hosts = {operator.ask(f"GET /v1/instances/{id_}")["host"] for id_ in made["instances"]}
    assert pool.hosts[2] in hosts
    assert len(hosts) == 2
    department.member.refused(400, "invalid_request", "POST /v1/instances", wish(department, site="nowhere"))
