"""N+k at admission: no placement leaves a pool unable to restart what any `spare_hosts` of its hosts run.

In: drafts with the places that were found for them. Out: for those that would break it, the verdict. Pools that keep no hosts to spare cost
one small query. A pool that does is locked here until the transaction ends, so that two controllers can't each find room for the last one;
then its hosts and all that is on them are read anew, and the proof is made (`scheduler.plans.survival`): a tenth of a second for a pool of
some hundred hosts, once for all that wait together, and once for each of them only where something would break it. Rejected: counting
free room instead of proving (says yes where room is in pieces), and a background check that reports afterwards (a promise, then, is none).
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from sqlalchemy import Connection

from controller.actions.draft import Draft
from controller.actions.plans import residents_of
from controller.model import devices, translate
from controller.store import fleet as store
from controller.store import residents
from controller.store.sql import Row
from scheduler.fleet import Fleet
from scheduler.plans.survival import survives, would_break
from scheduler.plans.types import Resident, Survival
from scheduler.types import Item, NoValidHost, Placement

Results = Sequence[list[Placement] | NoValidHost]
Coming = list[tuple[Item, str]]
NOWHERE = ""  # no pool has this name


@dataclass(frozen=True, slots=True)
class _Pool:
    """A pool that keeps hosts to spare, as it is now."""

    name: str
    spare_hosts: int
    fleet: Fleet
    residents: Sequence[Resident]

    def here(self, coming: Coming) -> Coming:
        """Those of them that come to this pool."""
        return [(item, host) for item, host in coming if host in self.fleet.rows and self.fleet.labels(host).pool == self.name]

    def lacks(self, coming: Coming) -> Survival | None:
        """What would be lacking with all of these there, too."""
        here = self.here(coming)
        return next(iter(would_break(self.fleet, self.residents, {self.name: self.spare_hosts}, here)), None) if here else None


def places(conn: Connection, view: Fleet, drafts: Sequence[Draft], earlier: Sequence[Draft], find: Callable[[], Results]) -> Results:
    """Places that leave every pool the hosts that it keeps to spare: a draft that would break that looks elsewhere, if anywhere.

    `find` finds places for the drafts as they are then.
    """
    results = find()
    while found := broken(conn, view, drafts, results, earlier):
        pools = store.pool_names(conn)
        for number, lack in found.items():
            avoid(drafts[number], lack.pool, pools)
        results = find()
    return results


def broken(conn: Connection, view: Fleet, drafts: Sequence[Draft], results: Results, earlier: Iterable[Draft]) -> dict[int, Survival]:
    """By number of the draft, the pool that would no longer be N+k. `earlier`: drafts accepted before in this transaction."""
    spare = store.spare_pools(conn)
    wanted = [_coming(draft, result) for draft, result in zip(drafts, results, strict=True)]
    touched = sorted({view.labels(host).pool for coming in wanted for _, host in coming} & spare.keys()) if spare else []
    if not touched:
        return {}
    store.lock_pools(conn, [spare[name]["id"] for name in touched])
    pools = [_read(conn, spare[name]) for name in touched]
    taken = [one for draft in earlier for one in _coming(draft, draft.placements)]
    asking = any(draft.submission.explain for draft in drafts)  # such take nothing: each is judged by itself
    if not asking and not any(pool.lacks(taken + [one for coming in wanted for one in coming]) for pool in pools):
        return {}
    found: dict[int, Survival] = {}
    for number, (draft, coming) in enumerate(zip(drafts, wanted, strict=True)):
        lacks = (pool.lacks(taken + coming) for pool in pools if pool.here(coming))
        lack = next((one for one in lacks if one is not None), None)
        if lack is not None:
            found[number] = lack
        elif not draft.submission.explain:
            taken += coming
    return found


def _coming(draft: Draft, result: Sequence[Placement] | NoValidHost) -> Coming:
    if isinstance(result, NoValidHost):
        return []
    wishes = {unit.id: unit.wish for unit in draft.units}
    return [(wishes[to.key], to.host_id) for to in result if to.key not in draft.after]


def _read(conn: Connection, row: Row) -> _Pool:
    rows = residents.in_pool(conn, row["id"])
    hosts = store.placed_in(conn, row["id"], {one["host_id"] for one in rows})
    return _Pool(row["name"], row["spare_hosts"], Fleet(map(translate.host, hosts)), residents_of(conn, rows))


def room_to_grow(conn: Connection, instance_id: str, host: Row, larger: Row) -> bool:
    """Whether the pool of an instance's host stays N+k with the instance so large."""
    kept = store.spare_pools(conn).get(host["pool"])
    if kept is None:
        return True
    store.lock_pools(conn, [kept["id"]])
    pool = _read(conn, kept)
    mine = next(one for one in pool.residents if one.key == instance_id)
    as_it_is, place = devices.holder({**larger, "id": mine.key, "kind": mine.item.kind, "host_id": mine.host_id})
    asked = {"baseline": larger["cpu_baseline"], "gpu_models": (larger["gpu_model"],) if larger["gpu_model"] else ()}
    item = replace(mine.item, resources=as_it_is.resources, gpu_milli=as_it_is.gpu_milli, cells=as_it_is.cells, **asked)
    pool.fleet.release_item(mine.item, mine.place)
    pool.fleet.claim_at([(item, place)])
    after = [replace(one, item=item).at(place) if one is mine else one for one in pool.residents]
    return all(verdict.ok for verdict in survives(pool.fleet, after, {pool.name: pool.spare_hosts}))


def room_for(conn: Connection, item: Item, host: Row) -> bool:
    """Whether the pool of a host stays N+k with that there, too."""
    kept = store.spare_pools(conn).get(host["pool"])
    if kept is None:
        return True
    store.lock_pools(conn, [kept["id"]])
    return _read(conn, kept).lacks([(item, host["id"])]) is None


def avoid(draft: Draft, pool: str, pools: Sequence[str]) -> None:
    """Make the draft look for places outside a pool; where none is left, it looks in a pool that there isn't."""
    left = [tuple(name for name in wish.pools or pools if name != pool) or (NOWHERE,) for wish in draft.wishes()]
    draft.elsewhere = [replace(wish, pools=names) for wish, names in zip(draft.wishes(), left, strict=True)]
