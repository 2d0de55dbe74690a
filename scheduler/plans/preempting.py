"""Preempting: who would make room for a gang that finds no place, of those who agreed to it and are of a lower class.

In: a fleet, its residents, a gang and the rank of its class. Out: places for all of the gang, who leaves for them, and what the gang was
refused for before; or the refusal. Invariants: nobody leaves who did not agree (`Resident.preemptible`) or whose rank is not lower; the
places are what the placer finds on a copy of the fleet once those have left, so that every rule holds; none of them could have stayed; the
fleet that came in is as it was.

The rule, for one item: all victims on one host, chosen so that the highest rank among them is the lowest there can be; of those the fewest;
of those the smallest in all. Exact where a host has few enough of them to try every set (SETS), else by taking the most useful first. For a
gang the items go one after another, and at the end whoever needn't leave is spared, higher ranks first: fewer might have done with others
chosen together. A hold of a request that waits is nobody's instance and stays. Rejected: moving victims elsewhere instead (that is
`defragmenting`, and first asks for room); a solver (a plan is wanted within a moment, and lists of victims are short).
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import combinations
from math import comb

import numpy as np
from numpy.typing import NDArray

from scheduler.batches import together
from scheduler.columns import Floats, Ints
from scheduler.constraints import BIT, NOBODY, fails, members_of
from scheduler.fleet import Fleet
from scheduler.place import place, propose
from scheduler.plans.outcome import Judge
from scheduler.plans.scene import Scene
from scheduler.plans.types import DONE, FITS, NO_ROOM, NOT_RESILIENT, Plan, Reserve, Resident
from scheduler.scores import shape_of
from scheduler.types import SIZES, Item, NoValidHost, Placement

MOST = 64  # victims of one plan
SETS = 20_000  # of one host's residents that are tried for one number of victims
_FIXABLE = sum(BIT[rule] for rule in SIZES)  # rules that somebody's leaving may satisfy


@dataclass(frozen=True, slots=True)
class Preemption:
    """`placements` in the order of the gang's items; `victims` by key, none where it fits as it is; `refusal`: why it does not."""

    placements: tuple[Placement, ...]
    victims: tuple[Resident, ...]
    refusal: NoValidHost | None


Key = tuple[int, int, float, int]
"""What choices are compared by: the highest rank among those who leave, how many, how large in all; equal ones by a hash of the host."""


@dataclass(frozen=True, slots=True)
class _Host:
    """A host where it would be enough if all of `those` left: of the lowest ranks that do. `least`: no choice on it is better."""

    those: Sequence[Resident]
    given: Ints  # [those, 4]
    bulks: Floats  # [those]
    lack: Ints  # [4]
    least: Key


def make_room(fleet: Fleet, residents: Iterable[Resident], gang: Sequence[Item], rank: int) -> Preemption | NoValidHost:
    """Places for the gang, with as few as may be preempted; the refusal that it gets without, where even that is not enough."""
    (first,) = place(fleet, [gang])
    if not isinstance(first, NoValidHost):
        return Preemption(tuple(first), (), None)
    staying = {one.key: one for one in residents if one.preemptible and one.rank < rank and one.host_id in fleet.rows}
    if not staying:
        return first
    copy, leaving = fleet.copy(), list[Resident]()
    result: list[Placement] | NoValidHost = first
    while isinstance(result, NoValidHost):
        found = _victims(copy, staying.values(), gang, result)
        leaving += found
        if not found or len(leaving) > MOST:
            return first
        for one in found:
            del staying[one.key]
            _leave(copy, one)
        (result,) = place(copy, [gang])
    victims, places = _spare(copy, leaving, gang, result)
    return Preemption(tuple(places), victims, first)


