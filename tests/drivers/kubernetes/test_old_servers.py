"""An API server that knows no streaming lists is listed in pages, and watched from there; one that knows no devices says so."""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from drivers.errors import InvalidSpec
from drivers.kubernetes.driver import open_kubernetes
from tests.lab.kubernetes import rig
from tests.lab.kubernetes.rig import Cluster
from tests.lab.needs import kubernetes_binaries, require_kubernetes

pytestmark = [pytest.mark.real, pytest.mark.slow]
NODES = 1100  # more than two pages


@pytest.fixture
def old(tmp_path: Path) -> Iterator[Cluster]:
    """A store and a server alone; its nodes are only objects."""
    require_kubernetes()
    gates = "--feature-gates=AllBeta=false,WatchList=false,DynamicResourceAllocation=false"
    without = {"kube-apiserver": ["--emulated-version=1.34", gates, "--runtime-config=resource.k8s.io/v1=false"]}
    made = rig.up(tmp_path / "old", kubernetes_binaries(), components=("etcd", "kube-apiserver"), more=without)
    try:
        yield made
    finally:
        rig.down(made)


def test_nodes_are_listed_in_pages_and_followed_from_there(old: Cluster) -> None:
    with old.api.session() as ask:
        for i in range(NODES):
            ask("POST /api/v1/nodes", {"metadata": {"name": f"node-{i:04d}"}})
    options = {"credentials": old.kubeconfig.read_text(), "timeout_s": "10"}
    driver = open_kubernetes(f"https://{old.api.address}:{old.api.port}", "tests", options)
    try:
        assert len(driver.inventory().hosts) == NODES
        old.api.ask("POST /api/v1/nodes", {"metadata": {"name": "late"}})
        deadline = time.monotonic() + 10
        while len(driver.inventory().hosts) != NODES + 1:
            assert time.monotonic() < deadline
            time.sleep(0.05)
    finally:
        driver.close()


def test_a_device_class_is_refused_where_the_server_knows_none(old: Cluster) -> None:
    options = {"credentials": old.kubeconfig.read_text(), "gpu_device_class": "gpu.example.com"}
    with pytest.raises(InvalidSpec, match=r"1\.34 or newer"):
        open_kubernetes(f"https://{old.api.address}:{old.api.port}", "tests", options)
