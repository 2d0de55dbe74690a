"""Small fleets with residents, and an oracle that carries a plan out: shares nothing with the planner but the words."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import combinations, groupby

from hypothesis import strategies as st

from scheduler.fleet import Fleet
from scheduler.place import propose
from scheduler.plans.types import Move, Resident
from scheduler.types import SIZES, Host, Item, Resources
from tests.scheduler.worlds import _holds, allowed, fleets, gangs, host, item, possible, refused


@dataclass(frozen=True)
class World:
    """`hosts` as they are without the residents."""

    hosts: list[Host]
    residents: list[Resident]

    def fleet(self, hosts: Sequence[Host] | None = None) -> Fleet:
        """With the residents on it."""
        made = Fleet(self.hosts if hosts is None else hosts)
        made.claim_all((one.host_id, one.item) for one in self.residents)
        return made

    def at(self) -> dict[str, str]:
        """Where everybody is."""
        return {one.key: one.host_id for one in self.residents}


def world(hosts: Iterable[Host], *residents: tuple[str, str, Item]) -> World:
    """A table: key, host, item."""
    return World(list(hosts), [Resident(key, where, one) for key, where, one in residents])


@st.composite
def worlds(draw: st.DrawFn, most: int = 4, instances: int = 5, plain: bool = False, roomy: bool = False) -> World:
    """What was placed on a small fleet, here and there. `plain`: hosts that differ in size alone, so that much is possible."""
    hosts = draw(st.lists(_sizes(), min_size=1, max_size=most).map(_alike)) if plain else draw(fleets(most))
    if roomy:
        hosts = [_roomy(one) for one in hosts]
    fleet, residents = Fleet(hosts), list[Resident]()
    for number in range(draw(st.integers(1, 5)) if hosts else 0):
        wanted = [replace(one, members={}) for one in draw(_plain_gangs() if plain else gangs(hosts, most=2, name=f"g{number}"))]
        if len(residents) + len(wanted) > instances:
            continue
        there = [replace(one, hosts=one.hosts or (draw(st.sampled_from(hosts)).id,)) for one in wanted]
        for asked in (there, wanted):
            (result,) = propose(fleet, [asked]).results
            if not refused(result):
                residents += [Resident(f"{number}-{each.key}", to.host_id, each) for each, to in zip(wanted, result, strict=True)]
                break
    return World(hosts, residents)


def _sizes() -> st.SearchStrategy[tuple[int, int]]:
    return st.tuples(st.integers(3, 9), st.integers(3, 9))


def _alike(sizes: list[tuple[int, int]]) -> list[Host]:
    return [
        host(f"h{number}", capacity=Resources(vcpus, memory, 20), zone="ab"[number % 2], pool="pq"[number % 5 == 4])
        for number, (vcpus, memory) in enumerate(sizes)
    ]


def _roomy(one: Host) -> Host:
    """Ready, empty and for everybody, so that most find a place; what is asked of pools, zones, devices and cells stays."""
    most = Resources(*(max(getattr(one.capacity, name), 4) for name in SIZES[:3]), one.capacity.gpus)
    cells = tuple(
        replace(cell, vcpus=cell.vcpus + 2, memory_mib=cell.memory_mib + 2, used_vcpus=0, used_memory_mib=0) for cell in one.cells
    )
    plain = replace(
        one, kinds=frozenset({"vm", "container"}), level=4, tenants=frozenset(), arch="x86_64", pool="p", traits=frozenset({"ssd", "avx"})
    )
    return replace(plain, capacity=most, used=Resources(), up=True, cordoned=False, on=True, cells=cells)


@st.composite
def _plain_gangs(draw: st.DrawFn) -> list[Item]:
    size = Resources(draw(st.integers(1, 3)), draw(st.integers(1, 3)), 1)
    return [item(f"i{number}", resources=size) for number in range(draw(st.integers(1, 2)))]


def carry_out(world_: World, moves: Sequence[Move]) -> dict[str, str]:
    """Who is where in the end. Fails where a step is more than a host holds, breaks a rule, or moves somebody who was moved."""
    at, hosts = world_.at(), {one.id: one for one in world_.hosts}
    items = {one.key: _named(one) for one in world_.residents}
    assert len({move.key for move in moves}) == len(moves), "somebody moves twice"
    assert [move.step for move in moves] == sorted(move.step for move in moves)
    for _, together in groupby(moves, key=lambda move: move.step):
        step = list(together)
        held = [(key, where) for key, where in at.items()] + [(move.key, move.target) for move in step]
        for one in hosts.values():
            assert _holds(one, [items[key] for key, where in held if where == one.id]), (one, step)
        for move in step:
            assert at[move.key] == move.source != move.target
            at[move.key] = move.target
        assert_rules(world_, at, {move.key for move in step})
    return at


def assert_rules(world_: World, at: dict[str, str], moved: set[str]) -> None:
    """Everybody's rules hold; what says that a host takes something now is asked for those alone that just came."""
    by_id = {one.id: one for one in world_.hosts}
    now = {id_: replace(one, up=True, cordoned=False, on=True) for id_, one in by_id.items()}
    known = [one for one in world_.residents if at[one.key] in by_id]
    assert allowed(list(now.values()), [_named(one) for one in known], [now[at[one.key]] for one in known])
    assert all(by_id[at[key]].up and not by_id[at[key]].cordoned and (by_id[at[key]].on or by_id[at[key]].wakes) for key in moved)


