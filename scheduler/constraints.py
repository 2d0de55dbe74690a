"""Every hard rule by its code: for explaining, which hosts each one excludes; for counting, how many of an item would fit.

In: a fleet, an item, where members of its group are. Out: for every row the rules that it fails. Placing looks at the same rules through
`Fleet.allowed` and `fitting.keys_of`; a property test holds one against the other. Rejected: rules as classes with weights and names
(each is one comparison).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import replace

import numpy as np

from scheduler import choosing, fitting
from scheduler.batches import Groups, GroupTable
from scheduler.columns import BLOCK, NEVER, Ints, Mask
from scheduler.fleet import Fleet
from scheduler.labels import LABEL_RULES
from scheduler.scores import shape_of
from scheduler.types import Item

Members = Mapping[int, int]
"""Members of one group by row; those on hosts that the fleet does not know are under NEVER."""

NOBODY = -1  # every bit
_NO_SIZE = 1 << 20  # as many of an item without any size fit on a host


RULES: Sequence[str] = (*LABEL_RULES, *fitting.ROW_RULES, "host", "affinity", "anti_affinity")
"""All codes, in the order in which refusals count them: a rule's number is its bit in `fails`."""
BIT: Mapping[str, int] = {name: 1 << number for number, name in enumerate(RULES)}
_GROUP_BITS = BIT["affinity"] | BIT["anti_affinity"]


def fails(fleet: Fleet, item: Item, members: Members) -> Ints:
    """For every row, the rules that it fails, as bits; NOBODY for a row without a host."""
    return fails_among(fleet, item, group_of(item, members), 0)


def fails_among(fleet: Fleet, item: Item, groups: Groups, group: int) -> Ints:
    """The same, with members of the item's group where `groups` has them."""
    needs, extras = shape_of(item)[:2]
    found = np.empty(len(fleet.columns.flags), np.int64)
    sizes = np.array(needs, np.int64), np.array(extras, np.int64)
    fitting.find_fails(fleet.columns, *sizes, fleet.label_fails(item), len(LABEL_RULES), found)
    if item.hosts:
        ok = np.zeros(len(found), np.bool_)
        ok[[fleet.rows[host_id] for host_id in item.hosts if host_id in fleet.rows]] = True
        found[~ok] |= BIT["host"]
    if item.spread and item.spread.mode in BIT:
        choosing.add_fails(fleet.columns, groups, fleet.places(), group, BIT[item.spread.mode], found)
    return found


def group_of(item: Item, members: Members) -> Groups:
    """The item's group alone, with these members; no group at all for an item without."""
    table = GroupTable()
    if table.number(item) == NEVER:
        return table.arrays({}, 0)
    groups = table.arrays({}, sum(members.values()))
    groups.first[0] = NEVER
    groups.used[0] = 0
    for row, count in members.items():
        for _ in range(count):
            choosing.join(groups, 0, row)
    return groups


def per_domain(fleet: Fleet, item: Item, members: Members) -> tuple[Ints, int]:
    """For every row, the members of the item's group in its domain; how many there are in all."""
    counts = np.zeros(len(fleet.columns.flags), np.int64)
    total = choosing.members_in_domain(fleet.columns, group_of(item, members), fleet.places(), 0, counts)
    return counts, total


def members_of(fleet: Fleet, item: Item, in_batch: Members) -> Members:
    """Where the members of the item's group are: those placed before and those placed in this batch."""
    members = dict(in_batch)
    for host_id, count in item.members.items():
        if count:
            row = fleet.rows.get(host_id, NEVER)
            members[row] = members.get(row, 0) + count
    return members


def eligible(fleet: Fleet, item: Item, but_for: Iterable[str] = ()) -> Mask:
    """Rows that pass every rule of the item alone, `but_for` some; the group's rule comes on top."""
    found = fails(fleet, replace(item, spread=None), {})
    ok: Mask = (found & ~sum(BIT[name] for name in but_for)) == 0
    return ok


def room(fleet: Fleet, item: Item, members: Members) -> int:
    """How many of the item would fit now, were they alone; for a group without a place yet, in the domain that has most room."""
    rows = np.flatnonzero(fails(fleet, item, members) == 0)
    needs, extras = shape_of(item)[:2]
    each = np.zeros(len(rows), np.int64)
    fitting.copies_on(fleet.columns, rows, np.array(needs, np.int64), np.array(extras, np.int64), _NO_SIZE, each)
    spread = item.spread
    if spread is None or not len(rows) or spread.mode not in ("affinity", "anti_affinity") or (spread.mode == "affinity" and members):
        return int(each.sum())
    taken = per_domain(fleet, item, members)[0][rows]
    if spread.domain != "host":
        _, first, domain = np.unique(_domain_numbers(fleet, spread.domain)[rows], return_index=True, return_inverse=True)
        each, taken = np.bincount(domain, weights=each).astype(np.int64), taken[first]
    return int(each.max() if spread.mode == "affinity" else np.minimum(each, spread.max_per_domain - taken).sum())


def _domain_numbers(fleet: Fleet, domain: str) -> Ints:
    """For every row the number of its rack, zone or site."""
    if domain == "rack":
        return fleet.columns.rack.astype(np.int64)
    of_class = fleet.places().zones if domain == "zone" else fleet.places().sites
    return np.repeat(of_class[fleet.columns.classes], BLOCK)
