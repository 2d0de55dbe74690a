"""Fixtures of the rig's own tests: the shared cluster and a namespace in it."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from tests.lab.kubernetes.api import Api, Refused
from tests.lab.kubernetes.node import Node
from tests.lab.kubernetes.rig import Cluster
from tests.lab.kubernetes.shared import shared_cluster

IMAGE = "chutian.local/container:1"


@dataclass(frozen=True)
class Namespace:
    """A namespace of one test's own, and the pods in it."""

    api: Api
    name: str

    @property
    def pods(self) -> str:
        return f"/api/v1/namespaces/{self.name}/pods"

    def run(self, name: str, node: str, **spec: Any) -> str:
        """A pod that nobody but us has placed, as one that the controller makes; its path."""
        container = {"name": "main", "image": IMAGE, **spec.pop("container", {})}
        given = {"schedulerName": "ours", "nodeName": node, "terminationGracePeriodSeconds": 1, "containers": [container], **spec}
        self.api.ask(f"POST {self.pods}", {"metadata": {"name": name}, "spec": given})
        return f"{self.pods}/{name}"

    def running(self, path: str, within_s: float = 30) -> dict[str, Any]:
        found: dict[str, Any] = self.api.until(f"GET {path}", lambda pod: pod["status"]["phase"] == "Running", within_s)
        return found


@pytest.fixture(scope="session")
def cluster() -> Cluster:
    return shared_cluster()


@pytest.fixture
def node(cluster: Cluster) -> Node:
    """The first of the real nodes."""
    return cluster.nodes[0]


@pytest.fixture
def namespace(cluster: Cluster) -> Iterator[Namespace]:
    made = Namespace(cluster.api, f"test-{uuid.uuid4().hex[:8]}")
    cluster.api.ask("POST /api/v1/namespaces", {"metadata": {"name": made.name}})
    cluster.api.until(f"GET /api/v1/namespaces/{made.name}/serviceaccounts/default", bool)
    yield made
    with suppress(Refused):
        cluster.api.ask(f"DELETE {made.pods}?gracePeriodSeconds=0")
        cluster.api.ask(f"DELETE /api/v1/namespaces/{made.name}")
