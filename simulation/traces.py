"""Hosts and requests out of files, recognised by their columns.

In: paths of tables (see `sheets`). Out: hosts, and requests in the order in which they come. Columns, those in brackets may be left out:

  hosts     name, vcpus, memory_mib [, disk_gib, gpus, gpu_model, arch, pool, zone, site, rack, count]     count: so many alike
  requests  vcpus, memory_mib [, id, start, end, disk_gib, gpus, gpu_milli, gpu_models, arch, pools, zones, cells, group, mode,
            domain, max_per_domain]     start, end: in hours (no end: stays); lists are separated by |; mode: see `scheduler.types.Spread`

and those of published traces as they are:

  openb (Alibaba)       hosts: sn, cpu_milli, memory_mib, gpu, model. requests: cpu_milli, memory_mib, num_gpu, gpu_milli, gpu_spec,
                        creation_time, deletion_time (seconds). A vCPU counts as 1000.
  Azure packing 2020    requests: cores, ram, tenantId, starttime, endtime (days), in units of which a machine of type 10 has 6400 and
                        3072; hosts: as above, with vcpus=6400, memory_mib=3072
  Huawei topology       hosts: CPU1, RAM1, CPU2, RAM2, two NUMA cells. requests: flavor_vcpus, flavor_ram, numa, strategy, group. No times.
                        Racks are not known, so that groups to be kept together are kept in one zone, which is all there is.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Any, TypeVar

from scheduler.types import SIZES, WHOLE_GPU, Cell, Host, Item, Resources, Spread
from simulation import sheets

Row = Mapping[str, str]
KIND = "vm"
ANY = "any"  # architecture of hosts that a file doesn't tell of
_HOURS_A_DAY, _SECONDS_AN_HOUR = 24.0, 3600.0
_MODES = {"affinity": ("affinity", "zone"), "anti-affinity": ("anti_affinity", "host")}
Made = TypeVar("Made")


@dataclass(frozen=True, slots=True)
class Request:
    """One thing asked for, from `start` to `end` (hours)."""

    item: Item
    start: float
    end: float


class UnreadableError(ValueError):
    """A file that can't be used; the text says which, where and why."""


def hosts(path: Path) -> list[Host]:
    """Raises UnreadableError."""
    made = _read(path, _HOSTS)
    seen: set[str] = set()
    for one in made:
        if one.id in seen:
            raise UnreadableError(f"{path}: two hosts are named {one.id}")
        seen.add(one.id)
    return made


def requests(path: Path) -> list[Request]:
    """Raises UnreadableError."""
    return _read(path, _REQUESTS)


def _read(path: Path, formats: Mapping[tuple[str, ...], Callable[[int, Row], Sequence[Made]]]) -> list[Made]:
    try:
        table = sheets.read(path)
    except (OSError, ValueError) as error:
        raise UnreadableError(f"{path}: {error}") from error
    columns = set(table[0]) if table else set()
    convert = next((one for needed, one in formats.items() if set(needed) <= columns), None)
    if convert is None:
        known = "; or ".join(", ".join(needed) for needed in formats)
        raise UnreadableError(f"{path}: no format has the columns {', '.join(sorted(columns)) or '(none)'}. Known are: {known}")
    made: list[Made] = []
    for number, row in enumerate(table):
        try:
            made += convert(number, row)
        except (ValueError, KeyError) as error:
            raise UnreadableError(f"{path}: row {number + 2}: {error}") from error
    return made


# -- this project's own columns --------------------------------------------------------------------------------------------------


def _hosts(number: int, row: Row) -> list[Host]:
    count = _whole(row, "count", 1)
    name = row.get("name") or f"host-{number + 1}"
    labels = {key: row[key] for key in ("pool", "zone", "site", "arch", "rack", "gpu_model") if row.get(key)}
    sizes = Resources(*(_whole(row, size) for size in SIZES))
    return [host(name if count == 1 else f"{name}-{copy + 1}", sizes, **labels) for copy in range(count)]


def _request(number: int, row: Row) -> list[Request]:
    spread = None
    if row.get("mode"):
        if row["mode"] not in _SPREADS or row.get("domain", "host") not in _DOMAINS:
            raise ValueError(f"mode is one of {', '.join(_SPREADS)}, domain one of {', '.join(_DOMAINS)}")
        group = row.get("group") or str(number)
        spread = Spread(group, row["mode"], row.get("domain") or "host", _whole(row, "max_per_domain", 1))
    item = Item(
        key=row.get("id") or str(number + 1),
        kind=KIND,
        resources=Resources(*(_whole(row, size) for size in SIZES)),
        arch=row.get("arch") or None,
        pools=_list(row, "pools"),
        zones=_list(row, "zones"),
        spread=spread,
        tenants=_list(row, "tenants"),
        cells=_whole(row, "cells"),
        gpu_milli=_whole(row, "gpu_milli", WHOLE_GPU) or WHOLE_GPU,
        gpu_models=_list(row, "gpu_models"),
    )
    return [_during(item, _number(row, "start", 0.0), _number(row, "end", inf))]


