"""How far a sequence of requests with NUMA and group rules gets on Huawei's servers before the first refusal.

In: free CPU and memory of two NUMA cells for each server (row n is `host-n`), the rack of each host, sequences of requests. Out: for each
policy and sequence, how many requests are placed before the first that is refused (all of them, where none is); nothing leaves.

The publication gives labels and no rules; this is how they are read here, alike for all policies:
  numa             1: CPU and memory from one cell; 2: half of each from either cell of one server
  affinity         (collocation) the group stays in one rack; one server can't be meant: the larger groups ask for three times the
                   largest
  anti-affinity    no two of the group on one server
  fault_domain     requests of the group with different `domain` never share a rack; those with the same may: the largest outgrow a rack
Hosts come in the file's order; first-fit takes the first server and its first cell, best-fit the server with the least CPU and memory
left over and its tighter cell. Nobody knows how large a group will become. The unit of two-cell requests is learnt from those seen.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from bench.packing.topology_rules import AFFINITY, ANTI_AFFINITY, BEST_FIT, FAULT_DOMAIN, FIRST_FIT, Sequence, run
from scheduler.columns import Ints
from scheduler.fleet import Fleet
from scheduler.history import Arrivals
from scheduler.types import Cell, Item, NoValidHost, Resources, Spread
from simulation import sheets
from simulation.replay import decide
from simulation.traces import KIND, host

RULES = {"best-fit": BEST_FIT, "first-fit": FIRST_FIT}
POLICIES = (*RULES, "ours")
_STRATEGIES = ("", "affinity", "anti-affinity", "fault_domain")


@dataclass(frozen=True, slots=True)
class Servers:
    """Free [rows, cells, (CPU, memory)], and the rack of each."""

    cells: Ints
    rack: Ints


def read_servers(machines: Path, providers: Path) -> Servers:
    """The servers; hosts of the provider list beyond the machine list don't take part."""
    names = (("CPU1", "RAM1"), ("CPU2", "RAM2"))
    cells = np.array([[[int(float(row[size])) for size in cell] for cell in names] for row in sheets.read(machines)])
    racks = {row["host_id"]: row["rack_id"] for row in sheets.read(providers)}
    of = [racks[f"host-{row}"] for row in range(len(cells))]
    return Servers(cells, np.unique(of, return_inverse=True)[1].astype(np.int64))


def read_sequence(path: Path) -> Sequence:
    """The requests of one file."""
    rows = sheets.read(path)
    need = np.array([[int(float(row["flavor_vcpus"])), int(float(row["flavor_ram"]))] for row in rows])
    cells = np.array([int(row["numa"]) for row in rows], np.int64)
    rule = np.array([_STRATEGIES.index(row["strategy"]) for row in rows], np.int64)
    names = [f"{row['strategy']} {row['group']}" for row in rows]
    group = np.unique(names, return_inverse=True)[1].astype(np.int64)
    return Sequence(need, cells, rule, group, np.array([int(float(row["domain"] or -1)) for row in rows], np.int64))


def measure(servers: Servers, sequence: Sequence) -> Mapping[str, int]:
    """How many each policy places before its first refusal."""
    found = {name: run(sequence, servers.cells, servers.rack, rule) for name, rule in RULES.items()}
    return found | {"ours": _ours(servers, sequence)}


def _ours(servers: Servers, sequence: Sequence) -> int:
    """The scheduler's choice. A rack is a zone to it: fault domains are asked for as the zones that are left."""
    racks = [str(number) for number in range(int(servers.rack.max()) + 1)]
    fleet = Fleet(
        host(str(row), Resources(*map(sum, zip(*cells, strict=True))), zone=racks[rack], cells=tuple(Cell(*cell) for cell in cells))
        for row, (cells, rack) in enumerate(zip(servers.cells.tolist(), servers.rack.tolist(), strict=True))
    )
    members: dict[int, Counter[str]] = defaultdict(Counter)
    held: dict[int, dict[str, int]] = defaultdict(dict)  # by group, the fault domain that holds a rack
    seen = Arrivals()
    columns = (sequence.need.tolist(), sequence.cells.tolist(), sequence.rule.tolist(), sequence.group.tolist(), sequence.domain.tolist())
    for number, (need, cells, rule, group, domain) in enumerate(zip(*columns, strict=True)):
        item = Item("request", KIND, Resources(*need), cells=cells)
        if rule in (AFFINITY, ANTI_AFFINITY):
            spread = Spread("g", "affinity", "zone") if rule == AFFINITY else Spread("g", "anti_affinity", "host")
            item = Item("request", KIND, item.resources, cells=cells, spread=spread, members=members[group])
        elif rule == FAULT_DOMAIN:
            left = tuple(rack for rack in racks if held[group].get(rack, domain) == domain)
            item = Item("request", KIND, item.resources, cells=cells, zones=left or ("none",))
        placed = decide(fleet, item, seen)
        if isinstance(placed, NoValidHost):
            return number
        where = placed.host_id
        members[group][where] += 1
        held[group][racks[int(servers.rack[int(where)])]] = domain
    return len(sequence.need)
