"""Finding hosts for one gang: all of its items, or none.

In: a batch (the fleet with the claims of this batch on it) and a gang. Out: a row per item, with their claims left on the fleet, or the
refusal of the item that failed, with nothing left on it. Tried in this order, until one succeeds or it is proven that none can:

1. equal items without a spread rule: fill the best host, then the next (exact, and quick for thousands);
2. the items one after another, each on its best host;
3. the same, largest item first, a gang that must share a zone once per zone;
4. a depth-first search over the hosts, largest item first, within a number of looks.

For one item, for equal items, and for gangs small enough for the looks (up to four items on five hosts, whatever their rules), the answer
is complete: a gang that fits is placed. A larger mixed gang may be refused although a clever arrangement exists, and then one host more
may change a yes into a no. Rejected: a solver library (a dependency, and seconds at ten thousand hosts, for gangs that are rarely mixed).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice, product

import numpy as np

from scheduler.constraints import Members, eligible, masks, members_of, room
from scheduler.fleet import Fleet
from scheduler.scores import EXCLUDED, best, keys, ranking, shape
from scheduler.types import SIZES, Item, NoValidHost, Resources, RuleCount

LOOKS = 800  # hosts tried per gang in step 4: 150 ms at most
BATCH_LOOKS = 1600  # and per batch: a gang after that gets steps 1 to 3 only
_MOST_ZONINGS = 32
_MOST_SEARCHED = 200  # items; the search goes as deep as there are items


@dataclass(slots=True)
class Batch:
    """The fleet, what this batch has claimed on it, and where members of each group went."""

    fleet: Fleet
    groups: dict[str, dict[int, int]] = field(default_factory=dict)
    claims: list[tuple[int, Resources, str | None]] = field(default_factory=list)
    looks: int = BATCH_LOOKS


def solve(batch: Batch, gang: Sequence[Item]) -> list[int] | NoValidHost:
    """Rows for all items, claimed; or why not, with no claim of the gang left."""
    if len(gang) > 1 and gang[0].spread is None and len({shape(item) for item in gang}) == 1:
        return _fill(batch, gang)
    in_order = range(len(gang))
    mark = len(batch.claims)
    tried = _one_by_one(batch, gang, in_order)
    if isinstance(tried, list):
        return tried
    refusal = _refusal(batch, gang[tried])
    undo(batch, mark)
    if _greedy_is_exact(batch, gang) or _cannot(batch, gang):
        return refusal
    order = sorted(in_order, key=lambda number: (-_bulk(batch.fleet, gang[number]), number))
    zonings = list(_zonings(batch, gang))
    for zoned in zonings:
        tried = _one_by_one(batch, zoned, order)
        if isinstance(tried, list):
            return tried
        undo(batch, mark)
    looks = min(LOOKS, batch.looks) if len(gang) <= _MOST_SEARCHED else 0
    for zoned in zonings:
        rows = [-1] * len(gang)
        left = _search(batch, zoned, order, rows, looks)
        batch.looks -= looks - abs(left)
        if left > 0:
            return rows
        looks = -left
    return refusal


def undo(batch: Batch, mark: int) -> None:
    """Take back the claims after the first `mark`."""
    while len(batch.claims) > mark:
        row, resources, group = batch.claims.pop()
        batch.fleet.give(row, resources)
        if group is not None:
            members = batch.groups[group]
            members[row] -= 1
            if not members[row]:
                del members[row]


def _take(batch: Batch, item: Item, row: int) -> None:
    group = item.spread.group if item.spread else None
    batch.fleet.take(row, item.resources)
    batch.claims.append((row, item.resources, group))
    if group is not None:
        members = batch.groups.setdefault(group, {})
        members[row] = members.get(row, 0) + 1


def _members(batch: Batch, item: Item) -> Members:
    return members_of(batch.fleet, item, batch.groups.get(item.spread.group, {})) if item.spread else {}


def _refusal(batch: Batch, item: Item) -> NoValidHost:
    """Count, at this moment, which rule excludes how many hosts."""
    count = len(batch.fleet)
    alive = np.ones(count, np.bool_)
    rules, alone = [], []
    for name, mask in masks(batch.fleet, item, _members(batch, item)).items():
        if mask is None:
            continue
        excluded, first = count - int(np.count_nonzero(mask)), int(np.count_nonzero(alive & ~mask))
        alive &= mask
        if first:
            rules.append(RuleCount(name, first))
        if excluded:
            alone.append(RuleCount(name, excluded))
    return NoValidHost(item.key, count, tuple(rules), tuple(alone))


def _fill(batch: Batch, gang: Sequence[Item]) -> list[int] | NoValidHost:
    """Equal items: as many as fit on the best host, the rest on the next."""
    fleet, mark, size = batch.fleet, len(batch.claims), gang[0].resources
    ranked = ranking(fleet, gang[0]).copy()
    rows: list[int] = []
    while len(rows) < len(gang):
        row = best(fleet, ranked)
        if row is None:
            refusal = _refusal(batch, gang[len(rows)])
            undo(batch, mark)
            return refusal
        ranked[row] = EXCLUDED
        needs = [(free, getattr(size, name)) for free, name in zip(fleet.free[:, row].tolist(), SIZES, strict=True)]
        number = min([len(gang) - len(rows), *(free // need for free, need in needs if need)])
        together = Resources(*(need * number for _, need in needs))
        fleet.take(row, together)
        batch.claims.append((row, together, None))
        rows += [row] * number
    return rows


def _one_by_one(batch: Batch, gang: Sequence[Item], order: Sequence[int]) -> list[int] | int:
    """Each item of `order` on its best host. Rows by item, or the number of the first item that found none; claims are left either way."""
    rows = [-1] * len(gang)
    for position, number in enumerate(order):
        item = gang[number]
        members = _members(batch, item)
        row = None
        if item.spread and item.spread.mode == "affinity" and item.spread.domain == "host" and not members:
            row = best(batch.fleet, keys(batch.fleet, _together(gang, order[position:]), members))
        if row is None:
            row = best(batch.fleet, keys(batch.fleet, item, members))
        if row is None:
            return number
        _take(batch, item, row)
        rows[number] = row
    return rows


def _together(gang: Sequence[Item], rest: Sequence[int]) -> Item:
    """The first of `rest` as large as all of its group in `rest`: they must share its host."""
    first = gang[rest[0]]
    group = [gang[number] for number in rest if gang[number].spread and gang[number].spread == first.spread]
    sizes = (sum(getattr(item.resources, name) for item in group) for name in SIZES)
    return replace(first, resources=Resources(*sizes), traits=frozenset().union(*(item.traits for item in group)))


def sort_of(item: Item) -> Hashable:
    """Equal for items that may take each other's place."""
    return shape(item), item.spread, frozenset(item.members.items())


