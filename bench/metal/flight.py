"""The memory of a controller that sets up many machines at once. The machines are simulated: a BMC that answers and does nothing for each,
and playbooks that wait, as many at once as a controller is set to; the others wait for their turn.
"""

from __future__ import annotations

import tempfile
import time
import uuid
from contextlib import ExitStack
from pathlib import Path

from bench.rig import Rig, free_port, running
from console.client import Client, at
from tests.drivers.bare_metal.served import serving

PLAYBOOKS = Path(__file__).parents[2] / "tests/api/playbooks"
SYSTEM = "/redfish/v1/Systems/System.Board.1"
_AT_ONCE = 8


def measure(machines: int) -> tuple[float, float]:
    """MiB that the controller has resident: with all enrolled and inspected, and while all are being set up."""
    settings = {"depot_listen": f"127.0.0.1:{free_port()}", "playbooks_dir": str(PLAYBOOKS), "metal_runs": _AT_ONCE}
    with ExitStack() as stack:
        rig = stack.enter_context(running(settings))
        client = stack.enter_context(Client(f"http://127.0.0.1:{rig.port}", rig.token))
        client.post(at("pools"), {"name": "metal", "zone": "wuhan-a"})
        client.post(at("flavors"), {"name": "whole", "kind": "bare_metal", "vcpus": 64, "memory_mib": 1024, "disk_gib": 9})
        client.post(at("images"), {"name": "none", "arch": "x86_64", "format": "raw"})
        nothing = Path(stack.enter_context(tempfile.TemporaryDirectory())) / "nothing"
        nothing.write_bytes(bytes(1 << 20))
        client.upload(at("images", "none", "content"), nothing)
        most = {"instances": machines, "vcpus": 64 * machines, "memory_mib": 1024 * machines, "disk_gib": 9 * machines}
        client.patch(at("projects", "hubei"), {"policy": {"auto_approve": most}})
        for number in range(machines):
            _enrol(stack, client, number)
        _until_free(client, machines)
        before = _resident(rig)
        item = {"kind": "bare_metal", "flavor": "whole", "image": "none", "name": "slow", "count": machines}
        client.post(at("requests"), {"project": "hubei", "reason": "measured", "items": [item]})
        while sum(one["state"] == "provisioning" for one in client.pages(at("machines"))) < machines:
            time.sleep(1)
        return before, _resident(rig)


def _enrol(stack: ExitStack, client: Client, number: int) -> None:
    service = stack.enter_context(serving(Path(stack.enter_context(tempfile.TemporaryDirectory()))))
    service.resources[SYSTEM] |= {"UUID": str(uuid.uuid4()), "SerialNumber": f"SN-{number}", "PowerState": "On"}
    body = {"name": f"m-{number}", "driver": "bare_metal", "uri": service.url, "pool": "metal", "credentials": "ops:word"}
    (host,) = client.post(at("endpoints"), body | {"options": {"ca_file": service.authority}})["hosts"]
    client.post(at("machines", host, "inspect"))


def _until_free(client: Client, machines: int) -> None:
    while sum(one["state"] == "free" for one in client.pages(at("machines"))) < machines:
        time.sleep(2)


def _resident(rig: Rig) -> float:
    return float(rig.controller.memory_info().rss) / (1 << 20)
