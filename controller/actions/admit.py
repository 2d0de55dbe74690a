"""Admission: the one place where quota and capacity are taken.

Enters: submissions that wait together. Leaves: for each, what was accepted or the error that says why not. All of them share one
transaction, so that the sums of a root that bounds everybody are locked once for many requests, not once for each. Inside it:

1. resolve names, check rights and sizes (nothing is locked yet);
2. lock the sums of every project on every path, in one order; from here nobody else admits below them;
3. answer repeated calls; put the others in their turns (class, fair share, arrival); check the tree of limits; place; lock the chosen
   hosts and make sure that they still have the room;
4. write requests, allocations, instances, events and answers.

The invariant: at every commit no project and no ancestor is over a limit and no host over its capacity, because whoever adds to a sum holds
its lock from before the check until the commit. Rejected: optimistic claims by every request thread (most lose), and reservation tables
beside the ledger (they drift).
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection

from controller import errors
from controller.actions import fronts, guard, preempting, promises, spare, terms
from controller.actions.admitted import placement_row, refusal_row, write
from controller.actions.draft import Accepted, Admission, Draft, Explained, NewId, Outcome, Row, Unit, held
from controller.actions.fit import check_fit
from controller.actions.fleet_view import FleetView, lock
from controller.actions.lifetimes import kin
from controller.actions.offers import offers
from controller.actions.refusals import kept_back, no_capacity, quota_exceeded
from controller.actions.spare import Results
from controller.actions.turns import in_turn
from controller.model import container, devices, naming, translate
from controller.model.identity import Right
from controller.model.request import RANKS, Item, Submission, in_force, within
from controller.store import answers, catalogue, fleet, placements, projects, requests, sql
from quotas import check as quota
from scheduler import types as scheduler
from scheduler.fleet import Fleet
from scheduler.place import place

_ADVISED = 2  # refusals of one batch that are told whether preempting would do: it is a search, and the others wait for it
_SHORT = {"container": "app", "bare_metal": "metal"}  # how instances that nobody named are called
_LOOKS = 5  # how often a placement is decided anew when hosts change under it


def admit(conn: Connection, admission: Admission, submissions: Sequence[Submission]) -> list[Outcome]:
    """Take, or refuse, submissions, each in its turn (`actions.turns`); the outcomes in the order in which they were given.

    The caller owns the transaction, and makes the fleet view forget what it holds when it does not commit. Explanations, whose places are
    not taken, and submissions that preempt or start later, whose places are not free, come alone.
    """
    now = sql.scalar(conn, "SELECT now()")
    drafts = _resolve(conn, admission, submissions, now)
    _answer_repeated(conn, [draft for draft in drafts if draft.outcome is not None])  # it meant something when it was taken
    open_drafts = [draft for draft in drafts if draft.outcome is None]
    if open_drafts:
        paths = {id_ for draft in open_drafts for id_ in draft.project["ancestors"]}
        nodes = projects.nodes(conn, paths | preempting.owners(conn, open_drafts), lock=True)
        _answer_repeated(conn, open_drafts)
        open_drafts = in_turn([draft for draft in open_drafts if draft.outcome is None], nodes)
        _check_names(conn, open_drafts)
        fronts.check(conn, open_drafts)
        _protect(conn, open_drafts)
        _foresee(conn, admission.view, open_drafts, now)
        _decide(conn, admission, open_drafts, nodes, now)
        placements.add(conn, [row for draft in open_drafts for row in draft.records])
        write(conn, admission, [draft for draft in open_drafts if draft.outcome is None], now)
    return [draft.outcome for draft in drafts if draft.outcome is not None]


# -- 1: what the names mean ------------------------------------------------------------------------------------------------------


def _resolve(conn: Connection, admission: Admission, submissions: Sequence[Submission], now: datetime) -> list[Draft]:
    known = projects.find(conn, (submission.project for submission in submissions))
    chain = projects.find(conn, {id_ for row in known.values() for id_ in row["ancestors"]})
    items = [item for submission in submissions for item in submission.items]
    flavors = catalogue.find(conn, "flavors", (item.flavor for item in items))
    images = catalogue.find(conn, "images", (item.image for item in items if item.image))
    pools = fleet.pools(conn, (name for item in items for name in (item.pool, item.hypervisor) if name))
    zones = fleet.zones(conn) if any(item.zone for item in items) else set()
    sites = fleet.sites(conn) if any(item.site for item in items) else set()
    drafts = []
    for submission in submissions:
        draft = Draft(submission, known.get(submission.project) or {}, False, admission.new_id())
        try:
            _may(submission, draft.project)
            terms.check(submission, now)
            for number, item in enumerate(submission.items):
                _add_units(draft, number, item, _Meaning(flavors, images, pools, zones, sites), admission.new_id)
            draft.policy = in_force([chain[id_] for id_ in draft.project["ancestors"]])
            if submission.rank > RANKS[draft.policy["max_priority"]]:
                raise errors.Forbidden(
                    "priority_too_high", priority=submission.priority, most=draft.policy["max_priority"], project=draft.project["path"]
                )
            draft.auto = within(draft.policy["auto_approve"], _totals(draft.asked))
            if submission.direct and not draft.auto:
                raise errors.ApprovalRequired(project=draft.project["path"])
            if submission.preempt:
                _may_preempt(draft)
        except errors.ControllerError as error:
            draft.outcome = error
        drafts.append(draft)
    return drafts


@dataclass(frozen=True, slots=True)
class _Meaning:
    flavors: Mapping[str, Row]
    images: Mapping[str, Row]
    pools: Mapping[str, Row]
    zones: set[str]
    sites: set[str]


def _may(submission: Submission, project: Row) -> None:
    if not project or not submission.identity.may(Right.READ, project["ancestors"]):
        raise errors.NotFound("project_not_found", project=submission.project)
    if not submission.identity.may(Right.USE, project["ancestors"]):
        raise errors.Forbidden("needs_right", right=Right.USE, project=project["path"])
    if any(item.hypervisor for item in submission.items):
        guard.overall(submission.identity, Right.OPERATE)
        if submission.ends or any(item.hypervisor and item.preemptible for item in submission.items):
            raise errors.InvalidRequest("hypervisor_stays")


def _may_preempt(draft: Draft) -> None:
    if not draft.policy["may_preempt"]:
        raise errors.Forbidden("may_not_preempt", project=draft.project["path"])
    if not draft.auto:
        raise errors.Forbidden("preempt_undecided", project=draft.project["path"])


def _totals(asked: Mapping[tuple[str, str], int]) -> dict[str, int]:
    totals: dict[str, int] = {}
    for (_, resource), amount in asked.items():
        totals[resource] = totals.get(resource, 0) + amount
    return totals


def _add_units(draft: Draft, number: int, item: Item, meaning: _Meaning, new_id: NewId) -> None:
    flavor = meaning.flavors.get(item.flavor)
    if flavor is None:
        raise errors.InvalidRequest("unknown_flavor", item=number + 1, flavor=item.flavor)
    image = container.source(item.container, flavor["arch"]) if item.container else meaning.images.get(item.image or "")
    if image is None:
        raise errors.InvalidRequest("unknown_image", item=number + 1, image=item.image)
    for pool in (item.pool, item.hypervisor):
        if pool and pool not in meaning.pools:
            raise errors.InvalidRequest("unknown_pool", item=number + 1, pool=pool)
    if item.zone and item.zone not in meaning.zones:
        raise errors.InvalidRequest("unknown_zone", item=number + 1, zone=item.zone)
    if item.site and item.site not in meaning.sites:
        raise errors.InvalidRequest("unknown_site", item=number + 1, site=item.site)
    check_fit(number, item.kind, flavor, image)
    hypervisor = meaning.pools[item.hypervisor]["name"] if item.hypervisor else None
    group = f"{draft.request_id}/{number}"
    wish: dict[str, Any] = {
        "kind": item.kind,
        **devices.wish(flavor),
        "arch": image["arch"] or None,
        "traits": devices.traits(item.kind, flavor),
        "pools": (meaning.pools[item.pool]["name"],) if item.pool else (),
        "zones": (item.zone,) if item.zone else (),
        "sites": (item.site,) if item.site else (),
        "spread": translate.spread(item.spread, group),
    }
    for name in naming.instance_names(item.name or _called(draft, number, item), item.count):
        id_ = new_id()
        draft.units.append(Unit(id_, number, name, flavor, image, scheduler.Item(key=id_, **wish), hypervisor))
    for resource, amount in (("instances", 1), *((size, flavor[size]) for size in devices.SIZES[:3]), ("gpus", devices.gpus(flavor))):
        key = (item.kind, resource)
        draft.asked[key] = draft.asked.get(key, 0) + amount * item.count


def _called(draft: Draft, number: int, item: Item) -> str:
    """The name of an item that nobody named: of its request, and of its place there where it isn't the only one."""
    name = f"{_SHORT.get(item.kind, item.kind)}-{draft.request_id[-8:]}"
    return f"{name}-{number + 1}" if len(draft.submission.items) > 1 else name


