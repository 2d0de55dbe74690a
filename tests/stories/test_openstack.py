"""A tale of servers on a real OpenStack region, enrolled both ways, told over HTTP."""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.store import embedded
from drivers.openstack.names import instance_tag
from tests.api.outside import PLENTY, Cloud, Department, fresh
from tests.api.server import controller
from tests.drivers.openstack.backend import image, options_for, uri
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import ADMIN, DEMO
from tests.lab.openstack.shared import shared_region
from tests.stories.test_libvirt_hosts import until

pytestmark = [pytest.mark.real, pytest.mark.slow]
WAYS = {"hosts": ("hypervisors", ADMIN), "opaque": ("project", DEMO)}  # what a pool is called, and whose credentials it has


@dataclass(frozen=True)
class Tale:
    """A controller, a region, and a department whose requests within `PLENTY` are approved at once."""

    cloud: Cloud
    region: Region
    department: Department

    def hand_in(self, pool: str, count: int, **more: Any) -> list[dict[str, Any]]:
        item = {"flavor": "small", "image": "blank", "count": count, "name": fresh("vm"), "pool": pool, **more}
        body = {"project": self.department.path, "reason": "test", "items": [item]}
        request = self.department.member.ask("POST /v1/requests", body)
        assert request["state"] == "approved", request
        return [self.department.member.settled_within(id_, "active", 90) for id_ in request["instances"]]

    def servers(self, instance: dict[str, Any]) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.region.admin.ask(
            "nova-api", f"GET /servers/detail?all_tenants=1&tags={instance_tag(instance['id'])}"
        )["servers"]
        return found


@pytest.fixture(scope="module")
def tale() -> Iterator[Tale]:
    region = shared_region()
    folder = Path(tempfile.mkdtemp(prefix="ct-os-", dir="/tmp"))
    folder.chmod(0o755)
    try:
        url = embedded.start(folder)
        with controller(folder, url, observe_interval_s=3.0) as cloud:
            ask = cloud.admin.ask
            for sees, (pool, account) in WAYS.items():
                given = options_for(account, sees=sees)
                credentials = given.pop("credentials")
                ask("POST /v1/pools", {"name": pool, "zone": f"zone-{pool}"})
                where = uri(region) if sees == "hosts" else uri(region).removesuffix("/v3")  # an address is enrolled once
                body = {"name": pool, "driver": "openstack", "uri": where, "pool": pool, "options": given, "credentials": credentials}
                made = ask("POST /v1/endpoints", body)
                assert made["hosts"], made
                assert account.password not in json.dumps(ask(f"GET /v1/endpoints/{pool}"))
            ask("POST /v1/flavors", {"name": "small", "vcpus": 1, "memory_mib": 2048, "disk_gib": 20})
            ask("POST /v1/images", {"name": "blank", "arch": "x86_64", "format": "raw"})
            ask("PUT /v1/images/blank/content", Path(image().path).read_bytes())
            yield Tale(cloud, region, cloud.department(auto_approve=PLENTY))
    finally:
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("pool", [pool for pool, _ in WAYS.values()])
def test_a_department_gets_servers_of_a_region_and_gives_them_back(tale: Tale, pool: str) -> None:
    member = tale.department.member
    found = tale.hand_in(pool, 2)
    for one in found:
        (server,) = tale.servers(one)
        assert (server["status"], server["name"]) == ("ACTIVE", one["name"])
        assert "ready" in member.ask(f"GET /v1/instances/{one['id']}/console")["text"]
    first = f"/v1/instances/{found[0]['id']}"
    member.ask(f"POST {first}/stop")
    member.settled_within(found[0]["id"], "stopped", 60)
    assert tale.servers(found[0])[0]["status"] == "SHUTOFF"
    member.ask(f"POST {first}/start")
    member.settled_within(found[0]["id"], "active", 60)
    for one in found:
        member.ask(f"DELETE /v1/instances/{one['id']}")
    for one in found:
        member.settled_within(one["id"], "deleted", 60)
        until(lambda one=one: tale.servers(one) == [], 30, "a server was left behind")


def test_a_server_deleted_by_hand_is_noticed_and_not_replaced_by_an_empty_one(tale: Tale) -> None:
    (one,) = tale.hand_in("hypervisors", 1)
    tale.region.delete(tale.servers(one)[0]["id"])
    seen = tale.department.member.settled_within(one["id"], "error", 60)
    assert seen["reason"]["code"] == "disk_missing"
    assert tale.servers(one) == []
    tale.department.member.ask(f"POST /v1/instances/{one['id']}/rebuild")
    tale.department.member.settled_within(one["id"], "active", 90)
    tale.department.member.ask(f"DELETE /v1/instances/{one['id']}")
    tale.department.member.settled_within(one["id"], "deleted", 60)
