"""The rack, a depot that its DHCP points at, and servers that are as new afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from drivers.bare_metal.depot import Depot
from tests.lab.metal.conftest import other, rig, server
from tests.lab.metal.rig import Rig
from tests.lab.metal.server import Server
from tests.playbooks import played
from tests.playbooks.played import Played

__all__ = ["other", "rig", "server"]
Play = Callable[..., Played]


@pytest.fixture
def depot(rig: Rig, tmp_path: Path) -> Iterator[Depot]:
    opened = played.depot_at(rig.outside, tmp_path / "depot")
    opened.start()
    rig.dhcp.boot_from(opened.boot_url)
    yield opened
    opened.close()


@pytest.fixture
def play(depot: Depot, tmp_path: Path) -> Play:
    """Run a playbook for one server, with those variables besides the usual ones."""

    def run(playbook: str, server: Server, *arguments: str, **more: Any) -> Played:
        return played.play(playbook, tmp_path, {server.name: played.variables(server, depot, tmp_path, **more)}, *arguments)

    return run
