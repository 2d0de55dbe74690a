"""A machine becomes a hypervisor, and is patched, while its controller, or what runs the playbook, is killed at each of its phases.

The machine is a guest of the bare-metal lab under emulation, which starts anew in the middle: a quarter of an hour, so this is no part of
`make real`. What a phase begins is what changes something on the machine, or in the controller; a task that only looks is none.
"""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from controller.store import embedded
from tests.api.outside import Caller, Cloud, Department
from tests.api.server import ROOT, free_port
from tests.lab import debs, tied
from tests.lab.metal import by_hand, installed
from tests.lab.metal import rig as racks
from tests.lab.metal.server import Hardware
from tests.lab.needs import require_metal
from tests.stories import hall as halls
from tests.stories.conftest import GUESTS, upload
from tests.stories.hall import Hall, host_of
from tests.stories.killing import CONTROLLER, SUPERVISOR, Tale, Watch, nothing_is_left
from tests.stories.serving import Serving

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.long]

SERVER = Hardware(memory_mib=2048, cpus=2, disk=8 << 30, hosts_guests=True)
UPDATED = "netbase"
PHASE_S = 1500.0
PHASES = {
    "hypervisor": (
        0,
        "Write what libvirt and the kernel read",
        "Make a key and a request",
        "Have it signed",
        "Use it",
        "Have kernel and libvirt read what has changed, and listen",
        "Enrol it",
    ),
    "patch_host": (
        0,
        "Drain it",
        "Update its packages",
        "Start it anew",
        "Have the controller connect to it",
        "Open it again",
    ),
}


@pytest.fixture
def tale() -> Iterator[Tale]:
    require_metal()
    folder = halls.place()
    (folder / "rack").mkdir()
    tied.tie(folder / "rack", "tests.lab.metal", "metal.json")
    rack = racks.up(folder / "rack", [SERVER])
    listen = f"{rack.outside}:{free_port()}"
    halls.stock(folder / "data", rack, listen)
    url = embedded.start(folder)
    serving = Serving(folder, url, CHUTIAN_DEPOT_LISTEN=listen, CHUTIAN_OBSERVE_INTERVAL_S="1.0")
    try:
        serving.start()
        cloud = Cloud("", ROOT, serving.admin, Caller(serving.admin.http), url, folder / "data", serving.log)
        yield Tale(serving, Hall(cloud, rack), rack.servers[0], within_s=PHASE_S)
    finally:
        serving.end()
        embedded.stop(folder)
        racks.down(rack)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.mark.parametrize("what", [CONTROLLER, SUPERVISOR])
def test_whatever_is_killed_at_every_phase_a_machine_becomes_a_hypervisor_and_is_patched(tale: Tale, tmp_path: Path, what: str) -> None:
    hall, server = tale.hall, tale.server
    packages = tmp_path / "packages"
    packages.mkdir()
    debs.index(packages)
    department = _furnish(tale, tmp_path)
    watch = Watch(tale.runs)
    watch.start()
    hall.inspected(server)
    with debs.serving(packages, hall.rig.outside) as repository:
        (id_,) = hall.apply(
            department,
            1,
            name="kvm-01",
            image="hypervisor",
            hypervisor="virtual",
            ssh_keys=[by_hand.new_key(tmp_path / "key")],
            user_data=installed.SOURCES.format(packages=repository),
        )
        _killed_everywhere(tale, "hypervisor", what)
        hall.instance(id_, "active")
        (endpoint,) = [one for one in hall.operator.walk("GET /v1/endpoints") if one["driver"] == "libvirt"]
        assert (endpoint["name"], endpoint["pool"], endpoint["state"]) == ("kvm-01", "virtual", "connected")

        debs.publish_update(packages, UPDATED)
        hall.operator.ask(f"POST /v1/machines/{host_of(server)}/patch")
        _killed_everywhere(tale, "patch_host", what)
        (name,) = hall.operator.ask("GET /v1/endpoints/kvm-01")["hosts"]
        host = hall.operator.until(f"GET /v1/hosts/{name}", lambda one: one["state"] == "up", within_s=120)
        assert (host["cordoned"], host["draining"]) == (False, False), "it is open again"
        machine = hall.operator.ask(f"GET /v1/machines/{host_of(server)}")
        shown = by_hand.ssh(machine["address"], tmp_path / "key", machine["host_key"], f"dpkg-query -W -f '${{Version}}' {UPDATED}")
        assert shown.stdout == "99:1", shown
    watch.end()
    nothing_is_left(tale, watch)


def _killed_everywhere(tale: Tale, step: str, what: str) -> None:
    """Every phase is come to and cut off; in the end the step is done, and no run of it failed."""
    kills = [(what, at) for at in PHASES[step]]
    killed = tale.go_through(step, kills)
    assert killed in (len(kills), len(kills) - 1), "the last may be over before it is seen to have begun"
    line = f"GET /v1/machines/{host_of(tale.server)}"
    tale.hall.operator.until(line, lambda _: (step, "done") in tale.hall.runs(tale.server), within_s=PHASE_S)
    states = [state for name, state in tale.hall.runs(tale.server) if name == step]
    assert states == ["interrupted"] * (len(states) - 1) + ["done"], states


def _furnish(tale: Tale, folder: Path) -> Department:
    """Operators who may have a machine, a pool for what it becomes, and an image that has the packages."""
    department = halls.furnish(tale.hall, folder, tale.server)
    admin = tale.hall.operator
    admin.ask(f"PUT /v1/projects/{ROOT}/roles", {"user": department.member.name, "role": "operator"})
    admin.ask("POST /v1/pools", {"name": "virtual", "zone": "wuhan-a"})
    image = folder / "hypervisor.qcow2"
    subprocess.run([GUESTS / "hypervisor" / "build", image], check=True, capture_output=True)
    upload(tale.hall.cloud, "hypervisor", image)
    return department