def _greedy_is_exact(batch: Batch, gang: Sequence[Item]) -> bool:
    """Whether taking the best host for each item finds a place whenever there is one: one item, or equal ones that do not
    have to choose a zone together."""
    if len(gang) == 1:
        return True
    spread = gang[0].spread
    chooses_zone = spread is not None and spread.mode == "affinity" and spread.domain == "zone" and not _members(batch, gang[0])
    return not chooses_zone and len({sort_of(item) for item in gang}) == 1


def _cannot(batch: Batch, gang: Sequence[Item]) -> bool:
    """Proof that no arrangement exists: too little room for one sort of item, or too little of one resource for all together."""
    fleet = batch.fleet
    sorts: dict[Hashable, list[Item]] = {}
    for item in gang:
        sorts.setdefault(sort_of(item), []).append(item)
    useful = np.zeros(len(fleet), np.bool_)
    for items in sorts.values():
        if room(fleet, items[0], _members(batch, items[0])) < len(items):
            return True
        useful |= eligible(fleet, items[0], slice(0, len(fleet)))
    free = np.maximum(fleet.free[:, : len(fleet)], 0) @ useful
    needs = [sum(getattr(item.resources, name) for item in gang) for name in SIZES]
    return any(need > have for need, have in zip(needs, free.tolist(), strict=True))


def _bulk(fleet: Fleet, item: Item) -> float:
    """The largest share of the fleet's free resources that the item takes."""
    free = np.maximum(fleet.free[:, : len(fleet)], 0).sum(axis=1).tolist()
    needs = (item.resources.vcpus, item.resources.memory_mib, item.resources.disk_gib, item.resources.gpus)
    return float(max(need / max(have, 1) for need, have in zip(needs, free, strict=True)))


def _zonings(batch: Batch, gang: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The gang, once per choice of zones for those of its groups that must share one and are nowhere yet."""
    free = {
        item.spread.group: None
        for item in gang
        if item.spread and item.spread.mode == "affinity" and item.spread.domain == "zone" and not _members(batch, item)
    }
    for choice in islice(product(batch.fleet.names("zone"), repeat=len(free)), _MOST_ZONINGS):
        zones = dict(zip(free, choice, strict=True))
        zoned = [_in_zone(item, zones.get(item.spread.group) if item.spread else None) for item in gang]
        if None not in zoned:
            yield [item for item in zoned if item is not None]


def _in_zone(item: Item, zone: str | None) -> Item | None:
    if zone is None:
        return item
    return replace(item, zones=(zone,)) if not item.zones or zone in item.zones else None


def _search(batch: Batch, gang: Sequence[Item], order: Sequence[int], rows: list[int], looks: int) -> int:
    """Depth-first over `order`. Looks left: positive where it succeeded (rows filled, claims left), else zero or negative."""
    if not order:
        return max(looks, 1)
    fleet, item = batch.fleet, gang[order[0]]
    ranked = keys(fleet, item, _members(batch, item)).copy()
    apart = {row for members in batch.groups.values() for row in members}
    apart |= {fleet.rows[host_id] for one in gang for host_id in (*one.hosts, *one.members) if host_id in fleet.rows}
    seen: set[Hashable] = set()
    while looks > 0:
        row = best(fleet, ranked)
        if row is None:
            break
        looks -= 1
        ranked[row] = EXCLUDED
        host = fleet.hosts[row]
        twin = row if row in apart else (*fleet.free[:, row].tolist(), host.pool, host.zone, host.arch, host.traits, host.kinds)
        if twin in seen:
            continue
        seen.add(twin)
        mark = len(batch.claims)
        _take(batch, item, row)
        rows[order[0]] = row
        left = _search(batch, gang, order[1:], rows, looks)
        if left > 0:
            return left
        undo(batch, mark)
        looks = -left
    return -looks
