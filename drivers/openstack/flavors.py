"""Which flavor a spec needs: pure. Found by content; where there is none, made and named by us, if we may.

A flavor keeps a server on its host by a capability that nova's scheduler compares by default (ComputeCapabilitiesFilter): the API has
no host for a resize. It is used for resizing alone: a server that is made names its host, and its flavor is everybody's.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, Final

from drivers.openstack.names import flavor_name
from drivers.openstack.records import Size

Json = dict[str, Any]
ON_HOST: Final = "capabilities:hypervisor_hostname"


def found(flavors: Iterable[Mapping[str, Any]], size: Size, host: str = "") -> str:
    """The id of the flavor that gives just this; empty where there is none. The same one each time: ours first, then the first by name.

    `flavors`: GET /flavors/detail from microversion 2.61 on, with their extra specs.
    """
    extra = {ON_HOST: f"s== {host}"} if host else {}
    fitting = [one for one in flavors if _gives(one, size) and (one.get("extra_specs") or {}) == extra]
    ours = flavor_name(size.vcpus, size.memory_mib, size.disk_gib, host)
    if not host:  # one for a host bears its capability only a moment after it was made
        fitting = [one for one in fitting if not str(one.get("name")).startswith(f"{ours}-")]
    fitting.sort(key=lambda one: (one.get("name") != ours, str(one.get("name")), str(one.get("id"))))
    return str(fitting[0]["id"]) if fitting else ""


def _gives(flavor: Mapping[str, Any], size: Size) -> bool:
    other = (flavor.get("OS-FLV-EXT-DATA:ephemeral") or 0, flavor.get("swap") or 0)
    usable = not flavor.get("OS-FLV-DISABLED:disabled")
    return (
        usable
        and other == (0, 0)
        and (flavor.get("vcpus"), flavor.get("ram"), flavor.get("disk")) == (size.vcpus, size.memory_mib, size.disk_gib)
    )


def making(size: Size, host: str = "") -> Json:
    """The body of POST /flavors. Private: the project that needs it is let in."""
    name = flavor_name(size.vcpus, size.memory_mib, size.disk_gib, host)
    return {
        "flavor": {
            "name": name,
            "id": name,
            "vcpus": size.vcpus,
            "ram": size.memory_mib,
            "disk": size.disk_gib,
            "os-flavor-access:is_public": not host,
        }
    }


def specifics(host: str) -> Json:
    """The body of POST /flavors/ID/os-extra_specs."""
    return {"extra_specs": {ON_HOST: f"s== {host}"}}
