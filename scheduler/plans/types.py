"""The words of planning: what enters (residents) and what leaves (moves, summaries, plans, verdicts on resilience).

Plain frozen values that hold whatever the fleet becomes. They name hosts: for operators alone. Rejected: a plan that carries the simulated
fleet with it (it would be out of date before anybody looked at it; whoever wants it applies the moves to a copy).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

from scheduler.types import WHOLE_GPU, Item, NoValidHost, Placement, Resources

Reserve = int | Mapping[str, int]
"""How many hosts of each pool may be lost at once (N+k): for all pools, or by pool (0 where a pool is not named)."""

HARD = ("affinity", "anti_affinity")
"""Modes of groups that forbid."""

DONE = "done"
NOTHING_TO_MOVE = "nothing_to_move"
NO_BENEFIT = "no_beneficial_move"
UNSOLVABLE = "unsolvable"
NOT_RESILIENT = "not_resilient"
FITS = "fits"
NO_ROOM = "no_room"
REASONS = (DONE, NOTHING_TO_MOVE, NO_BENEFIT, UNSOLVABLE, NOT_RESILIENT, FITS, NO_ROOM)
"""What a plan says of itself; stable codes. All but DONE go with an empty list of moves, and of victims."""


@dataclass(frozen=True, slots=True)
class Resident:
    """An instance that is placed. `item` describes it, with its group in `item.spread`; `item.members` is not looked at: the members of a
    group are the residents that name it, so all of them have to be there, those that nobody may move included.

    `rank`: of its class; where not all can be had, higher ones are restarted first. `preemptible`: it agreed to leave for a higher one.
    The fleet counts it in `used` already. `devices`, `cells`: numbers of the GPUs and NUMA cells of its host that it holds, where that is
    known.
    """

    key: str
    host_id: str
    item: Item
    movable: bool = True
    rank: int = 0
    preemptible: bool = False
    devices: tuple[int, ...] = ()
    cells: tuple[int, ...] = ()

    @property
    def place(self) -> Placement:
        """Where it is."""
        return Placement(self.key, self.host_id, 0, self.devices, self.cells)

    def at(self, to: Placement) -> Resident:
        """The same where it was placed."""
        return replace(self, host_id=to.host_id, devices=to.devices, cells=to.cells)

    @property
    def certain(self) -> Item | None:
        """What certainly is free when it leaves `place`; None: all of its sizes, and any busy GPUs, since whole ones are alike.

        Where it is not known which devices it has shares of, or which cells it is in, those are not given back at all: a plan may waste
        some, but never promises what is not there.
        """
        size, known = self.item.resources, self.item if self.cells or not self.item.cells else replace(self.item, cells=0)
        if not size.gpus or self.devices:
            return known
        return None if self.item.gpu_milli == WHOLE_GPU else replace(known, resources=replace(size, gpus=0))


@dataclass(frozen=True, slots=True)
class Limits:
    """What a plan may cost and must bring. `moves` at most; a plan with less than the `least` benefit is none. `looks`: how often a place
    is looked for; `tries`: how often a restart, for N+k (what is not found out within them counts as not resilient)."""

    moves: int
    least: float
    looks: int
    tries: int


@dataclass(frozen=True, slots=True)
class Move:
    """One live migration. Moves of one `step` belong together (members that must share a domain): they start together, and hold both
    places until the last of them has ended. Steps are in order, each begun when the one before has ended."""

    key: str
    source: str
    target: str
    step: int


@dataclass(frozen=True, slots=True)
class Survival:
    """Whether a pool survives the loss of any `k` of its hosts (see `plans.survival` for what exactly is claimed).

    Where not `ok`: `lost` are hosts whose loss was not covered, `refusal` says of one instance why it could not be restarted, `short` is
    what all together lack even if the free room were in one piece (zero where it is there, and only in pieces). `certain`: there is no
    way to restart them; otherwise none was found.
    """

    pool: str
    k: int
    ok: bool
    certain: bool = True
    lost: tuple[str, ...] = ()
    refusal: NoValidHost | None = None
    short: Resources = field(default_factory=Resources)


@dataclass(frozen=True, slots=True)
class Summary:
    """A fleet at a glance. `in_use`: hosts with anything on them. All else is of the hosts that take new instances (`hosts` of them).

    `fill_mean`, `fill_max`: used / capacity by resource. `peak` and `spread`: the highest, and the standard deviation, of the fill of
    hosts, each by the fuller of its vCPUs and memory. `largest_*`: the most that one host has free. `fits`: how many more of the flavor
    that was asked about, None where none was. `resilient`: N+k, None where k is 0.
    """

    hosts: int
    in_use: int
    largest_vcpus: int
    largest_memory_mib: int
    fill_mean: Mapping[str, float]
    fill_max: Mapping[str, float]
    peak: float
    spread: float
    fits: int | None = None
    resilient: bool | None = None


@dataclass(frozen=True, slots=True)
class Plan:
    """What to do, and what it is good for. `after` is read off the simulation; where nothing is to be done it is `before`.

    `reason` is one of REASONS. `unsolvable`: which instances have no place, and why; `lacks`: the pools that would not be resilient.
    `idle`: hosts that are on and empty at its end, and that N+k does not need: they could be switched off (`plans.consolidating`).
    `victims`: who is preempted, and `places`: key and host of what comes instead (`plans.preempting`).
    """

    moves: tuple[Move, ...]
    before: Summary
    after: Summary
    benefit: float
    reason: str
    unsolvable: tuple[tuple[str, NoValidHost], ...] = ()
    lacks: tuple[Survival, ...] = ()
    victims: tuple[Resident, ...] = ()
    places: tuple[tuple[str, str], ...] = ()
    idle: tuple[str, ...] = ()


def lies_apart(item: Item) -> bool:
    """Whether members of its group lie on different hosts, so many on each at most, and nothing else is asked of them."""
    rule = item.spread
    return rule is not None and rule.mode == "anti_affinity" and rule.domain == "host" and rule.max_per_domain >= 1


def reserve_of(reserve: Reserve, pool: str) -> int:
    """The k of one pool."""
    return reserve if isinstance(reserve, int) else reserve.get(pool, 0)
