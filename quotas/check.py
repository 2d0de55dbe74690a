"""Limits over a tree of projects: does an ask fit, and if not, which limits stand in its way.

Enters: the path of a project, root first, each node with its limits and the sums of the ledger at and below it. Leaves: every limit
that would be passed. Pure: whoever calls holds the locks that make the sums true until it has written.

A limit of kind `any` bounds the sum over all kinds; the others bound one kind. What an ask doesn't add to is never a reason to refuse it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

RESOURCES = ("instances", "vcpus", "memory_mib", "disk_gib", "gpus")
KINDS = ("vm", "container", "bare_metal")
ANY = "any"

Amount = int | Decimal
Amounts = Mapping[tuple[str, str], Amount]
"""(kind, resource) → amount; kind is one of `KINDS`. Units are in the resource's name; instances are counted, GPUs too, parts of them
exactly."""


@dataclass(frozen=True, slots=True)
class Node:
    """One project on a path: its limits by (kind or `any`, resource), and what is used and held at and below it."""

    project_id: str
    path: str
    limits: Mapping[tuple[str, str], int]
    used: Amounts
    held: Amounts


@dataclass(frozen=True, slots=True)
class Over:
    """A limit that would be passed: `used + held + asked > limit`."""

    project_id: str
    path: str
    kind: str
    resource: str
    limit: int
    used: Amount
    held: Amount
    asked: Amount


@dataclass(frozen=True, slots=True)
class QuotaRow:
    """One line of `quota show`; `limit` and `free` are None where nothing bounds the resource there."""

    project_id: str
    path: str
    kind: str
    resource: str
    limit: int | None
    used: Amount
    held: Amount
    free: Amount | None


def amount(amounts: Amounts, kind: str, resource: str) -> Amount:
    """The amount of a resource for one kind, or for all kinds together."""
    if kind != ANY:
        return amounts.get((kind, resource), 0)
    return sum([amounts.get((each, resource), 0) for each in KINDS])


def check(path: Sequence[Node], asked: Amounts) -> tuple[Over, ...]:
    """Every limit on the path that `asked` would pass, root first; empty where it fits. An empty ask finds limits passed already."""
    found = []
    for node in path:
        for (kind, resource), limit in sorted(node.limits.items()):
            more = amount(asked, kind, resource)
            if asked and more <= 0:
                continue
            used, held = amount(node.used, kind, resource), amount(node.held, kind, resource)
            if used + held + more > limit:
                found.append(Over(node.project_id, node.path, kind, resource, limit, used, held, more))
    return tuple(found)


def tightest(path: Sequence[Node]) -> dict[tuple[str, str], int]:
    """For each (kind or `any`, resource) that something on the path limits, the lowest limit."""
    found: dict[tuple[str, str], int] = {}
    for node in path:
        for key, limit in node.limits.items():
            found[key] = min(limit, found.get(key, limit))
    return found


def add(used: Amounts, asked: Amounts) -> dict[tuple[str, str], Amount]:
    """The sums after an ask was accepted."""
    total = dict(used)
    for key, more in asked.items():
        total[key] = total.get(key, 0) + more
    return total


def rows(path: Sequence[Node]) -> tuple[QuotaRow, ...]:
    """What `quota show` tells: every resource of the project itself (the last node), then what its ancestors limit, nearest first."""
    shown = []
    for number, node in enumerate(reversed(path)):
        keys = set(node.limits)
        if number == 0:
            keys |= {(ANY, resource) for resource in RESOURCES}
        order = (ANY, *KINDS)
        for kind, resource in sorted(keys, key=lambda key: (order.index(key[0]), RESOURCES.index(key[1]))):
            used, held = amount(node.used, kind, resource), amount(node.held, kind, resource)
            limit = node.limits.get((kind, resource))
            free = None if limit is None else max(0, limit - used - held)
            shown.append(QuotaRow(node.project_id, node.path, kind, resource, limit, used, held, free))
    return tuple(shown)
