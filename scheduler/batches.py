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
from scheduler.types import SIZES, Item, Resources, Spread

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
    rules: list[Spread] = field(default_factory=list)
    members: list[Mapping[str, int]] = field(default_factory=list)

    def number(self, item: Item) -> int:
        """The number of the item's group; NEVER for an item without."""
        if item.spread is None:
            return NEVER
        found = self.names.get(item.spread.group)
        if found is None:
            found = self.names[item.spread.group] = len(self.rules)
            self.rules.append(item.spread)
            self.members.append(item.members)
        return found

    def arrays(self, rows: Mapping[str, int], units: int) -> Groups:
        """As arrays, with room for `units` more members."""
        placed = [(number, rows.get(id_, NEVER)) for number, where in enumerate(self.members) for id_, n in where.items() for _ in range(n)]
        groups = Groups(
            modes=_ints(MODES[rule.mode] for rule in self.rules),
            domains=_ints(DOMAINS[rule.domain] for rule in self.rules),
            most=_ints(rule.max_per_domain for rule in self.rules),
            first=np.full(len(self.rules), NEVER, np.int64),
            rows=np.full(len(placed) + units, NEVER, np.int64),
            after=np.full(len(placed) + units, NEVER, np.int64),
            used=np.zeros(1, np.int64),
        )
        for entry, (group, row) in enumerate(placed):
            groups.rows[entry], groups.after[entry] = row, groups.first[group]
            groups.first[group] = entry
        groups.used[0] = len(placed)
        return groups


class Encoder:
    """Collects units. Items of one shape share a slot of the index, items with one wish (about labels) a row of `allowed`."""

    def __init__(self) -> None:
        self.shapes: dict[tuple[object, ...], tuple[int, Item]] = {}  # each with its number and an item that has it
        self.wishes: dict[tuple[object, ...], tuple[int, Item]] = {}
        self._units: list[int] = []  # seven numbers for each
        self._only: list[int] = []

    def add(self, item: Item, group: int, lead: Item | None, only: Sequence[int]) -> None:
        """One more unit; `lead`: what it leads (see `Units.lead_slots`); `only`: the rows that it is confined to."""
        first = len(self._only)
        if only:
            self._only += only
        leads = (NEVER, NEVER) if lead is None else (self._shape(lead), self._wish(lead))
        self._units += (self._shape(item), self._wish(item), group, *leads, first, len(self._only))

    def _shape(self, item: Item) -> int:
        asked = item.resources, item.gpu_milli, item.cells, item.alive
        found = self.shapes.get(asked)
        if found is None:
            found = self.shapes[asked] = len(self.shapes), item
        return found[0]

    def _wish(self, item: Item) -> int:
        asked = wish_of(item)
        found = self.wishes.get(asked)
        if found is None:
            found = self.wishes[asked] = len(self.wishes), item
        return found[0]

    def units(self, slots: Sequence[int], allowed: Sequence[Ints], classes: int) -> Units:
        """All of them as arrays; `slots` by shape and `allowed` by wish."""
        table = np.array(self._units, np.int64).reshape(-1, 7).T.copy()
        slot_of = np.array([*slots, NEVER], np.int64)  # the last is for no lead at all
        blank = np.full((3, table.shape[1]), NEVER, np.int64)
        return Units(
            slots=slot_of[table[0]],
            wishes=table[1],
            groups=table[2],
            lead_slots=slot_of[table[3]],
            lead_wishes=table[4],
            only_from=table[5],
            only_to=table[6],
            only=_ints(self._only),
            allowed=np.array(allowed, np.int64).reshape(-1, classes),
            rows=blank[0],
            devices=blank[1],
            cells=blank[2],
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


def together(first: Item, rest: Sequence[Item]) -> Item:
    """The first item of a group as large as all of the group in `rest`: they must share its host."""
    group = [item for item in rest if item.spread == first.spread]
    if len(group) == 1:
        return first
    sizes = (sum(getattr(item.resources, name) for item in group) for name in SIZES)
    return replace(first, resources=Resources(*sizes), traits=frozenset().union(*(item.traits for item in group)))


def _ints(values: object) -> Ints:
    return np.array(list(values), np.int64)  # type: ignore[call-overload]