# -- 3: repeated, named, bounded, placed -----------------------------------------------------------------------------------------


def _answer_repeated(conn: Connection, drafts: Sequence[Draft]) -> None:
    """Calls whose key was answered before get that answer; of several with one key in this batch, all but the first get the first's."""
    keyed = [draft for draft in drafts if draft.submission.key]
    known = answers.find(conn, ((draft.submission.identity.user_id, draft.submission.key or "") for draft in keyed))
    for draft in keyed:
        found = known.get((draft.submission.identity.user_id, draft.submission.key or ""))
        if found is None:
            continue
        if found["fingerprint"] != draft.submission.fingerprint:
            draft.outcome = errors.Conflict("key_reused", key=draft.submission.key)
        else:
            draft.outcome = Accepted({}, (), (found["status"], found["body"]))


def _protect(conn: Connection, drafts: Sequence[Draft]) -> None:
    """Say in the wishes which level is asked for and which dedicated hosts may be used: read now, as no level changes under these locks."""
    dedicated = fleet.tenants(conn)
    levels = projects.levels(conn, (draft.project["ancestors"] for draft in drafts))
    for draft in drafts:
        level, tenants = levels[draft.project["id"]], tuple(id_ for id_ in draft.project["ancestors"] if id_ in dedicated)
        if level or tenants:
            draft.units = [replace(unit, wish=replace(unit.wish, level=level, tenants=tenants)) for unit in draft.units]


