"""Deciding where things go: `place` proposes for a whole batch, `apply` counts what was taken, `capacity` says how much more would fit.

In: the fleet and gangs (each all or nothing), in the order in which they are served. Out: a placement per item, or why not. Invariants:
no host is ever given more than its capacity; what an earlier gang was given is gone for later ones; the fleet is as it was when `place`
returns, also when it raises. Equal hosts are told apart by a hash of their id, then by the id (see `scores`), so that the order in which
hosts were read never shows. Rejected: claiming while placing, because the caller's transaction may fail, and a fleet that is wrong is
worse than one that is a moment old.
"""

from __future__ import annotations

from collections.abc import Sequence

from scheduler.constraints import members_of, room
from scheduler.fleet import Fleet
from scheduler.search import Batch, solve, undo
from scheduler.types import Item, NoValidHost, Placement


def place(fleet: Fleet, gangs: Sequence[Sequence[Item]]) -> list[list[Placement] | NoValidHost]:
    """For each gang, placements in the order of its items, or the refusal of the item that could not be placed."""
    batch = Batch(fleet)
    try:
        return [_placed(batch, gang) for gang in gangs]
    finally:
        undo(batch, 0)


def _placed(batch: Batch, gang: Sequence[Item]) -> list[Placement] | NoValidHost:
    rows = solve(batch, gang)
    if isinstance(rows, NoValidHost):
        return rows
    chosen = [batch.fleet.hosts[row] for row in rows]
    return [Placement(item.key, host.id, host.generation) for item, host in zip(gang, chosen, strict=True)]


def apply(fleet: Fleet, items: Sequence[Item], placements: Sequence[Placement]) -> None:
    """Count placements as used, once they are claimed for good. Raises ValueError where they are not the items'."""
    if [item.key for item in items] != [placement.key for placement in placements]:
        raise ValueError("placements belong to other items")
    for item, placement in zip(items, placements, strict=True):
        fleet.claim(placement.host_id, item.resources)


def capacity(fleet: Fleet, item: Item) -> int:
    """How many of the item would fit now, each counting for the others, under its spread rule."""
    return room(fleet, item, members_of(fleet, item, {}))
