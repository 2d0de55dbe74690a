"""A real Kubernetes as the driver contract sees it: pods on a real node, behind a real API server.

In: a folder. Out: a `Backend`. What is done behind the driver's back goes through the lab's own client, never through the driver. Drivers
open with the rights of the shipped manifest and no others, so the contract proves that these are enough.
"""

from __future__ import annotations

import base64
import json
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from drivers.base import Driver, InstanceSpec, Power
from drivers.container import Container, Tenant
from drivers.kubernetes import names
from drivers.kubernetes.driver import KubernetesDriver, open_kubernetes
from drivers.kubernetes.quantity import GIB, MIB, quantity
from drivers.kubernetes.rights import ACCOUNT, NAMESPACE, rbac_manifest
from tests.drivers.contract import POWERS, Backend
from tests.lab.kubernetes.api import Api, Refused
from tests.lab.kubernetes.rig import Cluster
from tests.lab.kubernetes.shared import shared_cluster

IMAGE = "chutian.local/container:1"
PROJECT = "bureau-of-tests"
STALE_S = 3
LINE = 'echo "chutian-guest: hostname=$(hostname) instance-id=$ID"; trap "exit 0" TERM; while :; do sleep 600 & wait $!; done'


def container(instance_id: str, **fields: Any) -> Container:
    """One that says its name, and ends when it is asked to."""
    given = {"image": IMAGE, "command": ("/bin/sh", "-c", LINE), "env": (("ID", instance_id),)}
    return Container(**{**given, **fields})


def spec_on(node: str, **fields: Any) -> InstanceSpec:
    """A fresh running instance, with fields overridden."""
    id_ = str(fields.pop("instance_id", uuid.uuid4()))
    given: dict[str, Any] = {
        "instance_id": id_,
        "project_id": PROJECT,
        "name": f"guest-{id_[:8]}",
        "kind": "container",
        "host": node,
        "vcpus": 1,
        "memory_mib": 48,
        "disk_gib": 1,
        "gpus": 0,
        "arch": "x86_64",
        "image": None,
        "power": Power.RUNNING,
        "generation": 1,
        "container": container(id_),
    }
    return InstanceSpec(**{**given, **fields})


def tenant(project_id: str = PROJECT, **fields: Any) -> Tenant:
    """A share that the tests don't use up."""
    given = {"instances": 50, "vcpus": 100, "memory_mib": 100_000, "disk_gib": 500, "gpus": 0}
    return Tenant(project_id, f"/tests/{project_id}", **{**given, **fields})


def apply(api: Api, manifest: str) -> None:
    """As `kubectl apply` does."""
    where = {"Namespace": "/api/v1/namespaces", "ServiceAccount": f"/api/v1/namespaces/{NAMESPACE}/serviceaccounts"}
    where |= {"Secret": f"/api/v1/namespaces/{NAMESPACE}/secrets"}
    for document in yaml.safe_load_all(manifest):
        path = where.get(document["kind"], f"/apis/rbac.authorization.k8s.io/v1/{document['kind'].lower()}s")
        try:
            api.ask(f"POST {path}", document)
        except Refused as refused:
            if refused.status != 409:
                raise
            if document["kind"] == "ClusterRole":
                api.ask(f"PATCH {path}/{document['metadata']['name']}", document)


def with_token(cluster: Cluster, token: str) -> str:
    """A kubeconfig like the administrator's, but for its user."""
    whole = json.loads(cluster.kubeconfig.read_text())
    whole["users"][0]["user"] = {"token": token}
    return json.dumps(whole)


@cache
def credentials() -> str:
    """A kubeconfig with the token of the shipped manifest's account."""
    cluster = shared_cluster()
    apply(cluster.api, rbac_manifest({}))
    secret = cluster.api.until(f"GET /api/v1/namespaces/{NAMESPACE}/secrets/{ACCOUNT}-token", lambda one: "token" in one.get("data", {}))
    return with_token(cluster, base64.b64decode(secret["data"]["token"]).decode())


