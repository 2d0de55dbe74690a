"""`python -m bench.metal`: a bare machine from power-off to a department and back, beside the same by hand.

Enters: options. Leaves: a table, and with `--json FILE` one flat object of the bracketed keys. The machine is a QEMU guest under emulation
behind a real Redfish BMC; a controller process sets it up by its playbooks, and somebody with curl, qemu-img and ssh does the same work, in
turns, so that a busy moment of this machine meets both. What is compared is the time from the request (or the first command) to the end of
each phase; shown are medians.

`--flight N`: the memory of a controller that sets up N machines at once, which are simulated: BMCs that answer, playbooks that only wait;
`--at-once M` of their runs have their turn.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from bench.metal import by_hand, flight, ours
from bench.metal.phases import PHASES, Phases
from bench.table import Row, quantile, save, show
from tests.lab.metal import shared


def main(arguments: list[str] | None = None) -> int:
    """Measure and show; 0 where every aim is met."""
    given = _options(arguments)
    rows = _in_flight(given.flight, given.at_once) if given.flight else _beside(given.rounds)
    if given.json:
        save(given.json, rows)
    return 0 if all(row.met() is not False for row in rows) else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.metal", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--rounds", type=int, default=2, help="of each side, in turns")
    parser.add_argument("--flight", type=int, default=0, metavar="N", help="measure memory with so many machines being set up")
    parser.add_argument("--at-once", type=int, default=8, metavar="M", help="of these, so many have their turn (the setting metal_runs)")
    parser.add_argument("--json", type=Path, help="write the keyed numbers here")
    return parser.parse_args(arguments)


def _beside(rounds: int) -> list[Row]:
    rig = shared.shared_rig()
    server = rig.servers[0]
    mine, theirs = [], []
    with ours.controller(rig, server) as site:
        for number in range(rounds):
            theirs.append(by_hand.round_of(rig, server))
            print(f"  round {number + 1}: by hand {theirs[-1].whole:.0f} s", file=sys.stderr, flush=True)
            mine.append(site.round_of())
            print(f"  round {number + 1}: ours {mine[-1].whole:.0f} s", file=sys.stderr, flush=True)
    rows = [row for phase in PHASES for row in _phase(phase, mine, theirs)]
    whole, hand = (quantile([one.whole for one in side], 0.5) for side in (mine, theirs))
    rows += [
        Row("all phases, ours", whole, "s", "ours_s"),
        Row("all phases, by hand", hand, "s", "by_hand_s"),
        Row("ours to by hand", whole / hand, "times", "ratio_to_by_hand", ("<=", 1.3), 2),
    ]
    print(show(f"one machine, {rounds} rounds of each side", rows), flush=True)
    return rows


def _phase(phase: str, mine: list[Phases], theirs: list[Phases]) -> list[Row]:
    whole, hand = (quantile([getattr(one, phase) for one in side], 0.5) for side in (mine, theirs))
    return [
        Row(f"{phase}, ours", whole, "s"),
        Row(f"{phase}, by hand", hand, "s"),
        Row(f"{phase}, ours to by hand", whole / hand, "times", digits=2),
    ]


def _in_flight(machines: int, at_once: int) -> list[Row]:
    before, during = flight.measure(machines, at_once)
    whole = during.controller + during.runs + during.database
    rows = [
        Row("controller before, resident", before.controller, "MiB", "idle_mib"),
        Row(f"controller with {machines} runs in flight", during.controller, "MiB", "in_flight_mib"),
        Row("for each run", (during.controller - before.controller) * 1024 / machines, "KiB", "in_flight_kib_each"),
        Row(f"processes of the {during.at_work} runs that have their turn", during.runs, "MiB", "runs_mib"),
        Row("PostgreSQL", during.database, "MiB", "database_mib"),
        Row("all of it", whole, "MiB", "whole_mib"),
    ]
    print(show(f"{machines} simulated machines: BMCs that carry nothing out, a playbook that waits", rows), flush=True)
    return rows


if __name__ == "__main__":
    sys.exit(main())
