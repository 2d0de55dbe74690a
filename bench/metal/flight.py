"""The memory of a controller that sets up many machines at once, which are simulated.

What is real: the controller and its database, HTTPS to a BMC for each machine, and each run that has its turn: its own process,
ansible-runner and ansible-playbook. What is not: the BMCs carry nothing out, what the machines said when they were inspected is put on
record, and the playbook does nothing but wait. So many runs as the controller is set to have their turn, the others wait for theirs.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from contextlib import ExitStack, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

from bench.rig import Rig, free_port, running
from console.client import Client, at
from controller.journals import DatabaseJournal
from controller.sealing import Seal
from controller.store.database import Database
from drivers.bare_metal.record import Record
from tests.drivers.bare_metal.served import serving

SYSTEM = "/redfish/v1/Systems/System.Board.1"
PLAYBOOK = """
- hosts: all
  connection: local
  gather_facts: false
  tasks:
    - name: Set it up
      ansible.builtin.pause:
        seconds: 36000
"""
_INSPECTED = {
    "cpus": 64,
    "installed_mib": 391168,
    "architecture": "x86_64",
    "disks": [{"name": "sda", "bytes": 960197124096, "serial": "D-1"}],
}
_MIB = 1 << 20


@dataclass(frozen=True, slots=True)
class Memory:
    """MiB, and how many runs had their turn. Pages that processes share are counted once in `runs` and `database`."""

    controller: float
    runs: float
    database: float
    at_work: int


def measure(machines: int, at_once: int) -> tuple[Memory, Memory]:
    """With all enrolled and inspected, and while all are being set up."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(tempfile.TemporaryDirectory()))
        (folder / "provision.yml").write_text(PLAYBOOK)
        settings = {"depot_listen": f"127.0.0.1:{free_port()}", "playbooks_dir": str(folder), "metal_runs": at_once}
        rig = stack.enter_context(running(settings))
        client = stack.enter_context(Client(f"http://127.0.0.1:{rig.port}", rig.token))
        _prepare(client, folder, machines)
        database = Database(rig.database_url, 1)
        for number in range(machines):
            _enrol(stack, client, database, number)
        _until(client, "free", machines)
        before = _memory(rig)
        item = {"kind": "bare_metal", "flavor": "whole", "image": "none", "name": "slow", "count": machines}
        client.post(at("requests"), {"project": "hubei", "reason": "measured", "items": [item]})
        _until(client, "provisioning", machines)
        while sum(bool(one["progress"].get("task")) for one in client.pages(at("runs"), state="running")) < min(at_once, machines):
            time.sleep(1)
        return before, _memory(rig)


def _prepare(client: Client, folder: Path, machines: int) -> None:
    client.post(at("pools"), {"name": "metal", "zone": "wuhan-a"})
    client.post(at("flavors"), {"name": "whole", "kind": "bare_metal", "vcpus": 64, "memory_mib": 1024, "disk_gib": 9})
    client.post(at("images"), {"name": "none", "arch": "x86_64", "format": "raw"})
    nothing = folder / "nothing"
    nothing.write_bytes(bytes(1 << 20))
    client.upload(at("images", "none", "content"), nothing)
    most = {"instances": machines, "vcpus": 64 * machines, "memory_mib": 1024 * machines, "disk_gib": 9 * machines}
    client.patch(at("projects", "hubei"), {"policy": {"auto_approve": most}})


def _enrol(stack: ExitStack, client: Client, database: Database, number: int) -> None:
    service = stack.enter_context(serving(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
    service.resources[SYSTEM] |= {"UUID": str(uuid.uuid4()), "SerialNumber": f"SN-{number}", "PowerState": "On"}
    body = {"name": f"m-{number}", "driver": "bare_metal", "uri": service.url, "pool": "metal", "credentials": "ops:word"}
    made = client.post(at("endpoints"), body | {"options": {"ca_file": service.authority}})
    journal = DatabaseJournal(database, Seal("none", {"none": bytes(16)}), made["id"])
    while not journal.write(Record(_INSPECTED).document, journal.read().version, None):
        pass


def _until(client: Client, state: str, machines: int) -> None:
    while sum(one["state"] == state for one in client.pages(at("machines"))) < machines:
        time.sleep(1)


def _memory(rig: Rig) -> Memory:
    processes = rig.controller.children(recursive=True)
    runs, at_work = 0.0, 0
    for process in processes:
        with suppress(psutil.Error, OSError):
            runs += process.memory_full_info().pss / _MIB
            at_work += "drivers.bare_metal.runs.supervise" in process.cmdline()
    return Memory(rig.controller.memory_info().rss / _MIB, runs, rig.database_mib(), at_work)
