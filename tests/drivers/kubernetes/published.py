"""Devices as a DRA driver publishes them, without the driver: a class, and a simulated node's ResourceSlice, on a real API server."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any, Final

from drivers.kubernetes import devices
from tests.lab.kubernetes import fake
from tests.lab.kubernetes.api import Api, Refused
from tests.lab.kubernetes.rig import Cluster

MODEL: Final = "Example A100-PCIe-40GB"
AS_LABEL: Final = "example-a100-pcie-40gb"
SLICES, CLASSES = f"{devices.ROOT}/resourceslices", f"{devices.ROOT}/deviceclasses"
IMAGE: Final = "chutian.local/container:1"


@dataclass(frozen=True)
class Published:
    """A class of devices of one test's own, some of them on a simulated node."""

    api: Api
    name: str  # of the class, and of its driver
    node: str

    def publish(self, count: int, generation: int = 1) -> None:
        """So many GPUs, and one device that the class doesn't choose."""
        found: list[dict[str, Any]] = [{"name": f"gpu-{i}", "attributes": _of("gpu")} for i in range(count)]
        spec = {
            "driver": self.name,
            "nodeName": self.node,
            "pool": {"name": self.node, "generation": generation, "resourceSliceCount": 1},
            "devices": [*found, {"name": "mig-0", "attributes": _of("mig")}],
        }
        name = f"{self.node}.{self.name}"
        with suppress(Refused):
            self.api.ask(f"DELETE {SLICES}/{name}")
        self.api.ask(f"POST {SLICES}", {"metadata": {"name": name}, "spec": spec})

    def claim(self, namespace: str, name: str, count: int, class_: str = "") -> dict[str, Any]:
        """Somebody's claim."""
        asked = {"deviceClassName": class_ or self.name, "allocationMode": "ExactCount", "count": count}
        body = {"metadata": {"name": name}, "spec": {"devices": {"requests": [{"name": "some", "exactly": asked}]}}}
        return self.api.ask(f"POST {devices.path(namespace)}", body)

    def run(self, namespace: str, name: str, claim: str) -> None:
        """Somebody's pod that uses a claim."""
        container = {"name": "c", "image": IMAGE, "resources": {"claims": [{"name": "some"}]}}
        spec = {"containers": [container], "resourceClaims": [{"name": "some", "resourceClaimName": claim}]}
        chosen = {"nodeSelector": {"kubernetes.io/hostname": self.node}}
        self.api.ask(f"POST /api/v1/namespaces/{namespace}/pods", {"metadata": {"name": name}, "spec": {**spec, **chosen}})


def _of(type_: str) -> dict[str, Any]:
    return {"productName": {"string": MODEL}, "type": {"string": type_}}


@contextmanager
def on_a_simulated_node(cluster: Cluster, count: int = 2) -> Iterator[Published]:
    """So many GPUs on a node of kwok's."""
    number = uuid.uuid4().int % 50_000 + 40_000
    (node,) = fake.add(cluster.api, 1, first=number)
    made = Published(cluster.api, f"gpu-{number}.example.com", node)
    expression = f"device.driver == '{made.name}' && device.attributes['{made.name}'].type == 'gpu'"
    spec = {"selectors": [{"cel": {"expression": expression}}]}
    cluster.api.ask(f"POST {CLASSES}", {"metadata": {"name": made.name}, "spec": spec})
    made.publish(count)
    cluster.api.until(f"GET /api/v1/nodes/{node}", lambda one: not one["spec"].get("taints"))
    try:
        yield made
    finally:
        for path in (f"{CLASSES}/{made.name}", f"{SLICES}?fieldSelector=spec.driver={made.name}", f"/api/v1/nodes/{node}"):
            with suppress(Refused):
                cluster.api.ask(f"DELETE {path}")
