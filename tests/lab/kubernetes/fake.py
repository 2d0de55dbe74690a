"""Nodes that kwok simulates, for scale: they say that they run what is put on them, and nothing runs."""

from __future__ import annotations

from typing import Any

from tests.lab.kubernetes.api import Api


def add(api: Api, count: int, *, first: int = 1, vcpus: int = 32, memory_gib: int = 128, zones: int = 3) -> list[str]:
    """Make that many; their names. They are ready a moment later."""
    made = [_node(number, vcpus, memory_gib, zones) for number in range(first, first + count)]
    with api.session() as ask:
        for node in made:
            ask("POST /api/v1/nodes", node)
    return [node["metadata"]["name"] for node in made]


def remove(api: Api, names: list[str]) -> None:
    with api.session() as ask:
        for name in names:
            ask(f"DELETE /api/v1/nodes/{name}")


def _node(number: int, vcpus: int, memory_gib: int, zones: int) -> dict[str, Any]:
    name = f"fake-{number:05}"
    labels = {
        "kubernetes.io/hostname": name,
        "kubernetes.io/os": "linux",
        "kubernetes.io/arch": "amd64",
        "topology.kubernetes.io/zone": f"zone-{number % zones}",
    }
    room = {"cpu": str(vcpus), "memory": f"{memory_gib}Gi", "ephemeral-storage": "1000Gi", "pods": "250"}
    return {
        "metadata": {"name": name, "labels": labels, "annotations": {"kwok.x-k8s.io/node": "fake"}},
        "status": {"capacity": room, "allocatable": room},
    }
