"""The hard rules: which hosts an item may go to. One table, in the order in which refusals count them.

In: the fleet's columns, an item, and where members of its group are. Out: a boolean per row (True: may go there), or None where the rule
asks nothing of this item. Invariant: placing, explaining and counting capacity all read these two tables and nothing else, so that a
refusal's reasons are those that refused. Rejected: rules as classes with weights and names (each is one comparison), and one fused filter
(could not say why).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

from scheduler.fleet import Fleet
from scheduler.types import SIZES, Item, Spread

Mask = NDArray[np.bool_]
Rows = slice | NDArray[np.int64]
Members = Mapping[int, int]
"""Members of one group by row; those on hosts that the fleet does not know are under ELSEWHERE."""

ELSEWHERE = -1
_NO_SIZE = 1 << 20  # as many of an item without any size fit on a host


def _any_of(label: str, names: tuple[str, ...], fleet: Fleet, rows: Rows) -> Mask | None:
    if not names:
        return None
    column = fleet.labels[label][rows]
    codes = fleet.codes[label]
    ok: Mask = column == codes.get(names[0], -1)
    for name in names[1:]:
        ok |= column == codes.get(name, -1)
    return ok


def _size(number: int, fleet: Fleet, item: Item, rows: Rows) -> Mask | None:
    """An item that asks for none fits even where more is used than there is."""
    need = getattr(item.resources, SIZES[number])
    return fleet.free[number, rows] >= need if need else None


def _kind(fleet: Fleet, item: Item, rows: Rows) -> Mask:
    return fleet.kinds[item.kind][rows] if item.kind in fleet.kinds else _none(fleet, rows)


def _none(fleet: Fleet, rows: Rows) -> Mask:
    return np.zeros_like(fleet.up[rows])


def _traits(fleet: Fleet, item: Item, rows: Rows) -> Mask | None:
    if not item.traits:
        return None
    if not item.traits <= fleet.traits.keys():
        return _none(fleet, rows)
    found: Mask = np.logical_and.reduce([fleet.traits[name][rows] for name in item.traits])
    return found


def _host(fleet: Fleet, item: Item, rows: Rows) -> Mask | None:
    if not item.hosts:
        return None
    ok = np.zeros_like(fleet.up)
    ok[[fleet.rows[host_id] for host_id in item.hosts if host_id in fleet.rows]] = True
    return ok[rows]


RULES: Mapping[str, Callable[[Fleet, Item, Rows], Mask | None]] = {
    "kind": _kind,
    "up": lambda fleet, _, rows: fleet.up[rows],
    "cordon": lambda fleet, _, rows: fleet.open[rows],
    "pool": lambda fleet, item, rows: _any_of("pool", item.pools, fleet, rows),
    "zone": lambda fleet, item, rows: _any_of("zone", item.zones, fleet, rows),
    "arch": lambda fleet, item, rows: _any_of("arch", (item.arch,) if item.arch else (), fleet, rows),
    "traits": _traits,
    "host": _host,
    "vcpus": lambda fleet, item, rows: _size(0, fleet, item, rows),
    "memory_mib": lambda fleet, item, rows: _size(1, fleet, item, rows),
    "disk_gib": lambda fleet, item, rows: _size(2, fleet, item, rows),
    "gpus": lambda fleet, item, rows: _size(3, fleet, item, rows),
}


def _affinity(fleet: Fleet, spread: Spread, members: Members) -> Mask | None:
    if not members:
        return None
    known = [row for row in members if row != ELSEWHERE]
    if spread.domain == "zone":
        zones = fleet.labels["zone"][: len(fleet)]
        return np.isin(zones, zones[known])
    ok = np.zeros(len(fleet), np.bool_)
    ok[known] = True
    return ok


def _anti_affinity(fleet: Fleet, spread: Spread, members: Members) -> Mask | None:
    if not members and spread.max_per_domain > 0:
        return None
    counts = per_domain(fleet, spread, members)
    return counts < spread.max_per_domain


GROUP_RULES: Mapping[str, Callable[[Fleet, Spread, Members], Mask | None]] = {
    "affinity": _affinity,
    "anti_affinity": _anti_affinity,
}


def per_domain(fleet: Fleet, spread: Spread, members: Members) -> NDArray[np.int64]:
    """For every row, the members of the group in its domain."""
    counts = np.zeros(len(fleet), np.int64)
    for row, count in members.items():
        if row != ELSEWHERE:
            counts[row] += count
    if spread.domain == "host":
        return counts
    zones = fleet.labels["zone"][: len(fleet)]
    totals = np.bincount(zones, weights=counts, minlength=len(fleet.codes["zone"]))
    return totals.astype(np.int64)[zones]


def members_of(fleet: Fleet, item: Item, in_batch: Members) -> Members:
    """Where the members of the item's group are: those placed before and those placed in this batch."""
    members = dict(in_batch)
    for host_id, count in item.members.items():
        if count:
            row = fleet.rows.get(host_id, ELSEWHERE)
            members[row] = members.get(row, 0) + count
    return members


def eligible(fleet: Fleet, item: Item, rows: Rows) -> Mask:
    """Rows that pass every rule of the item alone; the group's rules come on top."""
    ok: Mask | None = None
    for rule in RULES.values():
        mask = rule(fleet, item, rows)
        if mask is not None:
            ok = mask.copy() if ok is None else np.logical_and(ok, mask, out=ok)
    if ok is None:
        raise AssertionError("the rule 'kind' asks something of every item")
    return ok


def group_mask(fleet: Fleet, item: Item, members: Members) -> Mask | None:
    """Rows that pass the rule of the item's group; None where it has none that excludes."""
    rule = GROUP_RULES.get(item.spread.mode) if item.spread else None
    return rule(fleet, item.spread, members) if rule and item.spread else None


def room(fleet: Fleet, item: Item, members: Members) -> int:
    """How many of the item would fit now, were they alone; for a group without a place yet, in the domain that has most room."""
    ok = eligible(fleet, item, slice(0, len(fleet)))
    group = group_mask(fleet, item, members)
    rows = np.flatnonzero(ok if group is None else ok & group)
    needs = [(number, getattr(item.resources, size)) for number, size in enumerate(SIZES)]
    each = np.full(len(rows), _NO_SIZE, np.int64)
    for number, need in needs:
        if need:
            each = np.minimum(each, fleet.free[number, rows] // need)
    spread = item.spread
    if spread is None or not len(rows) or spread.mode not in GROUP_RULES or (spread.mode == "affinity" and members):
        return int(each.sum())
    taken = per_domain(fleet, spread, members)[rows]
    if spread.domain == "zone":
        _, first, domain = np.unique(fleet.labels["zone"][rows], return_index=True, return_inverse=True)
        each, taken = np.bincount(domain, weights=each).astype(np.int64), taken[first]
    return int(each.max() if spread.mode == "affinity" else np.minimum(each, spread.max_per_domain - taken).sum())


def masks(fleet: Fleet, item: Item, members: Members) -> dict[str, Mask | None]:
    """Every rule's mask over the whole fleet, in counting order."""
    everywhere = slice(0, len(fleet))
    found = {name: rule(fleet, item, everywhere) for name, rule in RULES.items()}
    for mode in GROUP_RULES:
        found[mode] = group_mask(fleet, item, members) if item.spread and item.spread.mode == mode else None
    return found
