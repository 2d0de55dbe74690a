"""First-fit, best-fit, dot product and FGD on the openb experiment, compiled.

In: arrivals, shapes, and an empty fleet in the order in which equal scores are settled. Out: what is allocated after each arrival, in
milli. Scores are kept for each (shape, host) and renewed when the host was touched.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from scheduler.columns import Floats, Ints
from scheduler.compiled import compiled, inner

FIRST_FIT, BEST_FIT, DOT_PRODUCT, FGD = range(4)
ABSENT, NONE, UNFIT = -1, -1, -1.0
_CPU, _GPU = 128_000.0, 8_000.0  # the largest node, by which published scores are normalised


def run(order: Ints, shapes: Ints, sizes: Ints, gpus: Ints, model: Ints, typical: tuple[Ints, Floats], rule: int) -> Floats:
    """What one rule allocates."""
    devices = np.full((len(gpus), max(int(gpus.max()), 1)), ABSENT, np.int64)
    for row, count in enumerate(gpus):
        devices[row, :count] = 1000
    return _loop(order, shapes, sizes.copy(), devices, model, *typical, rule)


@compiled
def _loop(order: Ints, shapes: Ints, free: Ints, gpus: Ints, model: Ints, work: Ints, shares: Floats, rule: int) -> Floats:
    rows = len(model)
    points, choice = np.full((len(shapes), rows), UNFIT), np.full((len(shapes), rows), NONE)
    stale: NDArray[np.bool_] = np.ones((len(shapes), rows), np.bool_)
    allocated, out = 0, np.zeros(len(order))
    for number in range(len(order)):
        s = order[number]
        shape = shapes[s]
        best = NONE
        for row in range(rows):
            if stale[s, row]:
                stale[s, row] = False
                points[s, row], choice[s, row] = _score(shape, free[row], gpus[row], model[row], work, shares, rule)
            if points[s, row] > (points[s, best] if best != NONE else UNFIT):
                best = row
        if best != NONE:
            free[best] -= shape[:2]
            _take(gpus[best], shape[2], shape[3], choice[s, best])
            stale[:, best] = True
            allocated += shape[2] * shape[3]
        out[number] = allocated
    return out


@inner
def _take(gpus: Ints, count: int, milli: int, choice: int) -> None:
    """Take `milli` from the chosen GPU, or from the `count` tightest that have it."""
    if choice != NONE:
        gpus[choice] -= milli
        return
    taken = np.zeros(len(gpus), np.bool_)
    for _ in range(count):
        tightest = NONE
        for g in range(len(gpus)):
            if not taken[g] and gpus[g] >= milli and (tightest == NONE or gpus[g] < gpus[tightest]):
                tightest = g
        taken[tightest] = True
        gpus[tightest] -= milli


@inner
def _score(shape: Ints, free: Ints, gpus: Ints, model: int, work: Ints, shares: Floats, rule: int) -> tuple[float, int]:
    able = left = 0
    for device in gpus:
        able += device >= shape[3]
        left += max(device, 0)
    fits = free[0] >= shape[0] and free[1] >= shape[1] and (shape[2] == 0 or able >= shape[2])
    if not fits or not (shape[4] >> model) & 1:
        return UNFIT, NONE
    cpu, gpu = free[0], shape[2] * shape[3]
    if rule == BEST_FIT:
        return float(math.floor((1 - 0.5 * (cpu - shape[0]) / _CPU - 0.5 * (left - gpu) / _GPU) * 100)), NONE
    if rule == DOT_PRODUCT:
        return float(math.floor((1 - (cpu / _CPU * shape[0] / _CPU + left / _GPU * gpu / _GPU) / 2) * 100)), NONE
    if rule == FGD:
        return _fgd(shape, cpu, gpus.copy(), model, work, shares)
    return 0.0, NONE


@inner
def _fgd(shape: Ints, cpu: int, gpus: Ints, model: int, work: Ints, shares: Floats) -> tuple[float, int]:
    before = _fragments(cpu, gpus, model, work, shares)
    if shape[2] != 1 or shape[3] == 1000:
        _take(gpus, shape[2], shape[3], NONE)
        return _rounded(before - _fragments(cpu - shape[0], gpus, model, work, shares)), NONE
    most, choice = UNFIT, NONE
    for g in range(len(gpus)):
        if gpus[g] >= shape[3]:
            gpus[g] -= shape[3]
            points = _rounded(before - _fragments(cpu - shape[0], gpus, model, work, shares))
            gpus[g] += shape[3]
            if points > most:
                most, choice = points, g
    return most, choice


@inner
def _rounded(less: float) -> float:
    return float(math.floor(100 / (1 + math.exp(-less / 1000))))


@inner
def _fragments(cpu: int, gpus: Ints, model: int, work: Ints, shares: Floats) -> float:
    """F of the paper: free GPU that the typical pods could not use, weighted by their frequency."""
    left = 0
    for free in gpus:
        left += free if free != ABSENT else 0
    total = 0.0
    for m in range(len(shares)):
        able = small = 0
        for free in gpus:
            if free >= work[m, 2]:
                able += 1
            elif free != ABSENT:
                small += free
        usable = work[m, 1] > 0 and cpu >= work[m, 0] and (work[m, 3] >> model) & 1 and able >= work[m, 1]
        total += shares[m] * (small if usable else left)
    return total
