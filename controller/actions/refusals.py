"""Refusals that explain themselves: which limit, which rule, and the smallest change that would do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from controller import errors
from controller.model.identity import Identity, Right
from controller.model.placement import counts
from quotas import check as quota
from scheduler.explain import changed, explain
from scheduler.fleet import Fleet
from scheduler.place import capacity, place
from scheduler.reasons import reasons
from scheduler.search import sort_of
from scheduler.types import Change, Item, NoValidHost, RuleCount

_TRIED = 4  # other places, those with most room first: each may take a proof


def quota_exceeded(identity: Identity, over: Sequence[quota.Over], project: Mapping[str, Any]) -> errors.QuotaExceeded:
    """Every limit that would be passed.

    What an ancestor has in use is the sum of departments that the caller may know nothing of, so its numbers are shown only to those who
    may read it.
    """
    shown = []
    for one in over:
        ancestors = project["ancestors"][: project["ancestors"].index(one.project_id) + 1]
        row: dict[str, Any] = {"project": one.path, "kind": one.kind, "resource": one.resource, "asked": one.asked}
        if identity.may(Right.READ, ancestors):
            row |= {"limit": one.limit, "used": one.used, "held": one.held, "free": max(0, one.limit - one.used - one.held)}
        shown.append(row)
    first = over[0]
    return errors.QuotaExceeded(details={"over": shown}, project=first.path, resource=first.resource, asked=first.asked, count=len(over))


@dataclass(frozen=True, slots=True)
class Offers:
    """What else there is to offer. `flavors`: wishes of other flavors by name, the best first, in place of the refused one's. `stands`:
    whether a gang for which there is room may have it. `items`: numbers of the request's items that a change is to be applied to.
    """

    flavors: Sequence[tuple[str, Sequence[Item]]]
    stands: Callable[[Sequence[Item]], bool]
    items: Sequence[int]


def no_spare(
    hosts: int, fits: int, rules: Sequence[RuleCount] = (), items: Sequence[int] = (), changes: Iterable[Change] = ()
) -> errors.NoCapacity:
    """There is room on hosts (`fits`) that no other rule excludes, and it is kept for what other hosts run."""
    kept = {"rule": "spare_hosts", "excluded": fits}
    details = {"rules": [*counts(rules), kept], "alone": [kept], "items": list(items), "changes": _told(changes)}
    return errors.NoCapacity(details={"hosts": hosts, **details}, hosts=hosts)


def kept_back(fleet: Fleet, gang: Sequence[Item], key: str, offers: Offers, later: datetime | None = None) -> errors.NoCapacity:
    """A gang, of which item `key` found no place but on hosts to spare, with changes that would fit. `later`: a start that would."""
    why = reasons(fleet, next(item for item in gang if item.key == key))
    changes = (*_moderate(fleet, gang, key, offers.stands), *_flavor(fleet, offers), *_start(later))
    return no_spare(why.hosts, why.fits, why.rules, offers.items, changes)


def no_capacity(
    fleet: Fleet,
    gang: Sequence[Item],
    refusal: NoValidHost,
    offers: Offers,
    later: datetime | None = None,
    preemption: Mapping[str, Any] | None = None,
    may_preempt: bool = False,
) -> errors.NoCapacity:
    """Each rule with the number of hosts it excluded, and changes that would fit; no host is named.

    `later`: a start that would; `preemption`: who would make room, for operators; `may_preempt`: to ask again and preempt would do.
    """
    full = explain(fleet, gang) or refusal
    found = [change for change in full.changes if offers.stands(changed(gang, full.key, change))]
    if lost := {change.what for change in full.changes} - {change.what for change in found}:
        found += [change for change in _moderate(fleet, gang, full.key, offers.stands) if change.what in lost]
    offered = (*_flavor(fleet, offers), *_start(later), *((Change("preempt", {}),) if may_preempt else ()))
    details: dict[str, Any] = {
        "hosts": full.hosts,
        "rules": counts(full.rules),
        "alone": counts(full.alone),
        "items": list(offers.items),
        "changes": _told((*found, *offered)),
    }
    if preemption is not None:
        details["preemption"] = preemption
    return errors.NoCapacity(details=details, hosts=full.hosts)


def _moderate(fleet: Fleet, gang: Sequence[Item], key: str, stands: Callable[[Sequence[Item]], bool]) -> Iterator[Change]:
    """What may be had where hosts to spare are in the way: another place, where one was named, and fewer instances, the most that stand."""
    refused = next(item for item in gang if item.key == key)
    for label, asked in (("zone", refused.zones), ("site", refused.sites), ("pool", refused.pools)):
        others = [Change(f"other_{label}", {label: name}) for name in fleet.names(label) if name and asked and name not in asked]
        others.sort(key=lambda change: -capacity(fleet, changed([refused], key, change)[0]))
        yield from islice((change for change in others[:_TRIED] if stands(changed(gang, key, change))), 1)
    least, most = 0, sum(sort_of(item) == sort_of(refused) for item in gang) - 1
    while least < most:
        trial = (least + most + 1) // 2
        if stands(changed(gang, key, Change("fewer_instances", {"count": trial}))):
            least = trial
        else:
            most = trial - 1
    yield from [Change("fewer_instances", {"count": least})] if least else []


def _flavor(fleet: Fleet, offers: Offers) -> Iterable[Change]:
    """The first of the other flavors with which all would fit."""
    for name, gang in offers.flavors:
        if not isinstance(place(fleet, [gang])[0], NoValidHost) and offers.stands(gang):
            yield Change("other_flavor", {"flavor": name})
            return


def _start(later: datetime | None) -> tuple[Change, ...]:
    return () if later is None else (Change("later", {"starts_at": later.strftime("%Y-%m-%dT%H:%M:%SZ")}),)


def _told(changes: Iterable[Change]) -> list[dict[str, Any]]:
    return [{"change": change.what, **change.params} for change in changes]
