"""Why a gang can't be placed, and the smallest change of each sort with which it could.

In: the fleet and a gang. Out: the refusal that placing gives, with changes. Invariant: every change offered was applied (`changed`) and
placed, whole gang and all, so that a counter-offer submitted unchanged is a yes for as long as the fleet stays as it is. Rejected: reading
changes off the counts of the rules, which is right for one item and wrong as soon as its gang needs the same room.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from typing import Any

import numpy as np

from scheduler.columns import GPUS, Ints
from scheduler.constraints import BIT, fails, members_of
from scheduler.fleet import Fleet
from scheduler.place import capacity, place
from scheduler.search import sort_of
from scheduler.types import SIZES, WHOLE_GPU, Change, Item, NoValidHost

Params = Mapping[str, str | int]

_LESS = {"vcpus": "fewer_vcpus", "memory_mib": "less_memory_mib", "disk_gib": "less_disk_gib", "gpus": "fewer_gpus"}
_LEAST = {"vcpus": 1, "memory_mib": 1, "disk_gib": 1, "gpus": 0}
_SOFT = {"anti_affinity": "spread", "affinity": "pack"}
_PARTS = 256  # how finely all sizes together are scaled down


def explain(fleet: Fleet, gang: Sequence[Item]) -> NoValidHost | None:
    """Why the gang can't be placed and what would fit; None where it can be placed."""
    (result,) = place(fleet, [gang])
    if not isinstance(result, NoValidHost):
        return None
    refused = next(item for item in gang if item.key == result.key)
    found = (change for offer in _OFFERS for change in offer(fleet, gang, refused))
    sizes = {*_LESS.values(), "smaller_gpu_share"}
    changes: list[Change] = []
    for change in found:
        if change.what != "smaller" or not any(other.what in sizes for other in changes):
            changes.append(change)
    return replace(result, changes=tuple(changes))


def changed(gang: Sequence[Item], key: str, change: Change) -> list[Item]:
    """The gang as the change would have it, where item `key` was refused. A spread rule is relaxed for its whole group."""
    refused = next(item for item in gang if item.key == key)
    if change.what == "relax_spread":
        group = refused.spread.group if refused.spread else None
        return [_edit(item, change) if item.spread and item.spread.group == group else item for item in gang]
    sort = sort_of(refused)
    alike = [number for number, item in enumerate(gang) if sort_of(item) == sort]
    those = set(alike[int(change.params.get("count", 0)) :])  # the first `count` stay as they are, where the change names one
    if change.what == "fewer_instances":
        return [item for number, item in enumerate(gang) if number not in those]
    return [_edit(item, change) if number in those else item for number, item in enumerate(gang)]


def _resize(item: Item, params: Params) -> Item:
    sizes: dict[str, Any] = {name: params[name] for name in SIZES if name in params}
    return replace(item, resources=replace(item.resources, **sizes))


def _soften(item: Item, params: Params) -> Item:
    return item if item.spread is None else replace(item, spread=replace(item.spread, mode=str(params["mode"])))


_EDITS: Mapping[str, Callable[[Item, Params], Item]] = {
    "fewer_vcpus": _resize,
    "less_memory_mib": _resize,
    "less_disk_gib": _resize,
    "fewer_gpus": _resize,
    "smaller_gpu_share": lambda item, params: replace(item, gpu_milli=int(params["gpu_milli"])),
    "smaller": _resize,
    "other_arch": lambda item, params: replace(item, arch=str(params["arch"])),
    "other_zone": lambda item, params: replace(item, zones=(str(params["zone"]),)),
    "other_site": lambda item, params: replace(item, sites=(str(params["site"]),)),
    "other_pool": lambda item, params: replace(item, pools=(str(params["pool"]),)),
    "split_zone": lambda item, params: replace(item, zones=(str(params["zone"]),)),
    "split_pool": lambda item, params: replace(item, pools=(str(params["pool"]),)),
    "other_gpu_model": lambda item, params: replace(item, gpu_models=(str(params["gpu_model"]),)),
    "drop_baseline": lambda item, _: replace(item, baseline=None),
    "drop_cells": lambda item, _: replace(item, cells=0),
    "drop_trait": lambda item, params: replace(item, traits=item.traits - {str(params["trait"])}),
    "relax_spread": _soften,
}


