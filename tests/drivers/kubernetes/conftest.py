"""Fixtures of the driver's tests on a real cluster: the shared one, and a connection of a test's own."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator

import pytest

from drivers.base import InstanceSpec
from drivers.kubernetes.driver import KubernetesDriver
from tests.drivers.kubernetes import backend
from tests.drivers.kubernetes.backend import Behind
from tests.lab.kubernetes.rig import Cluster
from tests.lab.kubernetes.shared import shared_cluster

MakeSpec = Callable[..., InstanceSpec]


@pytest.fixture
def cluster() -> Cluster:
    """A control plane with two real nodes; who makes a part of it fail mends it."""
    return shared_cluster()


@pytest.fixture
def behind(cluster: Cluster) -> Behind:
    """The administrator."""
    return Behind(cluster.api)


@pytest.fixture
def owner() -> Iterator[str]:
    """One of this test's own; what it leaves is taken away."""
    made = f"tests-{uuid.uuid4().hex[:8]}"
    yield made
    backend.forget(made)


@pytest.fixture
def driver(owner: str) -> Iterator[KubernetesDriver]:
    """A connection with the shipped rights, and a project with room."""
    opened = backend.connect(owner, run_as="65534")
    opened.settle([backend.tenant()], whole=False)
    yield opened
    opened.close()


@pytest.fixture
def make_spec(cluster: Cluster) -> MakeSpec:
    """A fresh instance on the first node, with fields overridden by keyword."""
    return lambda **fields: backend.spec_on(cluster.nodes[0].name, **fields)
