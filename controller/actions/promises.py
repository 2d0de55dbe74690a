"""Promises: where there is no room for a request now, the places of instances that end before it is to begin.

In: a draft that found no place. Out: with a start in the future, its places, some held now and some promised (`draft.after`); without one,
the earliest start with which the same would succeed, to be offered. What is safe, and why:

- The ledger is never over a host: a promised row counts for its project, and for the host only when the other's row goes; the database
  hands over, in one transaction, under the lock of the host (`migrations/versions/0008_terms.py`).
- A place is promised once: the instance that leaves is locked while it is promised, and looked at again under that lock. What would break
  the promise (making it smaller or larger, protecting it, more time for it) is refused from then on; its early end breaks nothing.
- What is offered is what will be done: offer and promise come from the same function over the same slots (`scheduler.later`), and a slot
  that counts for a moment counts for every later one.
- N+k: in a pool that keeps hosts to spare whoever takes over is no harder to restart than who was there, so that what was proved for the
  one holds for the other; what is held now is proved as any placement is, or held elsewhere.
- Locks in the order of all: sums, hosts, then the instances that leave, for which nobody is waited.

A draft with a start in the future is alone in its batch, as what it is given is not free now. Rejected: reserving free room ahead of time
(it would stand empty), and placing when the time comes (that would be no promise).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

from sqlalchemy import Connection

from controller.actions import spare
from controller.actions.draft import Draft, Row
from controller.actions.fleet_view import lock
from controller.actions.plans import residents_of
from controller.model import devices
from controller.model.term import AHEAD_DAYS
from controller.store import fleet, residents, terms
from scheduler import later
from scheduler.fleet import Fleet
from scheduler.later import Arrangement, Slot
from scheduler.types import Item, Placement

_LOOKS = 5  # how often it is decided anew when hosts or those who leave change under it


def take(conn: Connection, view: Fleet, draft: Draft, now: datetime) -> list[Placement] | None:
    """Places for a draft that starts later (`draft.after`: whose, for those promised); None where there are none by then."""
    until = draft.submission.starts_at
    if until is None or until <= now:
        return None
    for _ in range(_LOOKS):
        rows = _leaving(conn, draft, until)
        found = _arrange(conn, view, draft, _slots(conn, rows.values()))
        if found is None:
            return None
        chosen = {slot.key for slot in found.slots.values()}
        hosts = {to.host_id for to in found.now.values()} | {slot.host_id for slot in found.slots.values()}
        _, changed = lock(conn, view, hosts)
        if changed or not chosen <= terms.lock_leaving(conn, sorted(chosen)):
            continue
        again = _leaving(conn, draft, until)
        if all(again.get(key) == rows[key] for key in chosen):
            draft.after = {key: rows[slot.key] for key, slot in found.slots.items()}
            return [found.now.get(unit.id) or found.then[unit.id] for unit in draft.units]
    return None


def offer(conn: Connection, view: Fleet, draft: Draft, now: datetime) -> datetime | None:
    """The earliest start with which the draft would be taken, where there is one; whole seconds."""
    slots = _slots(conn, _leaving(conn, draft, now + timedelta(days=AHEAD_DAYS - 1)).values())
    for held in _holdings(conn, draft) if slots else ():
        moment = later.earliest(view, _wishes(draft), slots, held)
        if moment is not None:
            by_then = [slot for slot in slots if slot.ends <= moment]
            if _arrange(conn, view, draft, by_then) is not None:
                return datetime.fromtimestamp(moment, UTC)
    return None


def _wishes(draft: Draft) -> list[Item]:
    return [unit.wish for unit in draft.units]


def _leaving(conn: Connection, draft: Draft, until: datetime) -> dict[str, Row]:
    """Who leaves by then and may be of use to the draft, by id."""
    wishes = _wishes(draft)
    least = {size: min(getattr(wish.resources, size) for wish in wishes) for size in devices.SIZES}
    pools = {name for wish in wishes for name in wish.pools} if all(wish.pools for wish in wishes) else set()
    arches = {wish.arch for wish in wishes}
    return {
        row["id"]: row for row in terms.slots(conn, until, least, [] if None in arches else sorted(filter(None, arches)), sorted(pools))
    }


def _slots(conn: Connection, rows: Any) -> list[Slot]:
    """Those who leave, in the scheduler's words."""
    leaving = list(rows)
    careful = fleet.spare_pools(conn) if leaving else {}
    there = [row["id"] for row in leaving if row["pool"] in careful]
    like: Mapping[str, Item] = {one.key: one.item for one in residents_of(conn, residents.some(conn, there))} if there else {}
    return [
        Slot(
            row["id"],
            row["host_id"],
            devices.resources(row if row["even"] else row | {"gpus": 0}),
            math.ceil(row["term_ends_at"].timestamp()),
            like[row["id"]] if row["pool"] in careful else None,
            *devices.left_by(row),
        )
        for row in leaving
    ]


def _holdings(conn: Connection, draft: Draft) -> Sequence[list[Item]]:
    """What may be held now, the first choice first: anywhere, or where no hosts are kept to spare."""
    spare_pools = fleet.spare_pools(conn)
    if not spare_pools:
        return [_wishes(draft)]
    pools = fleet.pool_names(conn)
    left = [tuple(name for name in wish.pools or pools if name not in spare_pools) or (spare.NOWHERE,) for wish in _wishes(draft)]
    return [_wishes(draft), [replace(wish, pools=names) for wish, names in zip(_wishes(draft), left, strict=True)]]


def _arrange(conn: Connection, view: Fleet, draft: Draft, slots: Sequence[Slot]) -> Arrangement | None:
    """Where each goes, such that every pool that keeps hosts to spare could do with what is held now."""
    for held in _holdings(conn, draft):
        found = later.arrange(view, _wishes(draft), slots, held)
        if found is not None and not spare.broken(conn, view, [draft], [list(found.now.values())], ()):
            return found
    return None
