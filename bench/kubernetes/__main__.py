"""`python -m bench.kubernetes`: containers on a cluster, ours beside the cluster's own default scheduler, on simulated nodes.

Enters: options. Leaves: tables, and with `--json FILE` one flat object of the bracketed keys. The API server, etcd and both controllers are
real; the nodes are simulated: objects that never report, so a container counts when it is bound to its node. Both sides take turns on the
same cluster, several rounds each, so that a busy moment of the machine meets both; shown are medians. CPU is that of all components
together: API server, etcd and controller manager for both, the scheduler for them, controller and PostgreSQL for us.

`--first-look` measures how a cluster of 5,000 nodes and 50,000 containers of ours is seen by the driver alone, in a process of its own.
"""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

import uvloop

from bench.kubernetes import cluster, first_look, ours, theirs
from bench.kubernetes.round import Round, median, parts
from bench.table import Row, save, show


def main(arguments: list[str] | None = None) -> int:
    """Measure and show; 0 where every aim is met."""
    given = _options(arguments)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # what was started is stopped, then too
    rows = _first_look(given) if given.first_look else _beside(given)
    if given.json:
        save(given.json, rows)
    return 0 if all(row.met() is not False for row in rows) else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.kubernetes", description=(__doc__ or "").split("\n")[0])
    parser.add_argument("--nodes", type=int, help="simulated nodes; 1000, for a first look 5000")
    parser.add_argument("--pods", type=int, help="containers in each round; 5000, for a first look 50000")
    parser.add_argument("--rounds", type=int, default=3, help="of each side, in turns")
    parser.add_argument("--warm", type=int, default=200, help="containers made before each of our rounds, not counted")
    parser.add_argument("--workers", type=int, help="the controller's setting `workers_per_cluster`; as shipped where not given")
    parser.add_argument("--first-look", action="store_true", help="measure that, and nothing else")
    parser.add_argument("--json", type=Path, help="write the keyed numbers here")
    given = parser.parse_args(arguments)
    given.nodes, given.pods = given.nodes or (5000 if given.first_look else 1000), given.pods or (50_000 if given.first_look else 5000)
    return given


def _first_look(given: argparse.Namespace) -> list[Row]:
    rows = first_look.measure(given.nodes, given.pods)
    print(show(f"first look at {given.nodes:,} simulated nodes and {given.pods:,} containers of ours", rows), flush=True)
    return rows


def _beside(given: argparse.Namespace) -> list[Row]:
    mine: list[Round] = []
    created: list[Round] = []
    pending: list[Round] = []
    settings = {"workers_per_cluster": given.workers} if given.workers else {}
    with cluster.running(given.nodes) as lab:
        for number in range(given.rounds):
            mine.append(uvloop.run(ours.requested(lab, given.pods, given.warm, settings)))
            _tell("ours", mine[-1])
            for kind, measured, rounds in (("created", theirs.created, created), ("pending", theirs.pending, pending)):
                name = f"{kind}-{number}"
                theirs.namespace(lab, name)
                rounds.append(measured(lab, name, given.pods))
                _tell(kind, rounds[-1])
                cluster.clear(lab, name)
    rows = compared(mine, created, pending)
    print(show(f"{given.nodes:,} simulated nodes, {given.pods:,} containers, {given.rounds} rounds: medians", rows), flush=True)
    return rows


def compared(mine: Sequence[Round], created: Sequence[Round], pending: Sequence[Round]) -> list[Row]:
    """The table of both sides."""
    rate, beside = median(mine, lambda one: one.rate), median(created, lambda one: one.rate)
    cpu, cpu_beside = median(mine, lambda one: one.cpu_ms), median(created, lambda one: one.cpu_ms)
    used, used_beside = median(mine, lambda one: one.nodes_used), median(created, lambda one: one.nodes_used)
    return [
        Row("ours: request to bound", rate, "/s", "containers_per_s"),
        Row("default scheduler: created to bound", beside, "/s", "default_per_s"),
        Row("  pods made before, binding alone", median(pending, lambda one: one.rate), "/s", "default_binding_per_s"),
        Row("ratio", rate / beside, "", "ratio_to_default", (">=", 2), 2),
        Row("ours: CPU for each, all components", cpu, "ms", "cpu_ms_per_container", digits=2),
        *(Row(f"  {name}", amount, "ms", digits=2) for name, amount in parts(mine).items()),
        Row("default scheduler: CPU for each, all components", cpu_beside, "ms", "default_cpu_ms", digits=2),
        *(Row(f"  {name}", amount, "ms", digits=2) for name, amount in parts(created).items()),
        Row("  pods made before, binding alone", median(pending, lambda one: one.cpu_ms), "ms", "default_binding_cpu_ms", digits=2),
        Row("ratio", cpu / cpu_beside, "", "cpu_ratio_to_default", ("<=", 0.5), 2),
        Row(
            "ours: requests to the API server for each",
            median(mine, lambda one: one.requests),
            "",
            "requests_per_container",
            ("<=", 1.1),
            3,
        ),
        Row("default scheduler: requests for each", median(created, lambda one: one.requests), "", "default_requests", digits=3),
        Row("ours: nodes used (the fewer, the more are left whole)", used, "", "nodes_used"),
        Row("default scheduler: nodes used", used_beside, "", "default_nodes_used"),
        Row("ratio", used / used_beside, "", "nodes_ratio_to_default", ("<=", 1), 2),
    ]


def _tell(side: str, one: Round) -> None:
    spent = ", ".join(f"{name} {amount:.1f}" for name, amount in one.spent.by.items())
    told = ", ".join(f"{verb} {what} {number}" for (verb, what), number in one.asked.most_common(8))
    print(f"{side}: {one.rate:.0f}/s, {one.cpu_ms:.2f} ms ({spent} s), {one.nodes_used} nodes; {told}", flush=True)


if __name__ == "__main__":
    sys.exit(main())
