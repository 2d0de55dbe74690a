"""An elastic pool of equal hosts under Azure's packing trace 2020: host-hours and the peak.

In: requests (tenant, cores, ram, start and end in days; files of the 1 % samples with concrete sizes) and the table of VM types, from
which the host's capacity is found: a type's size over the share that it takes of machine 10. Out: for each policy, host-hours and peak as
ratios to the bound (the integral, and the maximum, of the least number of hosts that cores and memory need at each moment), the mean over
the files.

Days 0 to 14. What started before day 0 is placed first, in the order of its start, so that the pool is full at day 0 as a real one is. A
host is opened only where no open one fits, and closed when empty. Departures come before arrivals of the same moment. Ours may look at no
end that has not happened: see `azure_pool`. A request's term is not in the trace. The trace does not say what its two values of
`vmTypeId` in the samples mean; they are taken as a class that lifetimes may depend on.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.packing import azure_pool
from bench.packing.azure_pool import Requests
from scheduler.columns import Floats, Ints
from simulation import sheets

POLICIES = {"first-fit": azure_pool.first_fit, "best-fit": azure_pool.best_fit, "ours": azure_pool.ours}
DAYS = 14.0
_MACHINE = "10"
_HOST = np.array([6400, 3072])  # machine 10 in the units of the samples


@dataclass(frozen=True, slots=True)
class Ratio:
    """Host-hours and peak over their bounds."""

    host_hours: float
    peak: float


def host_of(path: Path) -> Ints:
    """Cores and memory of a machine of type 10, from the JSON solution or, for the original table of shares, as published with it."""
    if path.suffix == ".json":
        solved: dict[str, float] = {}
        for part in json.loads(path.read_text()):
            solved.update(part)
        return np.array([int(solved[f"server_cores[{_MACHINE}]"]), int(solved[f"server_ram[{_MACHINE}]"])])
    if not any(row["machineId"] == _MACHINE for row in sheets.read(path)):
        raise ValueError(f"{path} has no machine {_MACHINE}")
    return _HOST.copy()


def read(path: Path) -> Requests:
    """Requests of one file."""
    rows = [row for row in sheets.read(path) if float(row["starttime"]) < DAYS]
    need = np.array([[int(float(row["cores"])), int(float(row["ram"]))] for row in rows])
    tenants = np.unique([row["tenantId"] for row in rows], return_inverse=True)[1].astype(np.int64)
    kinds = np.array([[float(row["cores"]), float(row["ram"]), float(row["vmTypeId"])] for row in rows])
    groups = np.unique(kinds, axis=0, return_inverse=True)[1].reshape(-1).astype(np.int64)
    start, end = (np.array([float(row[name]) for row in rows]) for name in ("starttime", "endtime"))
    return Requests(start, end, need, tenants, groups)


def events(requests: Requests) -> tuple[Floats, Ints]:
    """Moments, and what happens: request k arrives (k) or departs (-1 - k)."""
    count = len(requests.start)
    at = np.concatenate([requests.start, requests.end])
    arrives = np.repeat([1, 0], count)
    which = np.tile(np.arange(count), 2)
    order = np.lexsort((which, arrives, at))
    order = order[at[order] < DAYS]
    return at[order], np.where(arrives, which, -1 - which)[order]


def measure(requests: Requests, host: Ints) -> Mapping[str, Ratio]:
    """The ratios of each policy."""
    at, what = events(requests)
    after = np.maximum(np.append(at[1:], DAYS), 0.0) - np.maximum(at, 0.0)  # how long it stays so, from day 0 on
    change = np.where((what >= 0)[:, None], 1, -1) * requests.need[np.where(what >= 0, what, -1 - what)]
    bound = np.ceil((np.cumsum(change, axis=0) / host).max(axis=1) - 1e-9)
    counted = at >= 0
    out = {}
    for name, policy in POLICIES.items():
        opened = policy(requests, host, at, what)
        out[name] = Ratio(float(opened @ after / (bound @ after)), float(opened[counted].max() / bound[counted].max()))
    return out
