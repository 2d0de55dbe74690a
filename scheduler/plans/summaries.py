"""A fleet at a glance: the numbers by which a plan is judged, read off the same columns that placing reads.

In: a scene. Out: a `Summary`. Hosts without any of a resource say nothing about its fill. Rejected: fill over all hosts, the cordoned ones
included (emptying a host would always look like an improvement).
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from scheduler.columns import READY, TAKEN, Floats, Ints
from scheduler.place import capacity
from scheduler.plans.scene import Scene
from scheduler.plans.survival import Watch
from scheduler.plans.types import Summary
from scheduler.types import SIZES, Item

_FILL = 2  # vcpus and memory_mib: what a host is called full by


def summarize(scene: Scene, flavor: Item | None = None, watch: Watch | None = None) -> Summary:
    """The scene as it is now."""
    columns, whole = scene.fleet.columns, scene.fleet.whole()
    taken = (columns.flags & TAKEN) != 0
    rows = np.flatnonzero((columns.flags & READY) == READY)
    free = columns.free[rows]
    each = fill(scene, rows)
    used = {name: _used(whole[rows, size], free[:, size]) for size, name in enumerate(SIZES)}
    return Summary(
        hosts=len(rows),
        in_use=int((taken & (whole != columns.free).any(axis=1)).sum()),
        largest_vcpus=max(0, int(free[:, 0].max(initial=0))),
        largest_memory_mib=max(0, int(free[:, 1].max(initial=0))),
        fill_mean=_rounded({name: float(shares.mean()) if len(shares) else 0.0 for name, shares in used.items()}),
        fill_max=_rounded({name: float(shares.max(initial=0.0)) for name, shares in used.items()}),
        peak=round(float(each.max(initial=0.0)), 6),
        spread=round(float(each.std()) if len(each) else 0.0, 6),
        fits=None if flavor is None else capacity(scene.fleet, flavor),
        resilient=None if watch is None or not watch.asked else watch.holds(),
    )


def fill(scene: Scene, rows: Ints) -> Floats:
    """How full hosts are, each by the fuller of its vCPUs and memory."""
    whole = scene.fleet.whole()[rows, :_FILL]
    shares = np.where(whole > 0, (whole - scene.fleet.columns.free[rows, :_FILL]) / np.maximum(whole, 1), 0.0)
    full: Floats = shares.max(axis=1) if len(rows) else np.zeros(0)
    return full


def _used(whole: Ints, free: Ints) -> Floats:
    some = whole > 0
    shares: Floats = (whole[some] - free[some]) / whole[some]
    return shares


def _rounded(shares: Mapping[str, float]) -> Mapping[str, float]:
    """Sums of floats depend on the order of rows in their last digits; the order in which hosts were read must not show."""
    return {name: round(share, 6) for name, share in shares.items()}
