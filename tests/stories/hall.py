"""A rack of four servers enrolled with a controller, for tales told from the outside.

The first starts by network, the second too, but by a BMC that speaks IPMI alone, the others from virtual media.
"""

from __future__ import annotations

import subprocess
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.api.outside import PLENTY, Caller, Cloud, Department
from tests.lab.metal import shared
from tests.lab.metal.rig import Rig
from tests.lab.metal.server import Server
from tests.stories.conftest import GUESTS, upload

RUN_S = 600.0


@dataclass(frozen=True)
class Hall:
    """A controller and the rack."""

    cloud: Cloud
    rig: Rig

    @property
    def operator(self) -> Caller:
        return self.cloud.admin

    def until(self, server: Server, state: str) -> dict[str, Any]:
        line = f"GET /v1/machines/{host_of(server)}"
        found: dict[str, Any] = self.operator.until(line, lambda one: one["state"] == state, within_s=RUN_S)
        return found

    def inspected(self, *servers: Server) -> None:
        """All at once."""
        for server in servers:
            self.operator.ask(f"POST /v1/machines/{host_of(server)}/inspect")
        for server in servers:
            self.until(server, "free")
            assert self.operator.ask(f"GET /v1/hosts/{host_of(server)}")["reason"] is None
            assert not server.on

    def apply(self, department: Department, count: int, **item: Any) -> list[str]:
        """Ids of instances."""
        made = department.member.ask("POST /v1/requests", asked(department, count, **item))
        ids: list[str] = made["instances"]
        return ids

    def instance(self, id_: str, state: str) -> dict[str, Any]:
        """Once it is in that state. Where it fails instead, the run's own words."""
        line = f"GET /v1/instances/{id_}"
        found: dict[str, Any] = self.operator.until(line, lambda one: one["state"] in (state, "error"), within_s=RUN_S)
        if found["state"] != state:
            run = self.operator.ask("GET /v1/runs", instance=id_)["items"][0]
            raise AssertionError(self.operator.ask(f"GET /v1/runs/{run['id']}"))
        return found

    def given_back(self, department: Department, *ids: str) -> None:
        """All at once."""
        for id_ in ids:
            department.member.ask(f"DELETE /v1/instances/{id_}")
        for id_ in ids:
            self.instance(id_, "deleted")

    def runs(self, server: Server) -> list[tuple[str, str]]:
        """Steps and how they ended, in order."""
        return [(one["step"], one["state"]) for one in reversed(self.operator.walk("GET /v1/runs", host=host_of(server)))]


def host_of(server: Server) -> str:
    return f"bmc-{server.bmc.address}" if server.bmc.ipmi else f"SN-{server.name}"


def asked(department: Department, count: int, **item: Any) -> dict[str, Any]:
    """The application for so many machines."""
    wanted = {"kind": "bare_metal", "flavor": "whole", "image": "tiny", "count": count, "name": "db", **item}
    return {"project": department.path, "reason": "a database", "items": [wanted]}


def place() -> Path:
    """A folder for a controller, with a short path."""
    folder = Path(tempfile.mkdtemp(prefix="ct-bm-", dir="/tmp"))
    folder.chmod(0o755)
    return folder


def stock(data: Path, rig: Rig, listen: str) -> None:
    """The ramdisk in the depot of a controller with that data folder, to which the rack's DHCP leads."""
    (data / "depot").mkdir(parents=True)
    (data / "depot/ramdisk").symlink_to(shared.ramdisk())
    rig.dhcp.boot_from(f"http://{listen}/boot/${{net0/mac:hexhyp}}")


def furnish(hall: Hall, folder: Path, *servers: Server) -> Department:
    """Enrol those, with a size and an image for them, and a department that may have them."""
    ask = hall.operator.ask
    ask("POST /v1/pools", {"name": "metal", "zone": "wuhan-a"})
    for server in servers:
        bmc, by_network = server.bmc, server.index <= 2
        options = {"boot_by": "network" if by_network else "cd"}
        if bmc.ipmi:
            uri, options = f"ipmi://{bmc.address}", options | {"cipher_suite": "3", "boot_mac": server.mac}
        else:
            uri, options = f"redfish+https://{bmc.address}{bmc.system}", options | {"ca_file": str(bmc.authority)}
        body = {"name": server.name, "driver": "bare_metal", "uri": uri, "pool": "metal", "options": options}
        ask("POST /v1/endpoints", body | {"credentials": ":".join(bmc.account)})
    ask("POST /v1/flavors", {"name": "whole", "kind": "bare_metal", "vcpus": servers[0].hardware.cpus, "memory_mib": 512, "disk_gib": 1})
    image = folder / "tiny.qcow2"
    subprocess.run([GUESTS / "tiny" / "build", image], check=True, capture_output=True)
    upload(hall.cloud, "tiny", image)
    return hall.cloud.department(PLENTY)
