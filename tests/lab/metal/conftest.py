"""Fixtures of the rig's own tests: the shared rack, a depot that its DHCP points at, and servers that are as new afterwards."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.lab.metal import by_hand, shared
from tests.lab.metal.attempt import Attempt
from tests.lab.metal.depot import Depot
from tests.lab.metal.rig import Rig
from tests.lab.metal.server import Server


@pytest.fixture(scope="session")
def rig() -> Rig:
    return shared.shared_rig()


@pytest.fixture
def depot(rig: Rig) -> Iterator[Depot]:
    opened = Depot(rig.outside)
    rig.dhcp.boot_from(opened.boot_url)
    yield opened
    opened.close()


@pytest.fixture(scope="session")
def key(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("ssh") / "key"
    by_hand.new_key(path)
    return path


@pytest.fixture
def server(rig: Rig) -> Iterator[Server]:
    """The first, which knows Redfish alone."""
    yield rig.servers[0]
    rig.servers[0].renew()


@pytest.fixture
def other(rig: Rig) -> Iterator[Server]:
    """The second, which knows IPMI, too."""
    yield rig.servers[1]
    rig.servers[1].renew()


@pytest.fixture
def attempt(depot: Depot, key: Path) -> Callable[[Server], Attempt]:
    return lambda server: Attempt(server, depot, shared.ramdisk(), key)