def _edit(item: Item, change: Change) -> Item:
    return _EDITS[change.what](item, change.params)


def _places(fleet: Fleet, gang: Sequence[Item], refused: Item, change: Change) -> bool:
    return not isinstance(place(fleet, [changed(gang, refused.key, change)])[0], NoValidHost)


def _elsewhere(label: str, fleet: Fleet, gang: Sequence[Item], refused: Item) -> Iterator[Change]:
    """Another value of a label, where the item names one: the one with most room that places."""
    asked = {
        "zone": refused.zones,
        "site": refused.sites,
        "pool": refused.pools,
        "arch": (refused.arch,) if refused.arch else (),
        "gpu_model": refused.gpu_models if refused.resources.gpus else (),
    }[label]
    if not asked:
        return
    offers = [Change(f"other_{label}", {label: name}) for name in fleet.names(label) if name and name not in asked]
    for offer in sorted(offers, key=lambda offer: -capacity(fleet, _edit(refused, offer))):
        if _places(fleet, gang, refused, offer):
            yield offer
            return


def _split(label: str, fleet: Fleet, gang: Sequence[Item], refused: Item) -> Iterator[Change]:
    """As many as fit where they are asked for, the others under another value of a label: the one with most room that places."""
    asked = {"zone": refused.zones, "pool": refused.pools}[label]
    alike = sum(sort_of(item) == sort_of(refused) for item in gang)
    stay = min(alike - 1, capacity(fleet, refused))
    if not asked or stay < 1 or (refused.spread and refused.spread.mode == "affinity"):
        return
    offers = [Change(f"split_{label}", {"count": stay, label: name}) for name in fleet.names(label) if name not in asked]
    for offer in sorted(offers, key=lambda offer: -capacity(fleet, _edit(refused, offer))):
        if _places(fleet, gang, refused, offer):
            yield offer
            return


def _drop_trait(fleet: Fleet, gang: Sequence[Item], refused: Item) -> Iterator[Change]:
    """Each trait without which, alone, it would fit."""
    offers = (Change("drop_trait", {"trait": trait}) for trait in sorted(refused.traits))
    yield from (offer for offer in offers if _places(fleet, gang, refused, offer))


def _drop_binding(fleet: Fleet, gang: Sequence[Item], refused: Item) -> Iterator[Change]:
    """Without its CPU baseline, or wherever in NUMA cells, if that alone would do."""
    baseline = [Change("drop_baseline", {"baseline": refused.baseline})] if refused.baseline else []
    cells = [Change("drop_cells", {"cells": refused.cells})] if refused.cells else []
    yield from (offer for offer in (*baseline, *cells) if _places(fleet, gang, refused, offer))


def _relax_spread(fleet: Fleet, gang: Sequence[Item], refused: Item) -> Iterator[Change]:
    if refused.spread and refused.spread.mode in _SOFT:
        offer = Change("relax_spread", {"mode": _SOFT[refused.spread.mode], "domain": refused.spread.domain})
        if _places(fleet, gang, refused, offer):
            yield offer


def _fewer_instances(fleet: Fleet, gang: Sequence[Item], refused: Item) -> Iterator[Change]:
    count = sum(sort_of(item) == sort_of(refused) for item in gang)
    most = min(count - 1, capacity(fleet, refused))
    yield from _largest(fleet, gang, refused, 1, most, lambda number: Change("fewer_instances", {"count": number}))


def _one_size(name: str, fleet: Fleet, gang: Sequence[Item], refused: Item) -> Iterator[Change]:
    """The largest amount of one resource, all else equal."""
    need = getattr(refused.resources, name)
    free = _free_but_for(fleet, refused, {name, "cells"})[SIZES.index(name)]
    most = min(need - 1, int(free.max(initial=-1)))
    yield from _largest(fleet, gang, refused, _least(name, refused), most, lambda amount: Change(_LESS[name], {name: amount}))


