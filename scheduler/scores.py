"""Which of the hosts that would do is best: one literal table of weights, and a key per host that puts them in order.

In: the fleet's columns and an item. Out: an integer per row, higher is better, EXCLUDED where a rule forbids the host. A key is the
weighted score in steps of 2^-20 with a hash of the host's id below it: equal scores are told apart by that hash, and equal hashes by the
smallest id (`best`), so that the order in which hosts were read never shows. Keys are kept per shape of item in `fleet.rankings` and
brought up to date for the rows that were touched since. Rejected: normalising each score over the hosts in view, because a host's score
would then depend on every other host.
"""

from __future__ import annotations

from collections.abc import Hashable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler.constraints import ELSEWHERE, Members, Rows, eligible, group_mask, per_domain
from scheduler.fleet import TIE_BITS, Fleet, Ranking
from scheduler.types import Item

Keys = NDArray[np.int64]
EXCLUDED = -(1 << 62)
_STEPS = 1 << 20
_MOST_MEMBERS = 1000  # counted; keeps keys within 64 bits
_MOST_RANKINGS = 256


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts, and how much.

    `fit`: how full the host's fullest asked-for resource would be (0..1): packs, and keeps large holes whole.
    `balance`: how far apart its asked-for resources would be (0..1): negative, so that no resource is stranded behind another.
    `idle_gpus`: 1 where an item without GPUs would sit on a host that has free ones.
    `members`: members of the group in the domain; `beside`: 1 where the host itself has one.
    """

    fit: float
    balance: float
    idle_gpus: float
    members: float = 0.0
    beside: float = 0.0


DEFAULT = Weights(fit=1.0, balance=-0.3, idle_gpus=-2.0)
WEIGHTS: Mapping[str, Weights] = {
    "affinity": Weights(fit=1.0, balance=-0.3, idle_gpus=-2.0, beside=4.0),
    "anti_affinity": DEFAULT,
    "spread": Weights(fit=1.0, balance=-0.3, idle_gpus=-2.0, members=-4.0),  # one member outweighs all else
    "pack": Weights(fit=1.0, balance=0.0, idle_gpus=-2.0),
}


def weights_of(item: Item) -> Weights:
    """The row of the table that holds for the item."""
    return WEIGHTS[item.spread.mode] if item.spread else DEFAULT


def shape(item: Item) -> Hashable:
    """Equal for items that every rule but the group's, and every score but the members', treats alike."""
    weights = weights_of(item)
    size = item.resources
    return (
        item.kind,
        (size.vcpus, size.memory_mib, size.disk_gib, size.gpus),
        item.arch,
        item.traits,
        item.pools,
        item.zones,
        item.hosts,
        (weights.fit, weights.balance, weights.idle_gpus),
    )


def points(fleet: Fleet, item: Item, rows: Rows) -> NDArray[np.float64]:
    """The weighted score without the group's part."""
    weights, size = weights_of(item), item.resources
    needs = (size.vcpus, size.memory_mib, size.disk_gib, size.gpus)
    left = [(fleet.free[d, rows] - need) * fleet.per_capacity[d, rows] for d, need in enumerate(needs) if need]
    if left:
        least, most = left[0], left[0]
        for one in left[1:]:
            least, most = np.minimum(least, one), np.maximum(most, one)
        total = weights.fit * (1.0 - least) + weights.balance * (most - least)
    else:
        total = np.zeros(fleet.tie[rows].shape)
    if not size.gpus:
        total += weights.idle_gpus * (fleet.free[3, rows] > 0)
    return np.clip(total, -16.0, 16.0, out=total)  # hosts far too small must not overflow a key


def evaluate(fleet: Fleet, item: Item, rows: Rows) -> Keys:
    """Keys of some rows, from the columns."""
    steps = (points(fleet, item, rows) * _STEPS).astype(np.int64)
    return np.where(eligible(fleet, item, rows), (steps << TIE_BITS) + fleet.tie[rows], EXCLUDED)


def ranking(fleet: Fleet, item: Item) -> Keys:
    """Keys of all rows without the group's part, from what is kept; read it, don't write it."""
    count, kept = len(fleet), fleet.rankings
    of = shape(item)
    found = kept.pop(of, None)
    if found is None:
        while len(kept) >= _MOST_RANKINGS:
            kept.pop(next(iter(kept)))  # the one unused for longest
        found = Ranking(np.full(len(fleet.tie), EXCLUDED, np.int64), -1)
    kept[of] = found
    behind = len(fleet.log) - found.seen
    if found.seen < 0 or behind * 4 > count:
        found.keys[:count] = evaluate(fleet, item, slice(0, count))
    elif behind:
        rows = {row for row in fleet.log[found.seen :] if row < count}
        touched = np.fromiter(rows, np.int64, len(rows))
        found.keys[touched] = evaluate(fleet, item, touched)
    found.seen = len(fleet.log)
    return found.keys[:count]


def keys(fleet: Fleet, item: Item, members: Members) -> Keys:
    """Keys of all rows for this item, its group included; read them, don't write them."""
    base = ranking(fleet, item)
    if item.spread is None or (not members and item.spread.mode != "anti_affinity"):
        return base
    weights = weights_of(item)
    mask = group_mask(fleet, item, members)
    out = base.copy() if mask is None else np.where(mask, base, EXCLUDED)
    bonus = np.zeros(len(fleet))
    if weights.members:
        bonus += weights.members * np.minimum(per_domain(fleet, item.spread, members), _MOST_MEMBERS)
    if weights.beside:
        bonus[[row for row in members if row != ELSEWHERE]] += weights.beside
    if weights.members or weights.beside:
        np.add(out, (bonus * _STEPS).astype(np.int64) << TIE_BITS, out=out, where=out != EXCLUDED)
    return out


def best(fleet: Fleet, ranked: Keys) -> int | None:
    """The row to take: the highest key, of equals the smallest id; None where every row is excluded."""
    if not len(ranked):
        return None
    row = int(ranked.argmax())
    top = ranked[row]
    if top == EXCLUDED:
        return None
    equals = np.flatnonzero(ranked == top)
    return row if len(equals) == 1 else min((int(one) for one in equals), key=lambda one: fleet.hosts[one].id)
