"""A controller of its own with a cluster of real nodes, for tales of containers that need no machine."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.store import embedded
from drivers.kubernetes import names
from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh
from tests.api.server import new_database
from tests.drivers.kubernetes.backend import credentials, uri
from tests.lab.kubernetes.rig import Cluster
from tests.lab.kubernetes.shared import shared_cluster
from tests.stories.serving import Serving

IMAGE = "chutian.local/container:1"
LOOP = 'echo "here is $(hostname)"; trap "exit 0" TERM; while :; do sleep 600 & wait $!; done'
RUNS = {"image": IMAGE, "command": ["/bin/sh", "-c", LOOP]}


@dataclass(frozen=True)
class Tale:
    """A controller with a cluster of two real nodes, and one department whose requests are approved at once."""

    serving: Serving
    cluster: Cluster
    department: Department

    @property
    def admin(self) -> Caller:
        return self.serving.admin

    def ask(self, count: int, runs: dict[str, Any], **more: Any) -> list[str]:
        """The ids of new containers."""
        item = {"kind": "container", "name": fresh("app"), "flavor": "pod", "count": count, "container": runs, **more}
        body = {"project": self.department.path, "reason": "test", "items": [item]}
        ids: list[str] = self.department.member.ask("POST /v1/requests", body)["instances"]
        return ids

    def active(self, ids: list[str]) -> list[dict[str, Any]]:
        return [self.department.member.settled_within(id_, "active", 120) for id_ in ids]

    def pods(self, id_: str) -> list[dict[str, Any]]:
        """All pods of an instance, as the API server has them."""
        found = self.cluster.api.ask(f"GET /api/v1/pods?labelSelector={names.INSTANCE}%3D{id_}")["items"]
        return list(found)

    def events(self, id_: str) -> list[dict[str, Any]]:
        """What its department is told of an instance."""
        items: list[dict[str, Any]] = self.department.member.ask("GET /v1/events", object=id_, limit=500)["items"]
        return items

    def told(self, id_: str) -> list[str]:
        return [one["kind"] for one in self.events(id_)]

    def delete(self, ids: list[str]) -> None:
        for id_ in ids:
            self.department.member.ask(f"DELETE /v1/instances/{id_}")
        for id_ in ids:
            self.department.member.settled_within(id_, "deleted", 120)

    def enrol(self, endpoint: dict[str, Any], **options: str) -> None:
        """Its real nodes take containers."""
        body = {"name": "cluster", "driver": "kubernetes", "pool": "nodes", "options": {"run_as": "65534", **options}}
        made = self.admin.ask("POST /v1/endpoints", body | endpoint)
        for name in set(made["hosts"]) - {node.name for node in self.cluster.nodes}:
            self.admin.ask(f"POST /v1/hosts/{name}/cordon")


@contextmanager
def a_tale(within: tuple[str, ...] = (), **variables: str) -> Iterator[Tale]:
    """With a pool and flavors; the cluster is yet to be enrolled. See `Serving` for the arguments."""
    cluster, folder = shared_cluster(), Path(tempfile.mkdtemp(prefix="ct-kt-", dir="/tmp"))
    folder.chmod(0o755)
    serving = Serving(folder, new_database(embedded.start(folder), "tale"), within, **variables)
    try:
        serving.start()
        admin = serving.admin
        department = Cloud("", "hubei", admin, admin, "", folder, serving.log).department(PLENTY)
        overcommit = {"vcpus": 8.0, "memory_mib": 1.0, "disk_gib": 1.0}
        admin.ask("POST /v1/pools", {"name": "nodes", "zone": "z", "overcommit": overcommit, "reserved": {"disk_gib": 0}})
        admin.ask("POST /v1/flavors", {"name": "pod", "kind": "container", "vcpus": 1, "memory_mib": 48, "disk_gib": 1})
        yield Tale(serving, cluster, department)
    finally:
        serving.end()
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def by_kubeconfig(cluster: Cluster) -> dict[str, str]:
    """How the cluster is reached with the rights that are shipped and no others."""
    return {"uri": uri(cluster), "credentials": credentials()}
