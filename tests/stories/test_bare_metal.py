"""Real servers behind real BMCs, from power-off to a department and back: the tale of `tests/api/test_machines.py`, with nothing left out.

The rack is QEMU under emulation, so that the image is the tiny guest's; all else is what a rack of iron would meet.
"""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.store import embedded
from tests.api.outside import PLENTY, Caller, Cloud, Department
from tests.api.server import controller, free_port
from tests.lab.metal import by_hand, shared
from tests.lab.metal.rig import Rig
from tests.lab.metal.server import Server
from tests.stories.conftest import GUESTS, upload

pytestmark = [pytest.mark.real, pytest.mark.slow]
MARKER = b"what the first department knew"
RUN_S = 300.0


@dataclass(frozen=True)
class Hall:
    """A controller, and a rack whose servers are enrolled by name: the first starts by network, the second from virtual media."""

    cloud: Cloud
    rig: Rig

    def until(self, server: Server, state: str) -> dict[str, Any]:
        found: dict[str, Any] = self.operator.until(
            f"GET /v1/machines/{host_of(server)}", lambda one: one["state"] == state, within_s=RUN_S
        )
        return found

    @property
    def operator(self) -> Caller:
        return self.cloud.admin

    def runs(self, server: Server) -> list[tuple[str, str]]:
        """Steps and how they ended, in order."""
        return [(one["step"], one["state"]) for one in reversed(self.operator.walk("GET /v1/runs", host=host_of(server)))]


def host_of(server: Server) -> str:
    return f"SN-{server.name}"


@pytest.fixture(scope="module")
def hall() -> Iterator[Hall]:
    rig = shared.shared_rig()
    folder = Path(tempfile.mkdtemp(prefix="ct-bm-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "depot").mkdir()
    (folder / "depot/ramdisk").symlink_to(shared.ramdisk())
    listen = f"{rig.outside}:{free_port()}"
    rig.dhcp.boot_from(f"http://{listen}/boot/${{net0/mac:hexhyp}}")
    try:
        with controller(folder, embedded.start(folder), observe_interval_s=2.0, depot_listen=listen, metal_runs=4) as cloud:
            _furnish(cloud, rig, folder)
            yield Hall(cloud, rig)
    finally:
        embedded.stop(folder)
        for server in rig.servers:
            server.renew()
        shutil.rmtree(folder, ignore_errors=True)


def _furnish(cloud: Cloud, rig: Rig, folder: Path) -> None:
    ask = cloud.admin.ask
    ask("POST /v1/pools", {"name": "metal", "zone": "wuhan-a"})
    for server, boot_by in zip(rig.servers, ("network", "cd"), strict=True):
        bmc = server.bmc
        options = {"ca_file": str(bmc.authority), "boot_by": boot_by}
        uri = f"redfish+https://{bmc.address}{bmc.system}"
        body = {"name": server.name, "driver": "bare_metal", "uri": uri, "pool": "metal", "options": options}
        ask("POST /v1/endpoints", body | {"credentials": ":".join(bmc.account)})
    ask("POST /v1/flavors", {"name": "whole", "kind": "bare_metal", "vcpus": 1, "memory_mib": 512, "disk_gib": 1})
    image = folder / "tiny.qcow2"
    subprocess.run([GUESTS / "tiny" / "build", image], check=True, capture_output=True)
    upload(cloud, "tiny", image)


def test_two_servers_are_inspected_given_to_a_department_and_taken_back_clean(hall: Hall, tmp_path: Path) -> None:
    servers = hall.rig.servers
    for server in servers:
        hall.operator.ask(f"POST /v1/machines/{host_of(server)}/inspect")
    for server in servers:
        hall.until(server, "free")
        hall.operator.until(f"GET /v1/hosts/{host_of(server)}", lambda one: one["reason"] is None)
        assert not server.on
    department = hall.cloud.department(PLENTY)
    key = tmp_path / "department"
    item = {"kind": "bare_metal", "flavor": "whole", "image": "tiny", "count": 2, "name": "db", "ssh_keys": [by_hand.new_key(key)]}
    asked = {"project": department.path, "reason": "a database", "items": [item]}
    made = department.member.ask("POST /v1/requests", asked)
    department.member.refused(409, "no_capacity", "POST /v1/requests", asked | {"items": [item | {"count": 1, "name": "third"}]})
    instances = [_until(hall, id_, "active") for id_ in made["instances"]]
    assert {one["addresses"][0] for one in instances} == {server.address for server in servers}
    for one in instances:
        _leave_a_marker(hall, one, key)
    assert all(server.holds(MARKER) for server in servers)
    _stop_and_start(hall, department, instances[0])

    for one in instances:
        department.member.ask(f"DELETE /v1/instances/{one['id']}")
    for one in instances:
        _until(hall, one["id"], "deleted")
    for server in servers:
        hall.until(server, "free")
        assert hall.runs(server) == [("inspect", "done"), ("provision", "done"), ("wipe", "done")]
        assert not server.holds(MARKER)
        assert not server.on
    certificates = department.member.walk("GET /v1/certificates")
    assert {one["disk_serial"] for one in certificates} == {server.disk_serial for server in servers}
    assert all(one["document"]["verified"] for one in certificates)


def _until(hall: Hall, id_: str, state: str) -> dict[str, Any]:
    line = f"GET /v1/instances/{id_}"
    found: dict[str, Any] = hall.operator.until(line, lambda one: one["state"] in (state, "error"), within_s=RUN_S)
    if found["state"] != state:
        run = hall.operator.ask("GET /v1/runs", instance=id_)["items"][0]
        raise AssertionError(hall.operator.ask(f"GET /v1/runs/{run['id']}"))
    return found


def _server(hall: Hall, instance: dict[str, Any]) -> Server:
    return next(one for one in hall.rig.servers if one.address in instance["addresses"])


def _leave_a_marker(hall: Hall, instance: dict[str, Any], key: Path) -> None:
    """By ssh, with the host key that is on record."""
    server = _server(hall, instance)
    known = hall.operator.ask(f"GET /v1/machines/{host_of(server)}")["host_key"]
    write = f"dd of=/dev/vda bs=1M seek=700 conv=fsync,notrunc <<EOF\n{MARKER.decode()}\nEOF"
    done = by_hand.ssh(server.address, key, known, write)
    assert done.returncode == 0, done.stderr


def _stop_and_start(hall: Hall, department: Department, instance: dict[str, Any]) -> None:
    server = _server(hall, instance)
    department.member.ask(f"POST /v1/instances/{instance['id']}/stop")
    _until(hall, instance["id"], "stopped")
    assert not server.on
    department.member.ask(f"POST /v1/instances/{instance['id']}/start")
    _until(hall, instance["id"], "active")
    assert server.on
    server.pull_plug()
    by_hand.until("on again", lambda: server.on, within_s=60)  # by nobody's asking: the goal is the truth
