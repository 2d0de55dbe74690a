"""Refusals that explain themselves: which limit, which rule, and the smallest change that would do."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from controller import errors
from controller.model.identity import Identity, Right
from controller.model.placement import counts
from quotas import check as quota
from scheduler.explain import changed, explain
from scheduler.fleet import Fleet
from scheduler.place import place
from scheduler.types import Change, Item, NoValidHost, RuleCount


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


def no_spare(hosts: int, fits: int, rules: Sequence[RuleCount] = (), later: datetime | None = None) -> errors.NoCapacity:
    """There is room on hosts (`fits`) that no other rule excludes, and it is kept for what other hosts run.

    `later`: a start with which there would be other room.
    """
    kept = {"rule": "spare_hosts", "excluded": fits}
    told = [*counts(rules), kept]
    return errors.NoCapacity(details={"hosts": hosts, "rules": told, "alone": [kept], "changes": _told(_start(later))}, hosts=hosts)


@dataclass(frozen=True, slots=True)
class Offers:
    """What else there is to offer. `flavors`: wishes of other flavors by name, the best first, in place of the refused one's. `stands`:
    whether a gang for which there is room may have it. `items`: numbers of the request's items that a change is to be applied to.
    """

    flavors: Sequence[tuple[str, Sequence[Item]]]
    stands: Callable[[Sequence[Item]], bool]
    items: Sequence[int]


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
