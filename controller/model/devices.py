"""Which GPUs and NUMA cells a host has, and an allocation holds: lists and arrays by place, as the ledger keeps them.

In: a driver's inventory, rows, the scheduler's placements. Out: columns of `hosts` and `allocations`, and the scheduler's words again.
Invariant: a device or cell keeps its place in its host's list for good, whatever is found there later, since allocations name it by that.
A host gives out GPUs of one model, the one that it has most of, as the scheduler knows one model for each host.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from controller import errors
from drivers.base import BASELINES, Cell, Gpu, GpuPart, HostInventory
from scheduler import types as scheduler

Row = Mapping[str, Any]
SIZES = ("vcpus", "memory_mib", "disk_gib", "gpus")
SHAPE = (*SIZES, "cpu_baseline", "numa_nodes", "gpu_model", "gpu_milli")
"""All that a flavor asks of a host in numbers and names; columns of flavors, instances and allocations alike."""
HELD = ("held_gpus", "held_cell_vcpus", "held_cell_memory_mib")
"""What an allocation holds of its host's devices (thousandths) and cells, by place."""
USED = ("used_devices", "used_cell_vcpus", "used_cell_memory_mib")
"""The same of a host, in the same order: the sums over its allocations."""
WHOLE = scheduler.WHOLE_GPU


# -- what is asked for -----------------------------------------------------------------------------------------------------------


def resources(row: Row, prefix: str = "") -> scheduler.Resources:
    """The size in a row, for the scheduler."""
    return scheduler.Resources(*(int(row[prefix + name]) for name in SIZES))


def wish(row: Row) -> dict[str, Any]:
    """What a flavor, or an allocation as it was asked for, asks of a host: fields of the scheduler's `Item`."""
    return {
        "resources": resources(row),
        "baseline": row["cpu_baseline"],
        "cells": row["numa_nodes"],
        "gpu_milli": row["gpu_milli"],
        "gpu_models": (row["gpu_model"],) if row["gpu_model"] and row["gpus"] else (),
    }


def gpus(row: Row) -> int | Decimal:
    """How many GPUs count in quota: exactly what is asked for of them."""
    return exact(Decimal(row["gpus"] * row["gpu_milli"]) / WHOLE)


def check(size: Row) -> None:
    """What can be said of a flavor without looking at any host. Raises InvalidRequest."""
    baseline, arch = size["cpu_baseline"], size["arch"]
    if baseline and not any(baseline in names for of, names in BASELINES.items() if arch in (None, of)):
        there = ", ".join(sorted(name for of, names in BASELINES.items() for name in names if arch in (None, of)))
        raise errors.InvalidRequest("unknown_baseline", baseline=baseline, arch=arch or "*", there=there or "-")
    if size["numa_nodes"] > size["vcpus"]:
        raise errors.InvalidRequest("numa_too_many", numa_nodes=size["numa_nodes"], vcpus=size["vcpus"])
    if size["gpus"] == 0 and (size["gpu_model"] or size["gpu_milli"] != WHOLE):
        raise errors.InvalidRequest("gpu_fields_alone")
    if size["gpu_milli"] != WHOLE and size["gpus"] != 1:
        raise errors.InvalidRequest("gpu_share_of_one", gpus=size["gpus"], gpu_milli=size["gpu_milli"])


def exact(amount: int | Decimal) -> int | Decimal:
    """An integer where it is one, else without idle zeros."""
    whole = int(amount)
    return whole if whole == amount else Decimal(amount).normalize()


# -- what is held ----------------------------------------------------------------------------------------------------------------


def places(vector: Sequence[int]) -> tuple[int, ...]:
    """Where something is held."""
    return tuple(number for number, amount in enumerate(vector) if amount)