def preempt(fleet: Fleet, residents: Sequence[Resident], gang: Sequence[Item], rank: int, k: Reserve = 0) -> Plan:
    """The same as a plan, with the fleet at a glance before and after; with `k`, N+k afterwards, or nothing is proposed.

    Once the plan is done, `benefit` is the number of items that find a place.
    """
    judge = Judge(Scene(fleet, residents), k)
    found = make_room(fleet, residents, gang, rank)
    if isinstance(found, NoValidHost):
        return judge.nothing(NO_ROOM, unsolvable=((found.key, found),))
    gone = {one.key for one in found.victims}
    then = fleet.copy()
    for victim in found.victims:
        _leave(then, victim)
    then.claim_at(zip(gang, found.placements, strict=True))
    come = [Resident(f"new {to.key}", "", item, rank=rank).at(to) for item, to in zip(gang, found.placements, strict=True)]
    end = Judge(Scene(then, [*(one for one in residents if one.key not in gone), *come]), k)
    lacks = end.lacks({fleet.labels(to.host_id).pool for to in found.placements})
    if lacks:
        return judge.nothing(NOT_RESILIENT, lacks=lacks)
    plan = Plan((), judge.before, end.before, float(len(gang)), DONE if found.victims else FITS)
    return replace(plan, victims=found.victims, places=tuple((to.key, to.host_id) for to in found.placements))


def _victims(fleet: Fleet, staying: Iterable[Resident], gang: Sequence[Item], refusal: NoValidHost) -> tuple[Resident, ...]:
    """Who leaves for the first item of the gang that has no place with those before it in place; nobody where that is not enough."""
    number = next(number for number, item in enumerate(gang) if item.key == refusal.key)
    members: Counter[int] = Counter()
    if number:
        before = propose(fleet, [gang[:number]])
        (placed,) = before.results
        if isinstance(placed, NoValidHost):
            return _victims(fleet, staying, gang[:number], placed)
        members.update(fleet.rows[to.host_id] for item, to in zip(gang, placed, strict=False) if _same_group(item, gang[number]))
    try:
        found = _choose(fleet, staying, _whole(gang[number:], members), members)
    finally:
        if number:
            before.take_back()
    return found


def _same_group(one: Item, other: Item) -> bool:
    return one.spread is not None and other.spread is not None and one.spread.group == other.spread.group


def _whole(rest: Sequence[Item], members: Mapping[int, int]) -> Item:
    """The first item; as large as all of its group where they must share a host and none of them has one."""
    rule = rest[0].spread
    joint = rule is not None and rule.mode == "affinity" and rule.domain == "host" and not members
    return together(rest[0], rest) if joint else rest[0]


def _choose(fleet: Fleet, staying: Iterable[Resident], item: Item, members: Mapping[int, int]) -> tuple[Resident, ...]:
    """The best choice over all hosts that lack nothing but sizes: the most promising host first, until none could be better."""
    failed = fails(fleet, item, members_of(fleet, item, members))
    here: dict[int, list[Resident]] = defaultdict(list)
    for one in sorted(staying, key=lambda one: (one.rank, one.key)):
        bits = int(failed[fleet.rows[one.host_id]])
        if bits not in (0, NOBODY) and bits & ~_FIXABLE == 0:
            here[fleet.rows[one.host_id]].append(one)
    needs, whole = np.array(shape_of(item)[0], np.int64), np.maximum(fleet.whole().sum(axis=0), 1)
    hosts = []
    for row, those in here.items():
        lack = np.where(needs > 0, np.maximum(needs - fleet.columns.free[row], 0), 0)
        hosts.append(_enough(those, lack, whole, int(fleet.columns.rest[row])))
    best: tuple[Key, tuple[Resident, ...]] | None = None
    for host in sorted((host for host in hosts if host is not None), key=lambda host: host.least):
        if best is not None and host.least >= best[0]:
            break
        chosen = _fewest(host)
        key = host.least[0], len(chosen), round(float(host.bulks[chosen].sum()), 9), host.least[3]
        if best is None or key < best[0]:
            best = key, tuple(host.those[number] for number in chosen)
    return best[1] if best else ()


