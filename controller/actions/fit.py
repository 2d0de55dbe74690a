"""Whether a flavor and an image go together: what can be said without looking at any host."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

from controller import errors

Row = Mapping[str, Any]
GIB = 1 << 30


def unknown_image(row: Row) -> dict[str, Any]:
    """Stands where the row of an image stands for what was adopted: of whatever it booted from, it fits into what there is."""
    return {
        "id": None,
        "name": "-",
        "arch": row["arch"],
        "state": "ready",
        "virtual_size_bytes": 0,
        "min_disk_gib": 0,
        "min_memory_mib": 0,
    }


def check_fit(number: int, kind: str, flavor: Row, image: Row) -> None:
    """Raises InvalidRequest where they don't."""
    names = {"item": number + 1, "flavor": flavor["name"], "image": image["name"]}
    if flavor["kind"] != kind:
        raise errors.InvalidRequest("flavor_kind", kind=flavor["kind"], **names)
    if image["state"] != "ready":
        raise errors.InvalidRequest("image_not_ready", state=image["state"], **names)
    if flavor["arch"] and flavor["arch"] != image["arch"]:
        raise errors.InvalidRequest("arch_differs", image_arch=image["arch"], flavor_arch=flavor["arch"], **names)
    disk = max(image["min_disk_gib"], math.ceil(image["virtual_size_bytes"] / GIB))
    if flavor["disk_gib"] < disk:
        raise errors.InvalidRequest("flavor_disk_small", need=disk, have=flavor["disk_gib"], **names)
    if flavor["memory_mib"] < image["min_memory_mib"]:
        raise errors.InvalidRequest("flavor_memory_small", need=image["min_memory_mib"], have=flavor["memory_mib"], **names)
