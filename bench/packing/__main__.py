"""`python -m bench.packing openb|azure|topology|roadef`: a table, and with `--json FILE` one flat object of its numbers.

In: paths of the traces. Out: each policy's mean and, over seeds or files, the standard deviation; aims beside ours, met or missed. The exit
code is 0 where every aim is met, 1 where one is missed; paths that match nothing end with 2.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import TypeVar

from bench.packing import azure, openb, roadef, topology
from bench.table import Row, save, show
from simulation import sheets

_FIRST_SEED = 42
_AIM_HOST_HOURS = 1.045
_AIM_PEAK = 1.005
Aim = tuple[str, float]
Found = TypeVar("Found")


def main(arguments: list[str] | None = None) -> int:
    """Measure and show."""
    given = _options(arguments)
    measure: Callable[[argparse.Namespace], tuple[str, list[Row]]] = given.measure
    try:
        title, rows = measure(given)
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    print(show(title, rows))
    if given.json:
        save(given.json, rows)
    return 0 if all(row.met() is not False for row in rows) else 1


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m bench.packing", description=(__doc__ or "").split("\n")[0])
    commands = parser.add_subparsers(required=True)

    gpu = _command(commands, "openb", _openb, "allocated GPUs on Alibaba's cluster")
    gpu.add_argument("--nodes", type=Path, required=True, help="openb_node_list_gpu_node.csv")
    gpu.add_argument("--pods", type=Path, required=True, help="an openb_pod_list_*.csv, or .csv.gz")
    gpu.add_argument("--seeds", type=int, default=10, help=f"how many, from {_FIRST_SEED} on")

    pool = _command(commands, "azure", _azure, "host-hours of an elastic pool")
    pool.add_argument("--types", type=Path, required=True, help="vmType.csv.gz, or the JSON with concrete sizes")
    pool.add_argument("--requests", nargs="+", action="extend", required=True, help="samples: paths or globs")

    groups = _command(commands, "topology", _topology, "requests placed before the first refusal")
    groups.add_argument("--machines", type=Path, required=True, help="PM_res.xlsx")
    groups.add_argument("--providers", type=Path, required=True, help="topology_provider.xls")
    groups.add_argument("--requests", nargs="+", action="extend", required=True, help="VM_data_*.xlsx: paths or globs; the keys are sums")

    moves = _command(commands, "roadef", _roadef, "machine reassignment, ROADEF/EURO challenge 2012")
    moves.add_argument("--model", type=Path, required=True, help="a model_*.txt, or .txt.gz")
    moves.add_argument("--assignment", type=Path, required=True, help="the assignment_*.txt to start from")
    moves.add_argument("--time-s", type=float, default=300.0, help="seconds to search for, on one core (300)")
    moves.add_argument("--seed", type=int, default=_FIRST_SEED)
    moves.add_argument("--out", type=Path, help="write the assignment found here")
    return parser.parse_args(arguments)


def _command(
    commands: argparse._SubParsersAction[argparse.ArgumentParser],
    name: str,
    measure: Callable[[argparse.Namespace], tuple[str, list[Row]]],
    text: str,
) -> argparse.ArgumentParser:
    parser = commands.add_parser(name, help=text)
    parser.set_defaults(measure=measure)
    parser.add_argument("--json", type=Path, help="write the numbers here")
    return parser


def _openb(given: argparse.Namespace) -> tuple[str, list[Row]]:
    nodes = openb.read_nodes(given.nodes)
    pods = openb.read_pods(given.pods, nodes.models)
    runs = [_told(f"seed {_FIRST_SEED + k}", openb.measure(nodes, pods, _FIRST_SEED + k)) for k in range(given.seeds)]
    values = {name: [run[name] for run in runs] for name in openb.POLICIES}
    bar = max(statistics.fmean(values[name]) for name in ("FGD", "first-fit"))
    title = f"{given.pods.name}: GPUs allocated when 100 % of {nodes.milli // 1000:,} are asked for, {given.seeds} seeds"
    return title, _rows(values, "%", "at_100", 2, (">=", bar))


def _azure(given: argparse.Namespace) -> tuple[str, list[Row]]:
    host = azure.host_of(given.types)
    runs = [_told(path.name, azure.measure(azure.read(path), host)) for path in sheets.expand(given.requests)]
    hours = {name: [run[name].host_hours for run in runs] for name in azure.POLICIES}
    peaks = {name: [run[name].peak for run in runs] for name in azure.POLICIES}
    rows = _rows(hours, "× bound", "host_hours_ratio", 4, ("<=", _AIM_HOST_HOURS), "host-hours, ")
    return f"an elastic pool, {len(runs)} samples", rows + _rows(peaks, "× bound", "peak_ratio", 4, ("<=", _AIM_PEAK), "peak, ")


def _topology(given: argparse.Namespace) -> tuple[str, list[Row]]:
    servers = topology.read_servers(given.machines, given.providers)
    rows, sums = [], dict.fromkeys(topology.POLICIES, 0)
    for path in sheets.expand(given.requests):
        sequence = topology.read_sequence(path)
        placed = _told(path.name, topology.measure(servers, sequence))
        bar = max(placed["best-fit"], placed["first-fit"])
        for name in placed:
            aim = (">=", bar + 1 if bar < len(sequence.need) else bar) if name == "ours" else None
            rows.append(Row(f"{path.name}, {name}", placed[name], f"of {len(sequence.need):,}", aim=aim, digits=0))
            sums[name] += placed[name]
    rows += [Row(f"all, {name}", total, "placed", f"{_key(name)}_placed", digits=0) for name, total in sums.items()]
    return "placed before the first refusal", rows


def _roadef(given: argparse.Namespace) -> tuple[str, list[Row]]:
    found = roadef.measure(given.model, given.assignment, given.time_s, given.out, given.seed)
    rows = [
        Row("initial cost", found["initial_cost"], "", "initial_cost", digits=0),
        Row("ours", found["cost"], "", "cost", digits=0),
        Row("lower bound", found["lower_bound"], "", "lower_bound", digits=0),
        Row("ours above the bound by", 100 * (found["cost"] / max(found["lower_bound"], 1.0) - 1), "%", digits=4),
    ]
    return f"{given.model.name}, {given.time_s:g} s", rows


def _told(what: str, found: Found) -> Found:
    """Show progress where somebody looks on."""
    if sys.stderr.isatty():
        print(f"  {what} done", file=sys.stderr)
    return found


def _rows(values: Mapping[str, Sequence[float]], unit: str, key: str, digits: int, aim: Aim, of: str = "") -> list[Row]:
    """Mean and deviation of each policy; the aim is ours."""
    rows = []
    for name, numbers in values.items():
        named = f"{_key(name)}_{key}"
        rows.append(Row(f"{of}{name}", statistics.fmean(numbers), unit, named, aim if name == "ours" else None, digits))
        if len(numbers) > 1:
            rows.append(Row("  standard deviation", statistics.pstdev(numbers), unit, f"{named}_sd", None, digits))
    return rows


def _key(name: str) -> str:
    return name.lower().replace("-", "_")


if __name__ == "__main__":
    sys.exit(main())
