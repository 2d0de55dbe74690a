"""Finding rows for a gang: all of its items, or none.

In: the fleet, and gangs to be placed with all before them in place. Out: rows, with the claims made, or the refusal of one item with no
claim of that gang left. In rising order of cost:

1. the items one after another, each on its best host (exact for one item, and for equal ones; all that most gangs ever need);
2. the same, largest item first, a gang that must share a zone once per zone;
3. a depth-first search over the hosts, largest item first, within a number of looks.

For one item, for equal items, and for gangs small enough for the looks (up to four items on five hosts, whatever their rules), the answer
is complete: a gang that fits is placed. A larger mixed gang may be refused although a clever arrangement exists, and then one host more
may change a yes into a no. Rejected: a solver library (a dependency, and seconds at ten thousand hosts, for gangs that are rarely mixed).
"""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import islice, product

import numpy as np

from scheduler import choosing, fitting
from scheduler.batches import Encoder, Groups, Places, Units, leads_of
from scheduler.columns import BLOCK, EXCLUDED, NEVER, Ints
from scheduler.constraints import RULES, Members, eligible, fails_among, room
from scheduler.fleet import Fleet
from scheduler.labels import wish_of
from scheduler.reasons import counted
from scheduler.scores import shape_of
from scheduler.types import Item, NoValidHost

LOOKS = 800  # hosts tried per gang in step 3
BATCH_LOOKS = 1600  # and per batch: a gang after that gets steps 1 and 2 only
_MOST_ZONINGS = 32
_MOST_SEARCHED = 200  # items; the search goes as deep as there are items


@dataclass(slots=True)
class Batch:
    """The fleet, the items of all gangs as arrays, and which of them are placed."""

    fleet: Fleet
    items: Sequence[Item]
    ends: Ints  # of the gangs, as numbers of units
    units: Units
    groups: Groups
    places: Places
    looks: int = BATCH_LOOKS

    def choose(self, unit: int, item: Item) -> int:
        """The best row for a unit, asked for as `item`; NEVER where none will do."""
        fleet, only = self.fleet, self.units.only[self.units.only_from[unit] : self.units.only_to[unit]]
        slot, allowed = fleet.slot(item), fleet.allowed(item)
        return int(choosing.choose(fleet.columns, fleet.index, self.groups, self.places, slot, allowed, self.units.groups[unit], only))

    def take(self, unit: int, row: int) -> None:
        """Claim a row for a unit."""
        choosing.take_unit(self.fleet.columns, self.fleet.index, self.groups, self.units, unit, row)

    def drop(self, units: Sequence[int]) -> None:
        """Take claims back; `units` as they were taken."""
        for unit in reversed(units):
            choosing.drop_unit(self.fleet.columns, self.fleet.index, self.groups, self.units, unit)

    def drop_all(self) -> None:
        """Take all claims back."""
        self.drop_range(0, len(self.items))

    def drop_range(self, start: int, end: int) -> None:
        """Take back those of a range of units, taken in their order."""
        choosing.drop_units(self.fleet.columns, self.fleet.index, self.groups, self.units, start, end)

    def members(self, unit: int) -> Members:
        """The members of a unit's group as they are now, by row."""
        found: dict[int, int] = {}
        group = int(self.units.groups[unit])
        entry = int(self.groups.first[group]) if group != NEVER else NEVER
        while entry != NEVER:
            row = int(self.groups.rows[entry])
            found[row] = found.get(row, 0) + 1
            entry = int(self.groups.after[entry])
        return found


def batch_of(fleet: Fleet, gangs: Sequence[Sequence[Item]]) -> Batch:
    """Gangs as arrays, one after another."""
    encoder = Encoder(fleet.rows)
    for gang in gangs:
        encoder.add(gang)
    items = [item for gang in gangs for item in gang]
    fleet.make_slots(len(encoder.shapes))
    slots = [fleet.slot(item) for _, item in encoder.shapes.values()]
    units = encoder.units(slots, [fleet.allowed(item) for _, item in encoder.wishes.values()], len(fleet.classes))
    ends = np.cumsum([len(gang) for gang in gangs], dtype=np.int64)
    return Batch(fleet, items, ends, units, encoder.groups.arrays(fleet.rows, len(items)), fleet.places())


