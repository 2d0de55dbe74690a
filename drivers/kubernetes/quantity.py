"""Kubernetes quantities ("100m", "1536Mi", "2e3") as exact numbers, and what a pod requests in all.

Source: k8s.io/apimachinery/pkg/api/resource, and `PodRequests` in k8s.io/component-helpers/resource for how containers add up.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

_FORM: Final = re.compile(r"([+-]?(?:\d+\.?\d*|\.\d+))([numkMGTPE]|[KMGTPE]i|[eE][+-]?\d+)?")
_SCALE: Final[Mapping[str, Decimal]] = {
    "": Decimal(1),
    **{
        unit: Decimal(10) ** power
        for unit, power in (("n", -9), ("u", -6), ("m", -3), ("k", 3), ("M", 6), ("G", 9), ("T", 12), ("P", 15), ("E", 18))
    },
    **{f"{unit}i": Decimal(1024) ** power for power, unit in enumerate("KMGTPE", start=1)},
}

MIB: Final = 1 << 20
GIB: Final = 1 << 30
Amounts = Mapping[str, Decimal]


@lru_cache(4096)  # a cloud has few sizes, and a quota is read before each pod
def quantity(text: str | float) -> Decimal:
    """Raises ValueError for what is no quantity."""
    found = _FORM.fullmatch(str(text).strip())
    if found is None:
        raise ValueError(f"{text!r} is no quantity")
    number, suffix = Decimal(found[1]), found[2] or ""
    return number * _SCALE[suffix] if suffix in _SCALE else number * Decimal(f"1{suffix}")


def requests_of(spec: Mapping[str, Any]) -> dict[str, Decimal]:
    """What a pod of this spec takes from its node: its containers together or its largest step of starting up, and its overhead."""
    running = _sum(_requests(one) for one in spec.get("containers") or ())
    beside: dict[str, Decimal] = {}
    starting: dict[str, Decimal] = {}
    for one in spec.get("initContainers") or ():
        if one.get("restartPolicy") == "Always":
            beside = _sum((beside, _requests(one)))
            starting = _most(starting, beside)
        else:
            starting = _most(starting, _sum((beside, _requests(one))))
    whole = _most(_sum((running, beside)), starting)
    whole.update(_requests(spec))  # what is asked for the pod as a whole stands in place of the sum
    return _sum((whole, _amounts(spec.get("overhead") or {})))


def _requests(holder: Mapping[str, Any]) -> dict[str, Decimal]:
    resources = holder.get("resources") or {}
    return {**_amounts(resources.get("limits") or {}), **_amounts(resources.get("requests") or {})}


def _amounts(given: Mapping[str, Any]) -> dict[str, Decimal]:
    return {name: quantity(value) for name, value in given.items()}


def _sum(parts: Iterable[Amounts]) -> dict[str, Decimal]:
    total: dict[str, Decimal] = {}
    for part in parts:
        for name, amount in part.items():
            total[name] = total.get(name, Decimal(0)) + amount
    return total


def _most(one: Amounts, other: Amounts) -> dict[str, Decimal]:
    return {name: max(one.get(name, Decimal(0)), other.get(name, Decimal(0))) for name in one.keys() | other.keys()}
