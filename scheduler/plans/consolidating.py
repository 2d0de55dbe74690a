"""Emptying as many hosts as possible, so that they can be switched off, given away or taken in for maintenance.

In: a fleet and its residents. Out: a plan; its benefit is the number of hosts that it leaves empty, and it names all that could be off at
its end. A host is emptied wholly or not touched, the smallest and least full first, into hosts that are in use already: never into an empty
one, and never out of its pool. A host
that took somebody in is not emptied any more, since nobody moves twice; so those that are to be emptied, as many as the others' free room
allows by its sums, take nobody in from the start, and one that turns out not to empty opens again. Hosts with something on them that is
no resident, or that must not move, stay. With `k`, each pool is N+k with the emptied hosts counted as no room at all: they may be switched
off. A pool that is not N+k to begin with is left alone.

N+k is looked at after every batch of hosts, and a batch is more than one host only where nothing can go wrong in between: nobody makes
way, and no rule of a group but such as say on how many hosts members lie. Then, at any moment, each host that is not emptied holds a
part of what it holds at the end of the batch. Say some hosts are lost at that moment. Who is still on one that is being emptied goes
where the plan would have him, or, if that is lost too, where he would be restarted from there at the end; all others go where they would
be restarted at the end: there is at least as much room, and there are at most as many members. So N+k at the end is N+k throughout.
Otherwise it is looked at after every host; between two moves off the same host nothing is claimed.

What is found so is then held against a solver, in pools of few hosts and while there is time: `solving` says exactly whether more can be
emptied, and how. Its answer counts where it is better and holds N+k at its end, with batches as above; else the first one stands.
Rejected: bin packing from scratch (it moves nearly everybody, and its order of moves would have to be found afterwards).
"""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import groupby

import numpy as np
from numpy.typing import NDArray

from scheduler.columns import BLOCK, ON, OPEN, READY, TAKEN, UP, Ints
from scheduler.fleet import Fleet
from scheduler.plans.ejecting import Looks, make_way
from scheduler.plans.outcome import Judge
from scheduler.plans.restarts import Known
from scheduler.plans.scene import Scene, Unit
from scheduler.plans.solving import Task, carry_out, solve
from scheduler.plans.types import HARD, Limits, Plan, Reserve, Resident, lies_apart, reserve_of
from scheduler.types import Item, NoValidHost

LIMITS = Limits(moves=5000, least=1.0, looks=4000, tries=3000)
"""Seconds at a thousand hosts. With `k`, more tries may empty a few hosts more."""
_LOOKS_EACH = 40  # for one host
_RUNNING = TAKEN | UP | ON
_SIZES = 2  # vcpus and memory_mib
_BATCH = 64  # hosts between two looks at N+k
_FEW = 64  # hosts of a pool in use: of so many a solver is asked
_BROKEN = 5  # what it counts for where N+k would be broken
_PATIENCE = 12  # hosts of the same labels that could not be emptied, one after another, before the others are not tried


def consolidate(
    fleet: Fleet,
    residents: Iterable[Resident],
    *,
    k: Reserve = 0,
    pools: Collection[str] = (),
    flavor: Item | None = None,
    limits: Limits = LIMITS,
) -> Plan:
    """Empty as many hosts as can be. `pools`: only these."""
    scene = Scene(fleet, residents)
    judge = Judge(scene, k, flavor, limits.tries)
    lacks = judge.lacks(scene.fleet.names("pool"))
    left_alone = {lack.pool for lack in lacks}
    flags = scene.fleet.columns.flags.copy()
    work = _Work(scene, judge, k, limits)
    hosts = [host for host in _candidates(scene, pools) if scene.pool(host) not in left_alone]
    aims = set(_aims(scene, hosts, k))
    by_pool: dict[str, list[str]] = defaultdict(list)
    for host in hosts:
        by_pool[scene.pool(host)].append(host)
    freed = sum(work.empty_pool(pool, some, [host for host in some if host in aims]) for pool, some in by_pool.items())
    freed += work.empty_all([host for host in hosts if scene.running[host]], 1, make_way=True)
    worth = freed >= limits.least and freed > 0
    if not worth:
        scene.undo(0)
        scene.reopen(flags)
    idle = _idle(scene, judge, pools)
    scene.reopen(flags)
    return replace(judge.improved(worth, float(freed), lacks), idle=idle)


def _idle(scene: Scene, judge: Judge, pools: Collection[str]) -> tuple[str, ...]:
    """Hosts that are on and have nothing on them. Those that were empty before count only where their pool is N+k without their room."""
    columns = scene.fleet.columns
    empty = ((columns.flags & _RUNNING) == _RUNNING) & (columns.free == scene.fleet.whole()).all(axis=1)
    ids = sorted(id_ for id_, _ in scene.fleet.in_rows(np.flatnonzero(empty)))
    found = [id_ for id_ in ids if not pools or scene.pool(id_) in pools]
    with scene.shut(found):
        needed = {lack.pool for lack in judge.lacks({scene.pool(id_) for id_ in found})}
    return tuple(id_ for id_ in found if scene.pool(id_) not in needed or not columns.flags[scene.fleet.rows[id_]] & OPEN)


