"""N+k: whether what any `k` hosts of a pool run could be restarted on the others of that pool.

What is claimed, for each pool and its k:

- **yes is proved.** Either a place was found for everything that the lost hosts run, each rule of the items held and the members of groups
  that survive counted where they are; or `plans.margins` proves by volume that there is one. Every set of one up to `k` hosts that are up
  is covered by one of the two. Nothing is sampled to say yes.
- **no** comes with the hosts lost and the refusal of one instance. `certain` where there provably is no way: that instance finds no place
  even alone, or all of them together lack a resource that no instance could do without. Otherwise the packing found none (it is complete
  for up to four instances on five hosts), or, for k > 1 in a pool with more sets than SETS, the sets with the most load were tried and
  neither a proof nor a counterexample was found: `refusal` is None then, and the answer is no, for want of a proof.

Room is what hosts have that are up, not cordoned and powered on: nobody should wait for a boot. Cordoned hosts count as hosts that may be
lost. An instance restarts inside its pool, even where its item would allow others. Residents on hosts that are down run nothing and need
nothing. What the fleet counts as used without a resident for it takes room and is not restarted.

Rejected: comparing only hosts' sums with what is free (says yes wrongly: room in pieces, labels, groups).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from itertools import combinations, islice
from math import comb

import numpy as np

from scheduler.columns import BLOCK, GPUS, ON, READY, TAKEN, UP, Ints, Mask
from scheduler.fleet import Fleet
from scheduler.place import place
from scheduler.plans.margins import Margins
from scheduler.plans.restarts import Restarts
from scheduler.plans.scene import Scene
from scheduler.plans.types import Reserve, Resident, Survival, reserve_of
from scheduler.types import SIZES, WHOLE_GPU, Item, NoValidHost, Resources

SETS = 20_000  # of hosts that are tried one by one, in one pool
_SAMPLE = 50  # of the heaviest, where there are more: to find a counterexample, never to say yes


def survives(fleet: Fleet, residents: Iterable[Resident], k: Reserve) -> list[Survival]:
    """The verdict on every pool that has a k above 0, by name."""
    return Watch(Scene(fleet, residents), k).verdicts()


class Watch:
    """Verdicts on a scene as it changes. What was found out by trying is kept until something that it rests on changes."""

    def __init__(self, scene: Scene, k: Reserve, tries: int | None = None) -> None:
        self.scene = scene
        self.restarts = Restarts(scene)
        self._tries = tries  # in all; None for as many as it takes
        self._k = {pool: reserve_of(k, pool) for pool in scene.fleet.names("pool") if reserve_of(k, pool) > 0}
        self._margins = Margins(scene)
        self._failed: Counter[str] = Counter()  # how often the loss of a host was not covered: asked about first, since it likely is again

    @property
    def spent(self) -> bool:
        """Whether no more restarts may be tried: from now on little can be proved."""
        return self._tries is not None and self.restarts.tries >= self._tries

    @property
    def asked(self) -> bool:
        """Whether there is any pool to watch."""
        return bool(self._k)

    def verdicts(self, pools: Iterable[str] | None = None) -> list[Survival]:
        """Of some pools, or all of them."""
        asked = self._k if pools is None else sorted(set(pools) & set(self._k))
        return [self.verdict(pool) for pool in asked]

    def holds(self, pools: Iterable[str] | None = None) -> bool:
        """Whether some pools, or all, are proved to be resilient."""
        asked = self._k if pools is None else sorted(set(pools) & set(self._k))
        return all(self.verdict(pool).ok for pool in asked)

    def verdict(self, pool: str) -> Survival:
        """The verdict on one pool."""
        k, scene = self._k[pool], self.scene
        flags, of_class = scene.fleet.columns.flags, np.repeat(scene.fleet.columns.classes, BLOCK)
        in_pool = np.array([labels.pool == pool for labels in scene.fleet.classes], np.bool_)[of_class]
        running = np.flatnonzero(in_pool & ((flags & (TAKEN | UP)) == (TAKEN | UP)))
        usable: Mask = (flags[running] & (READY | ON)) == (READY | ON)
        doubtful = self._margins.unproved(k, running, usable)
        off = self._ids(running[(flags[running] & ON) == 0])
        with scene.shut(off):
            return self._try_all(pool, k, self._ids(doubtful), running)

    def _ids(self, rows: Ints) -> list[str]:
        return sorted(id_ for id_, _ in self.scene.fleet.in_rows(rows))

    def _try_all(self, pool: str, k: int, doubtful: list[str], running: Ints) -> Survival:
        loads = self.scene.loads()
        rows, failed = self.scene.fleet.rows, self._failed
        heaviest = sorted(doubtful, key=lambda host: (-failed[host], -loads[rows[host]], host))
        number = sum(comb(len(heaviest), size) for size in range(1, k + 1))
        most = number if number <= SETS or k == 1 else _SAMPLE
        for lost in islice(_sets(heaviest, k), most):
            if k > 1 and self._margins.proves(running, np.array([rows[host] for host in lost], np.int64)):
                continue
            if self.spent:
                return Survival(pool, k, ok=False, certain=False, lost=lost)
            refused = self.restarts.find(lost, pool)
            if refused is not None:
                self._failed.update(lost)
                return self._refuted(pool, k, lost, refused)
        if most < number:
            return Survival(pool, k, ok=False, certain=False, lost=tuple(heaviest[:k]))
        return Survival(pool, k, ok=True)

    def _refuted(self, pool: str, k: int, lost: tuple[str, ...], refused: NoValidHost) -> Survival:
        scene = self.scene
        keys = [key for host in lost for key in scene.running[host]]
        inside = [scene.number[key] for key in keys if pool in (scene.residents[key].item.pools or (pool,))]
        with scene.shut(lost):
            free = np.maximum(scene.fleet.columns.free[self._room(pool)], 0).sum(axis=0)
            alone = place(scene.fleet, [[_by_itself(scene.wanted(refused.key, pool=pool))]])[0]
        short = np.maximum(scene.needs[inside].sum(axis=0) - free, 0).tolist()
        short[GPUS] = -(-short[GPUS] // WHOLE_GPU)
        certain = any(short) or isinstance(alone, NoValidHost)
        sizes = Resources(**dict(zip(SIZES, short, strict=True)))
        return Survival(pool, k, ok=False, certain=certain, lost=lost, refusal=refused, short=sizes)

    def _room(self, pool: str) -> Ints:
        """Rows that take something now."""
        columns = self.scene.fleet.columns
        in_pool = np.array([labels.pool == pool for labels in self.scene.fleet.classes], np.bool_)
        return np.flatnonzero(np.repeat(in_pool[columns.classes], BLOCK) & ((columns.flags & READY) == READY))


def _by_itself(item: Item) -> Item:
    """Without the rule of its group, which depends on where others are restarted."""
    return replace(item, spread=None)


def _sets(hosts: Sequence[str], k: int) -> Iterator[tuple[str, ...]]:
    """All sets of one up to `k` hosts, the heaviest of a size first."""
    for size in range(1, min(k, len(hosts)) + 1):
        yield from combinations(hosts, size)


def would_break(fleet: Fleet, residents: Sequence[Resident], k: Reserve, placed: Iterable[tuple[Item, str]]) -> list[Survival]:
    """For admission: the pools that N+k would no longer be proved for, were these items on these hosts. Empty: it may go ahead.

    `placed`: what was decided and is not claimed in the fleet yet. Pools that lack it already are named too if something goes there.
    """
    coming = list(placed)
    after = fleet.copy()
    after.claim_all((host, item) for item, host in coming)
    more = [Resident(f"coming {number}", host, item) for number, (item, host) in enumerate(coming)]
    touched = {fleet.labels(host).pool for _, host in coming}
    watch = Watch(Scene(after, [*residents, *more]), k)
    return [verdict for verdict in watch.verdicts(touched) if not verdict.ok]
