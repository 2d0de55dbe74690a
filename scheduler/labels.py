"""What many hosts have in common: their labels, and the rules that ask for nothing else.

A fleet of a hundred thousand hosts has a few dozen combinations of pool, zone, architecture and so on. A rule about labels is asked once
for each combination (a *class* of hosts), not once for each host; rows of the fleet are grouped by class, so that whole blocks of rows
are skipped at a time. In: hosts and items. Out: for each class, the rules that an item breaks there.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from scheduler.types import DEDICATED_LEVEL, Host, Item


@dataclass(frozen=True, slots=True)
class Labels:
    """All that the hosts of one class have in common; fields as in `Host`."""

    kinds: frozenset[str]
    pool: str
    zone: str
    site: str
    arch: str
    baselines: frozenset[str]
    traits: frozenset[str]
    level: int
    tenants: frozenset[str]
    gpu_model: str
    gpu_sharing: bool
    order: int
    wakes: bool
    licences: frozenset[str]


def labels_of(host: Host) -> Labels:
    """The class of a host."""
    return Labels(
        host.kinds,
        host.pool,
        host.zone,
        host.site,
        host.arch,
        host.baselines,
        host.traits,
        host.level,
        host.tenants,
        host.gpu_model,
        host.gpu_sharing,
        host.order,
        host.wakes,
        host.licences,
    )


@dataclass(frozen=True, slots=True)
class LabelRule:
    """`asks`: whether an item has anything to ask of it; `holds`: whether a class gives it."""

    asks: Callable[[Item], bool]
    holds: Callable[[Labels, Item], bool]


def _dedicated(labels: Labels, item: Item) -> bool:
    return not labels.tenants.isdisjoint(item.tenants) if labels.tenants or item.level >= DEDICATED_LEVEL else True


LABEL_RULES: Mapping[str, LabelRule] = {
    "kind": LabelRule(lambda _: True, lambda labels, item: item.kind in labels.kinds),
    "pool": LabelRule(lambda item: bool(item.pools), lambda labels, item: labels.pool in item.pools),
    "level": LabelRule(lambda item: item.level > 0, lambda labels, item: labels.level >= item.level),
    "dedicated": LabelRule(lambda _: True, _dedicated),
    "site": LabelRule(lambda item: bool(item.sites), lambda labels, item: labels.site in item.sites),
    "zone": LabelRule(lambda item: bool(item.zones), lambda labels, item: labels.zone in item.zones),
    "arch": LabelRule(lambda item: item.arch is not None, lambda labels, item: labels.arch == item.arch),
    "baseline": LabelRule(lambda item: item.baseline is not None, lambda labels, item: item.baseline in labels.baselines),
    "traits": LabelRule(lambda item: bool(item.traits), lambda labels, item: item.traits <= labels.traits),
    "gpu_model": LabelRule(
        lambda item: bool(item.gpu_models) and item.resources.gpus > 0, lambda labels, item: labels.gpu_model in item.gpu_models
    ),
    "gpu_share": LabelRule(lambda item: item.shares_gpus, lambda labels, _: labels.gpu_sharing),
}
"""By the code under which a refusal counts them. `kind` and `dedicated` ask something of every item."""


def wish_of(item: Item) -> tuple[object, ...]:
    """All that label rules look at of an item: equal for items to which every class is the same."""
    return (
        item.kind,
        item.pools,
        item.level,
        item.tenants,
        item.sites,
        item.zones,
        item.arch,
        item.baseline,
        item.traits,
        item.gpu_models if item.resources.gpus else (),
        item.shares_gpus,
    )


def fails(labels: Labels, item: Item) -> int:
    """The label rules that a class fails, as bits: 1 << number in LABEL_RULES."""
    return sum(1 << number for number, rule in enumerate(LABEL_RULES.values()) if rule.asks(item) and not rule.holds(labels, item))
