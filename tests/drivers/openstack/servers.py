"""Servers and specs as the tests of the pure parts want them."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from drivers.base import Image, InstanceSpec, Power
from drivers.openstack.deciding import wanted_size
from drivers.openstack.records import RUNNING, SHUTDOWN, Server
from drivers.openstack.server import first_mark

OWNER = "cloud-1"
ID = "11111111-2222-4333-8444-555555555555"
IMAGE = Image("image-1", "/nowhere", "qcow2", 1000, 1 << 20, "ab" * 32, "cd" * 32)
STATES = {  # by status: vm_state and power_state
    "ACTIVE": ("active", RUNNING),
    "SHUTOFF": ("stopped", SHUTDOWN),
    "BUILD": ("building", 0),
    "ERROR": ("error", 0),
    "PAUSED": ("paused", 3),
    "SUSPENDED": ("suspended", 4),
    "RESCUE": ("rescued", RUNNING),
    "SHELVED": ("shelved", 4),
    "SHELVED_OFFLOADED": ("shelved_offloaded", 4),
    "SOFT_DELETED": ("soft-delete", 4),
    "VERIFY_RESIZE": ("resized", RUNNING),
    "REBUILD": ("active", RUNNING),
    "REBOOT": ("active", RUNNING),
    "HARD_REBOOT": ("active", RUNNING),
    "RESIZE": ("active", RUNNING),
    "REVERT_RESIZE": ("resized", RUNNING),
    "MIGRATING": ("active", RUNNING),
    "PASSWORD": ("active", RUNNING),
    "UNKNOWN": ("", 0),
    "DELETED": ("deleted", 0),
}


def spec_of(**fields: Any) -> InstanceSpec:
    given: dict[str, Any] = {
        "instance_id": ID,
        "project_id": "p1",
        "name": "web",
        "kind": "vm",
        "host": "c1",
        "vcpus": 2,
        "memory_mib": 4096,
        "disk_gib": 20,
        "gpus": 0,
        "arch": "x86_64",
        "image": IMAGE,
        "power": Power.RUNNING,
        "generation": 1,
    }
    return InstanceSpec(**{**given, **fields})


def made(spec: InstanceSpec, status: str = "ACTIVE", **fields: Any) -> Server:
    """A server that was made for a spec and has come as far as that status. `marked`: changes of its mark."""
    vm_state, power = STATES[status]
    mark = replace(first_mark(spec, OWNER), **fields.pop("marked", {}))
    given: dict[str, Any] = {
        "id": "s1",
        "name": spec.name,
        "status": status,
        "vm_state": vm_state,
        "task": "",
        "power": power,
        "created": "2026-01-01T00:00:00Z",
        "updated": "2026-01-01T00:01:00Z",
        "size": wanted_size(spec),
        "mark": mark,
        "node": spec.host,
        "service": spec.host,
        "host_status": "UP",
        "launched": status not in ("BUILD", "ERROR"),
    }
    return Server(**{**given, **fields})
