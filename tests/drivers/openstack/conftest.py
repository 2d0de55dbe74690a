"""Fixtures of the driver's tests on a real region: the shared one, and a connection of a test's own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.base import InstanceSpec
from drivers.openstack.driver import OpenStackDriver
from tests.drivers.contract import Backend
from tests.drivers.openstack import backend as backends
from tests.drivers.openstack.backend import Behind
from tests.lab.openstack.rig import Region
from tests.lab.openstack.shared import shared_region

MakeSpec = Callable[..., InstanceSpec]


@pytest.fixture
def region() -> Region:
    """With two simulated hypervisors; who makes a part of it fail mends it."""
    return shared_region()


@pytest.fixture
def behind(region: Region) -> Behind:
    """The administrator."""
    return Behind(region)


@pytest.fixture
def owner(behind: Behind) -> Iterator[str]:
    """One of this test's own; what it leaves is taken away."""
    made = f"tests-{uuid.uuid4().hex[:8]}"
    yield made
    behind.forget(made)


@pytest.fixture
def driver(owner: str) -> Iterator[OpenStackDriver]:
    """An administrator's connection, which sees hypervisors."""
    opened = backends.connect(owner)
    yield opened
    opened.close()


@pytest.fixture
def make_spec(region: Region) -> MakeSpec:
    """A fresh instance on the first hypervisor, with fields overridden by keyword."""
    return lambda **fields: backends.spec_on(region.computes[0].name, fields)


@pytest.fixture
def patient(tmp_path: Path) -> Iterator[Backend]:
    """How long things take here, as the contract's own waiting wants to know it."""
    with backends.of_hypervisors(tmp_path) as found:
        yield found
