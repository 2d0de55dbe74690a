"""The cloud that is measured, set up through the API as an operator would: a bounded root project, departments with a member each, a catalogue, a fleet."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from bench.wire import Wire

ROOT = "hubei"
FLAVOR, IMAGE = "small", "bench"
_IMAGE_BYTES = 1 << 20
_PLENTY = 10**9


@dataclass(frozen=True, slots=True)
class Department:
    """A project and the token of its member."""

    path: str
    token: str


async def set_up(
    wire: Wire, admin: str, departments: int, endpoint: tuple[str, str], content: bytes, image_format: str
) -> Sequence[Department]:
    """Make all of it; `endpoint` is a driver and a URI. Everybody below the root is bounded by the root's limits, so every create counts there."""
    size = {"vcpus": 1, "memory_mib": 128, "disk_gib": 1}
    await wire.call("POST", "/v1/flavors", admin, {"name": FLAVOR, **size})
    await wire.call("POST", "/v1/images", admin, {"name": IMAGE, "arch": "x86_64", "format": image_format})
    await wire.call("PUT", f"/v1/images/{IMAGE}/content", admin, content)
    await wire.call("POST", "/v1/pools", admin, {"name": "general", "zone": "wuhan-a"})
    driver, uri = endpoint
    await wire.call("POST", "/v1/endpoints", admin, {"name": "bench", "driver": driver, "uri": uri, "pool": "general"})
    bounds = {"instances": 10, "vcpus": 100, "memory_mib": 100_000, "disk_gib": 1000}
    await wire.call("PATCH", f"/v1/projects/{ROOT}", admin, {"policy": {"auto_approve": bounds}})
    await _limit(wire, admin, ROOT)
    return [await _department(wire, admin, number) for number in range(departments)]


def blank() -> tuple[bytes, str]:
    """Content and format of an image that nothing boots from."""
    return bytes(_IMAGE_BYTES), "raw"


async def _limit(wire: Wire, admin: str, path: str) -> None:
    limits = [{"resource": resource, "amount": _PLENTY} for resource in ("instances", "vcpus", "memory_mib", "disk_gib")]
    await wire.call("PUT", f"/v1/projects/{path}/limits", admin, {"limits": limits})


async def _department(wire: Wire, admin: str, number: int) -> Department:
    name, user = f"dept-{number + 1}", f"member-{number + 1}"
    path = f"{ROOT}/{name}"
    await wire.call("POST", "/v1/projects", admin, {"name": name, "parent": ROOT})
    await _limit(wire, admin, path)
    await wire.call("POST", "/v1/users", admin, {"name": user})
    await wire.call("PUT", f"/v1/projects/{path}/roles", admin, {"user": user, "role": "member"})
    made = await wire.call("POST", f"/v1/users/{user}/tokens", admin, {"name": "bench"})
    return Department(path, made["token"])
