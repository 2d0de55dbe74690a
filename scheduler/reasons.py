"""Why an item goes where it goes, for the record: which rule excluded how many, what the best hosts were worth, what the nearest lacked.

In: the fleet at the moment of the decision, an item, where members of its group are. Out: counts and names, plain values that hold
whatever the fleet becomes. They name hosts: for operators alone. Costs one look at every host, so it is asked once for each sort of item
and not for each instance.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from scheduler import choosing, fitting
from scheduler.columns import BLOCK, EXCLUDED, GPUS, ON, SPANS, STEPS, TIE_BITS, Floats, Ints, Mask
from scheduler.constraints import BIT, RULES, fails, group_of, members_of
from scheduler.fleet import Fleet
from scheduler.labels import LABEL_RULES
from scheduler.losses import LOG_STEPS
from scheduler.scores import WEIGHTS, of_labels, shape_of
from scheduler.types import SIZES, WHOLE_GPU, Item, RuleCount

BEST, NEAREST = 4, 4
_LABEL_BITS = (1 << len(LABEL_RULES)) - 1


@dataclass(frozen=True, slots=True)
class Candidate:
    """A host that would do, and its score. `days`: for how long the item alone is expected to keep it from running empty. `minus`: what in
    the score is for being off, for the order of its pool and for licences that the item does not ask for, by name of the weight."""

    host: str
    points: float
    days: float | None
    minus: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Miss:
    """A host whose labels would do: the other rules that it fails, and how much of which resource is too little, parts of GPUs as such."""

    host: str
    rules: tuple[str, ...]
    short: Mapping[str, float]


@dataclass(frozen=True, slots=True)
class Reasons:
    """`rules` and `alone` as in `NoValidHost`; `fits` hosts passed every rule, the `best` of them first; the `nearest` did not.

    `days`: for how many of the days looked ahead (the last of `columns.HORIZONS`) the item is expected to run, where that is known.
    """

    hosts: int
    fits: int
    rules: tuple[RuleCount, ...]
    alone: tuple[RuleCount, ...]
    best: tuple[Candidate, ...]
    nearest: tuple[Miss, ...]
    days: float | None = None


def reasons(fleet: Fleet, item: Item) -> Reasons:
    """All of it, as the fleet is now."""
    if not fleet.classes:
        return Reasons(0, 0, (), (), (), ())
    members = members_of(fleet, item, {})
    failed = fails(fleet, item, members)
    first, alone = np.zeros(len(RULES), np.int64), np.zeros(len(RULES), np.int64)
    fitting.count_fails(failed, first, alone)
    return Reasons(
        hosts=len(fleet),
        fits=int(np.count_nonzero(failed == 0)),
        rules=counted(first),
        alone=counted(alone),
        best=_best(fleet, item, members, failed),
        nearest=_nearest(fleet, item, failed),
        days=_days(item, np.ones(len(SPANS))),
    )


def why_not(fleet: Fleet, item: Item, host_id: str) -> Miss:
    """What stands between an item and one host, as the fleet is now; no rules where nothing does. Raises KeyError."""
    row = fleet.rows[host_id]
    bits = int(fails(fleet, item, members_of(fleet, item, {}))[row])
    return _miss(fleet, row, bits, _short(fleet, item, np.array([row]))[0])


def counted(counts: Ints) -> tuple[RuleCount, ...]:
    """Counts by rule, without those that exclude nothing."""
    return tuple(RuleCount(name, count) for name, count in zip(RULES, counts.tolist(), strict=True) if count)


def _best(fleet: Fleet, item: Item, members: Mapping[int, int], failed: Ints) -> tuple[Candidate, ...]:
    rows = np.flatnonzero(failed == 0)
    keys = np.full(len(failed), EXCLUDED, np.int64)
    group = 0 if item.spread else -1
    groups = group_of(item, members)
    choosing.all_keys(fleet.columns, fleet.index, groups, fleet.places(), fleet.slot(item), fleet.allowed(item), group, keys)
    rows = rows[_fewest(-keys[rows], BEST)]
    order = rows[np.argsort(-keys[rows], kind="stable")][:BEST]
    empty = np.exp(fleet.columns.gone[order] / LOG_STEPS)
    return tuple(
        Candidate(
            fleet.name_in(row), round((int(keys[row]) >> TIE_BITS) / STEPS, 4), _days(item, empty[position]), _minus(fleet, item, row)
        )
        for position, row in enumerate(order.tolist())
    )


def _minus(fleet: Fleet, item: Item, row: int) -> dict[str, float]:
    parts = {"off": 0.0 if fleet.columns.flags[row] & ON else WEIGHTS.off}
    parts |= of_labels(fleet.classes[fleet.columns.classes[row // BLOCK]], item.traits)
    return {name: points for name, points in parts.items() if points}


def _days(item: Item, empty: Floats) -> float | None:
    """For how many days the item runs while all else on a host, which is gone with these probabilities, does not (`losses.stay`)."""
    return round(float(np.array(item.alive) * empty @ SPANS), 4) if item.alive else None


def _nearest(fleet: Fleet, item: Item, failed: Ints) -> tuple[Miss, ...]:
    rows = np.flatnonzero((failed > 0) & (failed & _LABEL_BITS == 0))
    rows = rows[_fewest(np.bitwise_count(failed[rows]), NEAREST)]
    short = _short(fleet, item, rows)
    rules = np.bitwise_count(failed[rows])
    share = (short / np.maximum(shape_of(item)[0], 1)).sum(axis=1)
    nearest = np.lexsort((rows, share, rules))[:NEAREST].tolist()
    return tuple(_miss(fleet, int(rows[position]), int(failed[rows[position]]), short[position]) for position in nearest)


def _short(fleet: Fleet, item: Item, rows: Ints) -> Ints:
    """[rows, 4] what is lacking of each size, as in `Columns.free`; of GPUs, on the devices that have most free."""
    needs, (number, milli, *_) = np.array(shape_of(item)[0], np.int64), shape_of(item)[1]
    short: Ints = np.maximum(needs - fleet.columns.free[rows], 0) * (needs > 0)
    free = np.sort(fleet.columns.gpus[rows].clip(0, milli).astype(np.int64), axis=1)
    short[:, GPUS] = needs[GPUS] - free[:, max(free.shape[1] - number, 0) :].sum(axis=1) if number else 0
    return short


def _fewest(values: NDArray[np.integer], most: int) -> Mask:
    """Which values are among the `most` smallest, equals of the last included: what need be sorted."""
    return np.full(len(values), True) if len(values) <= most else values <= np.partition(values, most - 1)[most - 1]


def _miss(fleet: Fleet, row: int, bits: int, short: Ints) -> Miss:
    lacks: list[float] = short.tolist()
    whole, rest = divmod(short[GPUS].item(), WHOLE_GPU)
    lacks[GPUS] = whole + rest / WHOLE_GPU if rest else whole
    broken = tuple(name for name in RULES if bits & BIT[name])
    return Miss(fleet.name_in(row), broken, {name: lack for name, lack in zip(SIZES, lacks, strict=True) if lack})
