"""Deciding where things go: `propose` decides for a whole batch and claims, `place` decides alone, `capacity` says how much more would fit.

In: the fleet and gangs (each all or nothing), in the order in which they are served. Out: a placement per item, or why not. Invariants:
no host is ever given more than its capacity; what an earlier gang was given is gone for later ones; a proposal taken back leaves the
fleet as it was. Equal hosts are told apart by hashes of their ids, so that the order in which hosts were read never shows.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np

from scheduler.constraints import members_of, room
from scheduler.fleet import Fleet
from scheduler.search import Batch, batch_of, solve
from scheduler.types import Item, NoValidHost, Placement


@dataclass(slots=True)
class Proposal:
    """What was decided for each gang: placements in the order of its items, or the refusal of the item that could not be placed.

    All that is placed is claimed in the fleet until `take_back`.
    """

    results: list[list[Placement] | NoValidHost]
    _batch: Batch | None

    def take_back(self) -> None:
        """Give back every claim; the second time nothing happens."""
        if self._batch is not None:
            self._batch.drop_all()
            self._batch = None


def propose(fleet: Fleet, gangs: Sequence[Sequence[Item]]) -> Proposal:
    """Decide, and claim in the fleet. When it raises, nothing is claimed."""
    if not fleet.classes:
        return Proposal([NoValidHost(gang[0].key, 0, (), ()) if gang else [] for gang in gangs], None)
    batch = batch_of(fleet, gangs)
    try:
        refusals = solve(batch)
    except BaseException:
        batch.drop_all()
        raise
    hosts = fleet.in_rows(batch.units.rows)
    placements = [Placement(item.key, id_, generation) for item, (id_, generation) in zip(batch.items, hosts, strict=True)]
    devices, cells = batch.units.devices, batch.units.cells
    for unit in np.flatnonzero((devices > 0) | (cells > 0)).tolist():  # few items ask for such
        placements[unit] = placements[unit]._replace(devices=_numbers(int(devices[unit])), cells=_numbers(int(cells[unit])))
    results: list[list[Placement] | NoValidHost] = [placements[start:end] for start, end in pairwise([0, *batch.ends.tolist()])]
    for number, refusal in refusals.items():
        results[number] = refusal
    return Proposal(results, batch)


def _numbers(bits: int) -> tuple[int, ...]:
    return tuple(number for number in range(max(bits, 0).bit_length()) if bits >> number & 1)


def place(fleet: Fleet, gangs: Sequence[Sequence[Item]]) -> list[list[Placement] | NoValidHost]:
    """Decide; the fleet is as it was."""
    proposal = propose(fleet, gangs)
    proposal.take_back()
    return proposal.results


def apply(fleet: Fleet, items: Sequence[Item], placements: Sequence[Placement]) -> None:
    """Count placements as used, once they are claimed for good. Raises ValueError where they are not the items'."""
    if [item.key for item in items] != [placement.key for placement in placements]:
        raise ValueError("placements belong to other items")
    fleet.claim_at(zip(items, placements, strict=True))


def capacity(fleet: Fleet, item: Item) -> int:
    """How many of the item would fit now, each counting for the others, under its spread rule."""
    return room(fleet, item, members_of(fleet, item, {})) if fleet.classes else 0
