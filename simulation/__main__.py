"""`chutian simulate`: replay a trace through the scheduler and show what came of it."""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from pathlib import Path

from simulation import report, traces
from simulation.replay import Progress, replay

_TOLD_S = 0.5


def main(arguments: list[str] | None = None) -> int:
    """The exit code: 0, or 2 for what can't be read or written."""
    given = _options(arguments)
    lang = "zh" if given.lang.lower().startswith("zh") else "en"
    try:
        if given.plot and not given.plot.parent.is_dir():
            raise OSError(f"{given.plot.parent} is no folder")
        figures = replay(traces.hosts(given.hosts), traces.requests(given.trace), given.since, _progress())
        _clear()
        if given.plot:
            from simulation.plot import plot

            plot(figures, given.plot)
    except (OSError, ValueError) as error:
        _clear()
        print(error, file=sys.stderr)
        return 2
    print(json.dumps(report.flat(figures), indent=1) if given.output == "json" else report.table(figures, lang))
    return 0


def _options(arguments: list[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="chutian simulate",
        description="Replay a trace of requests on hosts, with the scheduler that the controller runs. Touches no running cloud.",
        epilog=(traces.__doc__ or "").split("\n\n", 2)[2],
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--hosts", type=Path, required=True, help="table of hosts (.csv, .csv.gz, .xlsx, .xls)")
    parser.add_argument("--trace", type=Path, required=True, help="table of requests")
    parser.add_argument("--since", type=float, default=0.0, help="hour from which on is counted; what starts before fills the hosts (0)")
    parser.add_argument("--plot", type=Path, help="draw use, hosts and refusals over time here (.png, .svg, .pdf)")
    parser.add_argument("--output", choices=("table", "json"), default="table")
    parser.add_argument(
        "--lang", default=os.environ.get("CHUTIAN_LANG") or os.environ.get("LC_ALL") or os.environ.get("LANG", ""), help="zh or en"
    )
    return parser.parse_args(arguments)


def _progress() -> Progress:
    last = time.monotonic()

    def tell(done: int, of: int) -> None:
        nonlocal last
        if sys.stderr.isatty() and time.monotonic() - last > _TOLD_S:
            last = time.monotonic()
            print(f"\r  {done:,} / {of:,} ({done / of:.0%})", end="", file=sys.stderr, flush=True)

    return tell


def _clear() -> None:
    if sys.stderr.isatty():
        print("\r\x1b[K", end="", file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
