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
from tests.lab.openstack.settings import ADMIN, DEMO, OTHER, Account
from tests.lab.openstack.shared import shared_region
from tests.stories.test_libvirt_hosts import NOTICED_S, until

pytestmark = [pytest.mark.real, pytest.mark.slow]
WAYS = {"hosts": ("hypervisors", ADMIN), "opaque": ("project", DEMO)}  # what a pool is called, and whose credentials it has


@dataclass(frozen=True)
class Tale:
    """A controller, a region, and a department whose requests within `PLENTY` are approved at once."""

    cloud: Cloud
    region: Region
    department: Department

    def hand_in(self, pool: str, count: int, state: str = "active", **more: Any) -> list[dict[str, Any]]:
        item = {"flavor": "small", "image": "blank", "count": count, "name": fresh("vm"), "pool": pool, **more}
        body = {"project": self.department.path, "reason": "test", "items": [item]}
        request = self.department.member.ask("POST /v1/requests", body)
        assert request["state"] == "approved", request
        return [self.department.member.settled_within(id_, state, 90) for id_ in request["instances"]]

    def told(self, instance: dict[str, Any], kind: str) -> bool:
        """Whether its department has read of such a thing."""
        items = self.department.member.ask("GET /v1/events", object=instance["id"], limit=500)["items"]
        return kind in [one["kind"] for one in items]

    def delete(self, instances: list[dict[str, Any]]) -> None:
        for one in instances:
            self.department.member.ask(f"DELETE /v1/instances/{one['id']}")
        for one in instances:
            self.department.member.settled_within(one["id"], "deleted", 60)
            until(lambda one=one: self.servers(one) == [], 30, "a server was left behind")

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
                body = {"name": pool, "driver": "openstack", "uri": uri(region), "pool": pool, "options": given, "credentials": credentials}
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
    tale.delete(found)


@pytest.mark.parametrize("sees", WAYS)
@pytest.mark.parametrize("spelled", ["", "/", "name", "version", "scheme"])
def test_what_is_enrolled_already_is_refused_however_its_address_is_written(tale: Tale, sees: str, spelled: str) -> None:
    pool, account = WAYS[sees]
    where = uri(tale.region)
    other = {
        "": where,
        "/": f"{where}/",
        "name": where.replace("127.0.0.1", "LOCALHOST"),
        "version": where.removesuffix("/v3"),
        "scheme": where.replace("openstack+https", "OpenStack+HTTPS"),
    }[spelled]
    options = {**options_for(account, sees=sees), "credentials": f"{account.name}:{account.password}@{account.project}"}
    body = {"name": fresh("again"), "driver": "openstack", "uri": other, "pool": pool, "credentials": options.pop("credentials")}
    refusal = tale.cloud.admin.refused(409, "machine_enrolled", "POST /v1/endpoints", {**body, "options": options})
    hosts = {one["name"] for one in tale.cloud.admin.ask("GET /v1/hosts")["items"] if one["endpoint"] == pool}
    assert any(f"'{name}'" in refusal["message"] for name in hosts), refusal


def test_zones_of_one_project_are_not_two_hosts_and_those_of_two_projects_are(tale: Tale) -> None:
    """A project's limits are for all its zones together."""
    ask = tale.cloud.admin.ask

    def endpoint(account: Account) -> dict[str, Any]:
        given = options_for(account, sees="opaque", zone="nova")
        credentials = given.pop("credentials")
        body = {"name": fresh("zone"), "driver": "openstack", "uri": uri(tale.region), "pool": "project"}
        return {**body, "options": given, "credentials": credentials}

    tale.cloud.admin.refused(409, "machine_enrolled", "POST /v1/endpoints", endpoint(DEMO))
    made = ask("POST /v1/endpoints", endpoint(OTHER))
    (host,) = (one for one in ask("GET /v1/hosts")["items"] if one["endpoint"] == made["name"])
    ask(f"POST /v1/hosts/{host['id']}/retire")
    ask(f"DELETE /v1/endpoints/{made['name']}")


