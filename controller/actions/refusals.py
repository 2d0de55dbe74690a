"""Refusals that explain themselves: which limit, which rule, and the smallest change that would do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from controller import errors
from controller.model.identity import Identity, Right
from quotas import check as quota
from scheduler.explain import explain
from scheduler.fleet import Fleet
from scheduler.types import Change, Item, NoValidHost


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


def no_spare(hosts: int) -> errors.NoCapacity:
    """There is room, and it is kept for what other hosts run."""
    rules = [{"rule": "spare_hosts", "excluded": hosts}]
    return errors.NoCapacity(details={"hosts": hosts, "rules": rules, "alone": rules, "changes": []}, hosts=hosts)


def no_capacity(
    fleet: Fleet, gang: Sequence[Item], refusal: NoValidHost, preemption: Mapping[str, Any] | None = None, may_preempt: bool = False
) -> errors.NoCapacity:
    """Each rule with the number of hosts it excluded, and changes that would fit; no host is named.

    `preemption`: who would make room, for operators; `may_preempt`: to ask again and preempt would do.
    """
    full = explain(fleet, gang) or refusal
    offered = (Change("preempt", {}),) if may_preempt else ()
    details: dict[str, Any] = {
        "hosts": full.hosts,
        "rules": [{"rule": rule.rule, "excluded": rule.excluded} for rule in full.rules if rule.excluded],
        "alone": [{"rule": rule.rule, "excluded": rule.excluded} for rule in full.alone if rule.excluded],
        "changes": [{"change": change.what, **change.params} for change in (*full.changes, *offered)],
    }
    if preemption is not None:
        details["preemption"] = preemption
    return errors.NoCapacity(details=details, hosts=full.hosts)
