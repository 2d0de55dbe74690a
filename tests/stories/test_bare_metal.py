"""Real servers behind real BMCs, from power-off to a department and back: the tale of `tests/api/test_machines.py`, with nothing left out.

The rack is QEMU under emulation, so that the image is the tiny guest's; all else is what a rack of iron would meet.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from controller.store import embedded
from tests.api.outside import Department
from tests.api.server import controller, free_port
from tests.lab.metal import by_hand, shared
from tests.lab.metal.server import Server
from tests.stories import hall as halls
from tests.stories.hall import Hall, host_of

pytestmark = [pytest.mark.real, pytest.mark.slow]
MARKER = b"what the first department knew"


@pytest.fixture
def hall() -> Iterator[Hall]:
    rig, folder = shared.shared_rig(), halls.place()
    listen = f"{rig.outside}:{free_port()}"
    halls.stock(folder, rig, listen)
    try:
        with controller(folder, embedded.start(folder), observe_interval_s=2.0, depot_listen=listen, metal_runs=4) as cloud:
            yield Hall(cloud, rig)
    finally:
        embedded.stop(folder)
        for server in rig.servers:
            server.renew()
        shutil.rmtree(folder, ignore_errors=True)


def test_four_servers_are_inspected_given_to_a_department_at_once_and_taken_back_clean(hall: Hall, tmp_path: Path) -> None:
    servers = hall.rig.servers
    department = halls.furnish(hall, tmp_path, *servers)
    hall.inspected(*servers)
    key = tmp_path / "department"
    ids = hall.apply(department, len(servers), ssh_keys=[by_hand.new_key(key)])
    department.member.refused(409, "no_capacity", "POST /v1/requests", halls.asked(department, 1, name="fifth"))
    hall.operator.until("GET /v1/runs", lambda page: sum(one["state"] == "running" for one in page["items"]) == len(servers), within_s=60)
    instances = [hall.instance(id_, "active") for id_ in ids]
    assert {one["addresses"][0] for one in instances} == {server.address for server in servers}
    for one in instances:
        _leave_a_marker(hall, one, key)
    assert all(server.holds(MARKER) for server in servers)
    _stop_and_start(hall, department, next(one for one in instances if _server(hall, one).bmc.ipmi))  # the contract of drivers has Redfish

    hall.given_back(department, *ids)
    for server in servers:
        hall.until(server, "free")
        assert hall.runs(server) == [("inspect", "done"), ("provision", "done"), ("wipe", "done")]
        assert not server.holds(MARKER)
        assert not server.on
    certificates = department.member.walk("GET /v1/certificates")
    assert {one["disk_serial"] for one in certificates} == {server.disk_serial for server in servers}
    assert all(one["document"]["verified"] for one in certificates)


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
    hall.instance(instance["id"], "stopped")
    assert not server.on
    department.member.ask(f"POST /v1/instances/{instance['id']}/start")
    hall.instance(instance["id"], "active")
    assert server.on
    server.pull_plug()
    by_hand.until("on again", lambda: server.on, within_s=60)  # by nobody's asking: the goal is the truth
