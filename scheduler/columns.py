"""The arrays that compiled functions read and write: one row for each host, in blocks of hosts with the same labels.

Plain shapes, so that everything about the memory layout stands here. `R` rows (a multiple of BLOCK; some are empty), `G` the most GPUs
and `C` the most NUMA cells that any host has, `S` slots for shapes of items, `M` shapes of typical GPU work, `H` horizons of lifetimes.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from scheduler.types import SIZES, WHOLE_GPU

BLOCK = 64
TIE_BITS = 20
EXCLUDED = -(1 << 62)
STEPS = 1 << 20  # a key holds the score in steps of one millionth
NEVER = -1  # a slot that was never filled; a group, member or host that there is none of

TAKEN, UP, OPEN, ON, LIT = 1, 2, 4, 8, 16  # flags of a row: a host is in it, it answers, is not cordoned, is on, is on or may be woken
READY = TAKEN | UP | OPEN | LIT

GPUS = SIZES.index("gpus")
EXTRAS, WEIGHTS = 4, 10
HORIZONS = np.array([0.5, 1, 2, 4, 8, 16, 24, 48, 96, 168, 240, 336]) / 24  # days, at which lifetimes are looked at
SPANS = np.diff(HORIZONS, prepend=0.0)
MODELS = 62  # GPU models at most: they are bits of a number

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Mask = NDArray[np.bool_]


class Columns(NamedTuple):
    """What is known of hosts."""

    free: Ints  # [R, 4] vcpus, memory_mib, disk_gib, thousandths of GPUs; below zero where more is used than there is
    share: Floats  # [R, 4] 1 / capacity, 0 where there is none
    flags: NDArray[np.uint8]  # [R]
    tie: Ints  # [R] a hash of the id in TIE_BITS: what tells equal scores apart
    rest: Ints  # [R] another hash of the id: what tells equal ties apart
    rack: NDArray[np.int32]  # [R]
    gpus: NDArray[np.int16]  # [R, G] free thousandths by device; NEVER where there is no such device
    cells: Ints  # [R, C, 2] free vcpus and memory_mib by NUMA cell; NEVER where there is no such cell
    model: NDArray[np.int8]  # [R] number of the GPU model
    gone: Ints  # [R, H] log of the probability that all that is on the host has gone by then, in `losses.LOG_STEPS`
    work: Ints  # [M, 5] typical GPU work: vcpus, devices, thousandths of each, models that would do as bits, weight in `losses.SHARES`
    pair: Floats  # [2] vcpus and memory_mib of a typical half of a two-cell item; zeros where none was seen
    classes: NDArray[np.int32]  # [R / BLOCK] the class of a block's hosts
    head: Ints  # [1] how many times a row was touched
    last: Ints  # [R] `head` when the row was last touched
    latest: Ints  # [R / BLOCK] the highest `last` of a block


class Index(NamedTuple):
    """The keys of all rows, for each shape of item that was asked for lately."""

    keys: Ints  # [S, R] higher is better; EXCLUDED where it doesn't fit
    tops: Ints  # [S, R / BLOCK] the highest key of a block
    seen: Ints  # [S, R / BLOCK] `head` when the keys of a block were last true; NEVER where all have to be found anew
    stale: Ints  # [R] scratch: rows whose keys are to be found anew ...
    fresh: Ints  # [R] ... and those keys
    needs: Ints  # [S, 4] as in `free`
    extras: Ints  # [S, EXTRAS] devices, thousandths of each, NUMA cells, whether its life is known
    weights: Floats  # [S, WEIGHTS] as in `scores.Weights`
    alive: Floats  # [S, H] probability that it still runs then
    spans: Floats  # [H] days between a horizon and the one before
    lasting: Ints  # [S, H] log of the probability that it is gone by then, in `losses.LOG_STEPS`


def columns(rows: int, gpus: int, cells: int) -> Columns:
    """Empty columns."""
    sizes = len(SIZES)
    return Columns(
        free=np.zeros((rows, sizes), np.int64),
        share=np.zeros((rows, sizes), np.float64),
        flags=np.zeros(rows, np.uint8),
        tie=np.zeros(rows, np.int64),
        rest=np.zeros(rows, np.int64),
        rack=np.zeros(rows, np.int32),
        model=np.zeros(rows, np.int8),
        gone=np.zeros((rows, len(HORIZONS)), np.int64),
        work=np.zeros((0, 5), np.int64),
        pair=np.zeros(2, np.float64),
        gpus=np.full((rows, gpus), NEVER, np.int16),
        cells=np.full((rows, cells, 2), NEVER, np.int64),
        classes=np.zeros(rows // BLOCK, np.int32),
        head=np.zeros(1, np.int64),
        last=np.zeros(rows, np.int64),
        latest=np.zeros(rows // BLOCK, np.int64),
    )


def index(slots: int, rows: int) -> Index:
    """Slots, all of them to be filled; memory is used only once they are."""
    return Index(
        keys=np.empty((slots, rows), np.int64),
        tops=np.empty((slots, rows // BLOCK), np.int64),
        seen=np.full((slots, rows // BLOCK), NEVER, np.int64),
        stale=np.empty(rows, np.int64),
        fresh=np.empty(rows, np.int64),
        needs=np.zeros((slots, len(SIZES)), np.int64),
        extras=np.zeros((slots, EXTRAS), np.int64),
        weights=np.zeros((slots, WEIGHTS), np.float64),
        alive=np.zeros((slots, len(HORIZONS)), np.float64),
        spans=SPANS,
        lasting=np.zeros((slots, len(HORIZONS)), np.int64),
    )


def enlarged(old: Columns, rows: int, gpus: int, cells: int) -> Columns:
    """The same rows with room for more of them, or for hosts with more devices or cells."""
    new = columns(rows, gpus, cells)
    for name in ("free", "share", "flags", "tie", "rest", "rack", "model", "gone", "classes"):
        column = getattr(old, name)
        getattr(new, name)[: len(column)] = column
    new.gpus[: len(old.gpus), : old.gpus.shape[1]] = old.gpus
    new.cells[: len(old.cells), : old.cells.shape[1]] = old.cells
    return new._replace(work=old.work, pair=old.pair)


def milli(gpus: int) -> int:
    """Whole GPUs in thousandths."""
    return gpus * WHOLE_GPU
