"""The region itself: what it starts is real, fails as it is told to, comes back, and leaves nothing."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import ssl
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.lab.needs import CHECKOUT
from tests.lab.openstack import rig
from tests.lab.openstack.api import Api, Refused
from tests.lab.openstack.conftest import Servers
from tests.lab.openstack.gate import Fault
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import ADMIN, APIS, DEMO, FLAVORS, IMAGE, OTHER

pytestmark = pytest.mark.real

SDK = """
import json, openstack, sys
found = {}
for name in sys.argv[1:]:
    cloud = openstack.connect(cloud=name)
    found[name] = [cloud.current_project_id, sorted(one.name for one in cloud.compute.flavors())]
print(json.dumps(found))
"""
OWNER = """
import time
from tests.lab.openstack.shared import shared_region
print(shared_region().folder, flush=True)
time.sleep(600)
"""


def _state(region: Region, host: str) -> str:
    found = region.admin.ask("nova-api", f"GET /os-services?binary=nova-compute&host={host}")["services"]
    state: str = found[0]["state"]
    return state


def _await(holds: Callable[[], object], within_s: float = 30) -> None:
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline, f"not so after {within_s} s"
        time.sleep(0.1)


def _refused(ask: Callable[[], object]) -> Refused:
    with pytest.raises(Refused) as refused:
        ask()
    return refused.value


def test_hypervisors_are_up_with_what_they_have_and_flavors_image_and_network_are_there(region: Region, user: Api) -> None:
    providers = region.admin.ask("placement", "GET /resource_providers")["resource_providers"]
    assert {one.name for one in region.computes} == {one["name"] for one in providers}
    inventories = region.admin.ask("placement", f"GET /resource_providers/{providers[0]['uuid']}/inventories")["inventories"]
    assert {kind: one["total"] for kind, one in inventories.items()} == {"VCPU": 16, "MEMORY_MB": 65536, "DISK_GB": 1000}
    found = {one["name"]: (one["vcpus"], one["ram"], one["disk"]) for one in user.ask("nova-api", "GET /flavors/detail")["flavors"]}
    assert FLAVORS.items() <= found.items(), "what tests of the driver leave in the region is there as well"
    assert [one["status"] for one in user.ask("glance", f"GET /v2/images?name={IMAGE}")["images"]] == ["active"]
    assert [one["name"] for one in user.ask("neutron", "GET /v2.0/networks")["networks"]] == ["net1"]


def test_only_who_trusts_the_authority_gets_in_and_links_lead_by_the_gate(region: Region, user: Api) -> None:
    port = region.settings.ports["nova-api-tls"]
    line = http.client.HTTPSConnection("127.0.0.1", port, context=ssl.create_default_context(), timeout=5)
    with pytest.raises(ssl.SSLCertVerificationError):
        line.request("GET", "/")
    line.close()
    root = Api({**user.urls, "nova-api": f"https://127.0.0.1:{port}"}, DEMO, region.settings.ca, user.token)
    links = [one["href"] for version in root.ask("nova-api", "GET /")["versions"] for one in version["links"]]
    assert links
    assert all(one.startswith(f"https://127.0.0.1:{port}/") for one in links)


def test_the_sdk_gets_in_by_password_and_by_application_credential(region: Region, tmp_path: Path) -> None:
    clouds = {"admin": region.cloud(ADMIN), "demo": region.cloud(), "key": region.cloud_by_application_credential(OTHER)}
    (tmp_path / "clouds.yaml").write_text(region.clouds_yaml(**clouds))
    environ = {**os.environ, "OS_CLIENT_CONFIG_FILE": str(tmp_path / "clouds.yaml")}
    line = [sys.executable, "-W", "ignore", "-c", SDK, *clouds]
    said: dict[str, Any] = json.loads(subprocess.run(line, env=environ, check=True, capture_output=True, text=True).stdout)
    assert [one[0] for one in said.values()] == [region.user(account).project for account in (ADMIN, DEMO, OTHER)]
    assert all(set(FLAVORS) <= set(one[1]) for one in said.values())


def test_a_user_sees_neither_hypervisors_nor_what_others_have(region: Region, user: Api, servers: Servers) -> None:
    made = servers.create(user)
    servers.until(made, status="ACTIVE")
    assert [one["id"] for one in user.ask("nova-api", "GET /servers")["servers"]] == [made]
    assert region.user(OTHER).ask("nova-api", "GET /servers")["servers"] == []
    assert _refused(lambda: user.ask("nova-api", "GET /os-hypervisors")).status == 403


def test_a_server_is_built_where_the_administrator_says_and_its_guest_goes_with_it(region: Region, servers: Servers) -> None:
    compute = region.computes[1]
    made = servers.on(compute.name)
    assert servers.look(made)["OS-EXT-SRV-ATTR:hypervisor_hostname"] == compute.name
    assert made in compute.guests
    said = region.admin.ask("nova-api", f"POST /servers/{made}/action", {"os-getConsoleOutput": {}})["output"]
    assert said == f"lab: console of {made} on {compute.name}\nready\n"
    region.delete(made)
    _await(lambda: made not in compute.guests)


def test_a_server_gets_a_port_with_an_address_that_is_bound(region: Region, user: Api, servers: Servers) -> None:
    network = user.ask("neutron", "GET /v2.0/networks")["networks"][0]["id"]
    made = servers.create(user, networks=[{"uuid": network}])
    addresses = servers.until(made, status="ACTIVE")["addresses"]["net1"]
    assert [one["addr"].rsplit(".", 2)[0] for one in addresses] == ["10.32"]


def test_a_killed_hypervisor_is_down_while_its_server_counts_as_active_and_comes_back_with_its_guest(
    region: Region, servers: Servers
) -> None:
    compute = region.computes[1]
    made = servers.on(compute.name)
    region.kill(compute.name)
    _await(lambda: _state(region, compute.name) == "down")
    assert servers.look(made)["status"] == "ACTIVE"
    assert servers.look(made)["host_status"] == "UNKNOWN"
    region.start(compute.name)
    _await(lambda: _state(region, compute.name) == "up")
    assert servers.look(made)["host_status"] == "UP"
    assert made in compute.guests


def test_a_frozen_hypervisor_is_down_until_it_is_thawed(region: Region) -> None:
    name = region.computes[1].name
    with region.being_frozen(name):
        _await(lambda: _state(region, name) == "down")
    _await(lambda: _state(region, name) == "up")


def test_an_api_that_is_stopped_is_said_to_be_unavailable_and_a_frozen_one_never_answers(region: Region, user: Api) -> None:
    with region.being_frozen("nova-api"), pytest.raises(TimeoutError):
        user.ask("nova-api", "GET /servers", timeout_s=1)
    with region.being_down("nova-api"):
        assert _refused(lambda: user.ask("nova-api", "GET /servers")).status == 503
    assert user.ask("nova-api", "GET /servers") == {"servers": []}


def test_without_the_gate_connections_are_refused(region: Region, user: Api) -> None:
    with region.being_down("gate"), pytest.raises(ConnectionRefusedError):
        user.ask("nova-api", "GET /servers")
    assert user.ask("nova-api", "GET /servers") == {"servers": []}


def test_without_keystone_nobody_gets_in_but_who_is_in_stays_for_a_while(region: Region, user: Api) -> None:
    user.ask("nova-api", "GET /servers")
    with region.being_down("keystone"):
        assert user.ask("nova-api", "GET /servers") == {"servers": []}
        assert _refused(region.user().log_in).status == 503
    region.user().log_in()


def test_tokens_that_were_expired_are_refused_and_new_ones_are_not(region: Region, user: Api, servers: Servers) -> None:
    user.ask("nova-api", "GET /servers")
    region.expire_tokens()
    assert _refused(lambda: user.ask("nova-api", "GET /servers")).status == 401
    user.log_in()
    user.until("nova-api", "GET /servers", lambda said: said == {"servers": []})
    _await(lambda: servers.end(servers.create(user)) == "ACTIVE", 60)  # the services' own are new, too


def test_a_build_that_fails_on_one_host_is_made_on_the_other(region: Region, user: Api, servers: Servers) -> None:
    bad, good = region.computes
    bad.configure(fault="error")
    for made in [servers.create(user) for _ in range(3)]:
        assert servers.until(made, status="ACTIVE")["OS-EXT-SRV-ATTR:host"] == good.name


@pytest.mark.parametrize(
    ("flavor", "said"), [("error", "Exhausted all hosts"), ("abort", "lab: the build was aborted"), ("huge", "No valid host was found")]
)
def test_a_build_fails_and_says_why(user: Api, servers: Servers, flavor: str, said: str) -> None:
    failed = servers.until(servers.create(user, flavor), status="ERROR")
    assert said in failed["fault"]["message"]


def test_a_slow_build_is_spawning_meanwhile_and_may_be_deleted(region: Region, user: Api, servers: Servers) -> None:
    for compute in region.computes:
        compute.configure(slow_s=4)
    made = servers.create(user, "slow")
    _await(lambda: servers.look(made)["OS-EXT-STS:task_state"] == "spawning")
    user.ask("nova-api", f"DELETE /servers/{made}")
    region.admin.until_gone("nova-api", f"GET /servers/{made}")


def test_a_lowered_quota_refuses(region: Region, user: Api, servers: Servers) -> None:
    servers.until(servers.create(user), status="ACTIVE")
    region.quota(DEMO, cores=1)
    try:
        refused = _refused(lambda: servers.create(user))
    finally:
        region.quota(DEMO, cores=10_000)
    assert refused.status == 403
    assert "Quota exceeded for cores" in str(refused)


def test_a_guest_that_shuts_down_or_is_gone_is_seen_by_nova(region: Region, servers: Servers) -> None:
    compute = region.computes[0]
    off, lost = servers.on(compute.name), servers.on(compute.name)
    compute.switch_off(off)
    compute.lose(lost)
    servers.until(off, status="SHUTOFF")
    servers.until(lost, status="ACTIVE", **{"OS-EXT-STS__power_state": 0})


def test_an_administrator_deletes_and_resets(region: Region, user: Api, servers: Servers) -> None:
    one, other = servers.create(user), servers.create(user)
    for made in (one, other):
        servers.until(made, status="ACTIVE")
    region.reset(one)
    assert user.ask("nova-api", f"GET /servers/{one}")["server"]["status"] == "ERROR"
    region.delete(other)
    user.until_gone("nova-api", f"GET /servers/{other}")


def test_a_host_that_grows_is_seen_by_placement(region: Region) -> None:
    compute = region.computes[0]
    provider = region.admin.ask("placement", f"GET /resource_providers?name={compute.name}")["resource_providers"][0]["uuid"]
    path = f"GET /resource_providers/{provider}/inventories/VCPU"
    compute.configure(vcpus=64)
    region.admin.until("placement", path, lambda said: said["total"] == 64)
    compute.configure(vcpus=16)


def test_a_reply_is_lost_after_nova_took_the_request_and_a_request_before(region: Region, user: Api, servers: Servers) -> None:
    region.gate.expect(Fault("nova-api", "POST", "/servers$", act="cut"))
    with pytest.raises((http.client.HTTPException, OSError)):
        servers.create(user, name="taken")
    region.gate.expect(Fault("nova-api", "POST", "/servers$", act="drop"))
    with pytest.raises((http.client.HTTPException, OSError)):
        servers.create(user, name="missed")
    servers.create(user, name="fine")
    assert [len(servers.named(name)) for name in ("taken", "missed", "fine")] == [1, 0, 1]
    seen = [one for one in region.gate.requests() if one["method"] == "POST" and one["path"].endswith("/servers")]
    assert [(one["status"], one["fault"]) for one in seen[-3:]] == [(202, "cut"), (503, "drop"), (202, None)]


def test_too_many_requests_are_told_when_to_come_again_and_a_slow_answer_is_slow(region: Region, user: Api) -> None:
    region.gate.expect(Fault("nova-api", "GET", "/servers", status=429, retry_after_s=2), Fault("nova-api", "GET", "/flavors", delay_s=0.5))
    refused = _refused(lambda: user.ask("nova-api", "GET /servers"))
    assert (refused.status, refused.headers["Retry-After"]) == (429, "2")
    assert user.ask("nova-api", "GET /servers") == {"servers": []}
    began = time.monotonic()
    user.ask("nova-api", "GET /flavors")
    assert time.monotonic() - began >= 0.5
    region.gate.expect()


def test_a_second_region_grows_does_without_its_queue_and_goes_with_who_started_it(region: Region) -> None:
    owner = subprocess.Popen([sys.executable, "-c", OWNER], stdout=subprocess.PIPE, text=True, cwd=CHECKOUT)
    assert owner.stdout is not None
    with owner, owner.stdout:
        second = rig.found(Path(owner.stdout.readline().strip()))
        second.add_computes(1)
        assert [one.name for one in second.computes] == ["c0001", "c0002", "c0003"]
        assert not set(second.settings.ports.values()) & set(region.settings.ports.values())
        second.kill("rabbit")
        assert second.user().ask("nova-api", "GET /servers") == {"servers": []}
        pids = [second.process(file.name).pid for file in (second.folder / "run").iterdir()]
        owner.send_signal(signal.SIGKILL)
    _await(lambda: not second.folder.exists())
    assert not [pid for pid in pids if pid and Path(f"/proc/{pid}").exists() and str(second.folder) in _command(pid)]
    for api in APIS:
        with socket.socket() as one:
            one.bind(("127.0.0.1", second.settings.ports[f"{api}-tls"]))
    assert region.user().ask("nova-api", "GET /servers") == {"servers": []}


def _command(pid: int) -> str:
    return Path(f"/proc/{pid}/cmdline").read_text()
