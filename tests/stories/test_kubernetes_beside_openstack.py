"""Tales of all kinds of endpoints under one department: libvirt hosts, a Kubernetes cluster and an OpenStack region, told over HTTP."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import psycopg
import pytest
from httpx2 import Response

from drivers.openstack.names import owner_tag
from tests.api.outside import PLENTY, fresh
from tests.drivers.openstack.backend import options_for
from tests.drivers.openstack.backend import uri as keystone
from tests.lab.kubernetes.rig import Cluster
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import ADMIN
from tests.lab.openstack.shared import shared_region
from tests.stories.conftest import Province
from tests.stories.containers import RUNS
from tests.stories.test_kubernetes import delete, ours, used
from tests.stories.test_libvirt_hosts import until

pytestmark = [pytest.mark.real, pytest.mark.slow]
POOLS = ("wuhan-a", "nodes", "region")


@pytest.fixture(scope="module")
def region(province: Province) -> Region:
    """Its two hypervisors take machines of the province."""
    made, ask = shared_region(), province.cloud.admin.ask
    options = options_for(ADMIN, sees="hosts")
    credentials = options.pop("credentials")
    ask("POST /v1/pools", {"name": "region", "zone": "wuhan-o", "reserved": {"memory_mib": 0, "disk_gib": 0}})
    body = {"name": "region", "driver": "openstack", "uri": keystone(made), "pool": "region", "options": options}
    assert ask("POST /v1/endpoints", body | {"credentials": credentials})["hosts"]
    return made


@pytest.fixture
def department(province: Province) -> Province:
    """The same province, and a department that has nothing yet."""
    return replace(province, department=province.cloud.department(PLENTY))


def wish(province: Province, pool: str) -> dict[str, Any]:
    """One request, the same for all pools but for what a container runs where a machine has an image."""
    runs = {"kind": "container", "flavor": "pod", "container": RUNS} if pool == "nodes" else {"flavor": "tiny", "image": "tiny"}
    item = {"name": fresh("all"), "count": 2, "pool": pool, **runs}
    return {"project": province.department.path, "reason": "test", "items": [item]}


def servers(province: Province, region: Region) -> list[dict[str, Any]]:
    """What this controller has in the region, which other tests share."""
    with psycopg.connect(province.cloud.database_url) as conn:
        (owner,) = conn.execute("SELECT owner::text FROM cloud").fetchone() or ("",)
    found: list[dict[str, Any]] = region.admin.ask("nova-api", f"GET /servers/detail?all_tenants=1&tags={owner_tag(owner)}")["servers"]
    return found


def domains(province: Province) -> list[str]:
    """All guests on the libvirt hosts."""
    return [id_ for host in province.hosts.values() for id_ in host.run("virsh", "list", "--all", "--uuid").split()]


def test_one_request_goes_to_every_kind_of_endpoint_and_all_count_in_one_table(
    department: Province, nodes: Cluster, region: Region
) -> None:
    member = department.department.member
    before = set(domains(department))
    found: list[dict[str, Any]] = []
    for number, pool in enumerate(POOLS, start=1):
        request = member.ask("POST /v1/requests", wish(department, pool))
        found += [member.settled_within(id_, "active", 120) for id_ in request["instances"]]
        assert used(department, "instances") == 2 * number
    assert used(department, "vcpus") == 6
    assert len(set(domains(department)) - before) == len(servers(department, region)) == len(ours(department, nodes, "pods")) == 2
    listed = member.walk("GET /v1/instances", project=department.department.path)
    assert Counter(one["kind"] for one in listed) == Counter(vm=4, container=2)
    delete(department, found)
    assert used(department, "vcpus") == used(department, "instances") == 0
    assert set(domains(department)) == before
    assert servers(department, region) == []
    for kind in ("pods", "namespaces"):
        until(lambda kind=kind: ours(department, nodes, kind) == [], 90, f"{kind} were left behind")


def test_what_can_give_nothing_away_says_so_and_a_region_tells_what_it_has(province: Province, nodes: Cluster, region: Region) -> None:
    admin = province.cloud.admin
    kinds = {one["name"]: one["driver"] for one in admin.walk("GET /v1/endpoints")}
    assert set(kinds.values()) == {"libvirt", "kubernetes", "openstack"}
    for name, kind in kinds.items():
        if kind == "openstack":
            admin.ask(f"GET /v1/endpoints/{name}/foreign")
        else:
            admin.refused(409, "driver_adopts_nothing", f"GET /v1/endpoints/{name}/foreign")


@pytest.mark.parametrize("turn", ["first", "second", "third"])
def test_one_limit_bounds_all_kinds_together_whoever_comes_first(department: Province, nodes: Cluster, region: Region, turn: str) -> None:
    """32 clients, each for itself, three times over. (nova's own count is not exact.)"""
    path, member = department.department.path, department.department.member
    department.cloud.admin.ask(f"PUT /v1/projects/{path}/limits", {"limits": [{"resource": "vcpus", "amount": 20}]})

    def ask(number: int) -> Response:
        body = wish(department, POOLS[number % 3])
        body["items"][0]["count"] = 1
        return member.call("POST /v1/requests", body)

    with ThreadPoolExecutor(32) as clients:
        answers = list(clients.map(ask, range(48)))
    taken = [id_ for answer in answers if answer.status_code == 201 for id_ in answer.json()["instances"]]
    assert Counter(answer.status_code for answer in answers) == Counter({201: 20, 409: 28})
    assert used(department, "vcpus") == 20
    found = [member.settled_within(id_, "active", 120) for id_ in taken]
    assert len(servers(department, region)) + len(ours(department, nodes, "pods")) + len(set(domains(department)) & set(taken)) == 20
    assert {one["kind"] for one in found} == {"vm", "container"}
    delete(department, found)
    assert used(department, "vcpus") == 0


def test_a_region_that_hangs_keeps_nobody_else_waiting(department: Province, nodes: Cluster, region: Region) -> None:
    member = department.department.member
    with region.being_frozen("nova-api"):
        stuck = member.ask("POST /v1/requests", wish(department, "region"))["instances"]
        going = [member.ask("POST /v1/requests", wish(department, pool))["instances"] for pool in ("wuhan-a", "nodes")]
        found = [member.settled_within(id_, "active", 60) for ids in going for id_ in ids]
        assert all(member.ask(f"GET /v1/instances/{id_}")["state"] == "building" for id_ in stuck)
    found += [member.settled_within(id_, "active", 120) for id_ in stuck]
    delete(department, found)
    assert servers(department, region) == []
