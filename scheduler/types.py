"""The scheduler's own words: what enters (hosts, items with their rules) and what leaves (placements, refusals that explain themselves).

Plain frozen values. Names of pools, zones, architectures, traits and kinds are the caller's strings; the scheduler only compares them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import NamedTuple

SIZES = ("vcpus", "memory_mib", "disk_gib", "gpus")
WHOLE_GPU = 1000  # thousandths
DEDICATED_LEVEL = 4  # GB/T 22240 level from which a system gets hosts of its own


@dataclass(frozen=True, slots=True)
class Resources:
    """An amount of each resource; never negative."""

    vcpus: int = 0
    memory_mib: int = 0
    disk_gib: int = 0
    gpus: int = 0


@dataclass(frozen=True, slots=True)
class Cell:
    """One NUMA cell of a host: what may be given out of it, and what is."""

    vcpus: int
    memory_mib: int
    used_vcpus: int = 0
    used_memory_mib: int = 0


@dataclass(frozen=True, slots=True)
class Host:
    """One row of the fleet. `capacity` is what may be given out: overcommit and reserve are the caller's, and already in it.

    `baselines`: the CPU baselines that a guest may be promised here. `level`: the protection level of its pool (等保定级; 0: none).
    `tenants`: the projects that alone may use it (none: everybody). `gpu_shares`: thousandths in use, by device; where it is empty,
    the first `used.gpus` devices are, whole. `gpu_sharing`: whether less than a whole one is given out. `on`: powered on, as far as anybody
    knows. `wakes`: off, it may be switched on for a newcomer. `order`: hosts of a lower one are filled first. `licences`: those of its
    traits that were paid for: left to who asks for them while others have room. `emptying`: the log of the probability that all that is on
    it has gone by each of `columns.HORIZONS`, where that is known.
    """

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
    rack: str = ""
    baselines: frozenset[str] = frozenset()
    level: int = 0
    tenants: frozenset[str] = frozenset()
    cells: tuple[Cell, ...] = ()
    gpu_model: str = ""
    gpu_shares: tuple[int, ...] = ()
    gpu_sharing: bool = True
    on: bool = True
    order: int = 0
    wakes: bool = True
    licences: frozenset[str] = frozenset()
    emptying: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class Spread:
    """A rule among the members of a group. All items of a group carry the same rule.

    `mode` is one of
      affinity       hard: in a domain that has a member already; the first member is free to choose
      anti_affinity  hard: at most `max_per_domain` members in one domain
      spread         soft: the domain with the fewest members first
      pack           soft: the fullest host first
    """

    group: str
    mode: str
    domain: str = "host"  # "host" | "rack" | "zone" | "site"
    max_per_domain: int = 1  # for anti_affinity


@dataclass(frozen=True, slots=True)
class Item:
    """One thing to place. Empty `pools`, `zones`, `sites`, `hosts`, `gpu_models` mean any; every trait named must be there.

    `tenants`: the project that asks and those above it; hosts dedicated to one of them may be used. `level`: the pool's must be as high,
    and from DEDICATED_LEVEL on the host must be dedicated to one of the tenants. `cells`: in how many NUMA cells, in equal parts (0:
    wherever). `gpu_milli`: how much of each of `resources.gpus` devices, in thousandths. `alive`: the probability that it still runs at
    each of `columns.HORIZONS` (none: not known).

    `members` counts, by host id, the members of the group that are placed already. One on a host that the fleet does not know counts for
    affinity (the item can't join it, so it is refused) and not for the other modes.
    """

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
    sites: tuple[str, ...] = ()
    tenants: tuple[str, ...] = ()
    baseline: str | None = None
    level: int = 0
    cells: int = 0
    gpu_milli: int = 1000
    gpu_models: tuple[str, ...] = ()
    alive: tuple[float, ...] = ()

    @property
    def shares_gpus(self) -> bool:
        """Whether it asks for less than a whole GPU."""
        return self.resources.gpus > 0 and self.gpu_milli < WHOLE_GPU


class Placement(NamedTuple):
    """Item `key` goes to the host as it was at `generation`. A proposal: whoever claims it compares the generation.

    `devices`, `cells`: numbers of the GPUs and NUMA cells that it gets, where it asked for such.
    """

    key: str
    host_id: str
    generation: int
    devices: tuple[int, ...] = ()
    cells: tuple[int, ...] = ()


@dataclass(frozen=True, slots=True)
class RuleCount:
    """How many hosts a rule excludes; the codes are those of `constraints.RULES`, and stable."""

    rule: str
    excluded: int


@dataclass(frozen=True, slots=True)
class Change:
    """The smallest change of one sort that would fit. It applies to all items of the gang that are shaped as the refused one.

    what              params
    fewer_vcpus       vcpus
    less_memory_mib   memory_mib
    less_disk_gib     disk_gib
    fewer_gpus        gpus
    smaller_gpu_share gpu_milli
    smaller           vcpus, memory_mib, disk_gib, gpus (only where no single size is enough)
    other_arch        arch
    other_zone        zone
    other_site        site
    other_pool        pool
    split_zone        count (of that shape that stay as asked), zone (for the others)
    split_pool        count, pool
    other_gpu_model   gpu_model
    drop_trait        trait
    drop_baseline     baseline
    drop_cells        cells
    relax_spread      mode (the soft mode to ask for instead), domain
    fewer_instances   count (of that shape)
    later             starts_at (the whole gang; found by `scheduler.later`, where the caller knows who leaves)
    """

    what: str
    params: Mapping[str, str | int]


@dataclass(frozen=True, slots=True)
class NoValidHost:
    """Why an item could not be placed: names the item, counts hosts, never names one.

    `rules` counts in the order of `constraints.RULES`: each the hosts that pass all earlier rules and fail this one, so that the sum is
    `hosts`. `alone` counts what each rule excludes by itself. Rules that exclude nothing are left out. For an item of a gang both tell
    of the moment at which it failed, with the members before it in place. `changes` is empty unless `explain` was asked.
    """

    key: str
    hosts: int
    rules: tuple[RuleCount, ...]
    alone: tuple[RuleCount, ...]
    changes: tuple[Change, ...] = ()
