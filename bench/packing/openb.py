"""GPU packing on Alibaba's openb cluster, by the protocol of FGD (ATC'23).

In: the node list, a pod list, seeds. Out: for each policy, the allocated share of the fleet's GPUs in percent, averaged over the arrivals
at which the GPUs asked for so far round to 100 % of the fleet's. Pods arrive in a shuffled order, then drawn anew from the list, up to
1.3 times the fleet; nothing leaves; what does not fit is dropped. Hosts have a random order for each seed; equal scores go to the first.
Scores of the published rules are rounded to whole numbers 0..100 as in their simulator: with exact scores FGD loses more than two points.

FGD is told the frequencies of the whole list; ours learns them from the arrivals so far.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.packing.openb_rules import BEST_FIT, DOT_PRODUCT, FGD, FIRST_FIT, run
from scheduler.columns import Floats, Ints
from scheduler.fleet import Fleet
from scheduler.history import Arrivals
from scheduler.types import Item, Placement, Resources
from simulation import sheets
from simulation.replay import decide
from simulation.traces import KIND, host

RULES = {"first-fit": FIRST_FIT, "best-fit": BEST_FIT, "dot-product": DOT_PRODUCT, "FGD": FGD}
POLICIES = (*RULES, "ours")
_ANY_MODEL = (1 << 62) - 1
_MOST = 1.3  # of the fleet's GPUs are asked for
_COVERED = 0.95  # of the pods by FGD's typical ones


@dataclass(frozen=True, slots=True)
class Nodes:
    """The fleet: CPU in milli, memory in MiB, GPUs, the number of the model."""

    cpu: Ints
    memory: Ints
    gpus: Ints
    model: Ints
    models: tuple[str, ...]

    @property
    def milli(self) -> int:
        """All GPUs, in milli."""
        return int(self.gpus.sum()) * 1000


@dataclass(frozen=True, slots=True)
class Pods:
    """Distinct shapes (CPU, memory, GPUs, milli, models as bits) and, for each pod of the list, its shape."""

    shapes: Ints
    of: Ints


def read_nodes(path: Path) -> Nodes:
    """The node list."""
    rows = sheets.read(path)
    models = tuple(sorted({row["model"] for row in rows}))
    columns = [np.array([int(row[name]) for row in rows], np.int64) for name in ("cpu_milli", "memory_mib", "gpu")]
    return Nodes(columns[0], columns[1], columns[2], np.array([models.index(row["model"]) for row in rows], np.int64), models)


def read_pods(path: Path, models: tuple[str, ...]) -> Pods:
    """A pod list. Files without `gpu_spec` restrict nothing; a spec that no node has fits nowhere."""
    shapes: dict[tuple[int, ...], int] = {}
    of = []
    for row in sheets.read(path):
        gpus = int(row["num_gpu"])
        milli = int(row["gpu_milli"]) if gpus == 1 else 1000 * (gpus > 1)
        named = [models.index(name) for name in row.get("gpu_spec", "").split("|") if name in models]
        able = sum(1 << bit for bit in named) if gpus and row.get("gpu_spec") else _ANY_MODEL
        of.append(shapes.setdefault((int(row["cpu_milli"]), int(row["memory_mib"]), gpus, milli, able), len(shapes)))
    return Pods(np.array(list(shapes), np.int64), np.array(of, np.int64))


def arrivals(pods: Pods, milli: int, dice: np.random.Generator) -> Ints:
    """Shapes in the order in which they come."""
    limit, gpu = int(_MOST * milli), pods.shapes[:, 2] * pods.shapes[:, 3]
    order = dice.permutation(pods.of)
    total, out = int(gpu[order].sum()), list(order)
    if total > limit:
        return order[: int(np.searchsorted(np.cumsum(gpu[order]), limit, side="right"))]
    while True:
        drawn = order[dice.integers(len(order))]
        total += int(gpu[drawn])
        if total > limit or not gpu.any():
            return np.array(out, np.int64)
        out.append(drawn)


def typical_pods(pods: Pods) -> tuple[Ints, Floats]:
    """FGD's: distinct (CPU, GPUs, milli, models) from the most frequent on, until they cover 95 % of the list; their frequencies."""
    counts = Counter(tuple(shape) for shape in pods.shapes[pods.of][:, [0, 2, 3, 4]].tolist())
    kept, covered = [], 0
    for shape, count in sorted(counts.items(), key=lambda one: (-one[1], one[0])):
        if covered >= _COVERED * len(pods.of):
            break
        kept.append(shape)
        covered += count
    return np.array(kept, np.int64), np.array([counts[shape] / covered for shape in kept])


def measure(nodes: Nodes, pods: Pods, seed: int) -> dict[str, float]:
    """Allocated percent of each policy in one run. Raises ValueError where the GPUs asked for never round to 100 %."""
    dice = np.random.default_rng(seed)
    order = arrivals(pods, nodes.milli, dice)
    rank = dice.permutation(len(nodes.cpu))
    asked = np.cumsum(pods.shapes[order, 2] * pods.shapes[order, 3])
    at_100 = np.floor(100 * asked / nodes.milli + 0.5) == 100
    if not at_100.any():
        raise ValueError("no arrival rounds to 100 % of the GPUs asked for: too few pods, or too few GPUs")
    typical = typical_pods(pods)
    sizes = np.stack([nodes.cpu, nodes.memory], 1)[rank]
    found = {name: run(order, pods.shapes, sizes, nodes.gpus[rank], nodes.model[rank], typical, rule) for name, rule in RULES.items()}
    found["ours"] = _ours(nodes, pods, order, seed)
    return {name: float(100 * allocated[at_100].mean() / nodes.milli) for name, allocated in found.items()}


def _ours(nodes: Nodes, pods: Pods, order: Ints, seed: int) -> Floats:
    """What is allocated after each arrival. The hosts' order is that of their ids' hashes, another for each seed."""
    sizes = zip(nodes.cpu.tolist(), nodes.memory.tolist(), nodes.gpus.tolist(), nodes.model.tolist(), strict=True)
    fleet = Fleet(
        host(f"{seed}-{row}", Resources(cpu, memory, 0, gpus), gpu_model=nodes.models[model])
        for row, (cpu, memory, gpus, model) in enumerate(sizes)
    )
    items = [_item(shape, nodes.models) for shape in pods.shapes.tolist()]
    seen, total, out = Arrivals(), 0, np.zeros(len(order))
    for number, shape in enumerate(order.tolist()):
        if isinstance(decide(fleet, items[shape], seen), Placement):
            total += items[shape].resources.gpus * items[shape].gpu_milli
        out[number] = total
    return out


def _item(shape: Sequence[int], models: Sequence[str]) -> Item:
    cpu, memory, gpus, milli, able = shape
    named = () if able == _ANY_MODEL else tuple(name for bit, name in enumerate(models) if able >> bit & 1) or ("none",)
    return Item("pod", KIND, Resources(cpu, memory, 0, gpus), gpu_milli=milli or 1000, gpu_models=named)
