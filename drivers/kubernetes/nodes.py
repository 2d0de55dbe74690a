"""Nodes as hosts: what each has left for us, whether it can be used, and whether its own people want nothing new there. Pure.

A node is FENCED while it is not ready and bears the out-of-service taint, by which its people vouch that it is off: the taint stays when
the node comes back, and then says only that nothing new is wanted. A node whose object is gone runs nothing either, so the inventory is
complete.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from decimal import Decimal
from typing import Final

from drivers.base import Health, HostInventory, HostPower, Inventory, Reason
from drivers.identity import machine_uuid
from drivers.kubernetes.options import Options
from drivers.kubernetes.quantity import GIB, MIB
from drivers.kubernetes.records import Node

ARCHES: Final[Mapping[str, str]] = {"amd64": "x86_64", "arm64": "aarch64", "386": "i686", "loong64": "loongarch64", "arm": "armv7l"}
OUT_OF_SERVICE: Final = "node.kubernetes.io/out-of-service"
OUR_VIEW: Final = frozenset(f"node.kubernetes.io/{name}" for name in ("not-ready", "unreachable", "unschedulable"))
"""Taints that say what we read elsewhere on the node."""
ZONE: Final = "topology.kubernetes.io/zone"

Taken = Mapping[str, Mapping[str, Decimal]]
"""What pods that aren't ours request, by node."""


def health(node: Node | None) -> Health:
    """None: there is no such node any more."""
    if node is None:
        return Health.FENCED
    if node.ready:
        return Health.READY
    return Health.FENCED if any(key == OUT_OF_SERVICE for key, _ in node.taints) else Health.SILENT


def closed(node: Node) -> Reason | None:
    """Why nothing new is wanted there."""
    if node.cordoned:
        return Reason("node_cordoned")
    keys = sorted({key for key, effect in node.taints if effect in ("NoSchedule", "NoExecute")} - OUR_VIEW)
    return Reason("node_tainted", {"taints": ", ".join(keys)}) if keys else None


def arch(node: Node) -> str:
    """As the rest of the cloud calls it."""
    given = node.labels.get("kubernetes.io/arch", "")
    return ARCHES.get(given, given)


def inventory(nodes: Iterable[Node], taken: Taken, options: Options) -> Inventory:
    """All nodes that run Linux containers; their kubelets say so, as a label that somebody changes must not make a node count as gone."""
    usable = [one for one in nodes if one.system == "linux"]
    machines = Counter(_machine(one) for one in usable)
    hosts = (_host(one, taken.get(one.name, {}), options, machines[_machine(one)] == 1) for one in sorted(usable, key=lambda one: one.name))
    return Inventory(tuple(hosts), complete=True)


def _machine(node: Node) -> str:
    return machine_uuid(node.system_uuid) or node.machine_id.lower()


def _host(node: Node, taken: Mapping[str, Decimal], options: Options, alone: bool) -> HostInventory:
    def left(resource: str, unit: int) -> int:
        return max(0, int((node.allocatable.get(resource, Decimal(0)) - taken.get(resource, Decimal(0))) // unit))

    state = health(node)
    return HostInventory(
        name=node.name,
        arch=arch(node),
        vcpus=left("cpu", 1),
        memory_mib=left("memory", MIB),
        disk_gib=left("ephemeral-storage", GIB),
        gpus=left(options.gpu_resource, 1),
        kinds=frozenset({"container"}),
        notes=() if state is Health.READY else (Reason("host_silent", {"node": node.name, "detail": node.why_not[:300]}),),
        machine=_machine(node) if alone else "",
        zone=node.labels.get(ZONE, ""),
        health=state,
        power=HostPower.ON if state is Health.READY else HostPower.UNKNOWN,
        closed=closed(node),
        instances=left("pods", 1) if "pods" in node.allocatable else None,
    )
