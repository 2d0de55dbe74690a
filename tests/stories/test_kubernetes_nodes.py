"""What becomes of containers whose node is in trouble while they are not: told over HTTP, on a real node.

A controller of their own: nothing here needs a machine.
"""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from controller.store import embedded
from drivers.kubernetes import names
from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh
from tests.api.server import new_database
from tests.drivers.kubernetes.backend import credentials, uri
from tests.lab.kubernetes.node import Node
from tests.lab.kubernetes.rig import Cluster
from tests.lab.kubernetes.shared import shared_cluster
from tests.stories.serving import Serving
from tests.stories.test_kubernetes import RUNS
from tests.stories.test_libvirt_hosts import NOTICED_S

pytestmark = [pytest.mark.real, pytest.mark.slow]


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


@pytest.fixture(scope="module")
def tale() -> Iterator[Tale]:
    cluster, folder = shared_cluster(), Path(tempfile.mkdtemp(prefix="ct-kn-", dir="/tmp"))
    folder.chmod(0o755)
    serving = Serving(folder, new_database(embedded.start(folder), "nodes"))
    try:
        serving.start()
        admin = serving.admin
        department = Cloud("", "hubei", admin, admin, "", folder, serving.log).department(PLENTY)
        overcommit = {"vcpus": 8.0, "memory_mib": 1.0, "disk_gib": 1.0}
        admin.ask("POST /v1/pools", {"name": "nodes", "zone": "z", "overcommit": overcommit, "reserved": {"disk_gib": 0}})
        endpoint = {"name": "cluster", "driver": "kubernetes", "uri": uri(cluster), "pool": "nodes", "options": {"run_as": "65534"}}
        made = admin.ask("POST /v1/endpoints", endpoint | {"credentials": credentials()})
        for name in set(made["hosts"]) - {node.name for node in cluster.nodes}:
            admin.ask(f"POST /v1/hosts/{name}/cordon")
        admin.ask("POST /v1/flavors", {"name": "pod", "kind": "container", "vcpus": 1, "memory_mib": 48, "disk_gib": 1})
        yield Tale(serving, cluster, department)
    finally:
        serving.end()
        embedded.stop(folder)
        shutil.rmtree(folder, ignore_errors=True)


def container_of(pod: dict[str, Any]) -> tuple[str, str, str, int]:
    """What stays the same as long as nobody starts it anew: pod, container, its start, its restarts."""
    (status,) = pod["status"]["containerStatuses"]
    return (
        pod["metadata"]["uid"],
        status["containerID"].removeprefix("containerd://"),
        status["state"]["running"]["startedAt"],
        status["restartCount"],
    )


def process_of(node: Node, container: str) -> str:
    """The container's first process on its node, and when that began (in ticks since the machine did), without asking a kubelet."""
    rows = [line.split() for line in node.machine.run("ctr", "--namespace=k8s.io", "tasks", "list").splitlines()]
    (pid,) = (row[1] for row in rows if row[0] == container)
    began = node.machine.run("cat", f"/proc/{pid}/stat").rpartition(")")[2].split()[19]
    return f"{pid} since {began}"


def test_containers_whose_kubelet_is_dead_are_unknown_and_go_on_and_are_active_again_when_it_is_back(tale: Tale) -> None:
    member, node = tale.department.member, tale.cluster.nodes[0]
    ids = tale.ask(4, RUNS, spread={"mode": "spread", "domain": "host"})
    tale.active(ids)
    pods = {id_: pod for id_ in ids for pod in tale.pods(id_)}
    before = {id_: container_of(pod) for id_, pod in pods.items()}
    there = [id_ for id_ in ids if pods[id_]["spec"]["nodeName"] == node.name]
    elsewhere = [id_ for id_ in ids if id_ not in there]
    assert len(there) == len(elsewhere) == 2
    processes = {id_: process_of(node, before[id_][1]) for id_ in there}
    node.kill_kubelet()
    try:
        for id_ in there:
            seen = member.until(f"GET /v1/instances/{id_}", lambda one: one["condition"] == "unknown", NOTICED_S + 30)
            assert (seen["state"], seen["goal"]) == ("active", "running")
            assert seen["reason"]["code"] in ("host_silent", "host_unreachable")
            assert "not answer" in seen["reason"]["text"]
            assert node.name not in str(seen), "whose department is not told of hosts"
        (host,) = (one for one in tale.admin.ask("GET /v1/events", limit=500)["items"] if one["kind"] == "host.unreachable")
        assert host["object_name"] == node.name
        end = time.monotonic() + 20
        while time.monotonic() < end:  # several looks, and passes if any were due
            assert {id_: process_of(node, before[id_][1]) for id_ in there} == processes, "what runs goes on"
            for id_ in ids:
                (pod,) = tale.pods(id_)
                assert pod["metadata"]["uid"] == before[id_][0], "nothing is made anew, and nothing taken away"
                assert "deletionTimestamp" not in pod["metadata"]
            time.sleep(2)
        for id_ in elsewhere:
            assert member.ask(f"GET /v1/instances/{id_}")["condition"] == "running"
    finally:
        node.start_kubelet()
    node.await_ready()
    for id_ in there:
        again = member.until(f"GET /v1/instances/{id_}", lambda one: one["condition"] == "running", NOTICED_S)
        assert (again["state"], again["reason"]) == ("active", None)
        assert tale.told(id_)[-2:] == ["instance.unseen", "instance.seen_again"]
    for id_ in elsewhere:
        assert tale.told(id_)[-1] == "instance.active"
    assert {id_: container_of(pod) for id_ in ids for pod in tale.pods(id_)} == before, "the same pods, containers and starts"
    assert {id_: process_of(node, before[id_][1]) for id_ in there} == processes
    tale.delete(ids)
