"""The cluster that is measured: a real API server and etcd, simulated nodes, and readings of what everything costs.

In: a number of nodes. Out: the rig of the tests with the parts that both sides need, and nothing else: no kwok, so nodes are objects that
never report, as in the scheduler's own benchmarks; of the controller manager's controllers the one that puts quotas in force (`settle`
waits for it) and the one that makes the account without which no pod is admitted. It runs for both sides, and its CPU is counted for both.

Nodes and, for the first look, pods are stamped: one is made through the API, its copies are written straight to etcd. The API server's
caches hear of them as of any write.
"""

from __future__ import annotations

import base64
import json
import re
import tempfile
import time
import urllib.request
import uuid
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil

from tests.lab.kubernetes import rig
from tests.lab.kubernetes.rig import Cluster
from tests.lab.needs import kubernetes_binaries

SCHEDULER = "kube-scheduler"
ALWAYS = ("etcd", "kube-apiserver", "kube-controller-manager")
VCPUS, MEMORY_GIB, DISK_GIB, PODS = 32, 128, 1000, 110
_CONTROLLERS = "resourcequota-controller,serviceaccount-controller"
_MORE = {
    "kube-apiserver": ["--max-requests-inflight=3000", "--max-mutating-requests-inflight=1000"],
    "kube-controller-manager": [f"--controllers={_CONTROLLERS}", "--kube-api-qps=5000", "--kube-api-burst=10000"],
    SCHEDULER: ["--kube-api-qps=5000", "--kube-api-burst=10000"],  # as shipped it binds fifty a second, whatever the machine
}
_TOGETHER = 100  # copies in one transaction of etcd
_UUID = re.compile(rb"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
_TOTAL = re.compile(r"^apiserver_request_total\{(.*)\} (\S+)$", re.MULTILINE)
_LABEL = re.compile(r'(\w+)="([^"]*)"')

Asked = Counter[tuple[str, str]]
"""Requests by verb and resource, as the API server counts them."""


@dataclass(frozen=True, slots=True)
class Spent:
    """CPU seconds by component."""

    by: Mapping[str, float]

    def since(self, before: Spent) -> Spent:
        """What was spent between two readings."""
        return Spent({name: amount - before.by.get(name, 0.0) for name, amount in self.by.items()})

    @property
    def total(self) -> float:
        return sum(self.by.values())


@contextmanager
def running(nodes: int) -> Iterator[Cluster]:
    """A cluster with that many simulated nodes, for as long as the block runs; its scheduler stands by."""
    folder = Path(tempfile.mkdtemp(prefix="chk", dir="/tmp"))
    made = rig.up(folder, kubernetes_binaries(), components=(*ALWAYS, SCHEDULER), more=_MORE)
    try:
        made.stop(SCHEDULER)
        add_nodes(made, nodes)
        yield made
    finally:
        rig.down(made)


# -- what it has --------------------------------------------------------------------------------------------------------------------------


def node_name(number: int) -> str:
    """Of one length, as copies must be."""
    return f"node-{number:05}"


def add_nodes(cluster: Cluster, count: int) -> None:
    """Ready nodes without taints, that nobody is behind."""
    name = node_name(0)
    room = {"cpu": str(VCPUS), "memory": f"{MEMORY_GIB}Gi", "ephemeral-storage": f"{DISK_GIB}Gi", "pods": str(PODS)}
    labels = {"kubernetes.io/hostname": name, "kubernetes.io/os": "linux", "kubernetes.io/arch": "amd64"}
    ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "lastHeartbeatTime": None, "lastTransitionTime": None}
    status = {"capacity": room, "allocatable": room, "conditions": [ready]}
    cluster.api.ask("POST /api/v1/nodes", {"metadata": {"name": name, "labels": labels}, "status": status})
    cluster.api.ask(f"PATCH /api/v1/nodes/{name}", {"spec": {"taints": None}})  # admission gives every new node one
    stamp(cluster, f"/registry/minions/{name}", [node_name(number) for number in range(1, count)])