def held(item: scheduler.Item, to: scheduler.Placement) -> dict[str, list[int]]:
    """What an allocation holds where it was placed."""
    size, cells = item.resources, max(len(to.cells), 1)
    amounts = (to.devices, item.gpu_milli), (to.cells, -(-size.vcpus // cells)), (to.cells, -(-size.memory_mib // cells))
    return {name: _vector(numbers, amount) for name, (numbers, amount) in zip(HELD, amounts, strict=True)}


def _vector(numbers: Sequence[int], amount: int) -> list[int]:
    return [amount if number in numbers else 0 for number in range(max(numbers) + 1)] if numbers else []


def plus(one: Sequence[int], other: Sequence[int]) -> list[int]:
    """The sum of two arrays by place."""
    return [
        (one[number] if number < len(one) else 0) + (other[number] if number < len(other) else 0)
        for number in range(max(len(one), len(other)))
    ]


def holder(row: Row) -> tuple[scheduler.Item, scheduler.Placement]:
    """What an allocation holds and where, as the scheduler would have placed it: a wish without rules.

    Where its parts are uneven (most of it was handed over to others) it is known to hold as much as the least of them, and no cells.
    """
    devices, cells = places(row["held_gpus"]), places(row["held_cell_vcpus"])
    size = resources(row)
    milli = min((row["held_gpus"][number] for number in devices), default=WHOLE)
    even = all(row["held_cell_vcpus"][number] == -(-size.vcpus // len(cells)) for number in cells)
    even = even and all(row["held_cell_memory_mib"][number] == -(-size.memory_mib // len(cells)) for number in cells)
    kept = scheduler.Resources(size.vcpus, size.memory_mib, size.disk_gib, len(devices))
    item = scheduler.Item(row["id"], row["kind"], kept, cells=row["numa_nodes"], gpu_milli=milli)
    return item, scheduler.Placement(row["id"], row["host_id"], 0, devices, cells if even else ())


def moved(row: Row, mine: Row, to: scheduler.Placement) -> dict[str, list[int]]:
    """What an allocation holds, whose devices and cells are among those of `mine`, once that one has been placed elsewhere."""
    found = {}
    for name, new in zip(HELD, (to.devices, to.cells, to.cells), strict=True):
        there = dict(zip(places(mine[name]), new, strict=False))
        amounts = {there[number]: row[name][number] for number in places(row[name])}
        found[name] = [amounts.get(number, 0) for number in range(max(amounts, default=-1) + 1)]
    return found


def fitted(row: Row, shape: Row) -> dict[str, list[int]]:
    """What an allocation holds once it is of another shape, no larger: the first of its devices and cells."""
    devices, cells = places(row["held_gpus"])[: shape["gpus"]], places(row["held_cell_vcpus"])[: shape["numa_nodes"]]
    item = scheduler.Item(row["id"], "", resources(shape), gpu_milli=shape["gpu_milli"])
    return held(item, scheduler.Placement(row["id"], "", 0, devices, cells))


def left_by(row: Row) -> tuple[tuple[tuple[int, int], ...], tuple[tuple[int, int, int], ...]]:
    """The devices and cells that somebody leaves, as the scheduler's `Slot` has them; none of one that is just changing its shape."""
    if not row["even"]:
        return (), ()
    vcpus, memory = row["held_cell_vcpus"], row["held_cell_memory_mib"]
    gone = tuple((number, row["held_gpus"][number]) for number in places(row["held_gpus"]))
    return gone, tuple((number, vcpus[number], memory[number]) for number in places(vcpus))


def bound(row: Row) -> tuple[tuple[Cell, ...], tuple[GpuPart, ...]]:
    """The cells and GPUs of an instance in its driver's words. `row`: its shape, what its allocation holds, and its host's lists."""
    cells = places(row["held_cell_vcpus"] or ())[: row["numa_nodes"]]
    devices = places(row["held_gpus"] or ())[: row["gpus"]]
    mine = (row["host_cells"][number] for number in cells)
    named = (row["host_devices"][number]["id"] for number in devices)
    return tuple(Cell(one["number"], tuple(one["cpus"]), one["memory_mib"]) for one in mine), tuple(
        GpuPart(id_, row["gpu_milli"]) for id_ in named
    )


def named(host: Row, to: scheduler.Placement) -> dict[str, Any]:
    """The GPUs and NUMA nodes of a placement as its host calls them. `host`: its row."""
    return {
        "gpus": [host["devices"][number]["id"] for number in to.devices],
        "numa_nodes": [host["cells"][number]["number"] for number in to.cells],
    }


# -- hosts -----------------------------------------------------------------------------------------------------------------------


def capacity(
    inventory: Row, overcommit: Mapping[str, float], reserved: Mapping[str, float], sizes: Sequence[str] = SIZES
) -> dict[str, int]:
    """What a host, or a part of it, can hold: (inventory − reserved for the host itself) × overcommit, never negative.

    Where a host takes only so many instances it promises no more vCPUs than that: each instance has at least one.
    """
    room = {name: max(0, math.floor((inventory[name] - reserved.get(name, 0)) * overcommit.get(name, 1.0))) for name in sizes}
    most = inventory.get("instances")
    return room if most is None else room | {"vcpus": min(room["vcpus"], most)}


def whole(kinds: Collection[str]) -> bool:
    """Whether a host is a bare machine, which is given out as a whole."""
    return set(kinds) == {"bare_metal"}


def shared_out(
    kinds: Collection[str], overcommit: Mapping[str, Any], reserved: Mapping[str, Any]
) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """A pool's overcommit and reserve, as they hold for a host: a bare machine is given out as it is."""
    return ({}, {}) if whole(kinds) else (overcommit, reserved)


def exactly(vcpus: int) -> str:
    """The trait of a bare machine with so many hardware threads."""
    return f"exactly {vcpus} vCPUs"


def traits(kind: str, flavor: Row) -> frozenset[str]:
    """The traits that a flavor asks for. One of bare metal means machines with exactly its vCPUs: so who has one has all of it, in the
    ledger as in his quota, and nobody is given a larger machine than he is charged for.
    """
    asked = frozenset(flavor["traits"] or ())
    return asked | {exactly(flavor["vcpus"])} if kind == "bare_metal" else asked


def cells_of(kept: Sequence[Row], overcommit: Mapping[str, float], reserved: Mapping[str, int]) -> list[dict[str, Any]]:
    """Cells with what each can hold; what the host reserves for itself is taken from all alike."""
    part = {name: amount / max(len(kept), 1) for name, amount in reserved.items()}
    sizes = ({"vcpus": len(cell["cpus"]), "memory_mib": cell["memory_mib"]} for cell in kept)
    return [
        {**cell, "capacity": capacity(size, overcommit, part, SIZES[:2]) if cell["there"] else {"vcpus": 0, "memory_mib": 0}}
        for cell, size in zip(kept, sizes, strict=True)
    ]


def found_on(found: HostInventory, known: Row | None) -> dict[str, Any]:
    """What a driver found of devices and cells, for the host's row; `known`: the row so far."""
    gpus = found.devices or tuple(Gpu(f"gpu-{number}") for number in range(found.gpus))
    devices = _merged(known["devices"] if known else [], "id", [{"id": one.id, "model": one.model, "shared": one.shared} for one in gpus])
    cells = [{"number": one.number, "cpus": list(one.cpus), "memory_mib": one.memory_mib} for one in found.cells]
    models = Counter(one.model for one in gpus)
    model = min(models, key=lambda name: (-models[name], name)) if models else ""
    return {
        "cpu_baselines": sorted(found.cpu_baselines),
        "devices": devices,
        "gpu_model": model,
        "cells": _merged(known["cells"] if known else [], "number", cells),
        "mixed": len(models) > 1,
        "given": models[model],
    }


def _merged(known: Sequence[Row], key: str, found: Sequence[Row]) -> list[dict[str, Any]]:
    """What was known, in its places, as it is found now; then what is new."""
    now = {one[key]: one for one in found}
    old = [{**one, **now.pop(one[key]), "there": True} if one[key] in now else {**one, "there": False} for one in known]
    return old + [{**one, "there": True} for one in now.values()]


def of_host(row: Row) -> dict[str, Any]:
    """Devices and cells of a host's row: fields of the scheduler's `Host`. What is not given out counts as taken."""
    given = [one["there"] and one["model"] == row["gpu_model"] for one in row["devices"]]
    used = [*row["used_devices"], *[0] * (len(given) - len(row["used_devices"]))]
    vcpus, memory = ([*row[name], *[0] * (len(row["cells"]) - len(row[name]))] for name in USED[1:])
    return {
        "baselines": frozenset(row["cpu_baselines"]),
        "cells": tuple(
            scheduler.Cell(cell["capacity"]["vcpus"], cell["capacity"]["memory_mib"], vcpus[number], memory[number])
            for number, cell in enumerate(row["cells"])
        ),
        "gpu_model": row["gpu_model"],
        "gpu_shares": tuple(amount if there else WHOLE for amount, there in zip(used, given, strict=True))
        if any(used) or not all(given)
        else (),
        "gpu_sharing": all(one["shared"] for one, there in zip(row["devices"], given, strict=True) if there),
    }


def overfull(row: Row) -> bool:
    """Whether more of a host's cells is in use than they can hold."""
    cells: Sequence[scheduler.Cell] = of_host(row)["cells"]
    return any(cell.used_vcpus > cell.vcpus or cell.used_memory_mib > cell.memory_mib for cell in cells)


# -- another shape where it is ---------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Growth:
    """What an allocation becomes while its instance changes its shape: large enough for both. `short`: rules that stand in its way."""

    shape: dict[str, Any]
    held: dict[str, list[int]]
    short: tuple[str, ...]


def grown(host: scheduler.Host, current: Row, size: Row) -> Growth:
    """An instance's allocation once it is to be of another size on its host. Devices and cells that it has it keeps.

    Other cells, or GPUs in other numbers and other parts at once, would be another place: `cells` and `gpus` are named as short.
    """
    item, at = holder(current)
    shares = list(host.gpu_shares or [WHOLE if n < host.used.gpus else 0 for n in range(host.capacity.gpus)])
    for number in at.devices:
        shares[number] -= item.gpu_milli
    rooms = [(cell.vcpus - cell.used_vcpus, cell.memory_mib - cell.used_memory_mib) for cell in host.cells]
    for number in at.cells:
        rooms[number] = (rooms[number][0] + current["held_cell_vcpus"][number], rooms[number][1] + current["held_cell_memory_mib"][number])
    both = dict(size) | {name: max(current[name], size[name]) for name in SIZES}
    both["numa_nodes"] = max(current["numa_nodes"], size["numa_nodes"])
    both["gpu_milli"] = max(current["gpu_milli"], size["gpu_milli"]) if current["gpus"] and size["gpus"] else _milli(current, size)
    devices, cells = _devices(shares, at.devices, current, both), _cells(rooms, at.cells, both)
    short = [
        name
        for name in SIZES[:3]
        if both[name] > current[name] and getattr(host.used, name) + both[name] - current[name] > getattr(host.capacity, name)
    ]
    short += ["gpus"] if devices is None else []
    short += ["cells"] if cells is None else []
    short += ["baseline"] if size["cpu_baseline"] and size["cpu_baseline"] not in host.baselines else []
    short += ["gpu_model"] if size["gpus"] and size["gpu_model"] and size["gpu_model"] != host.gpu_model else []
    short += ["gpu_share"] if size["gpus"] and size["gpu_milli"] < WHOLE and not host.gpu_sharing else []
    wanted = scheduler.Item(current["id"], "", resources(both), gpu_milli=both["gpu_milli"])
    place = scheduler.Placement(current["id"], "", 0, devices or (), cells or ())
    return Growth({name: both[name] for name in SHAPE}, held(wanted, place), tuple(short))


def _milli(current: Row, size: Row) -> int:
    """Of the one of two shapes that has GPUs at all."""
    return int(size["gpu_milli"] if size["gpus"] else current["gpu_milli"])


def _devices(shares: Sequence[int], mine: tuple[int, ...], current: Row, both: Row) -> tuple[int, ...] | None:
    if both["gpus"] == 0:
        return ()
    if mine and both["gpus"] > len(mine) and both["gpu_milli"] != current["gpu_milli"]:
        return None
    open_ = sorted((share, -number) for number, share in enumerate(shares) if share + both["gpu_milli"] <= WHOLE and number not in mine)
    more = [-number for _, number in reversed(open_)][: both["gpus"] - len(mine)]
    fits = all(shares[number] + both["gpu_milli"] <= WHOLE for number in mine)
    return tuple(sorted((*mine, *more))) if fits and len(mine) + len(more) == both["gpus"] else None


def _cells(rooms: Sequence[tuple[int, int]], mine: tuple[int, ...], both: Row) -> tuple[int, ...] | None:
    number = both["numa_nodes"]
    if number == 0:
        return ()
    vcpus, memory_mib = -(-both["vcpus"] // number), -(-both["memory_mib"] // number)
    fit = [cell for cell, (free_vcpus, free_mib) in enumerate(rooms) if free_vcpus >= vcpus and free_mib >= memory_mib]
    if mine:
        return mine if len(mine) == number and set(mine) <= set(fit) else None
    chosen = sorted(fit, key=lambda cell: rooms[cell])[:number]
    return tuple(sorted(chosen)) if len(chosen) == number else None