_SPREADS = ("affinity", "anti_affinity", "spread", "pack")
_DOMAINS = ("host", "rack", "zone", "site")


# -- published traces ------------------------------------------------------------------------------------------------------------


def _openb_node(_: int, row: Row) -> list[Host]:
    sizes = Resources(_whole(row, "cpu_milli"), _whole(row, "memory_mib"), 0, _whole(row, "gpu"))
    return [host(row["sn"], sizes, gpu_model=row["model"])]


def _openb_pod(number: int, row: Row) -> list[Request]:
    gpus = _whole(row, "num_gpu")
    milli = _whole(row, "gpu_milli") if gpus == 1 else WHOLE_GPU
    sizes = Resources(_whole(row, "cpu_milli"), _whole(row, "memory_mib"), 0, gpus)
    item = Item(row.get("name") or str(number), KIND, sizes, gpu_milli=milli, gpu_models=_list(row, "gpu_spec") if gpus else ())
    start, end = _number(row, "creation_time", 0.0) / _SECONDS_AN_HOUR, _number(row, "deletion_time", inf) / _SECONDS_AN_HOUR
    return [_during(item, start, max(end, start))]


def _azure_request(number: int, row: Row) -> list[Request]:
    item = Item(row.get("vmId") or str(number), KIND, Resources(_whole(row, "cores"), _whole(row, "ram")))
    return [_during(item, _number(row, "starttime", 0.0) * _HOURS_A_DAY, _number(row, "endtime", inf) * _HOURS_A_DAY)]


def _huawei_host(number: int, row: Row) -> list[Host]:
    cells = tuple(Cell(_whole(row, f"CPU{cell}"), _whole(row, f"RAM{cell}")) for cell in (1, 2))
    whole = Resources(sum(cell.vcpus for cell in cells), sum(cell.memory_mib for cell in cells))
    return [host(f"host-{number}", whole, cells=cells)]


def _huawei_request(number: int, row: Row) -> list[Request]:
    mode = _MODES.get(row.get("strategy", ""))
    spread = Spread(f"{row['strategy']} {row['group']}", *mode) if mode else None
    sizes = Resources(_whole(row, "flavor_vcpus"), _whole(row, "flavor_ram"))
    return [_during(Item(str(number + 1), KIND, sizes, spread=spread, cells=_whole(row, "numa")), 0.0, inf)]


_HOSTS: Mapping[tuple[str, ...], Callable[[int, Row], Sequence[Host]]] = {
    ("vcpus", "memory_mib"): _hosts,
    ("sn", "cpu_milli", "memory_mib", "gpu", "model"): _openb_node,
    ("CPU1", "RAM1", "CPU2", "RAM2"): _huawei_host,
}
_REQUESTS: Mapping[tuple[str, ...], Callable[[int, Row], Sequence[Request]]] = {
    ("vcpus", "memory_mib"): _request,
    ("cpu_milli", "memory_mib", "num_gpu"): _openb_pod,
    ("cores", "ram", "tenantId"): _azure_request,
    ("flavor_vcpus", "flavor_ram", "numa", "strategy"): _huawei_request,
}


# -- values ----------------------------------------------------------------------------------------------------------------------


def host(name: str, capacity: Resources, **more: Any) -> Host:
    """A host that is there, and empty; `more`: its other fields."""
    labels = {"pool": "pool", "zone": "zone", "site": "site", "arch": ANY, "traits": frozenset(), "kinds": frozenset({KIND})} | more
    return Host(id=name, name=name, capacity=capacity, used=Resources(), cordoned=False, up=True, generation=1, **labels)


def _during(item: Item, start: float, end: float) -> Request:
    if not start <= end:
        raise ValueError(f"{item.key} ends ({end:g}) before it starts ({start:g})")
    return Request(item, start, end)


def _number(row: Row, name: str, default: float) -> float:
    text = row.get(name, "")
    try:
        found = float(text) if text else default
    except ValueError:
        raise ValueError(f"{name} is {text!r}, no number") from None
    if found != found:  # noqa: PLR0124 - only so can it be told
        raise ValueError(f"{name} is not a number")
    return found


def _whole(row: Row, name: str, default: int = 0) -> int:
    found = _number(row, name, default)
    if not 0 <= found < 1 << 40 or found != int(found):
        raise ValueError(f"{name} is {row[name]!r}: a whole number, zero or more, was expected")
    return int(found)


def _list(row: Row, name: str) -> tuple[str, ...]:
    return tuple(one for one in row.get(name, "").split("|") if one)
