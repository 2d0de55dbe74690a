"""Fixtures of the region's own tests: the shared region, a user of it, and servers that are gone afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import pytest

from tests.lab.openstack.api import Api
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import IMAGE
from tests.lab.openstack.shared import shared_region


@dataclass
class Servers:
    """Those of one test, made by anybody and looked at by the administrator."""

    admin: Api
    made: list[str] = field(default_factory=list)

    def create(self, api: Api, flavor: str = "m1.nano", *, name: str = "test", **more: Any) -> str:
        """Its id."""
        asked = {"name": name, "flavorRef": self._flavor(flavor), "imageRef": self.image(IMAGE), "networks": "none", **more}
        server: str = api.ask("nova-api", "POST /servers", {"server": asked})["server"]["id"]
        self.made.append(server)
        return server

    def on(self, host: str) -> str:
        """An active one that the administrator has placed."""
        server = self.create(self.admin, host=host)
        self.until(server, status="ACTIVE")
        return server

    def until(self, server: str, within_s: float = 30, **fields: object) -> dict[str, Any]:
        """The server, once it has those fields and nothing is being done to it."""

        def holds(said: dict[str, Any]) -> bool:
            one = said["server"]
            return one["OS-EXT-STS:task_state"] is None and all(one[key.replace("__", ":")] == value for key, value in fields.items())

        found: dict[str, Any] = self.admin.until("nova-api", f"GET /servers/{server}", holds, within_s)["server"]
        return found

    def end(self, server: str) -> str:
        """How its build ended: "ACTIVE" or "ERROR"."""
        said = self.admin.until("nova-api", f"GET /servers/{server}", lambda said: said["server"]["status"] != "BUILD")
        status: str = said["server"]["status"]
        return status

    def look(self, server: str) -> dict[str, Any]:
        found: dict[str, Any] = self.admin.ask("nova-api", f"GET /servers/{server}")["server"]
        return found

    def named(self, name: str) -> list[str]:
        """The ids of all of that name."""
        found = self.admin.ask("nova-api", f"GET /servers?all_tenants=1&name=^{name}$")["servers"]
        self.made.extend(one["id"] for one in found)
        return [one["id"] for one in found]

    def clear(self) -> None:
        for server in set(self.made):
            self.admin.until_gone("nova-api", f"DELETE /servers/{server}")

    def _flavor(self, name: str) -> str:
        found: list[dict[str, str]] = self.admin.ask("nova-api", "GET /flavors")["flavors"]
        return next(one["id"] for one in found if one["name"] == name)

    def image(self, name: str) -> str:
        found: str = self.admin.ask("glance", f"GET /v2/images?name={name}")["images"][0]["id"]
        return found


@pytest.fixture(scope="session")
def region() -> Region:
    return shared_region()


@pytest.fixture
def user(region: Region) -> Api:
    """An ordinary one, by the gate, that has logged in."""
    api = region.user()
    api.log_in()
    return api


@pytest.fixture
def servers(region: Region) -> Iterator[Servers]:
    made = Servers(region.admin)
    yield made
    region.gate.expect()
    for compute in region.computes:
        compute.configure(fault=None)
    made.clear()
