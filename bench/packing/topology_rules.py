"""First-fit and best-fit on the topology experiment, compiled.

In: a sequence and the servers. Out: how many were placed before the first refusal.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler.columns import Ints
from scheduler.compiled import compiled, inner

FIRST_FIT, BEST_FIT = range(2)
AFFINITY, ANTI_AFFINITY, FAULT_DOMAIN = 1, 2, 3
_NONE, _BOTH = -1, 2


class Sequence(NamedTuple):
    """Requests: need (CPU, memory), NUMA cells, the group's rule, the group, the fault domain (-1: none)."""

    need: Ints
    cells: Ints
    rule: Ints
    group: Ints
    domain: Ints


class Members(NamedTuple):
    """Where groups are: the rack of a collocated one, servers taken by an anti-collocated one, the domain that holds each rack."""

    rack: Ints
    taken: NDArray[np.bool_]
    domain: Ints


def run(sequence: Sequence, cells: Ints, rack: Ints, rule: int) -> int:
    """How many are placed before the first refusal."""
    rows, groups, racks = len(rack), int(sequence.group.max()) + 1, int(rack.max()) + 1
    members = Members(np.full(groups, _NONE, np.int64), np.zeros((groups, rows), np.bool_), np.full((groups, racks), _NONE, np.int64))
    return _loop(sequence, members, cells.copy(), rack, rule)


@inner
def _allowed(sequence: Sequence, members: Members, k: int, row: int, rack: int) -> bool:
    rule, group = sequence.rule[k], sequence.group[k]
    if rule == AFFINITY:
        return bool(members.rack[group] == _NONE or members.rack[group] == rack)
    if rule == ANTI_AFFINITY:
        return not members.taken[group, row]
    held = members.domain[group, rack]
    return bool(rule != FAULT_DOMAIN or held == _NONE or held == sequence.domain[k])


@inner
def _fits(free: Ints, need: Ints) -> bool:
    return bool(free[0] >= need[0] and free[1] >= need[1])


@inner
def _choice(free: Ints, need: Ints, cells: int, whole: Ints, rule: int) -> int:
    """The cell to take, or both of them, or none."""
    if cells == _BOTH:
        return _BOTH if _fits(free[0], (need + 1) // 2) and _fits(free[1], (need + 1) // 2) else _NONE
    first, second = _fits(free[0], need), _fits(free[1], need)
    if first and second and rule == BEST_FIT:
        return 1 if (free[1] / whole).sum() < (free[0] / whole).sum() else 0
    if first:
        return 0
    return 1 if second else _NONE


@compiled
def _loop(sequence: Sequence, members: Members, free: Ints, rack: Ints, rule: int) -> int:
    whole = free.sum(axis=1)
    largest = np.array([whole[:, 0].max(), whole[:, 1].max()])
    for k in range(len(sequence.need)):
        need, group, asked = sequence.need[k], sequence.group[k], sequence.rule[k]
        best, most, take = _NONE, 0.0, _NONE
        for row in range(len(rack)):
            choice = (
                _choice(free[row], need, sequence.cells[k], whole[row], rule) if _allowed(sequence, members, k, row, rack[row]) else _NONE
            )
            if choice == _NONE:
                continue
            points = -((free[row, 0] + free[row, 1] - need) / largest).sum() if rule == BEST_FIT else 0.0
            if best == _NONE or points > most:
                best, most, take = row, points, choice
        if best == _NONE:
            return k
        if take == _BOTH:
            free[best] -= (need + 1) // 2
        else:
            free[best, take] -= need
        members.taken[group, best] = True
        if asked == AFFINITY:
            members.rack[group] = rack[best]
        if asked == FAULT_DOMAIN:
            members.domain[group, rack[best]] = sequence.domain[k]
    return len(sequence.need)
