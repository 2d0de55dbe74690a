"""What a department applies for, and the pure decisions on it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from controller.model.identity import Identity

Policy = Mapping[str, int]
"""Auto-approval bounds: for each resource the most that one request may ask for in all and still be approved at once."""


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
    image: str
    count: int
    pool: str | None
    zone: str | None
    site: str | None
    spread: SpreadRule | None
    user_data: str
    ssh_keys: tuple[str, ...]

    def document(self) -> dict[str, Any]:
        """The item as it is kept (`dataclasses.asdict` copies every value, at ten times the cost)."""
        kept = {name: getattr(self, name) for name in self.__slots__}
        return kept | {"spread": self.spread.document() if self.spread else None}


@dataclass(frozen=True, slots=True)
class Submission:
    """An application as handed in.

    `direct`: it came as a create of instances and is to be decided at once or not at all. `key` and `fingerprint`: the caller's idempotency
    key and what identifies the call's content. `explain`: answer without doing anything.
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


def within(policy: Policy | None, asked: Mapping[str, int]) -> bool:
    """Whether a request is within auto-approval bounds: a resource that the policy doesn't name is bounded by zero; no policy, none."""
    return policy is not None and all(amount <= policy.get(resource, 0) for resource, amount in asked.items())
