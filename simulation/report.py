"""The figures of a replay as a table for people (Chinese or English) and as one flat object for programs."""

from __future__ import annotations

from collections.abc import Mapping

from scheduler.types import SIZES
from simulation.replay import Figures

_TEXTS: Mapping[str, tuple[str, str]] = {
    "requests": ("申请", "requests"),
    "placed": ("已放置", "placed"),
    "refused": ("被拒绝", "refused"),
    "by": ("　主要因为", "  mostly for"),
    "hosts": ("主机", "hosts"),
    "peak_hosts": ("同时使用的主机（最多）", "hosts in use at once, at most"),
    "hours": ("时长（小时）", "hours"),
    "host_hours": ("主机·小时", "host-hours in use"),
    "mean_used": ("平均利用率", "mean use"),
    "peak_used": ("最高利用率", "peak use"),
    "stranded": ("平均碎片（放不下平均申请的空闲 vCPU）", "free vCPUs where the mean request doesn't fit, on average"),
    "vcpus": ("vCPU", "vCPUs"),
    "memory_mib": ("内存", "memory"),
    "disk_gib": ("磁盘", "disk"),
    "gpus": ("GPU", "GPUs"),
    "hours_axis": ("小时", "hours"),
    "percent": ("利用率 %", "use in %"),
}


def text(key: str, lang: str) -> str:
    """A text in "zh" or "en"."""
    return _TEXTS[key][0 if lang == "zh" else 1]


def flat(figures: Figures) -> dict[str, float]:
    """Every number under a key of its own. Shares are 0..1."""
    found: dict[str, float] = {
        "requests": figures.requests,
        "placed": figures.placed,
        "refused": sum(figures.refused.values()),
        "hosts": figures.hosts,
        "peak_hosts": figures.peak_hosts,
        "hours": round(figures.hours, 3),
        "host_hours": round(figures.host_hours, 3),
        "mean_stranded": round(figures.mean_stranded, 4),
    }
    found |= {f"refused_for_{rule}": count for rule, count in sorted(figures.refused.items())}
    for size, mean, peak in zip(SIZES, figures.mean_used, figures.peak_used, strict=True):
        found |= {f"mean_used_{size}": round(mean, 4), f"peak_used_{size}": round(peak, 4)}
    return found


def table(figures: Figures, lang: str) -> str:
    """Lines of a text and a number."""
    refused = sum(figures.refused.values())
    lines = [("requests", f"{figures.requests:,}"), ("placed", _part(figures.placed, figures.requests))]
    lines.append(("refused", _part(refused, figures.requests)))
    rows = [(text(key, lang), value) for key, value in lines]
    rows += [(f"{text('by', lang)} {rule}", f"{count:,}") for rule, count in figures.refused.most_common()]
    rows.append((text("hosts", lang), f"{figures.hosts:,}"))
    rows.append((text("peak_hosts", lang), f"{figures.peak_hosts:,}"))
    timed = figures.hours > 0
    if timed:
        rows += [(text("hours", lang), f"{figures.hours:,.1f}"), (text("host_hours", lang), f"{figures.host_hours:,.1f}")]
    for size, mean, peak in zip(SIZES, figures.mean_used, figures.peak_used, strict=True):
        if peak > 0:
            rows += [(f"{text('mean_used', lang)}, {text(size, lang)}", f"{mean:.1%}")] * timed
            rows.append((f"{text('peak_used', lang)}, {text(size, lang)}", f"{peak:.1%}"))
    rows.append((text("stranded", lang), f"{figures.mean_stranded:.1%}"))
    wide, right = max(_width(name) for name, _ in rows), max(len(value.split(" ")[0]) for _, value in rows)
    return "\n".join(
        f"  {name}{' ' * (wide - _width(name))}  {value.split(' ')[0]:>{right}} {' '.join(value.split(' ')[1:])}".rstrip()
        for name, value in rows
    )


def _part(count: int, of: int) -> str:
    return f"{count:,} ({count / max(of, 1):.1%})"


def _width(name: str) -> int:
    """Columns of a terminal: Chinese characters take two."""
    return sum(1 + (ord(letter) > 0x2E7F) for letter in name)