def uri(cluster: Cluster) -> str:
    return f"https://{cluster.api.address}:{cluster.api.port}"


def connect(owner: str, given: str = "", **options: str) -> KubernetesDriver:
    """An open driver."""
    cluster = shared_cluster()
    whole = {"credentials": given or credentials(), "stale_s": str(STALE_S), "timeout_s": "3", "stop_s": "10", **options}
    driver = open_kubernetes(uri(cluster), owner, whole)
    assert isinstance(driver, KubernetesDriver)
    return driver


class Behind:
    """What others do with an instance, found by its label in any namespace."""

    def __init__(self, api: Api) -> None:
        self._api = api

    def pod(self, instance_id: str) -> dict[str, Any]:
        found = self._api.ask(f"GET /api/v1/pods?labelSelector={names.INSTANCE}%3D{instance_id}")["items"]
        assert len(found) == 1, f"{len(found)} pods of {instance_id}"
        return dict(found[0])

    def delete(self, instance_id: str, grace_s: int) -> None:
        pod = self.pod(instance_id)
        self._api.ask(f"DELETE {path_of(pod)}?gracePeriodSeconds={grace_s}")

    def undefine(self, instance_id: str) -> None:
        self.delete(instance_id, 0)
        time.sleep(0.5)  # until the watch has told of it

    def boots(self, instance_id: str) -> int:
        """How often its container was started, as the kubelet told it: an event for each start."""
        pods = self._api.ask(f"GET /api/v1/pods?labelSelector={names.INSTANCE}%3D{instance_id}")["items"]
        if not pods:
            return 0
        name, namespace = pods[0]["metadata"]["name"], pods[0]["metadata"]["namespace"]
        chosen = f"involvedObject.name%3D{name},reason%3DStarted"
        events = self._api.ask(f"GET /api/v1/namespaces/{namespace}/events?fieldSelector={chosen}")["items"]
        return sum(one.get("count") or 1 for one in events)

    def size(self, instance_id: str) -> tuple[int, int, int]:
        limits = self.pod(instance_id)["spec"]["containers"][0]["resources"]["limits"]
        units = (("cpu", 1), ("memory", MIB), ("ephemeral-storage", GIB))
        cpu, memory, disk = (int(quantity(limits[name]) // unit) for name, unit in units)
        return cpu, memory, disk


def path_of(pod: dict[str, Any]) -> str:
    return f"/api/v1/namespaces/{pod['metadata']['namespace']}/pods/{pod['metadata']['name']}"


@contextmanager
def being_frozen(cluster: Cluster) -> Iterator[None]:
    """The API server hangs, for longer already than what was seen last counts."""
    with cluster.being_frozen("kube-apiserver"):
        time.sleep(STALE_S + 2.5)
        yield


@contextmanager
def on_a_real_node(folder: Path) -> Iterator[Backend]:
    """Pods of the first node."""
    cluster = shared_cluster()
    behind = Behind(cluster.api)

    def opened(owner: str) -> Driver:
        driver = connect(owner, run_as="65534")
        driver.prepare()
        driver.settle([tenant()], whole=False)
        return driver

    yield Backend(
        open=opened,
        make_spec=lambda **fields: spec_on(cluster.nodes[0].name, **fields),
        kill=lambda id_: behind.delete(id_, 1),
        undefine=behind.undefine,
        boots=behind.boots,
        size=behind.size,
        cut=lambda: being_frozen(cluster),
        can=frozenset(POWERS),
        timeout_s=60,
        pause_s=0.2,
    )


def forget(owner: str) -> None:
    """Everything of an owner, by the administrator's hand: for tests that leave something on purpose."""
    api = shared_cluster().api
    for namespace in api.ask(f"GET /api/v1/namespaces?labelSelector={names.OWNER}%3D{names.label(owner)}")["items"]:
        with suppress(Refused):
            api.ask(f"DELETE /api/v1/namespaces/{namespace['metadata']['name']}")
