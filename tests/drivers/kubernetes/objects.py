"""Objects for tests of the pure parts: a spec, and its pod as the API server would give it back."""

from __future__ import annotations

from typing import Any

from drivers.base import InstanceSpec, Power
from drivers.container import Container
from drivers.kubernetes import pod as making
from drivers.kubernetes.options import Options

OWNER = "kubernetes-tests"
INSTANCE = "0190a000-0000-7000-8000-00000000000a"


def spec_of(**fields: Any) -> InstanceSpec:
    """A small running container, with fields overridden."""
    given: dict[str, Any] = {
        "instance_id": INSTANCE,
        "project_id": "bureau-of-tests",
        "name": "web-1",
        "kind": "container",
        "host": "node-1",
        "vcpus": 1,
        "memory_mib": 64,
        "disk_gib": 2,
        "gpus": 0,
        "arch": "x86_64",
        "image": None,
        "power": Power.RUNNING,
        "generation": 1,
        "container": Container("registry.lan/web:1"),
    }
    return InstanceSpec(**{**given, **fields})


def served(spec: InstanceSpec, status: dict[str, Any] | None = None, **metadata: Any) -> dict[str, Any]:
    """The pod of a spec as the API server would give it back."""
    raw = making.pod(spec, making.Setting(OWNER, Options()))
    raw["metadata"] |= {"uid": "uid-1", "resourceVersion": "7", "creationTimestamp": "2026-01-01T11:00:00Z", **metadata}
    raw["status"] = status or {"phase": "Pending"}
    return raw
