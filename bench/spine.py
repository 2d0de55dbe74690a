"""`python -m bench.spine`: how fast, and at what cost, the controller takes instances from request to running.

Enters: options. Leaves: a table, and with `--json FILE` one flat object of the bracketed keys. Measured is a real controller process (plain
HTTP on loopback, embedded PostgreSQL with everything durable) over the fake driver, so that the number is the controller's own and not a
hypervisor's; this process is the client, whose CPU competes on the same cores but is not counted. All departments lie under one root
project that has limits of its own, so that every create counts against the same row. A short warm-up, not counted, opens connections and
fills caches: a controller runs for months.

A second part, where libvirt answers and a guest image can be had, runs real guests: from request to running, beside libvirt's own define
and start of the same guest in the same run.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench import cloud, creating, guests, listing
from bench.creating import Created
from bench.rig import Rig, running
from bench.table import Row, quantile, save, show
from bench.wire import Wire

_WARM = 200
_PAGES = 1000


def main(arguments: list[str] | None = None) -> int:
    """Measure and show; 0 where every aim is met."""
    given = _options(arguments)
    rows = uvloop.run(_fake(given))
    print(show(f"fake driver: {given.hosts} hosts, {given.departments} departments, {given.clients} clients", rows), flush=True)
    missing = guests.missing(given.image) if given.qemu else "not asked for"
    if missing:
        print(f"real guests: skipped, {missing}")
    else:
        real = uvloop.run(guests.measure(given.guests, given.image))
        print(show(f"real guests: {given.guests}, one after the other", real), flush=True)
        rows += real
    if given.json:
        save(given.json, rows)
    return 0 if all(row.met() is not False for row in rows) else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.spine", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--instances", type=int, default=2000, help="how many to create")
    parser.add_argument("--clients", type=int, default=32, help="concurrent callers")
    parser.add_argument("--hosts", type=int, default=1000)
    parser.add_argument("--departments", type=int, default=8)
    parser.add_argument("--table-rows", type=int, default=100_000, help="instances in the table when pages are asked for")
    parser.add_argument("--qemu", action=argparse.BooleanOptionalAction, default=True, help="run real guests too, where libvirt answers")
    parser.add_argument("--image", type=Path, help="qcow2 image of a guest; else the tiny guest is built")
    parser.add_argument("--guests", type=int, default=5, help="how many real guests to run, one after the other")
    parser.add_argument("--json", type=Path, help="write the keyed numbers here")
    parser.add_argument("--quick", action="store_true", help="a tenth of everything, to see that it works")
    given = parser.parse_args(arguments)
    if given.quick:
        given.instances, given.hosts, given.table_rows = given.instances // 10, given.hosts // 10, given.table_rows // 10
    return given


async def _fake(given: argparse.Namespace) -> list[Row]:
    with running() as rig:
        wire = Wire("127.0.0.1", rig.port)
        departments = await cloud.set_up(wire, rig.token, given.departments, cloud.fake(given.hosts))
        await wire.close()
        await creating.create(rig, departments, min(_WARM, given.instances), given.clients)
        made = await creating.create(rig, departments, given.instances, given.clients)
        rows = _creating_rows(made)
        there = await asyncio.to_thread(listing.fill, rig, given.table_rows)
        for clients in (1, 4):
            took = await listing.pages(rig, departments, _PAGES, clients)
            rows += _listing_rows(took, there, clients)
        return rows + _memory_rows(rig)


def _creating_rows(made: Created) -> list[Row]:
    count = len(made.create_s)
    cpu = made.controller_cpu_s + made.database_cpu_s
    return [
        Row("creates accepted", count / made.accepting_s, "/s", "creates_per_s"),
        Row("request to active", count / made.activating_s, "/s", "active_per_s", (">=", 300)),
        *_quantiles("create, latency", "create", made.create_s, 250),
        *_quantiles("request to active", "active", made.active_s),
        Row("CPU for each instance", cpu * 1000 / count, "ms", "cpu_ms_per_instance", ("<=", 6)),
        Row("  the controller's part", made.controller_cpu_s * 1000 / count, "ms"),
        Row("  PostgreSQL's part", made.database_cpu_s * 1000 / count, "ms"),
        Row("CPU that others used meanwhile", made.others_share * 100, "%"),
    ]


def _listing_rows(took: Sequence[float], there: int, clients: int) -> list[Row]:
    keyed = clients > 1
    text = f"page of 50 out of {there:,}, {clients} at a time"
    if keyed:
        return _quantiles(text, "list", took, 50)
    return [Row(f"{text}, p50", quantile(took, 0.5) * 1000, "ms"), Row(f"{text}, p99", quantile(took, 0.99) * 1000, "ms")]


def _quantiles(text: str, key: str, seconds: Sequence[float], aim_ms: float | None = None) -> list[Row]:
    return [
        Row(f"{text}, p50", quantile(seconds, 0.5) * 1000, "ms", f"{key}_p50_ms"),
        Row(f"{text}, p99", quantile(seconds, 0.99) * 1000, "ms", f"{key}_p99_ms", ("<", aim_ms) if aim_ms else None),
    ]


def _memory_rows(rig: Rig) -> list[Row]:
    return [
        Row("controller's memory, at most", rig.peak_rss_mib(), "MiB", "controller_rss_mib", ("<", 300)),
        Row("PostgreSQL's memory", rig.database_mib(), "MiB"),
    ]


if __name__ == "__main__":
    sys.exit(main())
