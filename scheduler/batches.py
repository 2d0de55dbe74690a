"""Gangs as arrays: what `scheduler.choosing` is told of items and of the groups that they belong to.

In: a fleet and gangs. Out: `Units`, one for each item in order; `Groups`, with the members that are placed already; `Places`, which numbers
the domains and has room to count members in. Items that ask for the same things share a slot of the fleet's index and a row of `allowed`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler.columns import BLOCK, NEVER, Ints
from scheduler.labels import wish_of
from scheduler.scores import Shape, shape_of
from scheduler.types import SIZES, Item, Resources

AFFINITY, ANTI_AFFINITY, SPREAD, PACK = range(4)
HOST, RACK, ZONE, SITE = range(4)
MODES: Mapping[str, int] = {"affinity": AFFINITY, "anti_affinity": ANTI_AFFINITY, "spread": SPREAD, "pack": PACK}
DOMAINS: Mapping[str, int] = {"host": HOST, "rack": RACK, "zone": ZONE, "site": SITE}


class Units(NamedTuple):
    """The items of a batch, one after another. Rows are filled in as they are placed."""

    slots: Ints  # [n] of the index
    wishes: Ints  # [n] rows of `allowed`
    groups: Ints  # [n] NEVER for none
    lead_slots: Ints  # [n] for the first of a group that must share a host: the slot of all of it together; else NEVER
    lead_wishes: Ints  # [n]
    only_from: Ints  # [n] the rows that an item is confined to, from here ...
    only_to: Ints  # [n] ... to here of `only`; none for all
    only: Ints
    allowed: Ints  # [W, classes] what labels add to a key: EXCLUDED where they forbid
    rows: Ints  # [n] out
    devices: Ints  # [n] out: bits
    cells: Ints  # [n] out: bits


class Groups(NamedTuple):
    """Groups, and their members as linked lists."""

    modes: Ints
    domains: Ints
    most: Ints  # members that anti-affinity allows in one domain
    first: Ints  # entry of the newest member, NEVER for none
    rows: Ints  # [members] by entry; NEVER for a host that the fleet does not know
    after: Ints  # [members] the entry of the next older member
    used: Ints  # [1] entries in use


class Places(NamedTuple):
    """Where the blocks of a class are; domains by number; and scratch arrays, of which the counts are all zero between calls."""

    order: Ints  # blocks that have a class, by class
    begins: Ints  # [classes + 1] where in `order` those of a class begin
    zones: Ints  # [classes]
    sites: Ints  # [classes]
    counts: Ints  # by number of a domain
    blocks: Ints  # [R / BLOCK] members in a block
    rooms: Ints  # by number of a rack, zone or site: what is free in it, as keys count it
    free: Ints  # by the same, and one row more: what is free in it, by size


@dataclass(slots=True)
class GroupTable:
    """The groups of one batch by name, before they are arrays."""

    names: dict[str, int] = field(default_factory=dict)
    rules: list[tuple[int, int, int]] = field(default_factory=list)  # mode, domain, most
    members: list[tuple[int, str, int]] = field(default_factory=list)  # group, host id, how many

    def number(self, item: Item) -> int:
        """The number of the item's group; NEVER for an item without."""
        rule = item.spread
        if rule is None:
            return NEVER
        found = self.names.get(rule.group)
        if found is None:
            found = self.names[rule.group] = len(self.rules)
            self.rules.append((MODES[rule.mode], DOMAINS[rule.domain], rule.max_per_domain))
            if item.members:
                self.members += [(found, id_, count) for id_, count in item.members.items()]
        return found

    def arrays(self, rows: Mapping[str, int], units: int) -> Groups:
        """As arrays, with room for `units` more members."""
        placed = [(group, rows.get(id_, NEVER)) for group, id_, count in self.members for _ in range(count)]
        modes, domains, most = np.array(self.rules, np.int64).reshape(-1, 3).T.copy()
        blank = np.full((2, len(placed) + units), NEVER, np.int64)
        first = np.full(len(self.rules), NEVER, np.int64)
        groups = Groups(modes, domains, most, first, blank[0], blank[1], np.array([len(placed)], np.int64))
        for entry, (group, row) in enumerate(placed):
            groups.rows[entry], groups.after[entry] = row, groups.first[group]
            groups.first[group] = entry
        return groups


