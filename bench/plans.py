"""`python -m bench.plans`: how long plans take, and what they are good for.

Enters: options. Leaves: a table, and with `--json FILE` one flat object of the bracketed keys. The fleet is that of `bench.fleets`: what
the scheduler placed, in the order in which it came, with up to one instance in four gone again at random, so that hosts are unevenly
full, as they are after a year. Timed is the whole call, the copy of the fleet included. Compiling is not counted: once for each machine.
The rows with `k=1` hold N+1 after every step; those without do not ask about it.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TypeVar

from bench.fleets import Taken, gangs, host, settle
from bench.table import Row, save, show
from scheduler.fleet import Fleet
from scheduler.plans.consolidating import consolidate
from scheduler.plans.defragmenting import defragment
from scheduler.plans.draining import drain
from scheduler.plans.rebalancing import rebalance
from scheduler.plans.survival import survives, would_break
from scheduler.plans.types import Plan, Resident
from scheduler.plans.whatif import Change, whatif
from scheduler.types import Host, Item, Resources

_AIM = ("<", 5.0)
_GONE = 0.25
_FULL = 200  # of 2,000 instances that found a place when the fleet counts as full
_LARGE = Item("large", "vm", Resources(64, 256 << 10, 500))
_T = TypeVar("_T")


@dataclass(frozen=True, slots=True)
class Town:
    """A fleet and who lives there."""

    hosts: list[Host]
    fleet: Fleet
    residents: list[Resident]


def main(arguments: list[str] | None = None) -> int:
    """Measure and show; 0 where every aim is met."""
    parser = argparse.ArgumentParser(prog="python -m bench.plans", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--instances", type=int, default=20_000)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the keyed numbers here")
    given = parser.parse_args(arguments)
    measure(settled(40, 400, random.Random(given.seed)))  # compiles
    town = settled(given.hosts, given.instances, random.Random(given.seed))
    rows = measure(town)
    print(show(f"{len(town.hosts):,} hosts, {len(town.residents):,} instances", rows), flush=True)
    if given.json:
        save(given.json, rows)
    return 0 if all(row.met() is not False for row in rows) else 1


def settled(hosts: int, instances: int, dice: random.Random) -> Town:
    """A fleet where so many instances are left of a third more, or of as many as found a place."""
    made = [host(number, dice) for number in range(hosts)]
    fleet, taken = Fleet(made), list[tuple[Item, str]]()
    number = 0
    while len(taken) < instances / (1 - _GONE):
        batch: Taken = settle(fleet, list(gangs(2000, f"b{number}", made, dice)))
        if len(batch) < _FULL:
            break
        taken += [(item, placement.host_id) for item, placement in batch]
        number += 1
    if len(taken) < instances:
        raise ValueError("so many instances have no room on so few hosts")
    kept = dice.sample(taken, instances)
    after = Fleet(made)
    after.claim_all((where, item) for item, where in kept)
    return Town(made, after, [Resident(f"i{number}", where, item) for number, (item, where) in enumerate(kept)])


def measure(town: Town) -> list[Row]:
    """Every kind of plan."""
    gc.collect()
    fleet, residents = town.fleet, town.residents
    fullest = max(town.hosts, key=lambda one: sum(resident.host_id == one.id for resident in residents[:2000]))
    return [
        *_drains(town, fullest),
        *_plan("consolidate", "hosts left empty", "hosts_freed", lambda k: consolidate(fleet, residents, k=k)),
        Row("  no plan could empty more, by volume alone", _most_freed(town), "", "hosts_freed_most"),
        *_plan("rebalance", "fall of highest fill and deviation", "rebalance_benefit", lambda k: rebalance(fleet, residents, k=k)),
        *_plan("defragment", "more copies fit", "copies_gained", lambda k: defragment(fleet, residents, _LARGE, k=k)),
        *_survival(town, fullest),
        *_whatif(town),
    ]


def _drains(town: Town, fullest: Host) -> list[Row]:
    took, plan = _timed(lambda: drain(town.fleet, town.residents, fullest.id))
    took_k, plan_k = _timed(lambda: drain(town.fleet, town.residents, fullest.id, k=1))
    return [
        Row(f"drain one host ({plan.reason})", took, "s", "drain_s", _AIM),
        Row("  moves", len(plan.moves), "", "drain_moves"),
        Row(f"drain one host, k=1 ({plan_k.reason})", took_k, "s", "drain_k1_s", _AIM),
    ]


def _plan(name: str, what: str, key: str, make: Callable[[int], Plan]) -> list[Row]:
    rows: list[Row] = []
    for k in (0, 1):
        took, plan = _timed(lambda k=k: make(k))  # type: ignore[misc]
        mark = "_k1" if k else ""
        rows += [
            Row(f"{name}{', k=1' if k else ''} ({plan.reason})", took, "s", f"{name}{mark}_s", _AIM),
            Row(f"  {what}", plan.benefit, "", f"{key}{mark}"),
            Row("  moves", len(plan.moves), "", f"{name}{mark}_moves"),
            Row("  highest fill before", 100 * plan.before.peak, "%"),
            Row("  highest fill after", 100 * plan.after.peak, "%"),
            Row("  deviation of fill before", 100 * plan.before.spread, "%"),
            Row("  deviation of fill after", 100 * plan.after.spread, "%"),
        ]
    return rows


def _most_freed(town: Town) -> int:
    """Of each architecture, the hosts beyond the fewest that have the vCPUs, and the memory, for all that its instances ask for."""
    freed = 0
    for arch in {one.arch for one in town.hosts}:
        hosts = [one for one in town.hosts if one.arch == arch]
        items = [one.item for one in town.residents if one.item.arch == arch]
        used = {resident.host_id for resident in town.residents} & {one.id for one in hosts}
        fewest = 0
        for name in ("vcpus", "memory_mib"):
            left, count = sum(getattr(item.resources, name) for item in items), 0
            for most in sorted((getattr(one.capacity, name) for one in hosts), reverse=True):
                if left > 0:
                    left, count = left - most, count + 1
            fewest = max(fewest, count)
        freed += len(used) - fewest
    return freed


def _survival(town: Town, fullest: Host) -> list[Row]:
    rows = []
    for k in (1, 2):
        took, verdicts = _timed(lambda k=k: survives(town.fleet, town.residents, k))  # type: ignore[misc]
        sure = all(one.ok for one in verdicts)
        rows.append(Row(f"survives k={k} ({'proved' if sure else 'not proved'})", took, "s", f"survives_k{k}_s", _AIM))
        rows.append(Row("  certain", float(all(one.ok or one.certain for one in verdicts)), ""))
    small = Item("one", "vm", Resources(2, 4096, 20))
    took, _ = _timed(lambda: would_break(town.fleet, town.residents, 1, [(small, fullest.id)]))
    return [*rows, Row("would one placement break N+1", took, "s", "would_break_s", _AIM)]


def _whatif(town: Town) -> list[Row]:
    dice = random.Random(7)
    lost = tuple(one.id for one in dice.sample(town.hosts, max(1, len(town.hosts) // 50)))
    asked = tuple(tuple(gang) for gang in gangs(len(town.residents) // 20, "asked", town.hosts, dice))
    change = Change(lose=lost, add=((town.hosts[0], max(1, len(town.hosts) // 100)),), retire=("loongarch64",), approve=asked)
    took, outcome = _timed(lambda: whatif(town.fleet, town.residents, change, k=1))
    return [
        Row("what if: hosts lost and added, an architecture retired, gangs approved", took, "s", "whatif_s", _AIM),
        Row("  restarted", len(outcome.restarted), "", "whatif_restarted"),
        Row("  stranded", len(outcome.stranded), "", "whatif_stranded"),
        Row("  approved instances", len(outcome.approved), "", "whatif_approved"),
        Row("  refused gangs", len(outcome.refused), "", "whatif_refused"),
    ]


def _timed(call: Callable[[], _T]) -> tuple[float, _T]:
    began = time.perf_counter()
    result = call()
    return time.perf_counter() - began, result


if __name__ == "__main__":
    sys.exit(main())