def solve(batch: Batch) -> dict[int, NoValidHost]:
    """Place all gangs: their rows are in `batch.units`, claimed. Refusals by number of the gang; those claim nothing."""
    refusals: dict[int, NoValidHost] = {}
    gang, fleet = 0, batch.fleet
    while gang < len(batch.ends):
        gang, stopped = choosing.place_gangs(fleet.columns, fleet.index, batch.groups, batch.places, batch.units, batch.ends, gang)
        if gang < len(batch.ends):
            start = int(batch.ends[gang - 1]) if gang else 0
            refusal = _otherwise(batch, start, int(batch.ends[gang]), int(stopped))
            if refusal is not None:
                refusals[int(gang)] = refusal
            gang += 1
    return refusals


def _otherwise(batch: Batch, start: int, end: int, stopped: int) -> NoValidHost | None:
    """Another way, where taking the best host for each in turn failed at unit `stopped`."""
    gang = batch.items[start:end]
    refusal = _refusal(batch, stopped)
    if stopped > start:
        batch.drop_range(start, stopped)
    if _greedy_is_exact(batch, start, gang) or _cannot(batch, start, gang):
        return refusal
    order = sorted(range(len(gang)), key=lambda number: (-_bulk(batch.fleet, gang[number]), number))
    zonings = list(_zonings(batch, start, gang))
    for zoned in zonings:
        if _one_by_one(batch, start, zoned, order):
            return None
    looks = min(LOOKS, batch.looks) if len(gang) <= _MOST_SEARCHED else 0
    for zoned in zonings:
        left = _search(batch, start, zoned, order, looks)
        batch.looks -= looks - abs(left)
        if left > 0:
            return None
        looks = -left
    return refusal


def _refusal(batch: Batch, unit: int) -> NoValidHost:
    """Count, at this moment, which rule excludes how many hosts."""
    fleet, item = batch.fleet, batch.items[unit]
    first, alone = np.zeros(len(RULES), np.int64), np.zeros(len(RULES), np.int64)
    fitting.count_fails(fails_among(fleet, item, batch.groups, int(batch.units.groups[unit])), first, alone)
    return NoValidHost(item.key, len(fleet), counted(first), counted(alone))


def _one_by_one(batch: Batch, start: int, gang: Sequence[Item], order: Sequence[int]) -> bool:
    """Each item of `order` on its best host; whether all found one. Where not, no claim is left."""
    taken: list[int] = []
    for position, number in enumerate(order):
        item, unit, row = gang[number], start + number, NEVER
        lead = leads_of([gang[other] for other in order[position:]])[0]
        if lead is not None and batch.groups.first[batch.units.groups[unit]] == NEVER:
            row = batch.choose(unit, lead)
        if row == NEVER:
            row = batch.choose(unit, item)
        if row == NEVER:
            batch.drop(taken)
            return False
        batch.take(unit, row)
        taken.append(unit)
    return True


def sort_of(item: Item) -> Hashable:
    """Equal for items that may take each other's place."""
    return shape_of(item), wish_of(item), item.hosts, item.spread, frozenset(item.members.items())


def _greedy_is_exact(batch: Batch, start: int, gang: Sequence[Item]) -> bool:
    """Whether taking the best host for each item finds a place whenever there is one: one item, or equal ones that do not
    have to choose a domain together."""
    if len(gang) == 1:
        return True
    spread = gang[0].spread
    chooses = spread is not None and spread.mode == "affinity" and spread.domain != "host" and not batch.members(start)
    return not chooses and len({sort_of(item) for item in gang}) == 1