def stamp(cluster: Cluster, key: str, names: Sequence[str], swap: Callable[[int, bytes], bytes] = lambda _, value: value) -> None:
    """Copy what etcd has under `key` under other names of the same length; `swap` makes further changes of no length to each copy.

    Raises ValueError for a name of another length.
    """
    folder, old = key.rsplit("/", 1)
    if any(len(name) != len(old) for name in names):
        raise ValueError("a copy's name must be as long as its pattern's")
    value = base64.b64decode(etcd(cluster, "kv/range", {"key": _text(key)})["kvs"][0]["value"])
    identity = _UUID.search(value)
    assert identity is not None  # noqa: S101 - every object has its uid
    puts = []
    for number, name in enumerate(names):
        copy = value.replace(old.encode(), name.encode()).replace(identity[0], str(uuid.uuid4()).encode())
        puts.append({"requestPut": {"key": _text(f"{folder}/{name}"), "value": _text(swap(number, copy))}})
    for at in range(0, len(puts), _TOGETHER):
        etcd(cluster, "kv/txn", {"success": puts[at : at + _TOGETHER]})


def etcd(cluster: Cluster, path: str, body: Mapping[str, Any]) -> Any:
    """A call to etcd itself, of which the API server knows nothing."""
    url = f"http://127.0.0.1:{cluster.settings.ports['etcd']}/v3/{path}"
    with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=60) as answer:
        return json.load(answer)


def pods_in(cluster: Cluster, namespace: str) -> int:
    """How many pods a namespace has, counted in etcd: the API server is not disturbed."""
    first = f"/registry/pods/{namespace}/"
    asked = {"key": _text(first), "range_end": _text(first[:-1] + "0"), "count_only": True}
    return int(etcd(cluster, "kv/range", asked).get("count", 0))


def placed(cluster: Cluster, namespace: str) -> Counter[str]:
    """Pods by node; those that no node has are counted under the empty name."""
    items = cluster.api.ask(f"GET /api/v1/namespaces/{namespace}/pods?resourceVersion=0", timeout_s=60)["items"]
    return Counter(one["spec"].get("nodeName", "") for one in items)


def clear(cluster: Cluster, namespace: str) -> None:
    """Take all pods of a namespace away at once; no kubelet is there to agree."""
    while pods_in(cluster, namespace):
        cluster.api.ask(f"DELETE /api/v1/namespaces/{namespace}/pods?gracePeriodSeconds=0", timeout_s=120)


def _text(value: str | bytes) -> str:
    return base64.b64encode(value if isinstance(value, bytes) else value.encode()).decode()


# -- what it costs ------------------------------------------------------------------------------------------------------------------------


def cpu(cluster: Cluster, *more: str) -> Spent:
    """CPU spent so far by the parts that always run, and by `more`."""
    return Spent({name: _cpu_of(cluster.pid(name)) for name in (*ALWAYS, *more)})


def _cpu_of(pid: int | None) -> float:
    return sum(psutil.Process(pid).cpu_times()[:2]) if pid is not None else 0.0


def asked(cluster: Cluster) -> Asked:
    """What the API server was asked so far, by its own count; requests that go on (watches) count when they end."""
    return counted(str(cluster.api.ask("GET /metrics", timeout_s=60)))


def counted(metrics: str) -> Asked:
    """`apiserver_request_total` of a page of metrics, summed up by verb and resource (subresource behind a slash).

    What is asked of no resource (health, versions, the metrics themselves) is left out.
    """
    found: Asked = Counter()
    for labels, value in _TOTAL.findall(metrics):
        label = dict(_LABEL.findall(labels))
        if label.get("resource"):
            found[label["verb"], "/".join(filter(None, (label["resource"], label.get("subresource"))))] += int(float(value))
    return found


def settled_cpu(read: Callable[[], Spent], rest_s: float = 1.0) -> Spent:
    """A reading a moment after the end: what is still being written down belongs to what was measured."""
    time.sleep(rest_s)
    return read()
