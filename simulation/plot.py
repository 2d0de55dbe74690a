"""The curves of a replay as a picture."""

from __future__ import annotations

from pathlib import Path

from scheduler.types import SIZES
from simulation.replay import Figures
from simulation.report import text


def plot(figures: Figures, path: Path) -> None:
    """Write use by size, hosts in use and refusals over time (over requests, where there are no times). In English: fonts may lack Chinese.

    Raises OSError, ValueError for a name whose ending names no format.
    """
    from matplotlib.figure import Figure  # imported late: a second, and only for a picture

    timed = figures.hours > 0
    along = [moment.hours for moment in figures.moments] if timed else list(range(1, len(figures.moments) + 1))
    picture = Figure(figsize=(10, 7), layout="constrained")
    use, hosts, refused = picture.subplots(3, 1, sharex=True, height_ratios=[3, 2, 2])
    for number, size in enumerate(SIZES):
        if figures.peak_used[number] > 0:
            use.plot(along, [100 * moment.used[number] for moment in figures.moments], label=text(size, "en"))
    use.plot(along, [100 * moment.stranded for moment in figures.moments], ":", color="grey", label="stranded vCPUs")
    use.set(ylabel=text("percent", "en"), ylim=(0, 102))
    use.legend(loc="lower right")
    hosts.plot(along, [moment.hosts for moment in figures.moments])
    hosts.set(ylabel="hosts in use", ylim=(0, None))
    refused.plot(along, [moment.refused for moment in figures.moments], color="firebrick")
    refused.set(ylabel="refused so far", ylim=(0, None), xlabel=text("hours_axis", "en") if timed else "part of the trace")
    use.set_title(f"{figures.placed:,} of {figures.requests:,} requests placed on {figures.hosts:,} hosts")
    for axes in (use, hosts, refused):
        axes.grid(alpha=0.3)
    picture.savefig(path, dpi=120)