def _enough(those: Sequence[Resident], lack: Ints, whole: Ints, tie: int) -> _Host | None:
    """The host of `those` (in order of rank), where all of them are enough."""
    given = np.array([_given(one) for one in those], np.int64).reshape(-1, len(SIZES))
    if (given.sum(axis=0) < lack).any():
        return None
    rank = those[int(np.argmax((given.cumsum(axis=0) >= lack).all(axis=1)))].rank
    among = sum(one.rank <= rank for one in those)
    given, bulks = given[:among], (given[:among] / whole).max(axis=1)
    most = np.sort(given, axis=0)[::-1].cumsum(axis=0)  # by number, the most that so many could give of each
    least = int(np.argmax((most >= lack).all(axis=1))) + 1
    return _Host(those[:among], given, bulks, lack, (rank, least, round(float(np.sort(bulks)[:least].sum()), 9), tie))


def _fewest(host: _Host) -> list[int]:
    """The fewest that give enough together, and of those the smallest in all."""
    count, given = len(host.those), host.given
    for number in range(host.least[1], count + 1):
        if comb(count, number) > SETS:
            break
        sets = _sets(count, number)
        enough = sets[(given[sets].sum(axis=1) >= host.lack).all(axis=1)]
        if len(enough):
            sums = host.bulks[enough].sum(axis=1).round(9)
            return [int(one) for one in enough[int(np.argmin(sums))]]
    return _useful(given, host.lack)


@lru_cache(maxsize=32)
def _sets(count: int, number: int) -> NDArray[np.int16]:
    """All sets of so many out of `count`, each in rising order."""
    return np.array(list(combinations(range(count), number)), np.int16)


def _useful(given: Ints, lack: Ints) -> list[int]:
    """Whoever gives most of what is still lacking first, then without those that turn out not to be needed."""
    left, open_, chosen = lack.copy(), set(range(len(given))), list[int]()
    while (left > 0).any():
        useful = np.minimum(given, np.maximum(left, 0)) / np.maximum(lack, 1)
        one = max(sorted(open_), key=lambda number: float(useful[number].sum()))
        chosen.append(one)
        open_.discard(one)
        left = left - given[one]
    for one in sorted(chosen, key=lambda number: float((given[number] / np.maximum(lack, 1)).sum())):
        rest = [other for other in chosen if other != one]
        if (given[rest].sum(axis=0) >= lack).all():
            chosen = rest
    return chosen


def _spare(
    fleet: Fleet, leaving: Sequence[Resident], gang: Sequence[Item], places: Sequence[Placement]
) -> tuple[tuple[Resident, ...], Sequence[Placement]]:
    """Without those who needn't leave, higher ranks and larger ones asked about first. They are back in the fleet."""
    victims = {one.key: one for one in leaving}
    for one in sorted(leaving, key=lambda one: (-one.rank, [-size for size in _given(one)], one.key)):
        _stay(fleet, one)
        (found,) = place(fleet, [gang])
        if isinstance(found, NoValidHost):
            _leave(fleet, one)
        else:
            places = found
            del victims[one.key]
    return tuple(victims[key] for key in sorted(victims)), places


def _leave(fleet: Fleet, one: Resident) -> None:
    item = one.certain
    if item is None:
        fleet.release(one.host_id, one.item.resources)
    else:
        fleet.release_item(replace(item, alive=()), one.place)


def _stay(fleet: Fleet, one: Resident) -> None:
    """Back to where it was."""
    item = one.certain
    if item is None:
        fleet.claim(one.host_id, one.item.resources)
    else:
        fleet.claim_at([(replace(item, alive=()), one.place)])


def _given(one: Resident) -> tuple[int, ...]:
    """What it gives back, as rows of the fleet count it."""
    return shape_of(one.certain or one.item)[0]