def _foresee(conn: Connection, view: FleetView, drafts: Sequence[Draft], now: datetime) -> None:
    """Look at the fleet, and say in the wishes for how long they may run."""
    view.refresh(conn, now)
    for draft in drafts:
        kins = {unit.item: kin(draft.project["id"], unit.wish.kind, unit.flavor) for unit in draft.units}
        alive = {item: view.alive(one, draft.submission.term_days) for item, one in kins.items()}
        draft.units = [replace(unit, wish=replace(unit.wish, alive=alive[unit.item])) for unit in draft.units]


def _check_names(conn: Connection, drafts: Sequence[Draft]) -> None:
    wanted = {(draft.project["id"], unit.name) for draft in drafts if draft.outcome is None for unit in draft.units}
    taken = requests.names_taken(conn, wanted) if wanted else set()
    for draft in drafts:
        if draft.outcome is not None:
            continue
        names = [(draft.project["id"], unit.name) for unit in draft.units]
        clash = next((name for number, name in enumerate(names) if name in taken or name in names[:number]), None)
        if clash is not None:
            draft.outcome = errors.AlreadyExists("instance_exists", name=clash[1], project=draft.project["path"])
        else:
            taken.update(names)


@dataclass(frozen=True, slots=True)
class _Round:
    """When it is, and of which projects the sums are locked."""

    locked: Collection[str]
    now: datetime


def _decide(conn: Connection, admission: Admission, drafts: Sequence[Draft], nodes: Mapping[str, quota.Node], now: datetime) -> None:
    """Check limits and place, until nothing changes: when one that was counted can't be placed, those that it kept out get another look."""
    admission.view.count(unit.wish for draft in drafts if draft.outcome is None and not draft.submission.explain for unit in draft.units)
    nodes = dict(nodes)
    waiting = [draft for draft in drafts if draft.outcome is None]
    accepted: list[Draft] = []
    while waiting:
        counted, over = [], []
        tentative = dict(nodes)
        for draft in waiting:
            path = [tentative[id_] for id_ in draft.project["ancestors"]]
            found = quota.check(path, draft.asked)
            if found:
                over.append((draft, found))
                continue
            counted.append(draft)
            _count(tentative, draft)
        placed, failed = _place(conn, admission, counted, accepted, _Round(nodes.keys(), now))
        accepted += placed
        for draft in placed:
            _count(nodes, draft)
        if over and failed:
            waiting = [draft for draft, _ in over]
            continue
        for draft, found in over:
            refusal = quota_exceeded(draft.submission.identity, found, draft.project)
            draft.outcome = Explained(refusal) if draft.submission.explain else refusal
        break


