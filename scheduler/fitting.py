"""One host and one item, compiled: does it fit, how good would it be, take it, give it back; and the keys kept for each shape of item.

Everything that reads or writes a row's room is here, once, for placing, explaining and planning alike. A key depends on its row and the
shape of the item and on nothing else: that is what lets keys be kept, one slot of the index for each shape, and brought up to date at
the cost of the rows that changed where an item may go. `Index.tops` has the highest key of each block of rows, through which the best
row is found. Rejected: a heap or tournament tree for each shape (updates cost the logarithm of the fleet, and a group's rule can't be
asked of it: a block can simply be looked through), and scores that compare hosts with each other.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from scheduler import losses
from scheduler.batches import Places
from scheduler.columns import BLOCK, EXCLUDED, GPUS, LIT, NEVER, ON, OPEN, READY, STEPS, TAKEN, TIE_BITS, UP, Columns, Floats, Index, Ints
from scheduler.compiled import compiled, inlined, kernel, part
from scheduler.types import SIZES

ROW_RULES = ("up", "cordon", "off", *SIZES, "cells")  # as `add_fails` numbers them
_MOST_POINTS = 60.0
_NOTHING = -1e9  # less than any share


# -- one row ---------------------------------------------------------------------------------------------------------------------


@part
def devices(free: NDArray[np.int16], row: int, number: int, milli: int) -> int:
    """Which `number` GPUs an item with `milli` of each gets, as bits: those with least left over. NEVER where there aren't as many."""
    chosen = 0
    for _ in range(number):
        pick, least = NEVER, 1 << 15
        for device in range(free.shape[1]):
            left = free[row, device]
            if left >= milli and left < least and not (chosen >> device) & 1:
                pick, least = device, left
        if pick == NEVER:
            return NEVER
        chosen |= 1 << pick
    return chosen


