"""The hard rules: which hosts can hold an item. Each is one comparison over columns and has a stable code; their order is the order in which a refusal tells them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np

from scheduler.fleet import SIZES, Column, Fleet, Mask
from scheduler.types import Item, Spread

Members = Mapping[int, int]
"""Row → how many members of the item's group are there, those placed in this batch included."""


def _any_of(fleet: Fleet, table: str, column: Column, names: tuple[str, ...]) -> Mask:
    known = fleet.names(table)
    codes = [known[name] for name in names if name in known]
    if len(codes) == 1:
        return np.asarray(column == codes[0])
    return np.isin(column, codes)


def _everyone(n: int) -> Mask:
    return np.ones(n, np.bool_)


def _kind(fleet: Fleet, item: Item, _members: Members) -> Mask:
    return np.asarray(fleet.kinds[: fleet.n] & fleet.bits("kind", [item.kind]) != 0)


def _up(fleet: Fleet, _item: Item, _members: Members) -> Mask:
    return fleet.up[: fleet.n]


def _cordon(fleet: Fleet, _item: Item, _members: Members) -> Mask:
    return fleet.open[: fleet.n]


def _pool(fleet: Fleet, item: Item, _members: Members) -> Mask:
    return _any_of(fleet, "pool", fleet.pool[: fleet.n], item.pools) if item.pools else _everyone(fleet.n)


def _zone(fleet: Fleet, item: Item, _members: Members) -> Mask:
    return _any_of(fleet, "zone", fleet.zone[: fleet.n], item.zones) if item.zones else _everyone(fleet.n)


def _arch(fleet: Fleet, item: Item, _members: Members) -> Mask:
    return _any_of(fleet, "arch", fleet.arch[: fleet.n], (item.arch,)) if item.arch else _everyone(fleet.n)


def _traits(fleet: Fleet, item: Item, _members: Members) -> Mask:
    if not item.traits:
        return _everyone(fleet.n)
    wanted = fleet.bits("trait", item.traits)
    return np.asarray(fleet.traits[: fleet.n] & wanted == wanted)


def _host(fleet: Fleet, item: Item, _members: Members) -> Mask:
    if not item.hosts:
        return _everyone(fleet.n)
    mask = np.zeros(fleet.n, np.bool_)
    mask[[row for row in map(fleet.row, item.hosts) if row is not None]] = True
    return mask


def _size(number: int) -> Callable[[Fleet, Item, Members], Mask]:
    def fits(fleet: Fleet, item: Item, _members: Members) -> Mask:
        wanted = getattr(item.resources, SIZES[number])
        if wanted == 0:
            return _everyone(fleet.n)
        return np.asarray(fleet.used[: fleet.n, number] + wanted <= fleet.capacity[: fleet.n, number])

    return fits


def members_by_domain(fleet: Fleet, spread: Spread, members: Members) -> Column:
    """For each row, how many members of the group are in its domain."""
    rows = np.zeros(fleet.n, np.int64)
    for row, count in members.items():
        rows[row] += count
    if spread.domain == "host":
        return rows
    zones = fleet.zone[: fleet.n]
    return np.asarray(np.bincount(zones, weights=rows, minlength=int(zones.max(initial=0)) + 1).astype(np.int64)[zones])


def _affinity(fleet: Fleet, item: Item, members: Members) -> Mask:
    if item.spread is None or item.spread.mode != "affinity" or not members:
        return _everyone(fleet.n)
    return np.asarray(members_by_domain(fleet, item.spread, members) > 0)


def _anti_affinity(fleet: Fleet, item: Item, members: Members) -> Mask:
    if item.spread is None or item.spread.mode != "anti_affinity" or not members:
        return _everyone(fleet.n)
    return np.asarray(members_by_domain(fleet, item.spread, members) < item.spread.max_per_domain)


RULES: Mapping[str, Callable[[Fleet, Item, Members], Mask]] = {
    "kind": _kind,
    "up": _up,
    "cordon": _cordon,
    "pool": _pool,
    "zone": _zone,
    "arch": _arch,
    "traits": _traits,
    "host": _host,
    "vcpus": _size(0),
    "memory_mib": _size(1),
    "disk_gib": _size(2),
    "gpus": _size(3),
    "affinity": _affinity,
    "anti_affinity": _anti_affinity,
}


def candidates(fleet: Fleet, item: Item, members: Members) -> Mask:
    """The rows that pass every rule."""
    mask = fleet.present[: fleet.n].copy()
    for rule in RULES.values():
        mask &= rule(fleet, item, members)
    return mask