def _candidates(scene: Scene, pools: Collection[str]) -> list[str]:
    """Hosts that run residents and nothing else, all of which may move; the cheapest first: those that run least, which has to go
    somewhere, and have least in all, which is lost to the others."""
    columns = scene.fleet.columns
    rows = np.flatnonzero((columns.flags & (TAKEN | UP)) == (TAKEN | UP))
    mine, whole = np.zeros_like(columns.free), scene.fleet.whole()
    known = scene.at >= 0
    np.add.at(mine, scene.at[known], scene.needs[known])
    only = ((whole - columns.free) == mine).all(axis=1)
    size = (whole / np.maximum(whole.sum(axis=0), 1))[:, :_SIZES].max(axis=1)
    cost = (scene.loads() + size).round(9)
    found = []
    for (host_id, _), row in zip(scene.fleet.in_rows(rows), rows.tolist(), strict=True):
        running = scene.running.get(host_id)
        if running and only[row] and (not pools or scene.pool(host_id) in pools) and all(scene.at_home(key) for key in running):
            found.append((cost[row], host_id))
    return [host_id for _, host_id in sorted(found)]


def _aims(scene: Scene, hosts: Sequence[str], k: Reserve) -> list[str]:
    """As many candidates as the others could hold if their free room were in one piece, with the k largest lost, for each pool and
    architecture."""
    columns, whole = scene.fleet.columns, scene.fleet.whole()
    room: dict[tuple[str, str], Ints] = defaultdict(lambda: np.zeros(whole.shape[1], np.int64))
    largest: dict[tuple[str, str], Ints] = defaultdict(lambda: np.zeros(whole.shape[1], np.int64))
    for host in _in_use(scene):
        row, kind = scene.fleet.rows[host], _part(scene, host)
        room[kind] += columns.free[row]
        largest[kind] = np.maximum(largest[kind], whole[row])
    for kind, size in largest.items():
        room[kind] -= reserve_of(k, kind[0]) * size
    aims = []
    for host in hosts:
        left = room[_part(scene, host)] - whole[scene.fleet.rows[host]]  # its own free room goes, and what it runs comes
        if (left >= 0).all():
            room[_part(scene, host)] = left
            aims.append(host)
    return aims


def _in_use(scene: Scene) -> list[str]:
    """Hosts that take something, and have something."""
    columns = scene.fleet.columns
    rows = np.flatnonzero(((columns.flags & READY) == READY) & (columns.free != scene.fleet.whole()).any(axis=1))
    return [host for host, _ in scene.fleet.in_rows(rows)]


def _part(scene: Scene, host: str) -> tuple[str, str]:
    labels = scene.fleet.labels(host)
    return labels.pool, labels.arch


@dataclass(frozen=True, slots=True)
class _State:
    """What to go back to."""

    mark: int
    moves: int
    flags: NDArray[np.uint8]
    known: Known

    @classmethod
    def of(cls, scene: Scene, judge: Judge) -> _State:
        return cls(scene.mark(), len(scene.moves), scene.fleet.columns.flags.copy(), judge.watch.restarts.known())

    def restore(self, scene: Scene, judge: Judge) -> None:
        scene.undo(self.mark)
        scene.reopen(self.flags)
        judge.watch.restarts.recall(self.known)