@part
def cells(free: Ints, row: int, number: int, vcpus: int, memory: int) -> int:
    """Which `number` NUMA cells an item gets, in equal parts, as bits: those with least left over. NEVER where there aren't as many."""
    chosen = 0
    part_vcpus, part_memory = -(-vcpus // number), -(-memory // number)
    for _ in range(number):
        pick, least = NEVER, 1 << 62
        for cell in range(free.shape[1]):
            left = free[row, cell, 0]
            if left >= part_vcpus and free[row, cell, 1] >= part_memory and left < least and not (chosen >> cell) & 1:
                pick, least = cell, left
        if pick == NEVER:
            return NEVER
        chosen |= 1 << pick
    return chosen


@part
def cells_of(columns: Columns, row: int, needs: Ints, extras: Ints) -> int:
    """Which NUMA cells an item gets, as bits; NEVER where there is no room. A single one is chosen so that pairs stay whole."""
    if extras[2] == 1 and columns.pair[0] > 0:
        return losses.best_cell(columns.cells, row, columns.pair, needs[0], needs[1])
    return cells(columns.cells, row, extras[2], needs[0], needs[1])


@part
def lacks(columns: Columns, row: int, needs: Ints, extras: Ints) -> int:
    """Which resources a host has too little of, as bits: 0..3 as in SIZES, 4 for NUMA cells. An item that asks for none lacks none."""
    short = 0
    for size in range(len(needs)):
        if needs[size] > 0 and columns.free[row, size] < needs[size]:
            short |= 1 << size
    if extras[0] > 0 and devices(columns.gpus, row, extras[0], extras[1]) == NEVER:
        short |= 1 << GPUS
    if extras[2] > 0 and cells_of(columns, row, needs, extras) == NEVER:
        short |= 1 << len(needs)
    return short


@inlined
def points(free: Ints, share: Floats, powered: bool, rank: float, row: int, needs: Ints, weights: Floats, taught: bool) -> float:
    """How good a host would be for an item that fits: the first of `scores.Weights` times what each of them is of."""
    total = -weights[4] * rank
    if not (taught and share[row, GPUS] > 0):
        least, most = 1.0, _NOTHING
        for size in range(len(needs)):
            if needs[size] > 0:
                left = (free[row, size] - needs[size]) * share[row, size]
                least = min(least, left)
                most = max(most, left)
        total += weights[0] * (1.0 - least) + weights[1] * (most - least) if most != _NOTHING else 0.0
        if needs[GPUS] == 0 and free[row, GPUS] > 0:
            total += weights[2]
    if not powered:
        total += weights[3]
    return float(min(max(total, -_MOST_POINTS), _MOST_POINTS))


@inlined
def key_by_size(
    free: Ints, share: Floats, flags: NDArray[np.uint8], tie: Ints, row: int, needs: Ints, weights: Floats, taught: bool
) -> int:
    """The row's key for one shape, but for `losses`, devices and cells; EXCLUDED where it can't be used or has too little of something."""
    if flags[row] & READY != READY:
        return EXCLUDED
    for size in range(len(needs)):
        if needs[size] > 0 and free[row, size] < needs[size]:
            return EXCLUDED
    rank = 1.0 - tie[row] / (1 << TIE_BITS)
    return (int(points(free, share, flags[row] & ON != 0, rank, row, needs, weights, taught) * STEPS) << TIE_BITS) + int(tie[row])


@part
def keys_of(columns: Columns, index: Index, slot: int, rows: Ints, out: Ints) -> None:
    """The keys of some rows for one shape. Loop by loop, since the mere possibility of calling `devices` slows the first tenfold."""
    needs, extras, weights = index.needs[slot], index.extras[slot], index.weights[slot]
    free, share, flags, tie = columns.free, columns.share, columns.flags, columns.tie
    taught = len(columns.work) > 0
    for number in range(len(rows)):
        out[number] = key_by_size(free, share, flags, tie, rows[number], needs, weights, taught)
    if extras[0] > 0 or extras[2] > 0:
        for number in range(len(rows)):
            if out[number] != EXCLUDED and lacks(columns, rows[number], needs, extras) != 0:
                out[number] = EXCLUDED
    if taught:
        _less_gpus(columns, rows, needs, extras, weights[5], out)
    if columns.pair[0] > 0 and extras[2] > 0:
        _less_pairs(columns, rows, needs, extras, weights[6], out)
    if extras[3] > 0:
        _less_days(columns.gone, rows, index.alive[slot], index.spans, weights[7], out)


@inlined
def _steps(amount: float) -> int:
    """What an amount of points adds to a key."""
    return int(min(max(amount, -_MOST_POINTS), _MOST_POINTS) * STEPS) << TIE_BITS


@part
def _less_gpus(columns: Columns, rows: Ints, needs: Ints, extras: Ints, weight: float, out: Ints) -> None:
    """Add what lost GPUs count to keys of hosts that have any."""
    free, share, gpus, model, work = columns.free, columns.share, columns.gpus, columns.model, columns.work
    for number in range(len(rows)):
        row = rows[number]
        if out[number] != EXCLUDED and share[row, GPUS] > 0:
            bits = devices(gpus, row, extras[0], extras[1]) if extras[0] > 0 else 0
            out[number] += _steps(weight * losses.gpu_loss(free[row, 0], gpus, row, model[row], needs[0], extras, bits, work))


@part
def _less_pairs(columns: Columns, rows: Ints, needs: Ints, extras: Ints, weight: float, out: Ints) -> None:
    """Add what lost pairs of NUMA cells count."""
    part_vcpus, part_memory = -(-needs[0] // extras[2]), -(-needs[1] // extras[2])
    for number in range(len(rows)):
        row = rows[number]
        if out[number] != EXCLUDED:
            bits = cells_of(columns, row, needs, extras)
            out[number] += _steps(weight * losses.pair_loss(columns.cells, row, columns.pair, bits, part_vcpus, part_memory))


@part
def _less_days(gone: Ints, rows: Ints, alive: Floats, spans: Floats, weight: float, out: Ints) -> None:
    """Add what days count for which hosts would be kept from running empty."""
    for number in range(len(rows)):
        if out[number] != EXCLUDED:
            out[number] += _steps(weight * losses.stay(gone, rows[number], alive, spans))


@kernel
def touch(columns: Columns, row: int) -> None:
    """Note that a row changed."""
    columns.last[row] = columns.latest[row // BLOCK] = columns.head[0]
    columns.head[0] += 1


@kernel
def take(columns: Columns, row: int, needs: Ints, extras: Ints, lasting: Ints) -> tuple[int, int]:
    """Count an item as placed; its devices and cells, as bits. Checks nothing: where there is no room, what is free goes below zero."""
    device_bits = devices(columns.gpus, row, extras[0], extras[1]) if extras[0] > 0 else 0
    cell_bits = cells_of(columns, row, needs, extras) if extras[2] > 0 else 0
    _count(columns, row, needs, extras, lasting, device_bits, cell_bits, -1)
    return device_bits, cell_bits


@kernel
def take_all(columns: Columns, rows: Ints, needs: Ints, extras: Ints, lasting: Ints) -> None:
    """`take` for many."""
    for number in range(len(rows)):
        take(columns, rows[number], needs[number], extras[number], lasting[number])


@kernel
def take_at(columns: Columns, rows: Ints, needs: Ints, extras: Ints, lasting: Ints, device_bits: Ints, cell_bits: Ints) -> None:
    """Count many as placed on the very devices and cells that were found for them."""
    for number in range(len(rows)):
        row, shape, logs = rows[number], extras[number], lasting[number]
        _count(columns, row, needs[number], shape, logs, device_bits[number], cell_bits[number], -1)


@kernel
def give(columns: Columns, row: int, needs: Ints, extras: Ints, lasting: Ints, device_bits: int, cell_bits: int) -> None:
    """Count an item as gone."""
    _count(columns, row, needs, extras, lasting, device_bits, cell_bits, 1)


@part
def _count(columns: Columns, row: int, needs: Ints, extras: Ints, lasting: Ints, device_bits: int, cell_bits: int, sign: int) -> None:
    """Add to what is free (`sign` 1) or take from it (-1); NEVER for bits stands for none."""
    for size in range(len(needs)):
        columns.free[row, size] += sign * needs[size]
    for device in range(columns.gpus.shape[1]):
        if device_bits > 0 and (device_bits >> device) & 1:
            columns.gpus[row, device] += sign * extras[1]
    for cell in range(columns.cells.shape[1]):
        if cell_bits > 0 and (cell_bits >> cell) & 1:
            columns.cells[row, cell, 0] += sign * -(-needs[0] // extras[2])
            columns.cells[row, cell, 1] += sign * -(-needs[1] // extras[2])
    if extras[3] > 0:
        for horizon in range(len(lasting)):
            columns.gone[row, horizon] -= sign * lasting[horizon]
    touch(columns, row)


@compiled
def copies(columns: Columns, row: int, needs: Ints, extras: Ints, most: int) -> int:
    """How many of an item fit on a host, `most` at the most; the row is left as it was."""
    if columns.flags[row] & READY != READY:
        return 0
    count = most
    for size in range(len(needs)):
        if needs[size] > 0:
            count = min(count, max(columns.free[row, size], 0) // needs[size])
    if extras[0] == 0 and extras[2] == 0:
        return count
    taken_devices, taken_cells, short = [0 for _ in range(0)], [0 for _ in range(0)], columns.gone[row] * 0
    while len(taken_devices) < count and lacks(columns, row, needs, extras) == 0:
        device_bits, cell_bits = take(columns, row, needs, extras, short)
        taken_devices.append(device_bits)
        taken_cells.append(cell_bits)
    for number in range(len(taken_devices)):
        give(columns, row, needs, extras, short, taken_devices[number], taken_cells[number])
    return len(taken_devices)


@compiled
def copies_on(columns: Columns, rows: Ints, needs: Ints, extras: Ints, most: int, out: Ints) -> None:
    """`copies` for some rows."""
    for number in range(len(rows)):
        out[number] = copies(columns, rows[number], needs, extras, most)


# -- a shape's keys --------------------------------------------------------------------------------------------------------------


@part
def top_of(keys: Ints, block: int) -> int:
    """The highest key in a block."""
    top = EXCLUDED
    for row in range(block * BLOCK, (block + 1) * BLOCK):
        top = max(top, keys[row])
    return top


@part
def put(keys: Ints, tops: Ints, row: int, new: int) -> None:
    """Write one key, and the top of its block where that changes it."""
    old, block = keys[row], row // BLOCK
    keys[row] = new
    if new >= tops[block]:
        tops[block] = new
    elif old == tops[block]:
        tops[block] = top_of(keys, block)


@part
def refresh(columns: Columns, index: Index, places: Places, slot: int, allowed: Ints) -> None:
    """Bring a slot up to date where an item may go: the rows touched since, in the blocks of classes that are `allowed`."""
    keys, tops = index.keys[slot], index.tops[slot]
    count = _stale(columns, places, keys, tops, index.seen[slot], allowed, index.stale)
    if count > 0:
        rows, found = index.stale[:count], index.fresh[:count]
        keys_of(columns, index, slot, rows, found)
        for number in range(count):
            put(keys, tops, rows[number], found[number])


@part
def _stale(columns: Columns, places: Places, keys: Ints, tops: Ints, seen: Ints, allowed: Ints, out: Ints) -> int:
    """Write the rows whose keys are not true any more, which they are about to be; how many there are."""
    last, latest, head = columns.last, columns.latest, columns.head[0]
    count = 0
    for kind in range(len(allowed)):
        if allowed[kind] == EXCLUDED:
            continue
        for block in places.order[places.begins[kind] : places.begins[kind + 1]]:
            since = seen[block]
            if latest[block] < since:
                continue
            if since == NEVER:
                tops[block] = EXCLUDED
                keys[block * BLOCK : (block + 1) * BLOCK] = EXCLUDED
            for row in range(block * BLOCK, (block + 1) * BLOCK):
                if last[row] >= since:
                    out[count] = row
                    count += 1
            seen[block] = head
    return count


# -- explaining ----------------------------------------------------------------------------------------------------------------


@kernel
def find_fails(columns: Columns, needs: Ints, extras: Ints, labels: Ints, first_bit: int, out: Ints) -> None:
    """Write the rules that every row fails, as bits: those of `labels` by class, ROW_RULES from `first_bit` on. -1 without a host."""
    for block in range(len(columns.classes)):
        of_class = labels[columns.classes[block]] if len(labels) > 0 else 0
        for row in range(block * BLOCK, (block + 1) * BLOCK):
            flags = columns.flags[row]
            short = (flags & UP == 0) | (flags & OPEN == 0) << 1 | (flags & LIT == 0) << 2
            for size in range(len(needs)):
                short |= (needs[size] > 0 and columns.free[row, size] < needs[size]) << (3 + size)
            out[row] = of_class | short << first_bit if flags & TAKEN else -1
    if extras[0] > 0 or extras[2] > 0:  # apart, as in `keys_of`
        for row in range(len(out)):
            if out[row] != -1:
                out[row] |= lacks(columns, row, needs, extras) << (3 + first_bit)


@kernel
def count_fails(fails: Ints, first: Ints, alone: Ints) -> None:
    """Count rows that fail each rule: as the first that they fail, and alone. Rows without a host are not counted."""
    found = 0
    for bits in fails:
        found |= max(bits, 0)
    for rule in range(len(alone)):
        if (found >> rule) & 1:
            bit, others, firsts = 1 << rule, 0, 0
            for bits in fails:
                if bits > 0:
                    others += (bits >> rule) & 1
                    firsts += bits & (2 * bit - 1) == bit
            alone[rule], first[rule] = others, firsts
