"""The preferences: among hosts that can hold an item, which is best. Weights stand in one table; a higher sum wins, equal sums go by a hash of the host's id."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scheduler.constraints import Members, members_by_domain
from scheduler.fleet import Fleet
from scheduler.types import Item

WEIGHTS = {
    "full": 1.0,  # the fullest dimension after placing: best fit, keeps other hosts empty for large items
    "balance": 0.25,  # dimensions filled alike: what is left stays usable
    "apart": 100.0,  # soft spread: fewest members of the group in the domain
}


def score(fleet: Fleet, item: Item, members: Members, rows: NDArray[np.intp]) -> NDArray[np.float64]:
    """The score of each row given."""
    wanted = np.array((item.resources.vcpus, item.resources.memory_mib, item.resources.disk_gib, item.resources.gpus), np.int64)
    capacity = fleet.capacity[rows]
    filled = (fleet.used[rows] + wanted) / np.maximum(capacity, 1)
    asked = wanted[:3] > 0
    share = filled[:, :3][:, asked] if asked.any() else filled[:, :3]
    full = share.max(axis=1)
    total = WEIGHTS["balance"] * (share.min(axis=1) - full)
    if item.spread is not None and item.spread.mode == "spread":
        total -= WEIGHTS["full"] * full
        total -= WEIGHTS["apart"] * members_by_domain(fleet, item.spread, members)[rows]
    else:
        total += WEIGHTS["full"] * full
    return np.asarray(total)


def best(fleet: Fleet, item: Item, members: Members, rows: NDArray[np.intp]) -> int:
    """The best of the rows given."""
    scores = score(fleet, item, members, rows)
    top = rows[scores >= scores.max() - 1e-12]
    return int(top[np.argmin(fleet.order[top])]) if len(top) > 1 else int(top[0])
