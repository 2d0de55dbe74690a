"""GPUs that a driver publishes by Dynamic Resource Allocation (`resource.k8s.io/v1`): slim records, and which of
them a class chooses. Pure.

A ResourceSlice lists devices of one pool on one node; only those of the pool's newest generation count. A DeviceClass chooses among them by
CEL expressions; a ResourceClaim asks for so many of a class, and the cluster's own scheduler writes into its status which they are. Of CEL
is understood what classes of GPUs say: comparisons of driver and attributes for equality, joined by `&&`. Rejected: an interpreter for the
whole language, for the sake of classes that can be given a plain sister.

Sources: k8s.io/api/resource/v1; for what counts against a quota, k8s.io/kubernetes/pkg/quota/v1/evaluator/core/resource_claims.go.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from sys import intern
from typing import Any, Final

from drivers.kubernetes.names import Mark, mark_of

Raw = Mapping[str, Any]
Value = str | int | bool
Place = tuple[str, str, str]
"""A device: driver, pool, name."""
ROOT: Final = "/apis/resource.k8s.io/v1"
MODELS: Final = ("productName", "model")
"""Attributes of its driver by which a device says its model; the first that is there."""
_KEPT_OUT: Final = ("NoSchedule", "NoExecute")
_DRIVER: Final = "device.driver"


@dataclass(frozen=True, slots=True)
class Device:
    """One that can be given out. `attributes` by whole name, the driver's own under its domain."""

    name: str
    node: str
    attributes: Mapping[str, Value]


@dataclass(frozen=True, slots=True)
class Slice:
    """Some devices of a pool."""

    uid: str
    version: int
    driver: str
    pool: str
    generation: int
    devices: tuple[Device, ...]


@dataclass(frozen=True, slots=True)
class DeviceClass:
    """Which devices it chooses: those with all of `wants` (whole names, and `device.driver`); None where what it says isn't understood."""

    uid: str
    version: int
    name: str
    wants: tuple[tuple[str, Value], ...] | None
    said: str


@dataclass(frozen=True, slots=True)
class DeviceClaim:
    """A claim of anybody's; ours if it bears a whole mark of this owner. `devices`: those that it has been given."""

    uid: str
    version: int
    namespace: str
    name: str
    mark: Mark | None
    deleting: bool
    devices: tuple[Place, ...]


# -- records -----------------------------------------------------------------------------------------------------------------------------


def slice_(raw: Raw, _owner: str) -> Slice:
    """The record of a ResourceSlice. What reaches several nodes, or is tainted (broken, or kept for others), is left out."""
    metadata, spec = raw["metadata"], raw["spec"]
    driver, node = intern(spec["driver"]), intern(spec.get("nodeName") or "")
    found = (_device(one, driver, node) for one in spec.get("devices") or () if not _kept_out(one))
    return Slice(
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        driver=driver,
        pool=intern(spec["pool"]["name"]),
        generation=spec["pool"].get("generation") or 0,
        devices=tuple(one for one in found if one.node),
    )


def _kept_out(raw: Raw) -> bool:
    return any(taint.get("effect") in _KEPT_OUT for taint in raw.get("taints") or ())


def _device(raw: Raw, driver: str, node: str) -> Device:
    attributes: dict[str, Value] = {}
    for name, holder in (raw.get("attributes") or {}).items():
        value = next((holder[kind] for kind in ("string", "int", "bool") if kind in holder), None)
        if value is not None:
            attributes[intern(name if "/" in name else f"{driver}/{name}")] = intern(value) if isinstance(value, str) else value
    return Device(intern(raw["name"]), node or intern(raw.get("nodeName") or ""), attributes)


def device_class(raw: Raw, _owner: str) -> DeviceClass:
    """The record of a DeviceClass."""
    metadata = raw["metadata"]
    said = [(one.get("cel") or {}).get("expression", "") for one in (raw.get("spec") or {}).get("selectors") or ()]
    read = [understood(one) for one in said]
    wants = None if None in read else tuple(term for terms in read for term in terms or ())
    return DeviceClass(metadata["uid"], int(metadata["resourceVersion"]), metadata["name"], wants, " && ".join(said)[:300])


