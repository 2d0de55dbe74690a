"""`python -m bench.scheduler`: how many placements a second, how long one takes, and what the fleet weighs.

Enters: options. Leaves: a table for each size of fleet, and with `--json FILE` one flat object of the bracketed keys, of the last size.
Measured is the scheduler as the controller calls it, Python objects in and out: batches of about 2,000 items, claims included; single
decisions without their claim, with a zone, an architecture, a trait and a group that has members. The fleet is 70 % full of what the
scheduler itself placed, and what a batch placed is taken back before the next. Compiling is not counted: once for each machine.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from collections.abc import Sequence
from pathlib import Path

import psutil

from bench.fleets import ARCHES, FLAVORS, ZONES, Taken, fill, gangs, host, settle
from bench.table import Row, quantile, save, show
from scheduler.fleet import Fleet
from scheduler.place import apply, place
from scheduler.types import Host, Item, NoValidHost, Spread

_BATCH_AIM = {1_000: 200_000.0, 100_000: 50_000.0}  # by hosts
_FULL = 0.7
_BATCH = 2_000
_MIB = 1 << 20


def main(arguments: list[str] | None = None) -> int:
    """Measure and show; 0 where every aim is met."""
    parser = argparse.ArgumentParser(prog="python -m bench.scheduler", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--hosts", type=int, action="append", help="size of the fleet; may be given several times")
    parser.add_argument("--batches", type=int, default=20, help="batches to time")
    parser.add_argument("--singles", type=int, default=4000, help="single decisions to time")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--json", type=Path, help="write the keyed numbers of the last size here")
    given = parser.parse_args(arguments)
    rows: list[Row] = []
    good = True
    for hosts in given.hosts or (1_000, 10_000, 100_000):
        rows = measure(hosts, given.batches, given.singles, random.Random(given.seed))
        print(show(f"{hosts:,} hosts, {_FULL:.0%} full", rows), flush=True)
        good = good and all(row.met() is not False for row in rows)
    if given.json:
        save(given.json, rows)
    return 0 if good else 1


def measure(size: int, batches: int, singles: int, dice: random.Random) -> list[Row]:
    """One size of fleet."""
    hosts = [host(number, dice) for number in range(size)]
    settle(Fleet(hosts[:1]), list(gangs(9, "warm", hosts, dice)))
    gc.collect()
    before = psutil.Process().memory_info().rss
    fleet = Fleet(hosts)
    placed = fill(fleet, hosts, _FULL, dice, progress=sys.stdout.isatty())
    gc.collect()
    gc.freeze()  # as a controller does when it starts
    per_s = _batches(fleet, hosts, batches, dice)
    alone = _alone(fleet, singles, placed, dice)
    del placed
    gc.unfreeze()
    gc.collect()
    aim = _BATCH_AIM.get(size)
    return [
        Row("placements in batches", per_s, "/s", "batch_per_s", (">=", aim) if aim else None),
        Row("a single decision, every constraint, p50", quantile(alone, 0.5), "us", "single_p50_us"),
        Row("a single decision, every constraint, p99", quantile(alone, 0.99), "us", "single_p99_us", ("<", 500.0)),
        Row("memory of the fleet", (psutil.Process().memory_info().rss - before) / _MIB, "MiB", "fleet_mib", ("<", 200.0)),
    ]


def _batches(fleet: Fleet, hosts: Sequence[Host], number: int, dice: random.Random) -> float:
    """Placements a second."""
    took, decided = 0.0, 0
    for round_ in range(number):
        batch = list(gangs(_BATCH, f"b{round_}", hosts, dice))
        began = time.perf_counter()
        taken = settle(fleet, batch)
        took += time.perf_counter() - began
        decided += len(taken)
        for item, placement in taken:
            fleet.release(placement.host_id, item.resources)
    return decided / took


def _alone(fleet: Fleet, number: int, placed: Taken, dice: random.Random) -> list[float]:
    """Microseconds for each of so many decisions; what they decide is counted before the next."""
    took = []
    for round_ in range(number):
        members = {placement.host_id: 1 for _, placement in dice.sample(placed, min(5, len(placed)))}
        wish = Item(
            key="one",
            kind="vm",
            resources=dice.choice(FLAVORS),
            arch=dice.choice(ARCHES),
            traits=frozenset({"ssd"}),
            pools=("general",),
            zones=(dice.choice(ZONES),),
            spread=Spread(f"s{round_}", "anti_affinity", dice.choice(("host", "rack"))),
            members=members,
        )
        began = time.perf_counter_ns()
        (result,) = place(fleet, [[wish]])
        took.append((time.perf_counter_ns() - began) / 1000)
        if not isinstance(result, NoValidHost):
            apply(fleet, [wish], result)
    return took


if __name__ == "__main__":
    sys.exit(main())
