"""Doing what `tenancy` says: each object that is not as it should be is applied in one request (server-side apply), the others cost
nothing.

A project that is there no more goes in two steps, two calls of `settle` apart: its quota becomes zero and its namespace bears a mark;
then, if the namespace is still as it was marked and nothing is in it, it is deleted, both as conditions of the deletion itself. A create
that comes between is refused by the quota, or makes the deletion fail: either way nothing that was accepted is lost.
"""

from __future__ import annotations

import time
from collections.abc import Sequence
from contextlib import suppress
from typing import Any, Final

from drivers.container import Tenant
from drivers.errors import DriverError, HostUnreachable, Unauthorized
from drivers.kubernetes import names
from drivers.kubernetes.api import APPLY, Api
from drivers.kubernetes.failures import Collided, Gone
from drivers.kubernetes.options import Options
from drivers.kubernetes.records import Thing
from drivers.kubernetes.tenancy import OURS, holds, in_force, marked, nothing, overcounts, path, recounted, surroundings
from drivers.kubernetes.view import View

ROUTINE: Final = {"fieldManager": names.MANAGER, "force": "true"}


def settle(api: Api, view: View, owner: str, options: Options, tenants: Sequence[Tenant], whole: bool) -> None:
    """All that can be done is done; then the first failure is raised."""
    failed: DriverError | None = None
    for tenant in tenants:
        for wanted in surroundings(tenant, owner, options):
            try:
                _apply(api, view, wanted if whole else _counted(view, wanted))
            except (HostUnreachable, Unauthorized):
                raise
            except DriverError as error:
                failed = failed or error
        _drop_services(api, view, tenant, owner)
    if whole:
        named = {names.namespace_of(owner, tenant.project_id) for tenant in tenants}
        for namespace in view.things["Namespace"].all():
            if namespace.labels.get(names.OWNER) == names.label(owner) and namespace.name not in named:
                with suppress(Collided, Gone):  # somebody was quicker: looked at again next time
                    _empty(api, view, owner, namespace)
    if failed is not None:
        raise failed


def _counted(view: View, wanted: dict[str, Any]) -> dict[str, Any]:
    """As wanted; of a quota that counts what is not there, so that it counts anew: whoever asks for one project was refused something."""
    namespace = wanted["metadata"].get("namespace", "")
    if wanted["kind"] != "ResourceQuota" or not overcounts(view.thing("ResourceQuota", namespace, OURS), view.inhabitants(namespace)):
        return wanted
    return recounted(wanted, time.time())


def _apply(api: Api, view: View, wanted: dict[str, Any]) -> None:
    kind, metadata = wanted["kind"], wanted["metadata"]
    namespace, name = metadata.get("namespace", ""), metadata["name"]
    if not holds(view.thing(kind, namespace, name), wanted):
        view.wrote(kind, api.call("PATCH", path(kind, namespace, name), wanted, APPLY, **ROUTINE))


def _drop_services(api: Api, view: View, tenant: Tenant, owner: str) -> None:
    namespace = names.namespace_of(owner, tenant.project_id)
    for one in view.things["Service"].all():
        if one.namespace == namespace and one.name not in tenant.services and not one.deleting:
            with suppress(Gone):
                api.call("DELETE", path("Service", namespace, one.name), {"preconditions": {"uid": one.uid}})


def _empty(api: Api, view: View, owner: str, namespace: Thing) -> None:
    """One of the two steps."""
    name, project_id = namespace.name, namespace.annotations.get(names.PROJECT, "")
    if namespace.deleting or view.occupied(name) or _claimed(view, name) or name != names.namespace_of(owner, project_id):
        return
    if names.EMPTYING not in namespace.annotations:
        view.wrote("ResourceQuota", api.call("PATCH", path("ResourceQuota", name, OURS), nothing(project_id, owner), APPLY, **ROUTINE))
        view.wrote("Namespace", api.call("PATCH", path("Namespace", "", name), marked(namespace), APPLY, **ROUTINE))
        return
    if not in_force(view.thing("ResourceQuota", name, OURS)) or api.call("GET", f"/api/v1/namespaces/{name}/pods", limit="1")["items"]:
        return
    conditions = {"preconditions": {"uid": namespace.uid, "resourceVersion": str(namespace.version)}}
    view.wrote("Namespace", api.call("DELETE", path("Namespace", "", name), conditions))


def _claimed(view: View, namespace: str) -> bool:
    return any(claim.namespace == namespace for claim in view.things["PersistentVolumeClaim"].all())
