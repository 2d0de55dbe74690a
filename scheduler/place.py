"""Place gangs of items: each gang whole or not at all, in order, each against what the ones before have taken.

Greedy, best host first. Where a gang fails in the order given it is tried largest first, then, for an affinity rule, within one domain after another. The fleet is left
as it was: claims are taken tentatively and given back; `apply` counts what the caller has committed.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from scheduler.constraints import RULES, Members, candidates
from scheduler.fleet import Fleet
from scheduler.scores import best
from scheduler.types import Item, NoValidHost, Placement, Resources, RuleCount

Gang = Sequence[Item]
_DOMAINS = 32  # domains tried for a gang that must be together


def place(fleet: Fleet, gangs: Sequence[Gang]) -> list[list[Placement] | NoValidHost]:
    """For each gang where its items go, in the items' order, or why one of them can go nowhere."""
    taken: list[tuple[int, Resources]] = []
    results = []
    try:
        for gang in gangs:
            results.append(_gang(fleet, gang, taken))
    finally:
        _give_back(fleet, taken, 0)
    return results


def apply(fleet: Fleet, items: Gang, placements: Sequence[Placement]) -> None:
    """Count placements that were committed."""
    for item, placement in zip(items, placements, strict=True):
        fleet.claim(placement.host_id, item.resources)


def _gang(fleet: Fleet, gang: Gang, taken: list[tuple[int, Resources]]) -> list[Placement] | NoValidHost:
    mark = len(taken)
    first = _in_order(fleet, gang, range(len(gang)), taken)
    if not isinstance(first, NoValidHost) or len(gang) == 1:
        return first
    _give_back(fleet, taken, mark)
    largest = sorted(range(len(gang)), key=lambda number: _largeness(fleet, gang[number]), reverse=True)
    again = _in_order(fleet, gang, largest, taken)
    if not isinstance(again, NoValidHost):
        return again
    _give_back(fleet, taken, mark)
    return _together(fleet, gang, largest, taken) or first


def _together(fleet: Fleet, gang: Gang, order: Sequence[int], taken: list[tuple[int, Resources]]) -> list[Placement] | None:
    """A gang with an affinity rule, tried within one domain after another."""
    lead = next((item for item in gang if item.spread is not None and item.spread.mode == "affinity"), None)
    if lead is None or lead.members:
        return None
    mark = len(taken)
    seen: set[int] = set()
    for row in np.flatnonzero(candidates(fleet, lead, {})).tolist():
        domain = row if lead.spread and lead.spread.domain == "host" else int(fleet.zone[row])
        if domain in seen or len(seen) == _DOMAINS:
            continue
        seen.add(domain)
        found = _in_order(fleet, gang, order, taken, start=row, group=lead.spread.group if lead.spread else "")
        if not isinstance(found, NoValidHost):
            return found
        _give_back(fleet, taken, mark)
    return None


def _in_order(
    fleet: Fleet, gang: Gang, order: Sequence[int], taken: list[tuple[int, Resources]], start: int | None = None, group: str = ""
) -> list[Placement] | NoValidHost:
    """Place in the order given; claims are appended to `taken`. `start`: a row that counts as holding a member of `group`."""
    groups: dict[str, dict[int, int]] = {group: {start: 1}} if start is not None else {}
    found: dict[int, Placement] = {}
    for number in order:
        item = gang[number]
        members = _members(fleet, item, groups)
        rows = np.flatnonzero(candidates(fleet, item, members))
        if len(rows) == 0:
            return refusal(fleet, item, members)
        row = best(fleet, item, members, rows)
        host = fleet.at(row)
        fleet.claim(host.id, item.resources)
        taken.append((row, item.resources))
        if item.spread is not None:
            members[row] = members.get(row, 0) + 1
        found[number] = Placement(item.key, host.id, host.generation)
    return [found[number] for number in range(len(gang))]


def _members(fleet: Fleet, item: Item, groups: dict[str, dict[int, int]]) -> dict[int, int]:
    """The members of an item's group by row; begun from what the caller knows, kept for the rest of the gang."""
    if item.spread is None:
        return {}
    known = groups.get(item.spread.group)
    if known is None:
        known = {row: count for id_, count in item.members.items() if (row := fleet.row(id_)) is not None}
        groups[item.spread.group] = known
    return known


def _largeness(fleet: Fleet, item: Item) -> float:
    """The share of the largest host that an item takes, in its largest dimension."""
    most = np.maximum(fleet.capacity[: fleet.n].max(axis=0, initial=1), 1)
    size = item.resources
    return float(max(np.array((size.vcpus, size.memory_mib, size.disk_gib, size.gpus)) / most))


def _give_back(fleet: Fleet, taken: list[tuple[int, Resources]], mark: int) -> None:
    while len(taken) > mark:
        row, size = taken.pop()
        fleet.used[row] -= (size.vcpus, size.memory_mib, size.disk_gib, size.gpus)


def refusal(fleet: Fleet, item: Item, members: Members) -> NoValidHost:
    """Why an item can go nowhere: per rule how many hosts it excluded, in order and alone."""
    left = fleet.present[: fleet.n].copy()
    rules, alone = [], []
    for code, rule in RULES.items():
        passes = rule(fleet, item, members)
        rules.append(RuleCount(code, int((left & ~passes).sum())))
        alone.append(RuleCount(code, int((fleet.present[: fleet.n] & ~passes).sum())))
        left &= passes
    return NoValidHost(item.key, len(fleet), tuple(rules), tuple(alone))
