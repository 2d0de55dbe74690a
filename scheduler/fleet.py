"""All hosts as columns: what placing looks at, changed at the cost of what changes.

In: `Host` values, claims and releases. Out: `columns`, and for each shape of item the keys kept in `index`. Invariant: a row with the
flag TAKEN is a host, `rows` has its number, and `free = capacity - used` for every one of them; rows of one block have the same
labels. The order of rows says nothing. Rejected: a list of host objects and loops over it (fifty times slower at a thousand hosts), a
pandas frame (copies on every change). Used by one thread at a time.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import astuple
from hashlib import blake2b
from zlib import crc32

import numpy as np

from scheduler import fitting
from scheduler.batches import Places, places
from scheduler.columns import (
    BLOCK,
    EXCLUDED,
    GPUS,
    LIT,
    MODELS,
    NEVER,
    ON,
    OPEN,
    STEPS,
    TAKEN,
    TIE_BITS,
    UP,
    Columns,
    Floats,
    Index,
    Ints,
    columns,
    enlarged,
    index,
    milli,
)
from scheduler.history import Learnt
from scheduler.labels import Labels, fails, labels_of, wish_of
from scheduler.losses import LOG_STEPS, SHARES
from scheduler.scores import WEIGHTS, Shape, lasting, log_steps, needs_of, of_labels, shape_of
from scheduler.types import SIZES, WHOLE_GPU, Cell, Host, Item, Placement, Resources

_INDEX_BYTES = 64 << 20  # of keys kept: 80 shapes at 100,000 hosts
_FEWEST_SLOTS, _MOST_SLOTS = 16, 256
_MOST_WISHES = 1024


class Fleet:
    """The columns, and the ids beside them."""

    def __init__(self, hosts: Iterable[Host] = ()) -> None:
        self.rows: dict[str, int] = {}
        self.columns: Columns = columns(BLOCK, 0, 0)
        self.classes: list[Labels] = []
        self._numbers: dict[Labels, int] = {}  # of classes
        self._models: dict[str, int] = {}
        self.learnt = Learnt()
        self._racks: dict[str, int] = {"": 0}
        self._rack_names = [""]
        self._cells: dict[int, tuple[Cell, ...]] = {}  # as upserted, of the rows that have any
        self._empty: dict[int, list[int]] = {}  # rows without a host in blocks of a class
        self._blocks = 0  # that have a class
        self._ids: list[str] = [""] * BLOCK
        self._names: list[str] = [""] * BLOCK
        self._generations = np.zeros(BLOCK, np.int64)
        self._capacity = np.zeros((BLOCK, len(SIZES)), np.int64)
        self._forget_derived()
        self.upsert(hosts)

    def _forget_derived(self) -> None:
        """What is kept beside the columns is found anew: they moved."""
        rows = len(self.columns.flags)
        self.index: Index = index(max(_FEWEST_SLOTS, min(_MOST_SLOTS, _INDEX_BYTES // (rows * 8))), rows)
        self._slots: dict[Shape, int] = {}
        self._wishes: dict[tuple[object, ...], tuple[Ints, Ints]] = {}
        self._places: Places | None = None

    def __len__(self) -> int:
        return len(self.rows)

    # -- changes -----------------------------------------------------------------------------------------------------------------

    def upsert(self, hosts: Iterable[Host]) -> None:
        """Take in new hosts and new versions of known ones; a known one's `used` is what the new version says."""
        for host in hosts:
            labels = labels_of(host)
            number = self._numbers.get(labels)
            if number is None:
                number = self._numbers[labels] = len(self.classes)
                self.classes.append(labels)
                self._wishes, self._places = {}, None
            row = self.rows.get(host.id)
            if row is not None and self.columns.classes[row // BLOCK] != number:
                self._vacate(row)
                row = None
            self._write(self._row_for(number) if row is None else row, host)

    def drop(self, host_id: str) -> None:
        """Forget a host. Raises KeyError for one that is not there."""
        self._vacate(self.rows[host_id])

    def claim(self, host_id: str, resources: Resources) -> None:
        """Count as used; GPUs as whole ones. Checks nothing: whoever claims has decided."""
        needs, extras = needs_of(resources)
        fitting.take(self.columns, self.rows[host_id], needs, extras, lasting(()))

    def claim_at(self, claims: Iterable[tuple[Item, Placement]]) -> None:
        """Count items as used where they were placed, on the very devices and cells."""
        pairs = [
            (self.rows[to.host_id], *shape_of(item)[:2], lasting(item.alive), _bits(to.devices), _bits(to.cells)) for item, to in claims
        ]
        if pairs:
            fitting.take_at(self.columns, *(np.array(column, np.int64) for column in zip(*pairs, strict=True)))

    def have_room(self, claims: Sequence[tuple[Item, Placement]]) -> bool:
        """Whether all of these would fit together where they were placed, on the very devices and cells."""
        self.claim_at(claims)
        fit = all(self._within(item, to) for item, to in claims)
        for item, to in claims:
            self.release_item(item, to)
        return fit

    def _within(self, item: Item, to: Placement) -> bool:
        """Whether nothing that the item asks for is below zero where it is."""
        row, needs = self.rows[to.host_id], np.array(shape_of(item)[0])
        free, gpus, cells = (column[row] for column in (self.columns.free, self.columns.gpus, self.columns.cells))
        return bool((free[needs > 0] >= 0).all() and (gpus[[*to.devices]] >= 0).all() and (cells[[*to.cells]] >= 0).all())

    def claim_all(self, claims: Iterable[tuple[str, Item]]) -> None:
        """Count items as used on hosts, on devices and cells as placing them now would choose."""
        pairs = [(self.rows[host_id], *shape_of(item)[:2], lasting(item.alive)) for host_id, item in claims]
        if pairs:
            rows, needs, extras, logs = (np.array(column, np.int64) for column in zip(*pairs, strict=True))
            fitting.take_all(self.columns, rows, needs, extras, logs)

    def release(self, host_id: str, resources: Resources) -> None:
        """Count as free again."""
        row = self.rows[host_id]
        needs, extras = needs_of(resources)
        busy = [device for device, free in enumerate(self.columns.gpus[row].tolist()) if free == 0]
        bits = sum(1 << device for device in busy[: resources.gpus])
        fitting.give(self.columns, row, needs, extras, lasting(()), bits, 0)

    def release_item(self, item: Item, placement: Placement) -> None:
        """Count what was placed as free again, on the very devices and cells that it had."""
        needs, extras, alive = shape_of(item)
        row, shape = self.rows[placement.host_id], (np.array(needs, np.int64), np.array(extras, np.int64), lasting(alive))
        fitting.give(self.columns, row, *shape, _bits(placement.devices), _bits(placement.cells))

    def expect(self, host_ids: Sequence[str], emptying: Floats) -> None:
        """[hosts, H] when hosts will be empty, as it is thought now (`Host.emptying`): those on them have grown older, or some left."""
        rows = [self.rows[id_] for id_ in host_ids]
        self.columns.gone[rows] = np.rint(emptying * LOG_STEPS)
        if 4 * len(rows) > len(self.rows):
            self.index.seen[:] = NEVER
            return
        for row in rows:
            fitting.touch(self.columns, row)

    def teach(self, learnt: Learnt) -> None:
        """What history taught. All keys are found anew."""
        rows = [(one.vcpus, one.gpus, one.gpu_milli, self._model_bits(one.models), int(part * SHARES)) for one, part in learnt.work.items()]
        work, pair = np.array(rows, np.int64).reshape(-1, 5), np.array(learnt.pair, np.float64)
        self.columns = self.columns._replace(work=work, pair=pair)
        self.index.seen[:] = NEVER
        self.learnt = learnt

    def _model_bits(self, models: Sequence[str]) -> int:
        return sum(1 << self._model(name) for name in models) if models else (1 << MODELS) - 1

    def _model(self, name: str) -> int:
        """The number of a GPU model; those beyond MODELS share one."""
        return self._models.setdefault(name, min(len(self._models), MODELS - 1))

    # -- what is known of a host -------------------------------------------------------------------------------------------------

    def in_rows(self, rows: Ints) -> Iterator[tuple[str, int]]:
        """Id and generation of the hosts in some rows; NEVER stands for none, and gets what nobody may read."""
        return zip(map(self._ids.__getitem__, rows.tolist()), self._generations[rows].tolist(), strict=True)

    def name_in(self, row: int) -> str:
        """The name of the host in a row."""
        return self._names[row]

    def host_name(self, host_id: str) -> str:
        """The name of a host."""
        return self._names[self.rows[host_id]]

    def generation(self, host_id: str) -> int:
        """The generation at which the host was last upserted."""
        return int(self._generations[self.rows[host_id]])

    def labels(self, host_id: str) -> Labels:
        """The labels of a host. Raises KeyError."""
        return self.classes[int(self.columns.classes[self.rows[host_id] // BLOCK])]

    def host(self, host_id: str) -> Host:
        """The host as it is now, claims included. Raises KeyError."""
        row = self.rows[host_id]
        labels, flags = self.labels(host_id), int(self.columns.flags[row])
        capacity, free = self._capacity[row].tolist(), self.columns.free[row].tolist()
        used = [total - left for total, left in zip(capacity, free, strict=True)]
        shares = tuple(WHOLE_GPU - left for left in self.columns.gpus[row].tolist() if left != NEVER)
        whole = tuple(WHOLE_GPU if device < used[GPUS] // WHOLE_GPU else 0 for device in range(len(shares)))
        return Host(
            id=host_id,
            name=self._names[row],
            pool=labels.pool,
            zone=labels.zone,
            site=labels.site,
            arch=labels.arch,
            traits=labels.traits,
            kinds=labels.kinds,
            capacity=_resources(capacity),
            used=_resources(used),
            cordoned=not flags & OPEN,
            up=bool(flags & UP),
            generation=int(self._generations[row]),
            rack=self._rack_names[self.columns.rack[row]],
            baselines=labels.baselines,
            level=labels.level,
            tenants=labels.tenants,
            cells=self._cells_now(row),
            gpu_model=labels.gpu_model,
            gpu_shares=() if shares == whole else shares,
            gpu_sharing=labels.gpu_sharing,
            on=bool(flags & ON),
            order=labels.order,
            wakes=labels.wakes,
            licences=labels.licences,
            emptying=tuple((self.columns.gone[row] / LOG_STEPS).tolist()) if self.columns.gone[row].any() else (),
        )

    def _cells_now(self, row: int) -> tuple[Cell, ...]:
        free = self.columns.cells[row].tolist()
        return tuple(
            Cell(cell.vcpus, cell.memory_mib, cell.vcpus - left[0], cell.memory_mib - left[1])
            for cell, left in zip(self._cells.get(row, ()), free, strict=False)
        )

    def copy(self) -> Fleet:
        """An independent fleet of the same hosts, for what-if."""
        new = Fleet(self.host(id_) for id_ in self.rows)
        new.teach(self.learnt)
        return new

    def names(self, label: str) -> tuple[str, ...]:
        """All values that hosts have of a label ("pool", "zone", "arch", ...), sorted."""
        taken = self.columns.flags.reshape(-1, BLOCK).any(axis=1)
        used = set(self.columns.classes[taken].tolist())
        return tuple(sorted({getattr(self.classes[number], label) for number in used}))

    def sums(self) -> tuple[list[int], list[int]]:
        """Free and whole capacity of all hosts together, as in SIZES (GPUs in thousandths)."""
        return np.maximum(self.columns.free, 0).sum(axis=0).tolist(), self._capacity.sum(axis=0).tolist()

    def gpus(self) -> dict[str, int]:
        """How many GPUs there are, by model."""
        found: dict[str, int] = {}
        for block, number in enumerate(self.columns.classes[: self._blocks].tolist()):
            count = int(self._capacity[block * BLOCK : (block + 1) * BLOCK, GPUS].sum()) // WHOLE_GPU
            if count:
                model = self.classes[number].gpu_model
                found[model] = found.get(model, 0) + count
        return found

    def whole(self) -> Ints:
        """[rows] the capacity of each, as `columns.free` has what is left of it."""
        return self._capacity

    # -- for placing -------------------------------------------------------------------------------------------------------------

    def slot(self, item: Item) -> int:
        """The slot of the index that keeps the keys for the item's shape. The slot unused for longest is given up where all are in use."""
        shape = shape_of(item)
        found = self._slots.pop(shape, None)
        if found is None:
            found = len(self._slots)
            if found == len(self.index.seen):
                found = self._slots.pop(next(iter(self._slots)))
            needs, extras, alive = shape
            self.index.needs[found], self.index.extras[found], self.index.weights[found] = needs, extras, astuple(WEIGHTS)
            self.index.alive[found], self.index.lasting[found] = alive or 0.0, lasting(alive)
            self.index.seen[found] = NEVER
        self._slots[shape] = found
        return found

    def make_slots(self, number: int) -> None:
        """See to it that so many shapes can be kept at once, and as many again."""
        if 2 * number > len(self.index.seen):
            self.index, self._slots = index(2 * number, len(self.columns.flags)), {}

    def label_fails(self, item: Item) -> Ints:
        """[classes] the label rules that each class fails, as bits."""
        return self._of_wish(item)[0]

    def allowed(self, item: Item) -> Ints:
        """[classes] what the labels of a class add to an item's key; EXCLUDED where they forbid it."""
        return self._of_wish(item)[1]

    def _of_wish(self, item: Item) -> tuple[Ints, Ints]:
        wish = wish_of(item)
        found = self._wishes.get(wish)
        if found is None:
            if len(self._wishes) >= _MOST_WISHES:
                self._wishes.clear()
            broken = np.array([fails(labels, item) for labels in self.classes], np.int64)
            steps = [int(sum(of_labels(labels, item.traits).values())) * STEPS << TIE_BITS for labels in self.classes]
            found = self._wishes[wish] = broken, np.where(broken == 0, np.array(steps, np.int64), EXCLUDED)
        return found

    def places(self) -> Places:
        """Where blocks and domains are, and room to count members of groups in."""
        if self._places is None:
            zones = {name: number for number, name in enumerate(sorted({labels.zone for labels in self.classes}))}
            sites = {name: number for number, name in enumerate(sorted({labels.site for labels in self.classes}))}
            numbers = [zones[labels.zone] for labels in self.classes], [sites[labels.site] for labels in self.classes]
            self._places = places(self.columns.classes[: self._blocks], *numbers, len(self._racks), len(self.columns.flags))
        return self._places

    # -- rows --------------------------------------------------------------------------------------------------------------------

    def _row_for(self, number: int) -> int:
        """An empty row among hosts of a class."""
        empty = self._empty.setdefault(number, [])
        if not empty:
            if self._blocks == len(self.columns.classes):
                self._grow(2 * len(self.columns.flags))
            first = self._blocks * BLOCK
            self.columns.classes[self._blocks] = number
            self._blocks += 1
            self._places = None
            empty.extend(range(first + BLOCK - 1, first - 1, -1))
        return empty.pop()

    def _vacate(self, row: int) -> None:
        del self.rows[self._ids[row]]
        self._cells.pop(row, None)
        self.columns.flags[row] = 0
        self.columns.free[row] = self._capacity[row] = 0
        self.columns.gone[row] = 0
        self._empty.setdefault(int(self.columns.classes[row // BLOCK]), []).append(row)
        fitting.touch(self.columns, row)

    def _write(self, row: int, host: Host) -> None:
        gpus, cells = self.columns.gpus.shape[1], self.columns.cells.shape[1]
        if host.capacity.gpus > gpus or len(host.cells) > cells:
            self._grow(len(self.columns.flags), max(gpus, host.capacity.gpus), max(cells, len(host.cells)))
        if host.rack not in self._racks:
            self._racks[host.rack] = len(self._rack_names)
            self._rack_names.append(host.rack)
            self._places = None
        self.rows[host.id], self._ids[row], self._names[row], self._generations[row] = row, host.id, host.name, host.generation
        shares = host.gpu_shares or tuple(WHOLE_GPU if device < host.used.gpus else 0 for device in range(host.capacity.gpus))
        capacity = [*(getattr(host.capacity, name) for name in SIZES[:GPUS]), milli(host.capacity.gpus)]
        used = [*(getattr(host.used, name) for name in SIZES[:GPUS]), sum(host.gpu_shares) or milli(host.used.gpus)]
        into = self.columns
        self._capacity[row] = capacity
        into.free[row] = [total - taken for total, taken in zip(capacity, used, strict=True)]
        into.share[row] = [1 / total if total else 0.0 for total in capacity]
        into.flags[row] = TAKEN | UP * host.up | OPEN * (not host.cordoned) | ON * host.on | LIT * (host.on or host.wakes)
        into.tie[row] = crc32(host.id.encode()) & ((1 << TIE_BITS) - 1)
        into.rest[row] = int.from_bytes(blake2b(host.id.encode(), digest_size=8).digest(), "big") >> 1
        into.rack[row] = self._racks[host.rack]
        into.model[row] = self._model(host.gpu_model)
        into.gone[row] = log_steps(host.emptying)
        into.gpus[row] = NEVER
        into.gpus[row, : host.capacity.gpus] = [WHOLE_GPU - share for share in shares]
        into.cells[row] = NEVER
        if host.cells:
            self._cells[row] = host.cells
            into.cells[row, : len(host.cells)] = [
                [cell.vcpus - cell.used_vcpus, cell.memory_mib - cell.used_memory_mib] for cell in host.cells
            ]
        fitting.touch(into, row)

    def _grow(self, rows: int, gpus: int | None = None, cells: int | None = None) -> None:
        old = self.columns
        self.columns = enlarged(old, rows, old.gpus.shape[1] if gpus is None else gpus, old.cells.shape[1] if cells is None else cells)
        more = rows - len(self._ids)
        self._ids += [""] * more
        self._names += [""] * more
        self._generations = np.pad(self._generations, (0, more))
        self._capacity = np.pad(self._capacity, ((0, more), (0, 0)))
        self._forget_derived()


def _bits(numbers: Sequence[int]) -> int:
    return sum(1 << number for number in numbers) if numbers else 0  # few have any


def _resources(sizes: list[int]) -> Resources:
    """A row of `free` or of capacities, with whole GPUs."""
    vcpus, memory_mib, disk_gib, gpus = sizes
    return Resources(vcpus, memory_mib, disk_gib, gpus // WHOLE_GPU)
