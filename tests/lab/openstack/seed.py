"""What a new region has for tests to ask for: flavors, an image, a network. And when its hypervisors are of use."""

from __future__ import annotations

import time
from collections.abc import Mapping
from contextlib import suppress

from tests.lab.openstack.api import Api, Refused
from tests.lab.openstack.settings import FLAVORS, IMAGE, NETWORK

READY_S = 60.0


def fill(admin: Api) -> None:
    for name, (vcpus, memory_mb, disk_gb) in FLAVORS.items():
        admin.ask("nova-api", "POST /flavors", {"flavor": {"name": name, "vcpus": vcpus, "ram": memory_mb, "disk": disk_gb}})
    upload(admin, IMAGE, bytes(1 << 20), "raw")
    network = admin.ask("neutron", "POST /v2.0/networks", {"network": {"name": NETWORK, "shared": True}})["network"]["id"]
    subnet = {"network_id": network, "name": NETWORK, "cidr": "10.32.0.0/16", "ip_version": 4, "enable_dhcp": False}
    admin.ask("neutron", "POST /v2.0/subnets", {"subnet": subnet})


def upload(admin: Api, name: str, content: bytes, disk_format: str) -> str:
    """A public image; its id."""
    asked = {"name": name, "disk_format": disk_format, "container_format": "bare", "visibility": "public"}
    image: str = admin.ask("glance", "POST /v2/images", asked)["id"]
    admin.ask("glance", f"PUT /v2/images/{image}/file", content)
    return image


def await_computes(admin: Api, wanted: Mapping[str, str]) -> None:
    """Until nova would place on each: it is up, mapped to the cell (only then a hypervisor) and known to placement.

    `wanted`: the names of the services with those of their hypervisors.
    """
    deadline = time.monotonic() + READY_S
    while (lacking := _lacking(admin, wanted)) and time.monotonic() < deadline:
        time.sleep(0.2)
    if lacking:
        raise TimeoutError(f"not ready after {READY_S:.0f} s: {lacking}")


def _lacking(admin: Api, wanted: Mapping[str, str]) -> dict[str, list[str]]:
    with suppress(OSError, Refused):
        services = admin.ask("nova-api", "GET /os-services?binary=nova-compute")["services"]
        hypervisors = admin.ask("nova-api", "GET /os-hypervisors")["hypervisors"]
        providers = admin.ask("placement", "GET /resource_providers")["resource_providers"]
        lacking = {
            "up": set(wanted) - {one["host"] for one in services if one["state"] == "up"},
            "hypervisors": set(wanted.values()) - {one["hypervisor_hostname"] for one in hypervisors},
            "providers": set(wanted.values()) - {one["name"] for one in providers},
        }
        return {what: sorted(names) for what, names in lacking.items() if names}
    return {"answers": sorted(wanted)}
