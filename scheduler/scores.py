"""Which of the hosts that would do is best: one literal table of weights.

In: items. Out: what compiled code is told of them: the shape (sizes, devices, cells, life), under which keys of all rows are kept. A
key is the weighted score in steps of 2^-20 with a hash of the host's id below it: equal scores are told apart by that hash, so that the
order in which hosts were read never shows. Rejected: normalising each score over the hosts in view, because a host's score would then
depend on every other host and nothing could be kept.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from scheduler.columns import HORIZONS, Ints, milli
from scheduler.labels import Labels
from scheduler.losses import LEAST, LOG_STEPS
from scheduler.types import WHOLE_GPU, Item, Resources


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts for a host by itself, and how much.

    `fit`: how full the host's fullest asked-for resource would be (0..1): packs, and keeps large holes whole.
    `balance`: how far apart its asked-for resources would be (0..1). Of no weight: on every trace measured, keeping resources level places
    less than filling the fullest one does.
    `idle_gpus`: where an item without GPUs would sit on a host that has free ones. Outweighs all but `pool` and `licence`.
    `off`: where the host would have to be powered on.
    `order`: a number in 0..1 that each host has for good, a hash of its id: first-fit on a fixed random order, which fills some hosts to
    the brim and leaves others untouched, as no score of single hosts does.
    `gpus`: for each GPU's worth of use that is lost (`losses.gpu_loss`). Once history has taught what that is, it stands for `fit`,
    `balance` and `idle_gpus` on hosts that have GPUs.
    `pairs`: for each pair of NUMA cells that is lost (`losses.pair_loss`).
    `stay`: for each day that a host is kept from running empty (`losses.stay`).
    `pool`: for each step of `Host.order`. Outweighs all of the above, and `licence`.
    `licence`: for each licence of a host that the item does not ask for. Outweighs all of the above but `pool`.
    """

    fit: float = 1.0
    balance: float = 0.0
    idle_gpus: float = -100.0
    off: float = -3.0
    order: float = 0.02
    gpus: float = -0.01
    pairs: float = -0.5
    stay: float = -5.0
    pool: float = -1024.0
    licence: float = -128.0


WEIGHTS = Weights()
"""For all items. What members of a group add is `choosing.BESIDE`, `choosing.APART` and `choosing.ROOM`."""

Shape = tuple[tuple[int, int, int, int], tuple[int, int, int, int], tuple[float, ...]]


def shape_of(item: Item) -> Shape:
    """Equal for items that fit, and score, alike on every host."""
    size = item.resources
    needs = (size.vcpus, size.memory_mib, size.disk_gib, size.gpus * item.gpu_milli)
    extras = (size.gpus, item.gpu_milli if size.gpus else WHOLE_GPU, item.cells, int(bool(item.alive)))
    return needs, extras, item.alive


def of_labels(labels: Labels, traits: frozenset[str]) -> dict[str, float]:
    """What the labels of a host count for an item that asks for these traits, by the name of the weight."""
    return {"pool": WEIGHTS.pool * labels.order, "licence": WEIGHTS.licence * len(labels.licences - traits)}


def needs_of(resources: Resources) -> tuple[Ints, Ints]:
    """Whole resources as compiled code takes them: `needs` and `extras`."""
    needs = [resources.vcpus, resources.memory_mib, resources.disk_gib, milli(resources.gpus)]
    return np.array(needs, np.int64), np.array([resources.gpus, WHOLE_GPU, 0, 0], np.int64)


def log_steps(logs: Sequence[float]) -> Ints:
    """[H] logarithms of probabilities as `Columns.gone` has them; none count as certainties. Raises ValueError for another number."""
    if len(logs) not in (0, len(HORIZONS)):
        raise ValueError(f"{len(logs)} probabilities for {len(HORIZONS)} horizons")
    out = np.zeros(len(HORIZONS), np.int64)
    out[: len(logs)] = np.rint(np.array(logs) * LOG_STEPS)
    return out


def lasting(alive: Sequence[float]) -> Ints:
    """[H] what an item adds to `Columns.gone`. Raises ValueError as above."""
    return log_steps([math.log(max(1.0 - part, LEAST)) for part in alive])