def test_a_server_deleted_by_hand_is_noticed_and_not_replaced_by_an_empty_one(tale: Tale) -> None:
    (one,) = tale.hand_in("hypervisors", 1)
    tale.region.delete(tale.servers(one)[0]["id"])
    seen = tale.department.member.settled_within(one["id"], "error", 60)
    assert seen["reason"]["code"] == "disk_missing"
    assert tale.servers(one) == []
    tale.department.member.ask(f"POST /v1/instances/{one['id']}/rebuild")
    tale.department.member.settled_within(one["id"], "active", 90)
    tale.delete([one])


def test_what_somebody_does_by_hand_is_noticed_told_and_mended(tale: Tale) -> None:
    stopped, renamed, reset = found = tale.hand_in("hypervisors", 3)
    admin, id_ = tale.region.admin, lambda one: tale.servers(one)[0]["id"]
    admin.ask("nova-api", f"POST /servers/{id_(stopped)}/action", {"os-stop": None})
    admin.ask("nova-api", f"PUT /servers/{id_(renamed)}", {"server": {"name": "theirs"}})
    tale.region.reset(id_(reset))
    until(lambda: tale.told(stopped, "instance.stopped_by_other") and tale.told(stopped, "instance.mended"), NOTICED_S, "not noticed")
    until(lambda: tale.servers(stopped)[0]["status"] == "ACTIVE", NOTICED_S, "it was not started again")
    until(lambda: tale.told(renamed, "instance.altered_by_other"), NOTICED_S, "a new name was not noticed")
    until(lambda: tale.servers(renamed)[0]["name"] == renamed["name"], NOTICED_S, "it has not got its name back")
    seen = tale.department.member.settled_within(reset["id"], "error", NOTICED_S)
    assert seen["reason"]["code"] == "server_broken"
    tale.department.member.ask(f"POST /v1/instances/{reset['id']}/start")
    tale.department.member.settled_within(reset["id"], "active", 60)
    tale.delete(found)


@pytest.mark.parametrize("pool", [pool for pool, _ in WAYS.values()])
def test_a_build_that_fails_everywhere_is_told_and_is_started_again_by_who_asked_for_it(tale: Tale, pool: str) -> None:
    for compute in tale.region.computes:
        compute.configure(fault="error")
    try:
        (one,) = tale.hand_in(pool, 1, "error")
    finally:
        for compute in tale.region.computes:
            compute.configure(fault=None)
    assert one["reason"]["code"] in ("build_failed", "no_valid_host")
    assert one["reason"]["text"]
    tale.department.member.ask(f"POST /v1/instances/{one['id']}/start")
    tale.department.member.settled_within(one["id"], "active", 90)
    tale.delete([one])


def test_a_build_that_fails_on_one_hypervisor_is_made_on_another_where_nova_chooses(tale: Tale) -> None:
    tale.region.computes[0].configure(fault="error")
    try:
        found = tale.hand_in("project", 3)
    finally:
        tale.region.computes[0].configure(fault=None)
    assert {tale.servers(one)[0]["OS-EXT-SRV-ATTR:host"] for one in found} == {tale.region.computes[1].name}
    tale.delete(found)


def test_limits_of_the_region_lowered_behind_our_back_are_told_and_keep_what_runs(tale: Tale) -> None:
    tale.region.quota(DEMO, instances=0)
    try:
        body = {"flavor": "small", "image": "blank", "name": fresh("vm"), "pool": "project"}
        request = {"project": tale.department.path, "reason": "test", "items": [body]}
        answer = tale.department.member.call("POST /v1/requests", request)
        assert answer.status_code in (201, 409), answer.text  # as the controller has or hasn't seen it yet
        ids = answer.json().get("instances", [])
        for id_ in ids:
            waits = f"GET /v1/instances/{id_}"
            seen = tale.department.member.until(waits, lambda one: one["reason"] is not None, NOTICED_S)
            assert seen["reason"]["code"] == "region_quota"
    finally:
        tale.region.quota(DEMO, instances=1000)
    for id_ in ids:
        tale.delete([tale.department.member.settled_within(id_, "active", 90)])
