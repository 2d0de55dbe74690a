"""The cloud that is measured, set up through the API as an operator would.

Enters: a controller's address and an endpoint. Leaves: a root project with limits of its own, departments below it with a member each, a
catalogue and a fleet. Every create counts against the root, which is the hard case: all of them want the same row.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from bench.wire import Wire

ROOT = "hubei"
ENDPOINT = "bench"
FLAVOR, IMAGE = "small", "bench"
_IMAGE_BYTES = 1 << 20
_PLENTY = 10**9


@dataclass(frozen=True, slots=True)
class Department:
    """A project and the token of its member."""

    path: str
    token: str


@dataclass(frozen=True, slots=True)
class Fleet:
    """What to enrol: one endpoint, and an image for what it runs."""

    driver: str
    uri: str
    image: bytes
    image_format: str
    options: Mapping[str, str] = field(default_factory=dict)


async def set_up(wire: Wire, admin: str, departments: int, fleet: Fleet) -> Sequence[Department]:
    """Make all of it; `admin` is the token of the root's administrator."""
    size = {"vcpus": 1, "memory_mib": 128, "disk_gib": 1}
    await wire.call("POST", "/v1/flavors", admin, {"name": FLAVOR, **size})
    await wire.call("POST", "/v1/images", admin, {"name": IMAGE, "arch": "x86_64", "format": fleet.image_format})
    await wire.call("PUT", f"/v1/images/{IMAGE}/content", admin, fleet.image)
    await wire.call("POST", "/v1/pools", admin, {"name": "general", "zone": "wuhan-a"})
    endpoint = {"name": ENDPOINT, "driver": fleet.driver, "uri": fleet.uri, "pool": "general", "options": dict(fleet.options)}
    await wire.call("POST", "/v1/endpoints", admin, endpoint)
    await open_up(wire, admin, {"instances": 10, "vcpus": 100, "memory_mib": 100_000, "disk_gib": 1000})
    return [await _department(wire, admin, number) for number in range(departments)]


def fake(hosts: int) -> Fleet:
    """A fleet of fake hosts in the controller's own process, and an image that nothing boots from."""
    return Fleet("fake", f"fake:{ENDPOINT}?hosts={hosts}&verify=0", bytes(_IMAGE_BYTES), "raw")


async def open_up(wire: Wire, admin: str, bounds: Mapping[str, int]) -> None:
    """Approve the root's requests at once, within bounds, and limit it to more than anybody will ask for."""
    await wire.call("PATCH", f"/v1/projects/{ROOT}", admin, {"policy": {"auto_approve": dict(bounds)}})
    await _limit(wire, admin, ROOT)


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
