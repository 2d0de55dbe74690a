"""Which of the hosts that would do is best: one literal table of weights.

In: items. Out: what compiled code is told of them: the shape (sizes, devices, cells, weights), under which keys of all rows are kept. A
key is the weighted score in steps of 2^-20 with a hash of the host's id below it: equal scores are told apart by that hash, so that the
order in which hosts were read never shows. Rejected: normalising each score over the hosts in view, because a host's score would then
depend on every other host and nothing could be kept.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import astuple, dataclass

import numpy as np

from scheduler.columns import Ints, milli
from scheduler.types import WHOLE_GPU, Item, Resources


@dataclass(frozen=True, slots=True)
class Weights:
    """What counts for a host by itself, and how much.

    `fit`: how full the host's fullest asked-for resource would be (0..1): packs, and keeps large holes whole.
    `balance`: how far apart its asked-for resources would be (0..1): negative, so that no resource is stranded behind another.
    `idle_gpus`: where an item without GPUs would sit on a host that has free ones. `off`: where the host would have to be powered on.
    """

    fit: float = 1.0
    balance: float = -0.3
    idle_gpus: float = -2.0
    off: float = -3.0


DEFAULT = Weights()
WEIGHTS: Mapping[str, Weights] = {"pack": Weights(balance=0.0)}
"""By the mode of an item's group; DEFAULT for all others. What members of the group add is `choosing.BESIDE` and `choosing.APART`."""

ORDER = -5.0
"""For each step of `Host.order`: outweighs all of the above."""

Shape = tuple[tuple[int, int, int, int], tuple[int, int, int], Weights]


def shape_of(item: Item) -> Shape:
    """Equal for items that fit, and score, alike on every host."""
    size = item.resources
    needs = (size.vcpus, size.memory_mib, size.disk_gib, size.gpus * item.gpu_milli)
    extras = (size.gpus, item.gpu_milli if size.gpus else WHOLE_GPU, item.cells)
    return needs, extras, WEIGHTS.get(item.spread.mode, DEFAULT) if item.spread else DEFAULT


def needs_of(resources: Resources) -> tuple[Ints, Ints]:
    """Whole resources as compiled code takes them: `needs` and `extras`."""
    needs = [resources.vcpus, resources.memory_mib, resources.disk_gib, milli(resources.gpus)]
    return np.array(needs, np.int64), np.array([resources.gpus, WHOLE_GPU, 0], np.int64)


def weights_row(weights: Weights) -> tuple[float, ...]:
    """As compiled code takes them."""
    return astuple(weights)
