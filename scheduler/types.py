"""The scheduler's own words: what comes in and what goes out. Plain frozen values; nothing here knows a database or a backend."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class Resources:
    """An amount of everything a host has. Units are in the names; gpus are whole devices."""

    vcpus: int = 0
    memory_mib: int = 0
    disk_gib: int = 0
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Host:
    """One row of the fleet. `capacity` is what may be promised (overcommit and reserve are in it already)."""

    id: str
    name: str
    pool: str
    zone: str
    site: str
    arch: str
    traits: frozenset[str]
    kinds: frozenset[str]
    capacity: Resources
    used: Resources
    cordoned: bool
    up: bool
    generation: int


@dataclass(frozen=True, slots=True)
class Spread:
    """How the members of a group lie to each other.

    `affinity`: all in one domain; `anti_affinity`: at most `max_per_domain` in each; `spread`: rather where fewest are; `pack`: rather where the host is fullest.
    """

    group: str
    mode: str
    domain: str = "host"
    max_per_domain: int = 1


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to place; `key` is the caller's. Empty tuples and None mean: any. `members`: how many of its group each host holds already."""

    key: str
    kind: str
    resources: Resources
    arch: str | None = None
    traits: frozenset[str] = frozenset()
    pools: tuple[str, ...] = ()
    zones: tuple[str, ...] = ()
    hosts: tuple[str, ...] = ()
    spread: Spread | None = None
    members: Mapping[str, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Placement:
    """Where an item goes, decided upon at this generation of the host."""

    key: str
    host_id: str
    generation: int


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many hosts one rule excluded."""

    rule: str
    excluded: int


@dataclass(frozen=True, slots=True)
class Change:
    """A change with which it would fit; `params` say how far."""

    what: str
    params: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class NoValidHost:
    """No host can hold the item `key`.

    `rules`, in order: each counts hosts that passed the rules before it and fail this one; they add up to `hosts`. `alone`: each rule by itself.
    """

    key: str
    hosts: int
    rules: tuple[RuleCount, ...]
    alone: tuple[RuleCount, ...]
    changes: tuple[Change, ...] = ()
