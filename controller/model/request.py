"""What a department applies for, and the pure decisions on it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller.model.identity import Identity

PRIORITIES = ("batch", "normal", "critical")
"""Priority classes, the lowest first."""
NORMAL = "normal"
RANKS: Mapping[str, int] = {name: rank for rank, name in enumerate(PRIORITIES)}

Bounds = Mapping[str, int]
"""Auto-approval bounds: for each resource the most that one request may ask for in all and still be approved at once."""
POLICY = ("auto_approve", "max_priority", "may_preempt")
"""The parts of a project's policy; null in a project's row: what holds above it."""


@dataclass(frozen=True, slots=True)
class SpreadRule:
    """How the instances of one item lie to each other."""

    mode: str  # "pack" | "spread" | "affinity" | "anti_affinity"
    domain: str = "host"  # "host" | "rack" | "zone" | "site"
    max_per_domain: int = 1

    def document(self) -> dict[str, Any]:
        """The rule as it is kept."""
        return {"mode": self.mode, "domain": self.domain, "max_per_domain": self.max_per_domain}


@dataclass(frozen=True, slots=True)
class Item:
    """One line of a request: `count` instances of one kind and size. Flavor, image and pool by name or id."""

    kind: str
    name: str | None
    flavor: str
    image: str | None
    count: int
    pool: str | None
    zone: str | None
    site: str | None
    spread: SpreadRule | None
    user_data: str
    ssh_keys: tuple[str, ...]
    preemptible: bool = False
    container: Mapping[str, Any] | None = None  # what one runs, in place of an image, with its secrets in clear
    hypervisor: str | None = None  # the pool that a bare machine joins as one

    def document(self) -> dict[str, Any]:
        """The item as it is kept (`dataclasses.asdict` copies every value, at ten times the cost)."""
        kept = {name: getattr(self, name) for name in self.__slots__}
        return kept | {"spread": self.spread.document() if self.spread else None}


@dataclass(frozen=True, slots=True)
class Submission:
    """An application as handed in.

    `direct`: it came as a create of instances and is to be decided at once or not at all. `key` and `fingerprint`: the caller's idempotency
    key and what identifies the call's content. `explain`: answer without doing anything. `ends`: its instances are given back at the end of
    the term. `starts_at`: they begin then (None: at once). `preempt`: where there is no room, take that of preemptible instances of lower
    classes.
    """

    identity: Identity
    project: str
    reason: str
    term_days: int | None
    items: tuple[Item, ...]
    direct: bool = False
    explain: bool = False
    key: str | None = None
    fingerprint: str = ""
    lang: str = "en"
    ends: bool = False
    starts_at: datetime | None = None
    priority: str = NORMAL
    preempt: bool = False

    @property
    def rank(self) -> int:
        """Of its class: the higher go first."""
        return RANKS[self.priority]


def within(bounds: Bounds | None, asked: Mapping[str, int]) -> bool:
    """Whether a request is within auto-approval bounds: a resource that they don't name is bounded by zero; no bounds, nothing is."""
    return bounds is not None and all(amount <= bounds.get(resource, 0) for resource, amount in asked.items())


def in_force(path: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """The policy that holds for a project, from the rows of it and of those above it, topmost first.

    Each part is that of the nearest that says something. Where nobody does, every request goes to an approver, the highest class is
    `normal`, and nobody preempts.
    """
    found = {part: next((row[part] for row in reversed(path) if row[part] is not None), None) for part in POLICY}
    return found | {"max_priority": found["max_priority"] or NORMAL, "may_preempt": bool(found["may_preempt"])}


def looser(wanted: Mapping[str, Any], inherited: Mapping[str, Any]) -> bool:
    """Whether a policy (of which parts may be missing or null) allows more than the one in force above."""
    bounds, most = wanted.get("auto_approve"), wanted.get("max_priority")
    return (
        (bounds is not None and not within(inherited["auto_approve"], bounds))
        or (most is not None and RANKS[most] > RANKS[inherited["max_priority"]])
        or (bool(wanted.get("may_preempt")) and not inherited["may_preempt"])
    )
