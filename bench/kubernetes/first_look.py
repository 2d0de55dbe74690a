"""A large cluster seen by the driver for the first time, then left alone, then meddled with.

All pods are ours and say that they run. They and their nodes are stamped into etcd: only the set-up is short of the API, whatever is
measured goes through it. `nothing missed` is asked after an idle minute: pods are deleted and made to fail behind the driver's back,
and each has to be told of by a wake-up and seen as it is.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from bench.kubernetes import cluster as lab
from bench.kubernetes.cluster import Asked
from bench.kubernetes.theirs import container_on
from bench.table import Row
from drivers.kubernetes import names
from drivers.kubernetes import pod as making
from drivers.kubernetes.options import Options
from tests.lab.kubernetes.rig import Cluster

_OWNER = "bench"
_IDLE_S = 60.0
_CALM_S = 120.0  # until the API server's caches have swallowed what was stamped, at most
_MEDDLED = 20  # deleted, and as many made to fail
_NOTICED_S = 10.0
_CLONE = Path(__file__).resolve().parents[2]


@dataclass(frozen=True, slots=True)
class _Looker:
    """The process that looks."""

    process: subprocess.Popen[str]

    def ask(self, question: Any) -> Any:
        assert self.process.stdin is not None  # noqa: S101
        assert self.process.stdout is not None  # noqa: S101
        self.process.stdin.write(json.dumps(question) + "\n")
        self.process.stdin.flush()
        return json.loads(self.process.stdout.readline())


def measure(nodes: int, pods: int) -> list[Row]:
    """The table. Raises RuntimeError where the driver sees another cluster than there is."""
    with lab.running(nodes) as cluster:
        namespace = _fill(cluster, nodes, pods)
        cluster.stop("kube-controller-manager")  # so that whatever is listed from here on is listed by the driver
        with _looking(cluster) as looker:
            began = time.monotonic()
            first = looker.ask({"look_s": 0})
            took_s = time.monotonic() - began
            if (first["hosts"], first["instances"], first["running"]) != (nodes, pods, pods):
                raise RuntimeError(f"of {nodes} nodes and {pods} pods the driver saw {first}")
            looker.ask({})
            before = lab.asked(cluster)
            idle = looker.ask({"look_s": _IDLE_S})
            lists = listed(lab.asked(cluster) - before)
            missed = _meddle(cluster, namespace, looker, pods)
    return [
        Row("first look", took_s, "s"),
        Row("  CPU of it, opening included", first["all_cpu_s"], "s", "first_look_cpu_s", ("<=", 4), 2),
        Row("  memory of the process, at most", first["mib"], "MiB", "first_look_mib", ("<=", 150)),
        Row("lists in an idle minute", lists * 60 / _IDLE_S, "", "lists_per_idle_minute", ("<=", 0)),
        Row("  CPU of that minute, with five looks at all of it", idle["cpu_s"], "s", "idle_minute_cpu_s", digits=2),
        Row(f"of {2 * _MEDDLED} pods meddled with, not noticed", missed, "", "changes_missed", ("<=", 0)),
    ]


def listed(asked: Asked) -> int:
    """How many of these requests were for the whole of something."""
    return sum(number for (verb, _), number in asked.items() if verb in ("LIST", "WATCHLIST"))


def _fill(cluster: Cluster, nodes: int, pods: int) -> str:
    body = making.pod(container_on(lab.node_name(0), "app-00000"), making.Setting(_OWNER, Options()))
    namespace, instance = body["metadata"]["namespace"], body["metadata"]["annotations"][names.INSTANCE].encode()
    cluster.api.ask("POST /api/v1/namespaces", {"metadata": {"name": namespace}})
    cluster.api.until(f"GET /api/v1/namespaces/{namespace}/serviceaccounts/default", bool)
    cluster.api.ask(f"POST /api/v1/namespaces/{namespace}/pods", body)
    cluster.api.ask(f"PATCH /api/v1/namespaces/{namespace}/pods/app-00000/status", {"status": _running(body)})

    def swap(number: int, value: bytes) -> bytes:
        node = lab.node_name((number + 1) % nodes).encode()
        return value.replace(instance, str(uuid.uuid4()).encode()).replace(lab.node_name(0).encode(), node)

    lab.stamp(cluster, f"/registry/pods/{namespace}/app-00000", [f"app-{number:05}" for number in range(1, pods)], swap)
    rest = {"remainingItemCount": pods - 1}
    cluster.api.until(f"GET /api/v1/namespaces/{namespace}/pods?limit=1", lambda page: rest.items() <= page["metadata"].items(), _CALM_S)
    return str(namespace)


def _running(body: dict[str, Any]) -> dict[str, Any]:
    """What a kubelet says of a container that runs."""
    now = "2026-01-01T00:00:00Z"
    kinds = ("PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled")
    container = {
        "name": making.MAIN,
        "image": body["spec"]["containers"][0]["image"],
        "imageID": f"sha256:{'0' * 64}",
        "containerID": f"containerd://{'0' * 64}",
        "ready": True,
        "started": True,
        "restartCount": 0,
        "state": {"running": {"startedAt": now}},
    }
    return {
        "phase": "Running",
        "conditions": [{"type": kind, "status": "True", "lastTransitionTime": now} for kind in kinds],
        "containerStatuses": [container],
        "hostIP": "10.0.0.1",
        "podIP": "10.128.0.1",
        "podIPs": [{"ip": "10.128.0.1"}],
        "startTime": now,
    }


@contextmanager
def _looking(cluster: Cluster) -> Iterator[_Looker]:
    uri = f"https://{cluster.api.address}:{cluster.api.port}"
    line = [sys.executable, "-m", "bench.kubernetes.look", uri, _OWNER]
    process = subprocess.Popen(line, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=_CLONE)
    try:
        assert process.stdin is not None  # noqa: S101
        process.stdin.write(json.dumps(cluster.kubeconfig.read_text()) + "\n")
        yield _Looker(process)
    finally:
        process.communicate(timeout=30)


def _meddle(cluster: Cluster, namespace: str, looker: _Looker, pods: int) -> int:
    """Change pods behind the driver's back; of how many it did not hear."""
    api, where = cluster.api, f"/api/v1/namespaces/{namespace}/pods"
    chosen = [f"app-{number * (pods // (2 * _MEDDLED)):05}" for number in range(2 * _MEDDLED)]
    instances = {name: api.ask(f"GET {where}/{name}")["metadata"]["annotations"][names.INSTANCE] for name in chosen}
    for name in chosen[:_MEDDLED]:
        api.ask(f"DELETE {where}/{name}?gracePeriodSeconds=0")
    for name in chosen[_MEDDLED:]:
        api.ask(f"PATCH {where}/{name}/status", {"status": {"phase": "Failed", "reason": "Evicted"}})
    woken: set[str] = set()
    deadline = time.monotonic() + _NOTICED_S
    while not woken >= set(instances.values()) and time.monotonic() < deadline:
        woken |= set(looker.ask({})["woken"])
        time.sleep(0.2)
    seen = looker.ask({"look_s": 0})
    if (seen["instances"], seen["running"]) != (pods - _MEDDLED, pods - 2 * _MEDDLED):
        raise RuntimeError(f"after {_MEDDLED} were deleted and {_MEDDLED} failed the driver saw {seen}")
    return len(set(instances.values()) - woken)
