"""A proof by volume that hosts can be lost, without placing anything: what makes resilience cheap to ask about in large pools.

Restart what is lost in tiers, the largest instances first (a tier: sizes within a factor of two), each instance on any host that has room.
Say one of wish w and tier j finds no host. Then every surviving host whose labels suit w has, in some resource d, less left than m[d], the
most that an instance of w and j needs: what was restarted there fills more than free[d] - m[d] of it, and is of tier j or larger. With
any weights W[d] > 0, the restarted load of those tiers, as the sum over d of load[d] / W[d], is then larger than the sum over those hosts
of min over d of max(0, free[d] - m[d]) / W[d], their *margins*. So where, for every wish and tier, the load of what is lost does not exceed
the margins of what survives, everything can be restarted. A host that is lost counts with its load (unless none of it could go where w
can) and with its margin; a member of an anti-affinity group over hosts finds at most (members - 1) further hosts barred: as many of the
largest margins are left out.

In: a scene and rows of a pool. Out: the rows for which this proves nothing. It never says yes wrongly, and says nothing about instances
with GPUs, NUMA cells, named hosts, affinity, or anti-affinity over more than a host. What is found is kept, and brought up to date at the
cost of the rows that changed; the weights may stay as they were first, since any will do. Rejected: counting slots of the largest flavor
(proves far less where flavors are mixed), linear relaxations (a solver, and they prove the opposite: that something can *not* be placed).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from scheduler.columns import BLOCK, NEVER, Floats, Ints, Mask
from scheduler.plans.scene import Scene
from scheduler.plans.types import HARD, lies_apart
from scheduler.types import Item

_SIZES = 3  # vcpus, memory_mib, disk_gib: what simply adds up
_TIERS = 8
_NOISE = 1e-9


@dataclass(slots=True)
class _Sorts:
    """Wishes with their tiers, `s` of them, and what is the same for them in every state of a scene."""

    of: Ints  # [residents] the sort of each
    wish: Ints  # [s]
    tier: Ints  # [s]
    most: Ints  # [s, 3] m
    barred: Ints  # [s]


@dataclass(slots=True)
class _State:
    """One pool as it was last looked at: `n` rows."""

    rows: Ints
    position: Ints  # by row; NEVER for those of other pools
    suits: Mask  # [s, n] labels alone
    suiting: list[Ints]  # [s] the same as numbers
    meets: Mask  # [s, wishes] whether there is a host for both
    scale: Floats  # [s, 3] 1 / W, 0 where none is asked for
    lost: Mask  # [s] nothing can be proved: no size, or no room at all
    at: Ints  # [residents]
    free: Ints  # [n, 3]
    usable: Mask  # [n]
    count: Ints  # [s, n] residents
    odd: Ints  # [n] residents that no proof covers
    load: Floats  # [tiers, n, 3] of a tier and those above it
    margins: Floats  # [s, n]
    worth: Floats  # [s, n]
    spare: Floats | None = None  # [s] margins but for those that may be barred; None until asked for


class Margins:
    """Keeps what it found between calls."""

    def __init__(self, scene: Scene) -> None:
        ordered = [scene.residents[key] for key in scene.number]
        self._scene = scene
        self._plain: Mask = np.array([_plain(one.item) for one in ordered], np.bool_)
        self._items: dict[int, Item] = {wish: one.item for wish, one in zip(scene.wish.tolist(), ordered, strict=True)}
        sizes = {group: sum(at.values()) for group, at in scene.groups.items()}
        barred = [sizes[one.item.spread.group] - 1 if lies_apart(one.item) and one.item.spread else 0 for one in ordered]
        self._sorts = _sorts(scene, np.array(barred, np.int64))
        self._states: dict[bytes, _State] = {}

    def unproved(self, k: int, running: Ints, usable: Mask) -> Ints:
        """Rows such that every set of at most `k` that has a row not among them is proved. `running`: rows of one pool that can be lost;
        `usable`: which of them could restart something."""
        nothing: Ints = running[:0]
        if not len(running) or not len(self._scene.at):
            return nothing
        state = self._states.get(running.tobytes())
        if state is None:
            state = self._states[running.tobytes()] = self._fresh(running, usable)
        else:
            self._catch_up(state, usable)
        if k > 1 and state.odd.any():
            return running
        has = state.count > 0
        if k == 1:
            alone: Ints = running[self._single(state, has) | (state.odd > 0)]
            return alone
        some = np.flatnonzero(has.any(axis=1))
        if state.lost[some].any():
            return running
        spare = state.margins[some].sum(axis=1) - self._barred(state, some) - _NOISE
        doubtful: Ints = running[(_worst(state.worth[some], k) > spare[:, None]).any(axis=0)]
        return doubtful

    def proves(self, running: Ints, lost: Ints) -> bool:
        """Whether one set of rows can be lost, as `unproved` saw the pool last: only what these rows run has to be restarted."""
        state = self._states.get(running.tobytes())
        if state is None:
            return False
        at = state.position[lost]
        some = np.flatnonzero((state.count[:, at] > 0).any(axis=1))
        if state.odd[at].any() or state.lost[some].any():
            return False
        if state.spare is None:
            state.spare = state.margins.sum(axis=1) - self._barred(state, np.arange(len(state.margins))) - _NOISE
        return bool((state.worth[np.ix_(some, at)].sum(axis=1) <= state.spare[some]).all())

    def _single(self, state: _State, has: Mask) -> Mask:
        """For each row whether there is no proof that it can be lost alone. What is barred is overestimated first: that is quick."""
        whole = state.margins.sum(axis=1) - _NOISE
        rough = whole - self._sorts.barred * state.margins.max(axis=1)
        bad = has & ((state.worth > rough[:, None]) | state.lost[:, None])
        some = np.flatnonzero(bad.any(axis=1))
        exact = whole[some] - self._barred(state, some)
        bad[some] = has[some] & ((state.worth[some] > exact[:, None]) | state.lost[some, None])
        found: Mask = bad.any(axis=0)
        return found

    def _barred(self, state: _State, some: Ints) -> Floats:
        """For some sorts, the margins that members of a group may find barred."""
        return _largest(state.margins[some], [state.suiting[sort] for sort in some.tolist()], self._sorts.barred[some])

    def _fresh(self, rows: Ints, usable: Mask) -> _State:
        scene, sorts = self._scene, self._sorts
        columns = scene.fleet.columns
        position = np.full(len(columns.flags), NEVER, np.int64)
        position[rows] = np.arange(len(rows))
        classes = columns.classes[rows // BLOCK]
        by_wish = np.array([scene.fleet.label_fails(self._items[wish])[classes] == 0 for wish in range(len(self._items))])
        suits = by_wish[sorts.wish]
        free = columns.free[rows, :_SIZES]
        whole = np.array([np.maximum(free[mask & usable], 0).sum(axis=0) for mask in suits]).reshape(-1, _SIZES)
        asked = sorts.most > 0
        scale = np.where(asked & (whole > 0), 1 / np.maximum(whole, 1), 0.0)
        lost: Mask = np.logical_or(~asked.any(axis=1), (asked & (whole <= 0)).any(axis=1))
        n, s = len(rows), len(sorts.wish)
        meets: Mask = np.asarray((suits.astype(np.int64) @ by_wish.T.astype(np.int64)) > 0)
        blank = np.full(len(scene.at), NEVER, np.int64), np.zeros((s, n), np.int64), np.zeros(n, np.int64), np.zeros((_TIERS, n, _SIZES))
        state = _State(
            rows,
            position,
            suits,
            [np.flatnonzero(mask) for mask in suits],
            meets,
            scale,
            lost,
            blank[0],
            free,
            usable,
            *blank[1:],
            np.zeros((s, n)),
            np.zeros((s, n)),
        )
        self._count(state)
        self._rate(state, np.arange(n))
        return state

    def _catch_up(self, state: _State, usable: Mask) -> None:
        """Look again at the rows that changed."""
        free = self._scene.fleet.columns.free[state.rows, :_SIZES]
        changed = (free != state.free).any(axis=1) | (usable != state.usable)
        state.free, state.usable = free, usable
        changed[self._count(state)] = True
        self._rate(state, np.flatnonzero(changed))

    def _count(self, state: _State) -> Ints:
        """Take note of residents that are elsewhere now; where they were and where they are."""
        scene = self._scene
        moved = np.flatnonzero(state.at != scene.at)
        touched = []
        for sign, at in ((-1, state.at[moved]), (1, scene.at[moved])):
            here = (at != NEVER) & (state.position[at] != NEVER)
            where, who = state.position[at[here]], moved[here]
            sort = self._sorts.of[who]
            np.add.at(state.count, (sort, where), sign)
            np.add.at(state.odd, where[~self._plain[who]], sign)
            for tier in range(_TIERS):
                below = self._sorts.tier[sort] <= tier
                np.add.at(state.load[tier], where[below], sign * scene.needs[who[below], :_SIZES].astype(np.float64))
            touched.append(where)
        state.at = scene.at.copy()
        return np.concatenate(touched)

    def _rate(self, state: _State, at: Ints) -> None:
        """Margins and worth of some rows (numbers within the pool) for all sorts."""
        sorts = self._sorts
        left = np.maximum(state.free[None, at] - sorts.most[:, None], 0) * state.scale[:, None]
        left[np.broadcast_to((sorts.most == 0)[:, None], left.shape)] = np.inf
        margins = np.where(state.suits[:, at] & state.usable[at] & ~state.lost[:, None], left.min(axis=2), 0.0)
        runs = np.zeros((len(self._items), len(at)), np.int64)
        np.add.at(runs, sorts.wish, state.count[:, at])
        counts = (state.meets.astype(np.int64) @ (runs > 0)) > 0
        load = (state.load[sorts.tier][:, at] * state.scale[:, None]).sum(axis=2)
        state.margins[:, at], state.spare = margins, None
        state.worth[:, at] = np.where(counts, load, 0.0) + margins


def _sorts(scene: Scene, barred: Ints) -> _Sorts:
    """The sorts of a scene's residents."""
    tier = np.zeros(len(scene.at), np.int64)
    if len(scene.at):
        sizes = scene.needs[:, :_SIZES]
        share = (sizes / np.maximum(sizes.max(axis=0), 1)).max(axis=1)
        tier = np.clip(np.floor(-np.log2(np.maximum(share, 1e-9))), 0, _TIERS - 1).astype(np.int64)
    pairs, of = np.unique(scene.wish * _TIERS + tier, return_inverse=True)
    most = np.zeros((len(pairs), _SIZES), np.int64)
    np.maximum.at(most, of, scene.needs[:, :_SIZES])
    apart = np.zeros(len(pairs), np.int64)
    np.maximum.at(apart, of, barred)
    return _Sorts(of, pairs // _TIERS, pairs % _TIERS, most, apart)


def _largest(margins: Floats, suits: list[Ints], number: Ints) -> Floats:
    """For each row of `margins` the sum of its so many largest; there are none but where it `suits`."""
    found = np.zeros(len(margins))
    for row, (at, most) in enumerate(zip(suits, number.tolist(), strict=True)):
        if most:
            here = margins[row, at]
            found[row] = here.sum() if most >= len(here) else np.partition(here, len(here) - most)[len(here) - most :].sum()
    return found


def _worst(worth: Floats, k: int) -> Floats:
    """For each entry, the sum of the largest `k` of its row, itself among them."""
    order = np.argsort(-worth, axis=1, kind="stable")
    ranked = np.take_along_axis(worth, order, axis=1)
    sums = np.repeat(ranked[:, : k - 1].sum(axis=1)[:, None], worth.shape[1], axis=1) + worth
    whole = np.repeat(ranked[:, :k].sum(axis=1)[:, None], min(k - 1, worth.shape[1]), axis=1)
    np.put_along_axis(sums, order[:, : k - 1], whole, axis=1)
    return sums


def _plain(item: Item) -> bool:
    """Whether the proof covers an instance."""
    rule = item.spread
    bound = rule is not None and rule.mode in HARD and not lies_apart(item)
    return not (item.resources.gpus or item.cells or item.hosts or bound)