def _cannot(batch: Batch, start: int, gang: Sequence[Item]) -> bool:
    """Proof that no arrangement exists: too little room for one sort of item, or too little of one resource for all together."""
    fleet = batch.fleet
    sorts: dict[Hashable, list[int]] = {}
    for number, item in enumerate(gang):
        sorts.setdefault(sort_of(item), []).append(number)
    useful = np.zeros(len(fleet.columns.flags), np.bool_)
    for numbers in sorts.values():
        if room(fleet, gang[numbers[0]], batch.members(start + numbers[0])) < len(numbers):
            return True
        useful |= eligible(fleet, gang[numbers[0]])
    free = np.maximum(fleet.columns.free, 0).T @ useful
    needs = np.sum([shape_of(item)[0] for item in gang], axis=0)
    return bool((needs > free).any())


def _bulk(fleet: Fleet, item: Item) -> float:
    """The largest share of the fleet's free resources that the item takes."""
    free = np.maximum(fleet.columns.free, 0).sum(axis=0).tolist()
    return float(max(need / max(have, 1) for need, have in zip(shape_of(item)[0], free, strict=True)))


def _zonings(batch: Batch, start: int, gang: Sequence[Item]) -> Iterator[Sequence[Item]]:
    """The gang, once per choice of zones for those of its groups that must share one and are nowhere yet."""
    free = {
        item.spread.group: None
        for number, item in enumerate(gang)
        if item.spread and item.spread.mode == "affinity" and item.spread.domain == "zone" and not batch.members(start + number)
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


def _search(batch: Batch, start: int, gang: Sequence[Item], order: Sequence[int], looks: int) -> int:
    """Depth-first over `order`. Looks left: positive where it succeeded (rows filled, claims left), else zero or negative."""
    if not order:
        return max(looks, 1)
    fleet, item, unit = batch.fleet, gang[order[0]], start + order[0]
    ranked = _ranked(batch, unit, item)
    apart = {row for number in range(len(gang)) for row in batch.members(start + number)}
    apart |= {fleet.rows[host_id] for one in gang for host_id in (*one.hosts, *one.members) if host_id in fleet.rows}
    seen: set[Hashable] = set()
    while looks > 0:
        row = _best(fleet, ranked)
        if row == NEVER:
            break
        looks -= 1
        ranked[row] = EXCLUDED
        twin = row if row in apart else _alike(fleet, row)
        if twin in seen:
            continue
        seen.add(twin)
        batch.take(unit, row)
        left = _search(batch, start, gang, order[1:], looks)
        if left > 0:
            return left
        batch.drop([unit])
        looks = -left
    return -looks


def _ranked(batch: Batch, unit: int, item: Item) -> Ints:
    """The keys of all rows for a unit, asked for as `item`."""
    fleet, group = batch.fleet, batch.units.groups[unit]
    out = np.empty(len(fleet.columns.flags), np.int64)
    choosing.all_keys(fleet.columns, fleet.index, batch.groups, batch.places, fleet.slot(item), fleet.allowed(item), group, out)
    if item.hosts:
        others = np.ones(len(out), np.bool_)
        others[[fleet.rows[id_] for id_ in item.hosts if id_ in fleet.rows]] = False
        out[others] = EXCLUDED
    return out


def _best(fleet: Fleet, ranked: Ints) -> int:
    """The row with the highest key, of equals the one with the smallest second hash; NEVER where every row is excluded."""
    top = ranked.max(initial=EXCLUDED)
    if top == EXCLUDED:
        return NEVER
    equals = np.flatnonzero(ranked == top)
    return int(equals[fleet.columns.rest[equals].argmin()])


def _alike(fleet: Fleet, row: int) -> Hashable:
    """Equal for rows that no rule can tell apart."""
    of = fleet.columns
    return (int(of.classes[row // BLOCK]), int(of.rack[row]), of.free[row].tobytes(), of.gpus[row].tobytes(), of.cells[row].tobytes())