def _named(one: Resident) -> Item:
    return replace(one.item, key=one.key, members={})


def can_be_emptied(world_: World, host_id: str) -> bool:
    """Whether any direct moves empty a host: everything is tried."""
    return _can_go(world_, {host_id}, [replace(one, cordoned=one.cordoned or one.id == host_id) for one in world_.hosts])


def can_be_lost(world_: World, lost: set[str]) -> bool:
    """Whether what some hosts run can be restarted on the others of their pool, by trying everything."""
    pools = {one.pool for one in world_.hosts if one.id in lost}
    left = [replace(one, up=one.up and one.on and one.id not in lost and one.pool in pools) for one in world_.hosts]
    return _can_go(world_, lost, left)


def resilient(world_: World, pool: str, k: int) -> bool:
    """N+k of a pool, by trying everything."""
    ids = [one.id for one in world_.hosts if one.pool == pool and one.up]
    return all(can_be_lost(world_, set(lost)) for size in range(1, k + 1) for lost in combinations(ids, min(size, len(ids))))


def _can_go(world_: World, leaving: set[str], hosts: list[Host]) -> bool:
    """Whether all residents of some hosts find places; those that stay are held by their hosts as they are."""
    staying = [one for one in world_.residents if one.host_id not in leaving]
    going = [_named(one) for one in world_.residents if one.host_id in leaving]
    fixed = World(hosts, staying).fleet(hosts)
    now = [fixed.host(one.id) for one in hosts]
    members: dict[str, dict[str, int]] = {}
    for one in staying:
        if one.item.spread:
            mine = members.setdefault(one.item.spread.group, {})
            mine[one.host_id] = mine.get(one.host_id, 0) + 1
    return possible(now, [replace(one, members=members.get(one.spread.group, {}) if one.spread else {}) for one in going])


def assert_steps_resilient(world_: World, moves: Sequence[Move]) -> None:
    """Each pool that is N+1 before the first step is so after every one."""
    at = world_.at()
    pools = [pool for pool in sorted({one.pool for one in world_.hosts}) if resilient(world_, pool, 1)]
    for _, together in groupby(moves, key=lambda move: move.step):
        at |= {move.key: move.target for move in together}
        now = World(world_.hosts, [replace(one, host_id=at[one.key]) for one in world_.residents])
        assert all(resilient(now, pool, 1) for pool in pools), moves