class _Work:
    """What is left to spend, and what turned out to be hopeless."""

    def __init__(self, scene: Scene, judge: Judge, k: Reserve, limits: Limits) -> None:
        columns = scene.fleet.columns
        idle = np.flatnonzero(((columns.flags & TAKEN) != 0) & (columns.free == scene.fleet.whole()).all(axis=1))
        self._scene, self._judge, self._moves, self._looks = scene, judge, limits.moves, limits.looks
        self._k, self._flags = k, columns.flags.copy()  # as they were before anything was closed
        self._into: dict[str, list[str]] = defaultdict(list)  # hosts in use, by pool: nobody leaves his
        for host in sorted(_in_use(scene)):
            self._into[scene.pool(host)].append(host)
        self._idle = {host_id for host_id, _ in scene.fleet.in_rows(idle)}
        self._failed: Counter[int] = Counter()  # by class of hosts
        self.simple = not judge.watch.asked or _simple(scene)

    def empty_pool(self, pool: str, hosts: Sequence[str], aims: Sequence[str]) -> int:
        """Empty hosts of one pool where nobody has to make way for it, `aims` the first of them; how many hosts."""
        scene = self._scene
        start, into = _State.of(scene, self._judge), self._into[pool]
        scene.close(aims)
        freed = self.empty_all(aims, _BATCH if self.simple else 1)
        if self.simple:
            freed += self.empty_all([host for host in hosts if scene.running[host]], _BATCH)
        if len(into) > _FEW or not (self.simple or reserve_of(self._k, pool) == 0):
            return freed
        return self._more(pool, hosts, into, freed, start)

    def _more(self, pool: str, hosts: Sequence[str], into: Sequence[str], freed: int, start: _State) -> int:
        """What a solver finds, where that is better than what was found since `start`."""
        scene = self._scene
        found, closed = scene.moves[start.moves :], scene.fleet.columns.flags.copy()
        start.restore(scene, self._judge)
        spare = scene.fleet.whole()[[scene.fleet.rows[host] for host in into]].max(axis=0, initial=0) * reserve_of(self._k, pool)
        answer = solve(scene, Task(hosts, into, freed + 1, self._moves - len(scene.moves), pool, spare))
        if answer is not None and answer.targets and carry_out(scene, answer):
            scene.close(answer.targets)
            if not self._judge.lacks([pool]):
                return len(answer.targets)
            start.restore(scene, self._judge)
        for _, step in groupby(found, key=lambda move: move.step):
            moves = list(step)
            scene.shift(tuple(move.key for move in moves), [move.target for move in moves])
        scene.reopen(closed)
        return freed

    def empty_all(self, hosts: Sequence[str], most: int, make_way: bool = False) -> int:
        """Empty what can be emptied, in batches of at most so many; how many hosts."""
        queue, freed = deque(hosts), 0
        self._failed.clear()
        while queue and not self._judge.watch.spent:
            batch = [queue.popleft() for _ in range(min(most, len(queue)))]
            before = _State.of(self._scene, self._judge)
            emptied = [host for host in batch if self._empty(host, make_way)]
            broken = self._judge.lacks({self._scene.pool(host) for host in emptied}) if emptied else ()
            if not broken:
                freed += len(emptied)
                continue
            before.restore(self._scene, self._judge)
            suspects = self._suspects(emptied, broken[0].lost)
            self._scene.open(suspects, self._flags)
            for host in suspects:
                self._failed[self._kind(host)] += _BROKEN
            queue.extendleft(reversed([host for host in batch if host not in suspects]))
        return freed

    def _suspects(self, emptied: Sequence[str], lost: Sequence[str]) -> list[str]:
        """Hosts of a batch after which some can't be lost any more: those most like them."""
        of = self._scene.fleet.labels
        classes, arches = {of(host) for host in lost}, {of(host).arch for host in lost}
        same = [host for host in emptied if of(host) in classes] or [host for host in emptied if of(host).arch in arches]
        return same or list(emptied)

    def _kind(self, host_id: str) -> int:
        return int(self._scene.fleet.columns.classes[self._scene.fleet.rows[host_id] // BLOCK])

    def _empty(self, host_id: str, make_way: bool) -> bool:
        """Empty a host and close it; whether that was possible."""
        scene, kind = self._scene, self._kind(host_id)
        keys = sorted(scene.running[host_id])
        if len(scene.moves) + len(keys) > self._moves or self._failed[kind] >= _PATIENCE or not all(map(scene.at_home, keys)):
            scene.open([host_id], self._flags)
            return False
        mark = scene.mark()
        with scene.shut([host_id]):
            done = self._empty_one(scene.units(keys), scene.pool(host_id), make_way) and len(scene.moves) <= self._moves
        if done:
            self._failed[kind] = 0
            scene.close([host_id])
            return True
        scene.undo(mark)
        scene.open([host_id], self._flags)
        self._failed[kind] += 1
        return False

    def _empty_one(self, units: Sequence[Unit], pool: str, may_make_way: bool) -> bool:
        """Whether all units of one closed host found places; where not, some may have moved."""
        scene = self._scene
        stuck = []
        found = scene.find(units, pool)
        for unit, result in zip(units, found, strict=True):
            if isinstance(result, NoValidHost) or any(one.host_id in self._idle for one in result):
                stuck.append(unit)
            else:
                scene.shift(unit, [one.host_id for one in result])
        if stuck and (not may_make_way or any(len(unit) > 1 for unit in stuck)):
            return False
        looks = Looks(min(_LOOKS_EACH, self._looks), lambda _: pool, lambda host: host in self._idle)
        before, made = looks.left, all(make_way(scene, unit[0], looks) for unit in stuck)
        self._looks -= before - max(looks.left, 0)
        return made


def _simple(scene: Scene) -> bool:
    """Whether the rules of groups say no more than how many members lie on one host."""
    items = (one.item for one in scene.residents.values())
    return all(item.spread is None or item.spread.mode not in HARD or lies_apart(item) for item in items)
