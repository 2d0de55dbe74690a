"""`python -m bench.openstack`: servers of a region, ours beside openstacksdk's own `create_server(wait=True)`, on simulated hypervisors.

Enters: options. Leaves: tables, and with `--json FILE` one flat object of the bracketed keys. The region is real: keystone, placement,
glance, neutron and nova, behind TLS; its hypervisors are simulated. All make the same servers, so many at once, of one project, each with a
port on a network, on a hypervisor that nova chooses, in turns, several rounds each, so that a busy moment of the machine meets all; shown
are medians. Requests are counted where they come in, tokens and discovery included. CPU is that of the client's process alone: for theirs a
process with nothing but the SDK, in threads; for ours the driver likewise, asked what passes of the controller ask; and, apart from that,
a whole controller that is asked over HTTP (its database and its looks at the whole region included in CPU and requests). Nothing is
measured of a client's start: each has made a server before.

Then, where all has been quiet for longer than a minute: what one look at all servers and hosts costs the driver in CPU.
"""

from __future__ import annotations

import argparse
import signal
import statistics
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from bench.openstack import ours, site
from bench.openstack.round import Round, median
from bench.table import Row, save, show
from drivers.openstack.view import MARGIN
from tests.lab.openstack.rig import Region

_LOOKS = 20
_AT_ONCE = 30  # servers made together for the looks


def main(arguments: list[str] | None = None) -> int:
    """Measure and show; 0 where every aim is met."""
    given = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped, then too
    region = site.region()
    rows = [*(_beside(region, given) if given.rounds else ()), *(_looks(region, given.servers) if given.servers else ())]
    if given.json:
        save(given.json, rows)
    return 0 if all(row.met() is not False for row in rows) else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.openstack", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--at-once", type=int, default=32, help="servers in each round, all at once")
    parser.add_argument("--rounds", type=int, default=3, help="of each side, in turns; 0 leaves that out")
    parser.add_argument("--servers", type=int, default=300, help="that looks are at; 0 leaves that out")
    parser.add_argument("--workers", type=int, help="the controller's setting `workers_per_region`; as shipped where not given")
    parser.add_argument("--json", type=Path, help="write the keyed numbers here")
    return parser.parse_args(arguments)


def _beside(region: Region, given: argparse.Namespace) -> list[Row]:
    task = site.task(region)
    settings = {"workers_per_region": given.workers} if given.workers else {}
    rounds: dict[str, list[Round]] = {"theirs": [], "alone": [], "ours": []}
    database: list[float] = []
    with site.side("theirs", task) as theirs, site.side("alone", task) as alone:
        for side in (theirs, alone):
            side(names=["warm"])
        for number in range(given.rounds):
            for name, side in (("theirs", theirs), ("alone", alone)):
                rounds[name].append(_round(region, side, [f"vm-{number}-{one}" for one in range(given.at_once)]))
                _tell(name, rounds[name][-1])
                site.clear(region)
            found, spent = ours.requested(region, task, given.at_once, settings)
            rounds["ours"].append(found)
            database.append(spent * 1000 / given.at_once)
            _tell("ours", found)
            site.clear(region)
    rows = compared(rounds["theirs"], rounds["alone"], rounds["ours"], database)
    print(show(f"{given.at_once} servers at once, {given.rounds} rounds: medians", rows), flush=True)
    return rows


def _round(region: Region, side: Callable[..., Any], names: list[str]) -> Round:
    before = site.requests(region)
    said = side(names=names)
    return Round(said["wall_s"], said["cpu_s"], site.requests(region) - before)


def compared(theirs: Sequence[Round], alone: Sequence[Round], ours: Sequence[Round], database_ms: Sequence[float]) -> list[Row]:
    """The table of all sides."""
    rows = []
    of: dict[str, tuple[Callable[[Round], float], str, int]] = {
        "requests": (lambda one: one.requests_each, "", 1),
        "cpu": (lambda one: one.cpu_ms_each, "ms", 1),
        "wall": (lambda one: one.wall_each, "s", 2),
    }
    for what, (value, unit, digits) in of.items():
        beside, driver, whole = (median(side, value) for side in (theirs, alone, ours))
        key = f"{what}{f'_{unit}' if unit else ''}"
        aim = None if what == "cpu" else ("<=", 1.0)  # a controller does more with it than to make servers
        rows += [
            Row(f"{what} for each, openstacksdk", beside, unit, f"sdk_{key}", digits=digits),
            Row(f"{what} for each, our driver", driver, unit, f"{key}_per_instance", digits=digits),
            Row("  to openstacksdk's", driver / beside, "times", f"{what}_ratio_to_sdk", ("<=", 1.0), 2),
            Row(f"{what} for each, our controller", whole, unit, f"controller_{key}", digits=digits),
            Row("  to openstacksdk's", whole / beside, "times", f"controller_{what}_ratio", aim, 2),
        ]
    return [*rows, Row("  its PostgreSQL's CPU for each", statistics.median(database_ms), "ms", "database_cpu_ms")]


def _looks(region: Region, servers: int) -> list[Row]:
    task = site.task(region)
    portless = {
        **task,
        "options": {**task["options"], "network": ""},
    }  # ports take nova longest, and a look at what is unchanged tells of none
    with site.side("alone", portless) as alone:
        for first in range(0, servers, _AT_ONCE):
            alone(names=[f"still-{number}" for number in range(first, min(servers, first + _AT_ONCE))])
            print(f"{min(servers, first + _AT_ONCE)} servers are made", file=sys.stderr, flush=True)
        ends = time.monotonic() + 2 * MARGIN.total_seconds() + 10
        while time.monotonic() < ends:  # the driver has to have seen all that is told of a minute, and that nothing follows
            alone(looks=1)
            time.sleep(5)
        said = alone(looks=_LOOKS)  # the region goes with this process, and all that is in it
    if said["seen"] != {"running": servers}:
        raise RuntimeError(f"of {servers} servers {said['seen']} were seen")
    rows = [
        Row("CPU for a look", statistics.median(said["cpu_ms"]), "ms", "observe_unchanged_cpu_ms", ("<=", 15)),
        Row("  the longest", max(said["cpu_ms"]), "ms"),
        Row("requests for a look", said["requests"], "", "observe_unchanged_requests"),
    ]
    print(show(f"{_LOOKS} looks at {servers} unchanged servers", rows), flush=True)
    return rows


def _tell(side: str, one: Round) -> None:
    print(f"{side}: {one.requests_each:.1f} requests, {one.cpu_ms_each:.1f} ms, {one.wall_each:.1f} s each", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