def _smaller_share(fleet: Fleet, gang: Sequence[Item], refused: Item) -> Iterator[Change]:
    """The largest part of a GPU, all else equal."""
    most = refused.gpu_milli - 1 if refused.shares_gpus else 0
    yield from _largest(fleet, gang, refused, 1, most, lambda milli: Change("smaller_gpu_share", {"gpu_milli": milli}))


def _smaller(fleet: Fleet, gang: Sequence[Item], refused: Item) -> Iterator[Change]:
    """All resources less: what the host has that comes nearest, or the part of it that fits the whole gang."""
    free = _free_but_for(fleet, refused, {*SIZES, "cells"})
    needs = [getattr(refused.resources, name) for name in SIZES]
    if not free.shape[1] or not any(needs):
        return
    asked = [number for number, need in enumerate(needs) if need]
    nearest = np.min([free[number] / needs[number] for number in asked], axis=0)
    near = np.minimum(free[:, nearest == nearest.max()], np.array(needs)[:, None])
    near_best = near[:, np.lexsort(near[::-1])[-1]].tolist()  # of equals the largest: the order of hosts must not show

    def scaled(part: int) -> Change:
        amounts = ((SIZES[number], int(near_best[number])) for number in asked)
        return Change("smaller", {name: max(_least(name, refused), amount * part // _PARTS) for name, amount in amounts})

    for offer in _largest(fleet, gang, refused, 1, _PARTS, scaled):
        yield _whole_again(fleet, gang, refused, offer)


def _least(name: str, refused: Item) -> int:
    """Of a size: each cell that an item is in has a vCPU at least."""
    return max(_LEAST[name], refused.cells) if name == "vcpus" else _LEAST[name]


def _whole_again(fleet: Fleet, gang: Sequence[Item], refused: Item, offer: Change) -> Change:
    """The offer with every size that need not be less as it was asked for."""
    for name in offer.params:
        more = Change(offer.what, {**offer.params, name: getattr(refused.resources, name)})
        if _places(fleet, gang, refused, more):
            offer = more
    return offer


def _free_but_for(fleet: Fleet, item: Item, rules: set[str]) -> Ints:
    """What is free, a column per host that passes every rule but `rules`; four rows, as in SIZES (GPUs: whole ones)."""
    found = fails(fleet, item, members_of(fleet, item, {}))
    free: Ints = fleet.columns.free[(found & ~sum(BIT[name] for name in rules)) == 0].T
    free[GPUS] //= WHOLE_GPU
    return free


def _largest(fleet: Fleet, gang: Sequence[Item], refused: Item, least: int, most: int, offer: Callable[[int], Change]) -> Iterator[Change]:
    """The largest amount from `least` to `most` that places, found by halving; nothing where none does."""
    found: Change | None = None
    trial = most
    while least <= most:
        change = offer(trial)
        if _places(fleet, gang, refused, change):
            found, least = change, trial + 1
        else:
            most = trial - 1
        trial = (least + most + 1) // 2
    if found is not None:
        yield found


_OFFERS: Sequence[Callable[[Fleet, Sequence[Item], Item], Iterator[Change]]] = (
    partial(_elsewhere, "zone"),
    partial(_elsewhere, "site"),
    partial(_elsewhere, "pool"),
    partial(_elsewhere, "arch"),
    partial(_elsewhere, "gpu_model"),
    partial(_split, "zone"),
    partial(_split, "pool"),
    _drop_trait,
    _drop_binding,
    _relax_spread,
    _fewer_instances,
    partial(_one_size, "vcpus"),
    partial(_one_size, "memory_mib"),
    partial(_one_size, "disk_gib"),
    _smaller_share,
    partial(_one_size, "gpus"),
    _smaller,
)
"""In the order in which they are offered: what costs the applicant least comes first."""
