"""Playbooks as an operator runs them: plain `ansible-playbook` with an inventory in a file.

In: servers of the rack, a depot, variables. Out: exit status, the named reason of the first task that failed, the result file.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.bare_metal.depot import Depot
from tests.lab.metal import shared
from tests.lab.metal.server import Server
from tests.lab.needs import CHECKOUT

PLAYBOOKS = CHECKOUT / "playbooks"
FATAL = re.compile(r"^(?:fatal|failed): \[(?P<host>[^]]+)\][^=]*=> (?P<result>\{.*\})$", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Played:
    """What came of one run. `reasons`: of tasks that failed, in order."""

    status: int
    output: str
    reasons: list[dict[str, Any]]
    result: Any

    @property
    def code(self) -> str:
        """Of the first failure; empty: none."""
        return str(self.reasons[0]["code"]) if self.reasons else ""

    @property
    def tasks(self) -> list[str]:
        return re.findall(r"^TASK \[(?:\w+ : )?([^]]+)\]", self.output, re.MULTILINE)

    @property
    def changed(self) -> int:
        return sum(int(count) for count in re.findall(r"changed=(\d+)", self.output))


def tiny(folder: Path) -> dict[str, Any]:
    """The tiny guest as the controller's store has it, in the variables of provision.yml."""
    image = folder / "tiny.qcow2"
    if not image.exists():
        subprocess.run([CHECKOUT / "guests/tiny/build", image], check=True, capture_output=True)
    return {"image_file": str(image), "image_format": "qcow2", "image_sha256": hashlib.sha256(image.read_bytes()).hexdigest()}


def variables(server: Server, depot: Depot, folder: Path, **more: Any) -> dict[str, Any]:
    """Of one server in the inventory."""
    return {
        "bmc_uri": f"redfish+https://{server.bmc.address}{server.bmc.system}",
        "bmc_options": {"ca_file": str(server.bmc.authority), "timeout_s": "10"},
        "bmc_credentials": ":".join(server.bmc.account),
        "depot_folder": str(depot.folder),
        "depot_url": depot.url,
        "boot_mac": server.mac,
        "machine_uuid": server.uuid,
        "result_file": str(folder / f"{server.name}.json"),
        "ramdisk_power_s": 20,
        "ramdisk_alive_s": 120,
        **more,
    }


def begin(playbook: str, folder: Path, hosts: dict[str, dict[str, Any]], *arguments: str) -> subprocess.Popen[str]:
    """Have it run for those hosts, in a process group of its own."""
    inventory = folder / "inventory.json"
    inventory.touch(mode=0o600)
    inventory.write_text(json.dumps({"all": {"hosts": hosts}}))
    environment = {**os.environ, "ANSIBLE_HOME": str(folder / "ansible"), "ANSIBLE_NOCOLOR": "1", "ANSIBLE_FORKS": "10"}
    call = [sys.executable, "-m", "ansible", "playbook", "-i", str(inventory), str(PLAYBOOKS / playbook), *arguments]
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.STDOUT}
    return subprocess.Popen(call, text=True, env=environment, start_new_session=True, **pipes)  # type: ignore[call-overload,no-any-return]


def play(playbook: str, folder: Path, hosts: dict[str, dict[str, Any]], *arguments: str) -> Played:
    """Run it for those hosts."""
    with begin(playbook, folder, hosts, *arguments) as running:
        output, _ = running.communicate(timeout=900)
    results = [json.loads(found["result"]) for found in FATAL.finditer(output)]
    reasons = [one.get("reason") or {"code": "playbook_task_failed", "params": {"detail": one.get("msg", "")}} for one in results]
    kept = [Path(host["result_file"]) for host in hosts.values() if "result_file" in host]
    result = json.loads(kept[0].read_text()) if len(kept) == 1 and kept[0].exists() else None
    return Played(running.returncode, output, reasons, result)


def depot_at(address: str, folder: Path) -> Depot:
    """One that serves the lab's ramdisk."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "ramdisk").symlink_to(shared.ramdisk())
    return Depot(folder, address)
