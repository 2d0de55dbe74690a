"""What placing an item would spoil on a host: GPUs that typical work can no longer use, pairs of NUMA cells, days kept from running empty.

In: rows of the columns and what history taught (`history.Learnt`). Out: amounts in GPUs, in pairs and in days, for `fitting` to weigh.
Each depends on the row and the item and on nothing else, so that keys can be kept. Plain arrays only: see `fitting.keys_of` for why.

GPUs  A host is worth U = sum over typical shapes m of share_m * min(G_m, C_m) GPUs to what may come: G_m is the free GPU that pieces of the
      shape can reach, a quarter of it counted as a fluid and three quarters in whole pieces; C_m is what the free CPU can feed of it. The
      loss is what U loses. The published measure of fragments (FGD, ATC'23) counts one piece of each shape, and needs rounded scores to
      work; this one does not, and does better without.
Cells A pair is what the mean half of the two-cell items seen asks for, in two cells; of cells that hold h pieces each (fractions count),
      min(sum/2, sum - largest) pairs can be had.
Days  The sum over horizons of P(the item still runs) * P(all that is on the host has gone) * the span: for how long the item alone would
      keep the host from being empty. Of what is known of lifetimes, NILAS and LAVA (arXiv 2412.09840) use points and classes instead.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from scheduler.columns import NEVER, Floats, Ints
from scheduler.compiled import kernel, part
from scheduler.types import WHOLE_GPU

LOG_STEPS = 1 << 20  # logarithms of probabilities are kept in these, as whole numbers: what is added can be taken away again exactly
SHARES = 1 << 30  # weights of typical work are kept in these
LEAST = 1e-9  # a probability never counts as less
_PIECES = 0.75
_CERTAIN = -16 * LOG_STEPS  # the log of a probability that is none
_SAME = 1e-9

Devices = NDArray[np.int16]


@kernel
def useful(vcpus: int, gpus: Devices, row: int, model: int, work: Ints) -> float:
    """U of a host with this much free CPU and the free GPUs of a row, in GPUs."""
    total = 0.0
    for m in range(len(work)):
        cpu, number, milli = work[m, 0], work[m, 1], work[m, 2]
        if not (work[m, 3] >> model) & 1 or vcpus < cpu:
            continue
        reach = pieces = 0
        for device in range(gpus.shape[1]):
            left = int(gpus[row, device])
            if left >= milli:
                reach += left
                pieces += left // milli if number == 1 else 1
        whole = pieces // number * number * milli
        if whole > 0:
            worth = (1.0 - _PIECES) * reach + _PIECES * whole
            total += work[m, 4] * (min(worth, vcpus / cpu * number * milli) if cpu > 0 else worth)
    return total / WHOLE_GPU / SHARES


@part
def gpu_loss(vcpus: int, gpus: Devices, row: int, model: int, taken: int, extras: Ints, device_bits: int, work: Ints) -> float:
    """How many GPUs of use a host loses to an item of `taken` vcpus on these devices."""
    before = useful(vcpus, gpus, row, model, work)
    for device in range(gpus.shape[1]):
        if (device_bits >> device) & 1:
            gpus[row, device] -= extras[1]
    after = useful(vcpus - taken, gpus, row, model, work)
    for device in range(gpus.shape[1]):
        if (device_bits >> device) & 1:
            gpus[row, device] += extras[1]
    return before - after


@kernel
def pairs(free: Ints, row: int, unit: Floats, cell_bits: int, vcpus: int, memory: int) -> float:
    """How many pairs could still be had once the cells named by bits have given so much each."""
    total = largest = 0.0
    for cell in range(free.shape[1]):
        if free[row, cell, 0] == NEVER:
            continue
        taken = (cell_bits >> cell) & 1
        held = min((free[row, cell, 0] - taken * vcpus) / unit[0], (free[row, cell, 1] - taken * memory) / unit[1])
        total += held
        largest = max(largest, held)
    return min(total / 2, total - largest)


@part
def pair_loss(free: Ints, row: int, unit: Floats, cell_bits: int, vcpus: int, memory: int) -> float:
    """How many pairs fewer."""
    return pairs(free, row, unit, 0, 0, 0) - pairs(free, row, unit, cell_bits, vcpus, memory)


@part
def best_cell(free: Ints, row: int, unit: Floats, vcpus: int, memory: int) -> int:
    """Which one cell should give so much, as a bit: the one that leaves most pairs, of equals the tightest. NEVER where none can."""
    chosen, most, least = NEVER, 0.0, 0
    for cell in range(free.shape[1]):
        left = free[row, cell, 0] + free[row, cell, 1]
        if free[row, cell, 0] < vcpus or free[row, cell, 1] < memory:
            continue
        after = pairs(free, row, unit, 1 << cell, vcpus, memory)
        if chosen == NEVER or after > most + _SAME or (after > most - _SAME and left < least):
            chosen, most, least = 1 << cell, after, left
    return chosen


@part
def stay(gone: Ints, row: int, alive: Floats, spans: Floats) -> float:
    """For how many days the item alone would keep the host from being empty."""
    days = 0.0
    for k in range(len(spans)):
        if gone[row, k] > _CERTAIN:  # of most hosts that are in use somebody stays for certain: no exponential for those
            days += alive[k] * math.exp(gone[row, k] / LOG_STEPS) * spans[k]
    return days
