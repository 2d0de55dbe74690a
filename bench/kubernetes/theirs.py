"""The cluster's own default scheduler, given the same pods on the same nodes.

Two runs: `created` starts with nothing, the scheduler running and its caches full, and ends when the last pod is bound: what a user waits
for; `pending` makes the pods first and then starts the scheduler, counting from its first binding: what the scheduler alone can do. Pods
are what our driver makes of the same instances, but for the node's name, in a namespace that has no quota or limits to be checked. The
clients that make them are light, and their CPU is not counted.
"""

from __future__ import annotations

import re
import ssl
import time
import urllib.request
import uuid
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

from bench.kubernetes import cluster as lab
from bench.kubernetes.round import Round
from drivers.base import InstanceSpec, Power
from drivers.container import Container
from drivers.kubernetes import pod as making
from drivers.kubernetes.options import Options
from tests.lab.kubernetes.rig import Cluster

IMAGE = "registry.example.org/pause:1"
SIZES = {"vcpus": 1, "memory_mib": 1024, "disk_gib": 1}
_CLIENTS = 8
_LONGEST_S = 600.0
_SCHEDULED = re.compile(r'^scheduler_schedule_attempts_total\{[^}]*result="scheduled"[^}]*\} (\S+)', re.MULTILINE)


@contextmanager
def scheduling(cluster: Cluster) -> Iterator[None]:
    """The scheduler runs; its caches are full when it is ready."""
    cluster.start(lab.SCHEDULER)
    try:
        yield
    finally:
        cluster.stop(lab.SCHEDULER)


def namespace(cluster: Cluster, name: str) -> None:
    """One that pods can be made in."""
    cluster.api.ask("POST /api/v1/namespaces", {"metadata": {"name": name}})
    cluster.api.until(f"GET /api/v1/namespaces/{name}/serviceaccounts/default", bool)


def created(cluster: Cluster, name: str, count: int) -> Round:
    """From the first request to the last binding, with the scheduler running."""
    bodies = _pods(count)
    with scheduling(cluster):
        already = _bound(cluster)
        before, asked, began = lab.cpu(cluster, lab.SCHEDULER), lab.asked(cluster), time.monotonic()
        _make(cluster, name, bodies)
        _until(lambda: _bound(cluster) - already >= count)
        _until(lambda: not _pending(cluster, name))
        took_s = time.monotonic() - began
        spent = lab.settled_cpu(lambda: lab.cpu(cluster, lab.SCHEDULER)).since(before)
        told = lab.asked(cluster) - asked
    return Round(count, took_s, spent, told, lab.placed(cluster, name))


def pending(cluster: Cluster, name: str, count: int) -> Round:
    """The pods are there; from the scheduler's first binding to its last."""
    _make(cluster, name, _pods(count))
    before, asked, first = lab.cpu(cluster), lab.asked(cluster), time.monotonic()
    with scheduling(cluster):
        while (bound := _bound(cluster)) < count:
            first = time.monotonic() if bound == 0 else first
            time.sleep(0.1)
        _until(lambda: not _pending(cluster, name))
        took_s = time.monotonic() - first
        spent = lab.settled_cpu(lambda: lab.cpu(cluster, lab.SCHEDULER)).since(before)
        told = lab.asked(cluster) - asked
    return Round(count, took_s, spent, told, lab.placed(cluster, name))


def _pods(count: int) -> list[dict[str, Any]]:
    setting = making.Setting("bench", Options())
    made = []
    for number in range(count):
        body = making.pod(container_on(lab.node_name(0), f"app-{number:05}"), setting)
        del body["spec"]["nodeName"], body["spec"]["schedulerName"], body["metadata"]["namespace"]
        made.append(body)
    return made


def container_on(node: str, name: str) -> InstanceSpec:
    """The instance that is asked for everywhere here."""
    return InstanceSpec(
        instance_id=str(uuid.uuid4()),
        project_id=str(uuid.uuid4()),
        name=name,
        kind="container",
        host=node,
        vcpus=SIZES["vcpus"],
        memory_mib=SIZES["memory_mib"],
        disk_gib=SIZES["disk_gib"],
        gpus=0,
        arch="x86_64",
        image=None,
        power=Power.RUNNING,
        generation=1,
        container=Container(IMAGE),
    )


def _make(cluster: Cluster, name: str, bodies: Sequence[dict[str, Any]]) -> None:
    def work(part: Sequence[dict[str, Any]]) -> None:
        with cluster.api.session() as ask:
            for body in part:
                ask(f"POST /api/v1/namespaces/{name}/pods", body)

    with ThreadPoolExecutor(_CLIENTS) as pool:
        list(pool.map(work, [bodies[number::_CLIENTS] for number in range(_CLIENTS)]))


def _bound(cluster: Cluster) -> int:
    """How many the scheduler has decided, by its own count."""
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE  # it makes a certificate for itself; it is a process of ours on this machine
    url = f"https://127.0.0.1:{cluster.settings.ports[lab.SCHEDULER]}/metrics"
    with urllib.request.urlopen(url, timeout=30, context=trust) as answer:
        return int(sum(map(float, _SCHEDULED.findall(answer.read().decode()))))


def _pending(cluster: Cluster, name: str) -> bool:
    """The count is of decisions; bindings follow them."""
    return bool(cluster.api.ask(f"GET /api/v1/namespaces/{name}/pods?fieldSelector=spec.nodeName%3D&limit=1")["items"])


def _until(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _LONGEST_S
    while not holds():
        if time.monotonic() > deadline:
            raise TimeoutError(f"not all pods are bound after {_LONGEST_S:.0f} s")
        time.sleep(0.1)
