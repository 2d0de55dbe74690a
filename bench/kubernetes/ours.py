"""Our controller, given requests for containers: from the first of them sent to the last pod bound.

Measured is a real controller process of its own (plain HTTP on loopback, embedded PostgreSQL with everything durable), in which the cluster
is enrolled through the API, with the rights that are shipped. A short warm-up opens connections and makes the project's namespace: a
controller runs for months. Requests are of as many containers as one may have, approved at once by the project's policy, and handed in all
together. Every round has a fresh controller with a fresh database.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import time
from collections.abc import Awaitable, Mapping
from typing import Any

from bench import cloud
from bench.kubernetes import cluster as lab
from bench.kubernetes.cluster import Spent
from bench.kubernetes.round import Round
from bench.kubernetes.theirs import IMAGE, SIZES
from bench.rig import Rig, running
from bench.wire import Wire
from drivers.kubernetes import names
from drivers.kubernetes.rights import ACCOUNT, NAMESPACE, rbac_manifest
from tests.lab.kubernetes.rig import Cluster

_LARGEST, _PART = 500, 200  # instances in one request, and in one line of it
_LONGEST_S = 600.0
_POLL_S = 0.2  # each look costs etcd something, which is counted


async def requested(cluster: Cluster, count: int, warm: int, settings: Mapping[str, object]) -> Round:
    """One round; the cluster is left without its pods."""
    with running({"build_deadline_s": 3600, **settings}) as rig:
        wire = Wire("127.0.0.1", rig.port)
        others = _namespaces(cluster)
        await _set_up(wire, rig.token, cluster)
        await _ask(wire, rig.token, "warm", warm)
        namespace = await _own(cluster, others)
        await _bound(cluster, namespace, warm)
        await asyncio.sleep(2)
        try:
            return await _measure(cluster, rig, wire, namespace, count, warm)
        finally:
            await wire.close()
            rig.controller.suspend()  # else it would make anew what is taken away
            lab.clear(cluster, namespace)
            rig.controller.resume()


async def _measure(cluster: Cluster, rig: Rig, wire: Wire, namespace: str, count: int, warm: int) -> Round:
    already = lab.placed(cluster, namespace)
    before, asked, began = _cpu(cluster, rig), lab.asked(cluster), time.monotonic()
    await _ask(wire, rig.token, "app", count)
    await _bound(cluster, namespace, count + warm)
    took_s = time.monotonic() - began
    spent = (await asyncio.to_thread(lab.settled_cpu, lambda: _cpu(cluster, rig))).since(before)
    told = lab.asked(cluster) - asked
    return Round(count, took_s, spent, told, lab.placed(cluster, namespace) - already)


def _cpu(cluster: Cluster, rig: Rig) -> Spent:
    controller, database = rig.cpu_s()
    return Spent({"controller": controller, "PostgreSQL": database, **lab.cpu(cluster).by})


async def _set_up(wire: Wire, admin: str, cluster: Cluster) -> None:
    await wire.call("POST", "/v1/flavors", admin, {"name": cloud.FLAVOR, "kind": "container", **SIZES})
    whole = {"vcpus": 1.0, "memory_mib": 1.0, "disk_gib": 1.0}  # nothing is promised twice: the default scheduler couldn't, either
    await wire.call("POST", "/v1/pools", admin, {"name": "general", "zone": "wuhan-a", "overcommit": whole})
    endpoint = {
        "name": cloud.ENDPOINT,
        "driver": "kubernetes",
        "uri": f"https://{cluster.api.address}:{cluster.api.port}",
        "pool": "general",
        "credentials": await asyncio.to_thread(_credentials, cluster),
    }
    await wire.call("POST", "/v1/endpoints", admin, endpoint)
    await cloud.open_up(wire, admin, dict.fromkeys(("instances", "vcpus", "memory_mib", "disk_gib"), 10**6))


def _credentials(cluster: Cluster) -> str:
    """A kubeconfig with a token of the account that the shipped manifest makes, as operators hand it in."""
    _apply(cluster, rbac_manifest({}))
    asked = {"spec": {"expirationSeconds": 86400}}
    made = cluster.api.ask(f"POST /api/v1/namespaces/{NAMESPACE}/serviceaccounts/{ACCOUNT}/token", asked)
    whole = json.loads(cluster.kubeconfig.read_text())
    whole["users"][0]["user"] = {"token": made["status"]["token"]}
    return json.dumps(whole)


def _apply(cluster: Cluster, manifest: str) -> None:
    """As `kubectl apply` does, from standard input."""
    line = [str(cluster.binaries / "kubectl"), f"--kubeconfig={cluster.kubeconfig}", "apply", "-f", "-"]
    subprocess.run(line, input=manifest, text=True, capture_output=True, check=True)


async def _ask(wire: Wire, token: str, name: str, count: int) -> None:
    """Requests for that many, all at once."""
    calls: list[Awaitable[Any]] = []
    wires = []
    for number, at in enumerate(range(0, count, _LARGEST)):
        items = [
            {
                "kind": "container",
                "name": f"{name}-{number}-{part}",
                "flavor": cloud.FLAVOR,
                "count": min(_PART, count - at - part, _LARGEST - part),
                "container": {"image": IMAGE},
            }
            for part in range(0, min(_LARGEST, count - at), _PART)
        ]
        wires.append(Wire(wire.host, wire.port))
        calls.append(wires[-1].call("POST", "/v1/requests", token, {"project": cloud.ROOT, "reason": "bench", "items": items}))
    for request in await asyncio.gather(*calls):
        if request["state"] != "approved":
            raise RuntimeError(f"a request is {request['state']}")
    for one in wires:
        await one.close()


def _namespaces(cluster: Cluster) -> set[str]:
    """Those of projects, of every round so far: nobody takes empty ones away here."""
    mine = ",".join(f"{key}%3D{value}" for key, value in names.MANAGED_BY.items())
    return {one["metadata"]["name"] for one in cluster.api.ask(f"GET /api/v1/namespaces?labelSelector={mine}")["items"]}


async def _own(cluster: Cluster, others: set[str]) -> str:
    """This round's, once it is there."""
    deadline = time.monotonic() + _LONGEST_S
    while not (mine := _namespaces(cluster) - others):
        if time.monotonic() > deadline:
            raise TimeoutError("no namespace was made for the project")
        await asyncio.sleep(_POLL_S)
    return mine.pop()


async def _bound(cluster: Cluster, namespace: str, count: int) -> None:
    """Until so many are there: a pod of ours is bound when it is made, as the round's own check confirms."""
    deadline = time.monotonic() + _LONGEST_S
    while lab.pods_in(cluster, namespace) < count:
        if time.monotonic() > deadline:
            raise TimeoutError(f"{lab.pods_in(cluster, namespace)} of {count} pods are there after {_LONGEST_S:.0f} s")
        await asyncio.sleep(_POLL_S)