class Encoder:
    """Collects units. Items of one shape share a slot of the index, items with one wish (about labels) a row of `allowed`."""

    def __init__(self, rows: Mapping[str, int]) -> None:
        self.groups = GroupTable()
        self.shapes: dict[Shape, tuple[int, Item]] = {}  # each with its number and an item that has it
        self.wishes: dict[tuple[object, ...], tuple[int, Item]] = {}
        self._rows = rows
        self._sorts: dict[tuple[object, ...], int] = {}
        self._pairs: list[tuple[int, int]] = []  # shape and wish, by sort
        self._units: list[int] = []  # sort of each
        self._groups: list[int] = []
        self._leads: dict[int, tuple[int, int]] = {}  # shape and wish, of few units
        self._only: dict[int, list[int]] = {}  # likewise

    def add(self, gang: Sequence[Item]) -> None:
        """One more gang."""
        start, led = len(self._units), False
        before: Item | None = None
        sort = group = NEVER
        for item in gang:
            if item is not before:  # else one item stands for several
                before, sort, group = item, self._sort(item), NEVER
                if item.spread is not None:
                    group, led = self.groups.number(item), led or leads(item)
            if item.hosts:
                self._only[len(self._units)] = [self._rows.get(id_, NEVER) for id_ in item.hosts]
            self._units.append(sort)
            self._groups.append(group)
        if led and len(gang) > 1:
            for position, lead in enumerate(leads_of(gang)):
                if lead is not None:
                    self._leads[start + position] = self._pair(lead)

    def _sort(self, item: Item) -> int:
        """Equal for items of one shape with one wish. Told by plain values, whose hashes are quickly made."""
        size = item.resources
        asked = (
            size.vcpus, size.memory_mib, size.disk_gib, size.gpus, item.gpu_milli, item.gpu_models, item.cells, item.alive,
            item.kind, item.pools, item.level, item.tenants, item.sites, item.zones, item.arch, item.baseline, item.traits,
        )  # fmt: skip
        found = self._sorts.get(asked)
        if found is None:
            found = self._sorts[asked] = len(self._pairs)
            self._pairs.append(self._pair(item))
        return found

    def _pair(self, item: Item) -> tuple[int, int]:
        shape, _ = self.shapes.setdefault(shape_of(item), (len(self.shapes), item))
        wish, _ = self.wishes.setdefault(wish_of(item), (len(self.wishes), item))
        return shape, wish

    def units(self, slots: Sequence[int], allowed: Sequence[Ints], classes: int) -> Units:
        """All of them as arrays; `slots` by shape and `allowed` by wish."""
        slot_of, count = np.array(slots, np.int64), len(self._units)
        shapes, wishes = np.array(self._pairs, np.int64).reshape(-1, 2).T
        sorts = np.array(self._units, np.int64)
        blank, bounds = np.full((5, count), NEVER, np.int64), np.zeros((2, count), np.int64)
        for unit, (shape, wish) in self._leads.items():
            blank[:2, unit] = slot_of[shape], wish
        only: list[int] = []
        for unit, rows in self._only.items():
            bounds[:, unit] = len(only), len(only) + len(rows)
            only += rows
        return Units(
            slots=slot_of[shapes][sorts],
            wishes=wishes[sorts],
            groups=np.array(self._groups, np.int64),
            lead_slots=blank[0],
            lead_wishes=blank[1],
            only_from=bounds[0],
            only_to=bounds[1],
            only=np.array(only, np.int64),
            allowed=np.array(allowed, np.int64).reshape(-1, classes),
            rows=blank[2],
            devices=blank[3],
            cells=blank[4],
        )


def places(classes: NDArray[np.int32], zones: Sequence[int], sites: Sequence[int], racks: int, rows: int) -> Places:
    """`classes`: of the blocks that have one; `zones` and `sites` by class. With room to count members of a group in any domain."""
    wider = max(racks, max(zones, default=0) + 1, max(sites, default=0) + 1)
    return Places(
        order=np.argsort(classes, kind="stable").astype(np.int64),
        begins=np.append(0, np.cumsum(np.bincount(classes, minlength=len(zones)))).astype(np.int64),
        zones=_ints(zones or [0]),
        sites=_ints(sites or [0]),
        counts=np.zeros(max(rows, wider), np.int64),
        blocks=np.zeros(rows // BLOCK, np.int64),
        rooms=np.zeros(wider, np.int64),
        free=np.zeros((wider + 1, len(SIZES)), np.int64),
    )


def leads(item: Item) -> bool:
    """Whether an item must share its host with the others of its group."""
    return item.spread is not None and item.spread.mode == "affinity" and item.spread.domain == "host"


def leads_of(gang: Sequence[Item]) -> Sequence[Item | None]:
    """For each item that must share a host with those of its group behind it, all of them together."""
    found: list[Item | None] = [None] * len(gang)
    seen: set[str] = set()
    for position, item in enumerate(gang):
        if item.spread is not None and leads(item) and item.spread.group not in seen:
            seen.add(item.spread.group)
            found[position] = together(item, gang[position:])
    return found


def together(first: Item, rest: Sequence[Item]) -> Item:
    """The first item of a group as large as all of the group in `rest`: they must share its host."""
    group = [item for item in rest if item.spread == first.spread]
    if len(group) == 1:
        return first
    sizes = (sum(getattr(item.resources, name) for item in group) for name in SIZES)
    return replace(first, resources=Resources(*sizes), traits=frozenset().union(*(item.traits for item in group)))


def _ints(values: object) -> Ints:
    return np.array(list(values), np.int64)  # type: ignore[call-overload]
