"""The same work by a controller process, asked over HTTP.

In: the rack and one of its servers. Out: the seconds of each phase, from the call to the moment in which the API says that it is so.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from bench import guests
from bench.metal.phases import Phases
from bench.rig import free_port, running
from console.client import Client, at
from tests.lab.metal import shared
from tests.lab.metal.rig import Rig
from tests.lab.metal.server import Server

_PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Site:
    """A controller with one machine."""

    client: Client
    machine: str

    def round_of(self) -> Phases:
        """One round."""
        return Phases(_timed(self._inspect), _timed(self._provision), _timed(self._give_back))

    def _inspect(self) -> None:
        seen = len(self._runs())
        self.client.post(at("machines", self.machine, "inspect"))
        self._until(lambda: len(self._runs()) > seen and self._runs()[0]["state"] == "done")
        self._until(lambda: self.client.get(at("hosts", self.machine))["reason"] is None)

    def _provision(self) -> None:
        item = {"kind": "bare_metal", "flavor": "whole", "image": "tiny", "name": "web-1"}
        made = self.client.post(at("requests"), {"project": "hubei", "reason": "measured", "items": [item]})
        self._until(lambda: self._instance(made)["state"] == "active")

    def _give_back(self) -> None:
        (one,) = self.client.get(at("instances"))["items"]
        self.client.delete(at("instances", one["id"]))
        self._until(lambda: not self.client.get(at("instances"))["items"])

    def _instance(self, made: dict[str, Any]) -> dict[str, Any]:
        found: dict[str, Any] = self.client.get(at("instances", made["instances"][0]))
        if found["state"] == "error":
            raise RuntimeError(str(found["reason"]))
        return found

    def _runs(self) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = self.client.get(at("runs"), host=self.machine)["items"]
        return found

    def _until(self, holds: Callable[[], bool]) -> None:
        end = time.monotonic() + _PATIENCE_S
        while not holds():
            if time.monotonic() > end:
                raise TimeoutError(str(self._runs()[:1]))
            time.sleep(0.1)


@contextmanager
def controller(rig: Rig, server: Server) -> Iterator[Site]:
    """A controller that has that server as its machine, started from virtual media."""
    settings = {"depot_listen": f"{rig.outside}:{free_port()}"}
    with running(settings) as made, Client(f"http://127.0.0.1:{made.port}", made.token) as client:
        (made.data_dir / "depot").mkdir(exist_ok=True)
        if not (made.data_dir / "depot/ramdisk").exists():
            (made.data_dir / "depot/ramdisk").symlink_to(shared.ramdisk())
        client.post(at("pools"), {"name": "metal", "zone": "wuhan-a"})
        bmc = server.bmc
        body = {"name": server.name, "driver": "bare_metal", "uri": f"redfish+https://{bmc.address}{bmc.system}", "pool": "metal"}
        options = {"ca_file": str(bmc.authority), "boot_by": "cd"}
        enrolled = client.post(at("endpoints"), body | {"credentials": ":".join(bmc.account), "options": options})
        client.post(at("flavors"), {"name": "whole", "kind": "bare_metal", "vcpus": 1, "memory_mib": 512, "disk_gib": 1})
        client.post(at("images"), {"name": "tiny", "arch": "x86_64", "format": "qcow2"})
        image = made.data_dir / "tiny.qcow2"
        image.write_bytes(guests.tiny())
        client.upload(at("images", "tiny", "content"), image)
        client.patch(
            at("projects", "hubei"), {"policy": {"auto_approve": {"instances": 10, "vcpus": 10, "memory_mib": 9999, "disk_gib": 99}}}
        )
        yield Site(client, enrolled["hosts"][0])


def _timed(work: Callable[[], None]) -> float:
    began = time.monotonic()
    work()
    return time.monotonic() - began
