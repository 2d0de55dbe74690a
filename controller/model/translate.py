"""The only translator between the controller's rows and the leaves' own words (`scheduler`, `drivers`, `quotas`).

Each leaf owns its small types, so that it stands alone; what one calls a thing and what the other does meet here.
"""

from __future__ import annotations

from collections.abc import Container, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from controller.model import container, devices
from controller.model.lifecycle import Goal
from controller.model.request import RANKS, SpreadRule
from drivers.base import Health, HostInventory, Image, InstanceSpec, Power, Reason
from drivers.container import Tenant
from scheduler import types as scheduler
from scheduler.plans.types import Resident

_STATES = {Health.READY: "up", Health.SILENT: "unreachable", Health.FENCED: "fenced"}


def host(row: Mapping[str, Any]) -> scheduler.Host:
    """A host's row, for the scheduler. A retired or silent host is not `up`; one that is off is silent for a reason that is known."""
    licences, size = frozenset(row["licences"]), devices.resources(row)
    metal = devices.whole(row["kinds"])
    return scheduler.Host(
        id=row["id"],
        name=row["name"],
        pool=row["pool"],
        zone=row["zone"],
        site=row["site"],
        arch=row["arch"],
        traits=frozenset(row["traits"]) | licences | ({devices.exactly(row["vcpus"])} if metal else set()),
        kinds=frozenset(row["kinds"]),
        capacity=replace(size, gpus=len(row["devices"])),
        used=devices.resources(row, "used_"),
        cordoned=row["cordoned"] or row["closed"] is not None,
        up=row["state"] == "up" or (row["state"] == "unreachable" and row["power"] == "off"),
        generation=row["generation"],
        rack=row["rack"],
        level=row["level"],
        tenants=frozenset({row["dedicated_to"]} if row["dedicated_to"] else ()),
        on=metal or row["power"] != "off",  # who provisions a machine switches it on
        wakes=row["may_wake"],
        order=row["fill_order"],
        licences=licences,
        **devices.of_host(row),
    )


def host_record(
    found: HostInventory, overcommit: Mapping[str, float], reserved: Mapping[str, int], known: Mapping[str, Any] | None = None
) -> dict[str, Any]:
    """What a driver discovered of a host, for its row; `known`: the row so far."""
    inventory = {name: getattr(found, name) for name in devices.SIZES}
    if found.instances is not None:
        inventory["instances"] = found.instances
    parts = devices.found_on(found, known)
    given, mixed = parts.pop("given"), parts.pop("mixed")
    overcommit, reserved = devices.shared_out(found.kinds, overcommit, reserved)
    notes = (*found.notes, *((Reason("gpu_models_mixed", {"model": parts["gpu_model"]}),) if mixed else ()))
    return {
        **parts,
        "cells": devices.cells_of(parts["cells"], overcommit, reserved),
        "arch": found.arch,
        "kinds": sorted(found.kinds),
        "traits": sorted(found.traits),
        "notes": [reason(note) for note in notes],
        "machine": found.machine,
        "own_zone": found.zone,
        "closed": reason(found.closed),
        "power_seen": found.power.value,
        "inventory": inventory,
        **devices.capacity(inventory | {"gpus": given}, overcommit, reserved),
        "state": _STATES[found.health],
    }


def reason(of: Reason | None) -> dict[str, Any] | None:
    """A driver's reason, as it is kept."""
    return None if of is None else {"code": of.code, "params": dict(of.params)}


def spread(rule: SpreadRule | None, group: str) -> scheduler.Spread | None:
    """A spread rule among the members of a group, for the scheduler."""
    return None if rule is None else scheduler.Spread(group, rule.mode, rule.domain, rule.max_per_domain)


def spec(row: Mapping[str, Any], image_dir: Path, force: bool, secret: str) -> InstanceSpec:
    """An instance picked by the reconciler, for its driver; `secret`: its user data or, of a container, its secrets, opened."""
    cells, gpus = devices.bound(row)
    return InstanceSpec(
        instance_id=row["id"],
        project_id=row["project_id"],
        name=row["name"],
        kind=row["kind"],
        host=row["backend_name"],
        vcpus=row["vcpus"],
        memory_mib=row["memory_mib"],
        disk_gib=row["disk_gib"],
        gpus=row["gpus"],
        arch=row["arch"] or row["host_arch"],
        image=_image(row, image_dir) if row["image_id"] else None,
        power=Power.STOPPED if row["goal"] == Goal.STOPPED else Power.RUNNING,
        generation=row["generation"],
        build=row["build"],
        reboots=row["reboots"],
        force=force,
        built=row["built"] >= row["build"],
        user_data="" if row["container"] else secret,
        ssh_keys=tuple(row["ssh_keys"]),
        hypervisor=row["hypervisor"] or "",
        adopted=row["adopted"] or "",
        container=container.opened(row["container"], secret) if row["container"] else None,
        overcommit=row["overcommit"],
        cpu_baseline=row["cpu_baseline"],
        cells=cells,
        devices=gpus,
    )


def _image(row: Mapping[str, Any], image_dir: Path) -> Image:
    return Image(
        id=row["image_id"],
        path=str(image_dir / row["image_id"]),
        format=row["image_format"],
        size_bytes=row["image_size"],
        virtual_size_bytes=row["image_virtual_size"],
        sha256=row["image_sha256"],
        sm3=row["image_sm3"],
    )


def tenant(row: Mapping[str, Any], services: Iterable[Mapping[str, Any]]) -> Tenant:
    """A project's share of an endpoint, for a driver."""
    return Tenant(
        project_id=row["project_id"],
        project=row["path"],
        instances=int(row["instances"]),
        **{name: int(row[name]) for name in devices.SIZES},
        services=container.fronts(services),
    )


def resident(row: Mapping[str, Any], pools: Mapping[str, str], level: int, dedicated: Container[str]) -> Resident:
    """An allocation with what was asked for, for plans. `pools`: names by what requests call them; `dedicated`: projects with hosts."""
    rule = SpreadRule(**row["spread"]) if row["spread"] else None
    bare, place = devices.holder(row)
    item = replace(
        bare,
        arch=row["arch"] or None,
        traits=devices.traits(bare.kind, row),
        pools=(pools[row["pool"]],) if row["pool"] in pools else (),
        zones=(row["zone"],) if row["zone"] else (),
        sites=(row["site"],) if row["site"] else (),
        spread=spread(rule, row["spread_group"]) if row["spread_group"] else None,
        level=level,
        tenants=tuple(id_ for id_ in row["ancestors"] if id_ in dedicated),
        baseline=row["cpu_baseline"],
        gpu_models=(row["gpu_model"],) if row["gpu_model"] else (),
    )
    return Resident(row["id"], row["host_id"], item, rank=RANKS[row["priority"]], preemptible=row["preemptible"]).at(place)
