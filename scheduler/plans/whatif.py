"""What if: hosts are lost, hosts are added, requests are approved, an architecture is retired; all of it at once, in this order.

In: a fleet, its residents, a `Change`. Out: an `Outcome`: who found a place and who did not, why, and the fleet at a glance before and
after. New hosts are there first; then what ran on hosts that are lost or retired is restarted, higher ranks and bulkier instances first,
each with the rules of its item and the members of its group that are left; then the gangs are approved in order, all or nothing each. Who
found no place runs nowhere afterwards. An instance whose item names an architecture is not given another one.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

from scheduler.fleet import Fleet
from scheduler.place import place
from scheduler.plans.scene import Scene, Unit
from scheduler.plans.summaries import summarize
from scheduler.plans.survival import Watch
from scheduler.plans.types import Reserve, Resident, Summary
from scheduler.types import Host, Item, NoValidHost, Placement


@dataclass(frozen=True, slots=True)
class Change:
    """`add`: a host like each, so many times (its id, name and what it has in use are not taken over). `retire`: architectures."""

    lose: tuple[str, ...] = ()
    add: tuple[tuple[Host, int], ...] = ()
    retire: tuple[str, ...] = ()
    approve: tuple[tuple[Item, ...], ...] = ()


@dataclass(frozen=True, slots=True)
class Outcome:
    """`restarted` and `approved`: key and host. `stranded`: residents without a place; `refused`: gangs, by their number."""

    restarted: tuple[tuple[str, str], ...]
    stranded: tuple[tuple[str, NoValidHost], ...]
    approved: tuple[tuple[str, str], ...]
    refused: tuple[tuple[int, NoValidHost], ...]
    before: Summary
    after: Summary


def whatif(fleet: Fleet, residents: Sequence[Resident], change: Change, k: Reserve = 0, flavor: Item | None = None) -> Outcome:
    """Try it. Raises KeyError for a host to be lost that the fleet does not know."""
    now = Scene(fleet, residents)
    before = summarize(now, flavor, Watch(now, k))
    gone = {*change.lose} | {host for host in fleet.rows if fleet.labels(host).arch in change.retire}
    then = fleet.copy()
    then.upsert(_like(host, number, fleet) for host, count in change.add for number in range(count))
    for host in gone:
        then.drop(host)
    restarted, stranded = _restart(then, residents, gone)
    staying = [*(one for one in residents if one.host_id not in gone), *restarted]
    approved, refused = _approve(then, staying, change.approve)
    fresh = [Resident(f"approved {number}", "", item).at(to) for number, (item, to) in enumerate(approved)]
    end = Scene(then, [*staying, *fresh])
    return Outcome(
        restarted=tuple(sorted((one.key, one.host_id) for one in restarted)),
        stranded=tuple(sorted(stranded, key=lambda one: one[0])),
        approved=tuple((item.key, to.host_id) for item, to in approved),
        refused=tuple(refused),
        before=before,
        after=summarize(end, flavor, Watch(end, k)),
    )


def _like(host: Host, number: int, fleet: Fleet) -> Host:
    """One more such host, ready and empty, under an id of its own."""
    id_ = f"new {number} like {host.id}"
    while id_ in fleet.rows:
        id_ += "'"
    cells = tuple(replace(cell, used_vcpus=0, used_memory_mib=0) for cell in host.cells)
    empty = replace(host, used=type(host.used)(), gpu_shares=(), cells=cells)
    return replace(empty, id=id_, name=id_, cordoned=False, up=True, on=True)


def _restart(then: Fleet, residents: Sequence[Resident], gone: set[str]) -> tuple[list[Resident], list[tuple[str, NoValidHost]]]:
    """Places for what ran on hosts that are gone, claimed."""
    scene = Scene(then, residents)
    units = [unit for host in sorted(gone) for unit in scene.units(scene.running.get(host, ()))]
    units.sort(key=lambda unit: (-max(scene.residents[key].rank for key in unit), -sum(map(scene.bulk, unit)), unit))
    found: list[Resident] = []
    stranded: list[tuple[str, NoValidHost]] = []
    for unit, result in zip(units, scene.find(units), strict=True):
        if isinstance(result, NoValidHost):
            stranded += [(key, result) for key in unit]
        else:
            found += _moved(scene, unit, result)
    then.claim_at((one.item, one.place) for one in found)
    return found, stranded


def _moved(scene: Scene, unit: Unit, placements: Sequence[Placement]) -> list[Resident]:
    return [scene.residents[key].at(one) for key, one in zip(unit, placements, strict=True)]


def _approve(
    then: Fleet, staying: Iterable[Resident], gangs: Sequence[Sequence[Item]]
) -> tuple[list[tuple[Item, Placement]], list[tuple[int, NoValidHost]]]:
    """Places for gangs, claimed. Members of their groups count where they are by now."""
    members: dict[str, dict[str, int]] = {}
    for one in staying:
        if one.item.spread:
            mine = members.setdefault(one.item.spread.group, {})
            mine[one.host_id] = mine.get(one.host_id, 0) + 1
    wanted = [
        [replace(item, members=members[item.spread.group]) if item.spread and item.spread.group in members else item for item in gang]
        for gang in gangs
    ]
    approved: list[tuple[Item, Placement]] = []
    refused: list[tuple[int, NoValidHost]] = []
    for number, (gang, result) in enumerate(zip(wanted, place(then, wanted), strict=True)):
        if isinstance(result, NoValidHost):
            refused.append((number, result))
        else:
            approved += zip(gang, result, strict=True)
    then.claim_at(approved)
    return approved, refused
