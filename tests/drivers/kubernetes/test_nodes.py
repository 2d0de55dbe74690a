"""Nodes as hosts: what is left for us, their health, who closed them; and quantities."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import pytest

from drivers.base import Health
from drivers.kubernetes import nodes, records
from drivers.kubernetes.options import Options
from drivers.kubernetes.quantity import quantity, requests_of
from drivers.kubernetes.records import Node


def node(name: str = "node-1", ready: str = "True", taints: tuple[tuple[str, str], ...] = (), **changes: Any) -> Node:
    raw = {
        "metadata": {
            "name": name,
            "uid": name,
            "resourceVersion": "5",
            "labels": {"kubernetes.io/arch": "amd64", "kubernetes.io/os": "linux"},
        },
        "spec": {"taints": [{"key": key, "effect": effect} for key, effect in taints], **changes.pop("spec", {})},
        "status": {
            "allocatable": {
                "cpu": "3920m",
                "memory": "8040404Ki",
                "ephemeral-storage": "95491281146",
                "nvidia.com/gpu": "4",
                "pods": "110",
            },
            "conditions": [{"type": "MemoryPressure", "status": "False"}, {"type": "Ready", "status": ready, "message": "kubelet says"}],
            "nodeInfo": {"systemUUID": f"UUID-{name}", "machineID": "same"},
        },
    }
    raw["metadata"]["labels"] |= changes.pop("labels", {})
    raw["status"]["nodeInfo"] |= changes.pop("info", {})
    return records.node(raw, "")


def only(*given: Node, taken: nodes.Taken | None = None) -> Any:
    found = nodes.inventory(given, taken or {}, Options())
    assert found.complete
    return found.hosts[0] if len(found.hosts) == 1 else found.hosts


def test_a_node_has_what_it_can_give_less_what_others_request() -> None:
    host = only(node())
    assert (host.vcpus, host.memory_mib, host.disk_gib, host.gpus, host.arch) == (3, 7851, 88, 4, "x86_64")
    taken = {"node-1": {"cpu": Decimal("1.93"), "memory": Decimal(1 << 30), "nvidia.com/gpu": Decimal(1)}, "node-2": {"cpu": Decimal(9)}}
    host = only(node(), taken=taken)
    assert (host.vcpus, host.memory_mib, host.disk_gib, host.gpus) == (1, 6827, 88, 3)
    assert only(node(), taken={"node-1": {"cpu": Decimal(50)}}).vcpus == 0


def test_a_node_takes_so_many_pods_and_others_are_among_them() -> None:
    assert only(node()).instances == 110
    assert only(node(), taken={"node-1": {"pods": Decimal(12)}}).instances == 98


UUID = "4c4c4544-0033-4710-8032-c7c04f475931"
OUT = ("node.kubernetes.io/out-of-service", "NoExecute")


@pytest.mark.parametrize(
    ("ready", "taints", "health"),
    [
        ("True", (), Health.READY),
        ("False", (), Health.SILENT),
        ("Unknown", (("node.kubernetes.io/unreachable", "NoExecute"),), Health.SILENT),
        ("Unknown", (OUT,), Health.FENCED),
        ("False", (OUT,), Health.FENCED),
        ("True", (OUT,), Health.READY),
    ],
)
def test_a_node_is_fenced_only_while_it_is_away_and_its_people_say_so(ready: str, taints: Any, health: Health) -> None:
    assert nodes.health(node(ready=ready, taints=taints)) is health
    assert nodes.health(None) is Health.FENCED


@pytest.mark.parametrize(
    ("change", "code"),
    [
        ({}, None),
        ({"spec": {"unschedulable": True}, "taints": (("node.kubernetes.io/unschedulable", "NoSchedule"),)}, "node_cordoned"),
        ({"taints": (("node.kubernetes.io/unreachable", "NoSchedule"),)}, None),
        ({"taints": (("team", "NoSchedule"),)}, "node_tainted"),
        ({"taints": (("team", "NoExecute"),)}, "node_tainted"),
        ({"taints": (("team", "PreferNoSchedule"),)}, None),
        ({"taints": (OUT,)}, "node_tainted"),
    ],
)
def test_a_node_that_its_people_closed_says_so(change: dict[str, Any], code: str | None) -> None:
    closed = only(node(**change)).closed
    assert (closed and closed.code) == code


def test_a_machine_that_two_nodes_claim_is_nobodys() -> None:
    one, two = only(node("a", info={"systemUUID": UUID.upper()}), node("b", info={"systemUUID": UUID}))
    assert (one.machine, two.machine) == ("", "")
    one, two = only(node("a", info={"machineID": ""}), node("b", info={"machineID": ""}))
    assert (one.machine, two.machine) == ("", "")


@pytest.mark.parametrize(
    ("said", "machine"),
    [
        (UUID, UUID),
        (UUID.upper(), UUID),
        (UUID.replace("-", ""), UUID),
        ("", "same"),
        ("Not Specified", "same"),
        ("03000200-0400-0500-0006-000700080009", "same"),
        ("00000000-0000-0000-0000-000000000000", "same"),
    ],
    ids=["as it is", "in capitals", "of a guest without firmware", "none", "no uuid", "what boards ship with", "zeros"],
)
def test_a_node_is_the_machine_whose_uuid_its_kubelet_reads_from_the_firmware(said: str, machine: str) -> None:
    assert only(node(info={"systemUUID": said})).machine == machine


def test_zone_and_architecture_are_read_from_labels_and_other_systems_are_no_hosts() -> None:
    host = only(node(labels={"topology.kubernetes.io/zone": "wuhan-1", "kubernetes.io/arch": "arm64"}))
    assert (host.zone, host.arch) == ("wuhan-1", "aarch64")
    assert nodes.inventory([node(info={"operatingSystem": "windows"})], {}, Options()).hosts == ()
    assert only(node(labels={"kubernetes.io/os": "windows"})).name == "node-1"


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1", "1"),
        ("100m", "0.1"),
        ("1.5", "1.5"),
        ("64Mi", "67108864"),
        ("2k", "2000"),
        ("1e3", "1000"),
        ("3E", "3e18"),
        ("1Ei", str(1 << 60)),
        ("5n", "5e-9"),
        (7, "7"),
    ],
)
def test_quantities_are_exact(text: str | int, value: str) -> None:
    assert quantity(text) == Decimal(value)


@pytest.mark.parametrize("text", ["", "Mi", "1Q", "ten", "1 Mi"])
def test_what_is_no_quantity_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match="quantity"):
        quantity(text)


def asks(cpu: str, **more: Any) -> dict[str, Any]:
    return {"resources": {"requests": {"cpu": cpu}}, **more}


@pytest.mark.parametrize(
    ("spec", "cpu"),
    [
        ({"containers": [asks("1"), asks("2")]}, "3"),
        ({"containers": [asks("1")], "initContainers": [asks("5"), asks("3")]}, "5"),
        ({"containers": [asks("4")], "initContainers": [asks("3")]}, "4"),
        ({"containers": [asks("1")], "initContainers": [asks("2", restartPolicy="Always"), asks("3")]}, "5"),
        ({"containers": [asks("4")], "initContainers": [asks("2", restartPolicy="Always"), asks("3")]}, "6"),
        ({"containers": [asks("1")], "overhead": {"cpu": "250m"}}, "1.25"),
        ({"containers": [asks("1")], **asks("7")}, "7"),
        ({"containers": [{"resources": {"limits": {"cpu": "2"}}}]}, "2"),
    ],
    ids=["sum", "largest start", "running more", "beside a start", "beside all", "overhead", "as a whole", "limits alone"],
)
def test_a_pod_takes_what_kubernetes_counts_for_it(spec: dict[str, Any], cpu: str) -> None:
    assert requests_of(spec)["cpu"] == Decimal(cpu)
