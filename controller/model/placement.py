"""A placement as it is kept: what was asked, what was decided, and the scheduler's reasons; names as they were then."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from scheduler.reasons import Reasons
from scheduler.types import SIZES, Item, RuleCount


def record(names: Sequence[str], flavor: str, item: Item, reasons: Reasons, hosts: Sequence[str]) -> dict[str, Any]:
    """`names` of the instances of one item of a request, and the `hosts` they were given, by name; none where it was refused."""
    spread = item.spread
    return {
        "names": list(names),
        "flavor": flavor,
        "asked": {
            **{name: getattr(item.resources, name) for name in SIZES},  # a flavor's name may mean another size by then
            "arch": item.arch,
            "pools": list(item.pools),
            "zones": list(item.zones),
            "sites": list(item.sites),
            "level": item.level,
            "traits": sorted(item.traits),
            "cpu_baseline": item.baseline,
            "numa_nodes": item.cells,
            "gpu_model": next(iter(item.gpu_models), None),
            "gpu_milli": item.gpu_milli,
            "spread": {"mode": spread.mode, "domain": spread.domain, "max_per_domain": spread.max_per_domain} if spread else None,
            "expected_days": reasons.days,
        },
        "hosts": reasons.hosts,
        "fits": reasons.fits,
        "rules": counts(reasons.rules),
        "chosen": list(hosts),
        "best": [{"host": one.host, "points": one.points, "kept_days": one.days, "minus": dict(one.minus)} for one in reasons.best],
        "nearest": [{"host": one.host, "rules": list(one.rules), "short": dict(one.short)} for one in reasons.nearest],
    }


def counts(rules: Sequence[RuleCount]) -> list[dict[str, Any]]:
    """How many hosts each rule excluded, as it is kept and told."""
    return [{"rule": one.rule, "excluded": one.excluded} for one in rules if one.excluded]
