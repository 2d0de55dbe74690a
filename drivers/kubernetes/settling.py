"""Doing what `tenancy` says: each object that is not as it should be is applied in one request (server-side apply), the others cost
nothing.

A project that is there no more goes in two steps, two calls of `settle` apart: its quota becomes zero and its namespace bears a mark;
then, if the namespace is still as it was marked and nothing is in it, it is deleted, both as conditions of the deletion itself. A create
that comes between is refused by the quota, or makes the deletion fail: either way nothing that was accepted is lost.

What was as it should be (`kept`) and then is not, while the same is wanted, somebody changed or removed; that is told of. Where it is not
certain that it was somebody else (a namespace that came anew, a write of another thread of ours), nobody is accused.
"""

from __future__ import annotations

import hashlib
import time
from collections import deque
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

import orjson

from drivers.container import Meddling, Tenant
from drivers.errors import DriverError, HostUnreachable, Unauthorized
from drivers.kubernetes import names
from drivers.kubernetes.api import APPLY, Api
from drivers.kubernetes.failures import Collided, Gone
from drivers.kubernetes.options import Options
from drivers.kubernetes.records import Thing
from drivers.kubernetes.tenancy import CLAIMS, OURS, PODS, holds, in_force, marked, nothing, overcounts, path, recounted, surroundings
from drivers.kubernetes.view import View

Json = dict[str, Any]
ROUTINE: Final = {"fieldManager": names.MANAGER, "force": "true"}


@dataclass(frozen=True, slots=True)
class Kept:
    """That an object was as it should be: what was wanted (a digest), in which namespace (its uid), at which version of the object."""

    wanted: bytes
    namespace: str
    version: int


class Settling:
    """The surroundings of projects, as one driver keeps them. Any number of threads may settle at once."""

    def __init__(self, api: Api, view: View, owner: str, options: Options, mended: deque[Meddling]) -> None:
        self._api, self._view, self._owner, self._options = api, view, owner, options
        self._kept: dict[str, dict[str, Kept]] = {}  # by namespace, then by path
        self._mended = mended

    def settle(self, tenants: Sequence[Tenant], whole: bool) -> None:
        """All that can be done is done; then the first failure is raised."""
        failed: DriverError | None = None
        for tenant in tenants:
            for wanted in surroundings(tenant, self._owner, self._options):
                try:
                    self._apply(tenant, wanted if whole else self._counted(wanted))
                except (HostUnreachable, Unauthorized):
                    raise
                except DriverError as error:
                    failed = failed or error
            self._drop_services(tenant)
        if whole:
            named = {names.namespace_of(self._owner, tenant.project_id) for tenant in tenants}
            for namespace in self._namespaces():
                if namespace.name not in named:
                    self._kept.pop(namespace.name, None)
                    with suppress(Collided, Gone):  # somebody was quicker: looked at again next time
                        self._empty(namespace)
        if failed is not None:
            raise failed

    def meddled(self) -> list[Meddling]:
        """What was mended since this was asked last, and the pods and claims for devices that stand among ours."""
        found = [self._mended.popleft() for _ in range(len(self._mended))]
        for namespace in self._namespaces():
            project = namespace.annotations.get(names.PATH, "")
            beside = [f"pod {namespace.name}/{name}" for name in self._view.strangers(namespace.name)]
            beside += [f"ResourceClaim {namespace.name}/{name}" for name in self._view.gpus.strangers(namespace.name)]
            found += [Meddling(project, what, mended=False) for what in beside]
        return found

    def _namespaces(self) -> list[Thing]:
        return [one for one in self._view.things["Namespace"].all() if one.labels.get(names.OWNER) == names.label(self._owner)]

    def _counted(self, wanted: Json) -> Json:
        """As wanted; of a quota that counts what is not there, so that it counts anew: who asks for one project was refused something."""
        namespace = wanted["metadata"].get("namespace", "")
        if wanted["kind"] != "ResourceQuota":
            return wanted
        there = {PODS: self._view.inhabitants(namespace), CLAIMS: self._view.gpus.inhabitants(namespace)}
        if not overcounts(self._view.thing("ResourceQuota", namespace, OURS), there):
            return wanted
        return recounted(wanted, time.time())

    def _apply(self, tenant: Tenant, wanted: Json) -> None:
        kind, metadata = wanted["kind"], wanted["metadata"]
        namespace, name = metadata.get("namespace", ""), metadata["name"]
        where, seen = path(kind, namespace, name), self._view.thing(kind, namespace, name)
        own = self._view.thing("Namespace", "", namespace or name)
        known = self._kept.setdefault(namespace or name, {})
        digest = hashlib.sha256(orjson.dumps(wanted, option=orjson.OPT_SORT_KEYS)).digest()
        if seen is None or not holds(seen, wanted):
            meddled = _meddled(known.get(where), digest, seen, own)
            seen = self._write(kind, where, wanted)
            if meddled:
                self._mended.append(Meddling(tenant.project, f"{kind} {'/'.join(filter(None, (namespace, name)))}", mended=True))
        if where not in known or known[where].version <= seen.version:
            known[where] = Kept(digest, seen.uid if kind == "Namespace" else own.uid if own else "", seen.version)

    def _drop_services(self, tenant: Tenant) -> None:
        namespace = names.namespace_of(self._owner, tenant.project_id)
        for one in self._view.things["Service"].all():
            if one.namespace == namespace and one.name not in tenant.services and not one.deleting:
                where = path("Service", namespace, one.name)
                self._kept.get(namespace, {}).pop(where, None)
                with suppress(Gone):
                    self._api.call("DELETE", where, {"preconditions": {"uid": one.uid}})

    def _empty(self, namespace: Thing) -> None:
        """One of the two steps."""
        name, project_id = namespace.name, namespace.annotations.get(names.PROJECT, "")
        if namespace.deleting or self._view.occupied(name) or self._claimed(name) or name != names.namespace_of(self._owner, project_id):
            return
        if names.EMPTYING not in namespace.annotations:
            self._write("ResourceQuota", path("ResourceQuota", name, OURS), nothing(project_id, self._owner))
            self._write("Namespace", path("Namespace", "", name), marked(namespace))
            return
        pods = f"/api/v1/namespaces/{name}/pods"
        if not in_force(self._view.thing("ResourceQuota", name, OURS)) or self._api.call("GET", pods, limit="1")["items"]:
            return
        conditions = {"preconditions": {"uid": namespace.uid, "resourceVersion": str(namespace.version)}}
        self._view.wrote("Namespace", self._api.call("DELETE", path("Namespace", "", name), conditions))

    def _write(self, kind: str, where: str, wanted: Json) -> Thing:
        return self._view.wrote(kind, self._api.call("PATCH", where, wanted, APPLY, **ROUTINE))

    def _claimed(self, namespace: str) -> bool:
        claims = self._view.things["PersistentVolumeClaim"].all()
        return self._view.gpus.inhabitants(namespace) > 0 or any(claim.namespace == namespace for claim in claims)


def _meddled(kept: Kept | None, wanted: bytes, seen: Thing | None, namespace: Thing | None) -> bool:
    """Whether somebody else made an object what it is now, as far as that is certain."""
    if kept is None or kept.wanted != wanted or namespace is None or namespace.uid != kept.namespace:
        return False
    if namespace.deleting or names.EMPTYING in namespace.annotations:
        return False
    return seen is None or seen.version > kept.version