def device_claim(raw: Raw, owner: str) -> DeviceClaim:
    """The record of a ResourceClaim."""
    metadata = raw["metadata"]
    mark = mark_of(metadata)
    results = (((raw.get("status") or {}).get("allocation") or {}).get("devices") or {}).get("results") or ()
    return DeviceClaim(
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        namespace=intern(metadata["namespace"]),
        name=metadata["name"],
        mark=mark if mark is not None and mark.owner == owner else None,
        deleting="deletionTimestamp" in metadata,
        devices=tuple((intern(one["driver"]), intern(one["pool"]), intern(one["device"])) for one in results if not one.get("adminAccess")),
    )


# -- choosing ----------------------------------------------------------------------------------------------------------------------------

_TEXT: Final = r"""(?:'[^'"\\]*'|"[^'"\\]*")"""
_TERM: Final = re.compile(
    rf"\s*(?:{re.escape(_DRIVER)}|device\.attributes\[\s*({_TEXT})\s*\]\.([A-Za-z_]\w*))\s*==\s*({_TEXT}|-?\d+|true|false)\s*", re.ASCII
)


def understood(expression: str) -> tuple[tuple[str, Value], ...] | None:
    """What has to be equal to what for a CEL expression to hold; None for one that says anything else."""
    found: list[tuple[str, Value]] = []
    for part in expression.split("&&"):
        term = _TERM.fullmatch(part)
        if term is None:
            return None
        found.append((f"{term[1][1:-1]}/{term[2]}" if term[1] else _DRIVER, _value(term[3])))
    return tuple(found)


def _value(literal: str) -> Value:
    if literal[0] in "'\"":
        return literal[1:-1]
    return literal == "true" if literal in ("true", "false") else int(literal)


def chosen(device: Device, driver: str, wants: Iterable[tuple[str, Value]]) -> bool:
    """Whether a class that wants this chooses the device."""
    seen = {**device.attributes, _DRIVER: driver}
    return all(name in seen and type(seen[name]) is type(value) and seen[name] == value for name, value in wants)


def model_of(device: Device, driver: str) -> str:
    """What it is called, as a label; empty where it doesn't say."""
    said = (device.attributes.get(f"{driver}/{name}") for name in MODELS)
    first = next((one for one in said if isinstance(one, str)), "")
    return re.sub(r"[^a-z0-9]+", "-", first.lower()).strip("-")[:64]


@dataclass(slots=True)
class Counted:
    """The devices of one node: how many are not others', and the one model of all, or none."""

    free: int
    model: str


def counted(slices: Iterable[Slice], wants: Iterable[tuple[str, Value]], taken: set[Place]) -> dict[str, Counted]:
    """By node, what a class that wants this chooses there, less what is `taken`."""
    rows, wants = list(slices), tuple(wants)
    newest: dict[tuple[str, str], int] = {}
    for row in rows:
        newest[row.driver, row.pool] = max(row.generation, newest.get((row.driver, row.pool), 0))
    found: dict[str, Counted] = {}
    for row in rows:
        for device in row.devices if row.generation == newest[row.driver, row.pool] else ():
            if not chosen(device, row.driver, wants):
                continue
            model = model_of(device, row.driver)
            one = found.setdefault(device.node, Counted(0, model))
            one.model = model if one.model == model else ""
            one.free += (row.driver, row.pool, device.name) not in taken
    return found


# -- where and what --------------------------------------------------------------------------------------------------------------------


def path(namespace: str, name: str = "") -> str:
    """Where a namespace's claims are, or one of them."""
    return f"{ROOT}/namespaces/{namespace}/resourceclaims{'/' if name else ''}{name}"


def quota_name(class_: str) -> str:
    """What a quota calls the devices of a class that claims ask for."""
    return f"{class_}.deviceclass.resource.k8s.io/devices"
