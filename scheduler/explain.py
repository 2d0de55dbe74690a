"""What would fit instead: the smallest change of each kind with which a refused gang could be placed. Each is verified by placing it, so that a counter-offer holds."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

from scheduler.fleet import SIZES, Fleet
from scheduler.place import place
from scheduler.types import Change, Item, NoValidHost

Gang = Sequence[Item]
_LESS = {"vcpus": "fewer_vcpus", "memory_mib": "less_memory_mib", "disk_gib": "less_disk_gib", "gpus": "fewer_gpus"}
_STEP = {"vcpus": 1, "memory_mib": 256, "disk_gib": 1, "gpus": 1}


def explain(fleet: Fleet, gang: Gang) -> NoValidHost | None:
    """Why a gang can't be placed and what would fit; None where it can."""
    (result,) = place(fleet, [gang])
    if not isinstance(result, NoValidHost):
        return None
    return replace(result, changes=tuple(_changes(fleet, gang)))


def capacity(fleet: Fleet, item: Item, most: int = 10_000) -> int:
    """How many of an item would fit now, up to `most`."""

    def fits(count: int) -> bool:
        return _fits(fleet, [replace(item, key=str(number)) for number in range(count)])

    return _largest(fits, most)


def _fits(fleet: Fleet, gang: Gang) -> bool:
    return not isinstance(place(fleet, [gang])[0], NoValidHost)


def _largest(fits: Callable[[int], bool], most: int) -> int:
    """The largest number up to `most` that fits, by bisection; 0 where none does."""
    low, high = 0, most
    while low < high:
        middle = (low + high + 1) // 2
        if fits(middle):
            low = middle
        else:
            high = middle - 1
    return low


def _changes(fleet: Fleet, gang: Gang) -> Iterator[Change]:
    yield from _fewer(fleet, gang)
    for name in SIZES:
        yield from _smaller(fleet, gang, name)
    for table, field, what in (("zone", "zones", "other_zone"), ("pool", "pools", "other_pool"), ("arch", "arch", "other_arch")):
        yield from _elsewhere(fleet, gang, table, field, what)
    for trait in sorted({trait for item in gang for trait in item.traits}):
        if _fits(fleet, [replace(item, traits=item.traits - {trait}) for item in gang]):
            yield Change("drop_trait", {"trait": trait})
    if any(item.spread for item in gang) and _fits(fleet, [replace(item, spread=None) for item in gang]):
        yield Change("relax_spread", {})


def _fewer(fleet: Fleet, gang: Gang) -> Iterator[Change]:
    if len(gang) > 1:
        count = _largest(lambda number: _fits(fleet, gang[:number]) if number else True, len(gang) - 1)
        if count:
            yield Change("fewer_instances", {"count": count})


def _smaller(fleet: Fleet, gang: Gang, name: str) -> Iterator[Change]:
    """One size made smaller for every item that asks for more, in whole steps."""
    most = max(getattr(item.resources, name) for item in gang)
    step = _STEP[name]

    def shrunk(steps: int) -> list[Item]:
        bound = steps * step
        return [replace(item, resources=replace(item.resources, **{name: min(getattr(item.resources, name), bound)})) for item in gang]

    steps = _largest(lambda number: _fits(fleet, shrunk(number)) if number else True, (most - 1) // step)
    if steps and _fits(fleet, shrunk(steps)):
        yield Change(_LESS[name], {name: steps * step})


def _elsewhere(fleet: Fleet, gang: Gang, table: str, field: str, what: str) -> Iterator[Change]:
    """Another zone, pool or architecture, where the gang names one."""
    named = {getattr(item, field) for item in gang}
    if not any(named):
        return
    for name in sorted(fleet.names(table)):
        value: Any = name if field == "arch" else (name,)
        if value in named:
            continue
        if _fits(fleet, [replace(item, **{field: value}) if getattr(item, field) else item for item in gang]):
            yield Change(what, {table: name})
            return
