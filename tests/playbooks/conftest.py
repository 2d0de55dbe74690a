"""The rack, a depot that its DHCP points at, and servers that are as new afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.bare_metal.depot import Depot
from tests.lab.metal import shared
from tests.lab.metal.rig import Rig
from tests.lab.metal.server import Server
from tests.playbooks import played
from tests.playbooks.played import Played

Play = Callable[..., Played]


@pytest.fixture(scope="session")
def rig() -> Rig:
    return shared.shared_rig()


@pytest.fixture
def depot(rig: Rig, tmp_path: Path) -> Iterator[Depot]:
    opened = played.depot_at(rig.outside, tmp_path / "depot")
    opened.start()
    rig.dhcp.boot_from(opened.boot_url)
    yield opened
    opened.close()


@pytest.fixture
def server(rig: Rig) -> Iterator[Server]:
    """Knows Redfish alone."""
    yield rig.servers[0]
    rig.servers[0].renew()


@pytest.fixture
def other(rig: Rig) -> Iterator[Server]:
    """Knows IPMI, too."""
    yield rig.servers[1]
    rig.servers[1].renew()


@pytest.fixture
def play(depot: Depot, tmp_path: Path) -> Play:
    """Run a playbook for one server, with those variables besides the usual ones."""

    def run(playbook: str, server: Server, *arguments: str, **more: Any) -> Played:
        return played.play(playbook, tmp_path, {server.name: played.variables(server, depot, tmp_path, **more)}, *arguments)

    return run