def _count(nodes: dict[str, quota.Node], draft: Draft) -> None:
    """Count an accepted draft in the sums of its path (in memory: the database does its own)."""
    if draft.submission.explain:
        return
    for id_ in draft.project["ancestors"]:
        node = nodes[id_]
        nodes[id_] = quota.Node(node.project_id, node.path, node.limits, quota.add(node.used, draft.asked), node.held)


def _place(
    conn: Connection, admission: Admission, drafts: Sequence[Draft], earlier: Sequence[Draft], this: _Round
) -> tuple[list[Draft], bool]:
    """Place drafts together; those that were, and whether any could not be. `earlier`: accepted before in this transaction."""
    view = admission.view.fleet
    results = spare.places(conn, view, drafts, earlier, lambda: _found(conn, view, drafts))
    placed: list[Draft] = []
    refused = 0
    for draft, result in zip(drafts, results, strict=True):
        found: list[scheduler.Placement] | None
        if isinstance(result, scheduler.NoValidHost):
            found = _otherwise(conn, admission, draft, result, [*earlier, *placed], this, refused < _ADVISED)
        else:
            found = result
        if found is None:
            refused += 1
        elif draft.submission.explain:
            draft.outcome = draft.outcome or Explained(None)
        else:
            draft.placements = found
            firsts = {unit.item: unit.id for unit in reversed(draft.units)}
            draft.records = [placement_row(conn, view, draft, admission.new_id, key) for key in reversed(firsts.values())]
            view.claim_at(held(draft, found))
            placed.append(draft)
    return placed, refused > 0


def _otherwise(
    conn: Connection,
    admission: Admission,
    draft: Draft,
    refusal: scheduler.NoValidHost,
    others: Sequence[Draft],
    this: _Round,
    advised: bool,
) -> list[scheduler.Placement] | None:
    """Places that others leave by its start, or give up for it; else None, and it is refused (`advised`: with what that would do)."""
    view, explained = admission.view.fleet, draft.submission.explain
    if found := promises.take(conn, view, draft, this.now):
        return found
    if draft.submission.preempt and not draft.elsewhere:
        if not explained and (found := preempting.take(conn, admission, draft, this.locked)):
            return found
        if explained and (room := preempting.look(conn, view, draft)):
            draft.outcome = Explained(None, preempting.told(room, view, draft))
            return list(room.found.placements)
    later = promises.offer(conn, view, draft, this.now) if advised else None
    wishes, offered = [unit.wish for unit in draft.units], offers(conn, view, draft, refusal.key, others, advised)
    if draft.elsewhere:
        error = kept_back(view, wishes, refusal.key, offered, later)
    else:
        advice = preempting.advice(conn, view, draft) if advised else (None, False)
        error = no_capacity(view, wishes, refusal, offered, later, *advice)
    draft.outcome = Explained(error) if explained else error
    draft.records = [] if explained else [refusal_row(view, draft, admission.new_id, refusal)]
    return None


def _found(conn: Connection, view: Fleet, drafts: Sequence[Draft]) -> Results:
    """Places for drafts, all together, on hosts that are locked from here on.

    The hosts chosen are locked and compared with what was decided upon; where one changed so that its share no longer fits, all is decided
    anew.
    """
    for _ in range(_LOOKS):
        results = place(view, [draft.wishes() for draft in drafts])
        chosen = {p.host_id for result in results if not isinstance(result, scheduler.NoValidHost) for p in result}
        labels = {id_: view.labels(id_) for id_ in chosen}
        _, changed = lock(conn, view, chosen)
        alike = all(view.labels(row["id"]) == labels[row["id"]] for row in changed)
        if not changed or (alike and _still_fits(view, changed, drafts, results)):
            return results
    raise errors.Unavailable("fleet_restless")


def _still_fits(view: Fleet, changed: Sequence[Row], drafts: Sequence[Draft], results: Results) -> bool:
    """Whether hosts that changed still have room for all that was decided to go there, on the very devices and in the very cells."""
    hosts = {row["id"] for row in changed if row["state"] == "up" and not row["cordoned"] and row["closed"] is None}
    placed = [(draft, result) for draft, result in zip(drafts, results, strict=True) if not isinstance(result, scheduler.NoValidHost)]
    coming = [one for draft, result in placed for one in held(draft, result) if one[1].host_id in {row["id"] for row in changed}]
    return all(to.host_id in hosts for _, to in coming) and view.have_room(coming)
