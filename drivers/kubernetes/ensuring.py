"""Doing what `deciding` says, and removing: one request for each act. Cut short between any two, the next call goes on from what is there.

A pod comes before its Secret, which belongs to it and so goes with it whatever happens; the kubelet waits for it. Claims, for volumes and
for devices, come before their pod; they are watched, so that one whose pod was never made is seen, and removed.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, Final

from drivers.base import Health, InstanceSpec, Power
from drivers.container import Meddling
from drivers.errors import EvictionHeld, HostUnreachable, InvalidSpec, TenantUnsettled
from drivers.kubernetes import conditions, devices, names, nodes, returning, tenancy
from drivers.kubernetes import pod as making
from drivers.kubernetes.api import MERGE, Api
from drivers.kubernetes.deciding import SHORT_S, Act, acts
from drivers.kubernetes.devices import DeviceClaim
from drivers.kubernetes.failures import Collided, Gone, Held
from drivers.kubernetes.options import Options
from drivers.kubernetes.records import Pod
from drivers.kubernetes.view import View

CLASSES_S: Final = 60.0
UNREAD: Final = {"fieldManager": names.MANAGER, "fieldValidation": "Ignore"}
"""Nobody looks for misspelt fields in what a program wrote: it would be parsed twice."""


class PlaceTaken(InvalidSpec):
    """Something that isn't ours, or not whole any more, has the name of the instance's pod. Parameters: `detail`."""

    code = "place_taken"


@dataclass(slots=True)
class Storage:
    """Which storage classes bind late; asked for once a minute at most, and only where volumes are."""

    asked_at: float | None = None
    late: Mapping[str, bool] | None = None
    usual: str = ""


class Ensuring:
    """The writes of one driver. What is put right unasked goes to `mended`."""

    def __init__(self, api: Api, view: View, owner: str, options: Options, mended: deque[Meddling]) -> None:
        self._api, self._view, self._owner, self._options = api, view, owner, options
        self._storage = Storage()
        self._mended = mended

    def ensure(self, spec: InstanceSpec) -> None:
        """One step towards the spec, or several."""
        making.refuse(spec)
        seen = self._view.pod(spec.instance_id)
        if seen is None and self._view.claimed(spec.instance_id):
            self._check_place(spec)
            raise InvalidSpec(detail=f"instance {spec.instance_id} belongs to another owner")
        self._check_host(spec, seen)
        setting = making.Setting(self._owner, self._options, self._late(spec))
        body = making.pod(spec, setting)
        if seen is not None and seen.mark is not None and seen.mark.generation == spec.generation and returning.taken(seen):
            body["metadata"]["annotations"][names.AGAIN] = str(returning.series(seen))  # who asks anew begins a new series
        health = Health.READY if seen is None else self._view.health(seen)
        todo = acts(spec, body["metadata"]["annotations"][names.CONTENT], seen, health)
        if seen is not None and Act.CREATE not in todo and self._view.gpus.stranded(seen):
            self._claim_again(spec, setting)
        for act in todo:
            if act is Act.CREATE:
                self._create(spec, setting, body)
            elif seen is not None:
                self._do(act, spec, seen)
            if act is Act.ERASE and self._view.pod(spec.instance_id) is not None:
                return  # something holds it back (a finalizer)

    def remove(self, instance_id: str) -> None:
        """The pod, with its time to end; its claims, which stay until it has; its Secret goes by itself."""
        seen = self._view.pod(instance_id)
        if seen is not None:
            if seen.ended or not seen.node or self._view.health(seen) is Health.FENCED:
                self._erase(seen)
            elif not seen.deleting:
                self._delete(seen, None)
        for claim in self._view.claims(instance_id):
            if not claim.deleting:
                where = f"/api/v1/namespaces/{claim.namespace}/persistentvolumeclaims/{claim.name}"
                with suppress(Gone):
                    self._api.call("DELETE", where, {"preconditions": {"uid": claim.uid}})
        gpus = self._view.gpus.claim(instance_id)
        if gpus is not None:
            self._let_go(gpus)

    def release(self, instance_id: str, host: str) -> None:
        """Its pod's object, for whose end nobody is left to wait."""
        seen = self._view.pod(instance_id)
        if seen is not None and seen.node == host and conditions.leaving(seen, self._view.health(seen)):
            self._erase(seen)

    # -- one act -------------------------------------------------------------------------------------------------------------------

    def _do(self, act: Act, spec: InstanceSpec, seen: Pod) -> None:
        if act is Act.STAMP:
            service = {names.SERVICE: (making.service(making.refuse(spec)) or None)}  # null takes a label away
            notes = {"metadata": {"resourceVersion": str(seen.version), "annotations": making.counters(spec), "labels": service}}
            self._view.wrote_pod(self._api.call("PATCH", _path(seen), notes, MERGE, fieldManager=names.MANAGER))
        elif act is Act.GIVE_SECRET:
            self._give_secret(spec, seen.uid)
        elif act is Act.EVICT:
            self._evict(seen)
        elif act is Act.ERASE:
            self._erase(seen)
        else:
            self._delete(seen, SHORT_S if act is Act.HURRY else None)

    def _create(self, spec: InstanceSpec, setting: making.Setting, body: making.Json) -> None:
        namespace = body["metadata"]["namespace"]
        self._check_tenant(namespace)
        for claim in making.claims(spec, setting):
            self._claim(namespace, claim)
        self._claim_devices(spec, setting)
        try:
            made = self._view.wrote_pod(self._api.call("POST", f"/api/v1/namespaces/{namespace}/pods", body, **UNREAD))
        except Collided:
            self._look_who(spec, namespace)
            raise
        if spec.container is not None and spec.container.secrets:
            self._give_secret(spec, made.uid)

    def _look_who(self, spec: InstanceSpec, namespace: str) -> None:
        """Something has the name already."""
        found = self._view.wrote_pod(self._api.call("GET", f"/api/v1/namespaces/{namespace}/pods/{spec.name}"))
        if found.mark is None:
            raise PlaceTaken(detail=f"pod {namespace}/{spec.name} bears no mark of ours, or not a whole one.")

    def _check_place(self, spec: InstanceSpec) -> None:
        """Whether it is only that somebody changed our mark."""
        namespace = names.namespace_of(self._owner, spec.project_id)
        if spec.name in self._view.strangers(namespace):
            raise PlaceTaken(detail=f"pod {namespace}/{spec.name} bears no mark of ours, or not a whole one.")

    def _check_tenant(self, namespace: str) -> None:
        seen = self._view.thing("Namespace", "", namespace)
        if seen is None or seen.deleting or names.EMPTYING in seen.annotations:
            raise TenantUnsettled(detail=f"namespace {namespace} is not there, or going")
        quota = self._view.thing("ResourceQuota", namespace, tenancy.OURS)
        if not tenancy.in_force(quota):
            raise TenantUnsettled(detail=f"the quota of namespace {namespace} is not in force yet")
        if tenancy.full(quota):
            raise TenantUnsettled(detail=f"the quota of namespace {namespace} is used up")

    def _claim(self, namespace: str, claim: making.Json) -> None:
        metadata = claim["metadata"]
        seen = self._view.thing("PersistentVolumeClaim", namespace, metadata["name"])
        if seen is None:
            made = self._api.call("POST", f"/api/v1/namespaces/{namespace}/persistentvolumeclaims", claim)
            self._view.wrote("PersistentVolumeClaim", made)
        elif seen.deleting or seen.labels.get(names.INSTANCE) != metadata["labels"][names.INSTANCE]:
            raise Collided(detail=f"claim {metadata['name']} of an earlier instance is still there")

    def _claim_devices(self, spec: InstanceSpec, setting: making.Setting) -> None:
        """As it is to be. One for another number, or for nothing any more, is let go first: it can't be changed."""
        wanted, seen = making.device_claim(spec, setting), self._view.gpus.claim(spec.instance_id)
        if seen is not None and not (wanted and seen.mark and seen.mark.content == wanted["metadata"]["annotations"][names.CONTENT]):
            self._let_go(seen)
        elif seen is not None and not seen.deleting:
            return
        if wanted is None:
            return
        namespace, name = wanted["metadata"]["namespace"], wanted["metadata"]["name"]
        there = self._view.gpus.at(namespace, name)
        if there is not None and there.mark is None:
            raise PlaceTaken(detail=f"resource claim {namespace}/{name} bears no mark of ours, or not a whole one.")
        if there is not None:
            raise Collided(detail=f"resource claim {name} of an earlier time is still there")
        self._view.gpus.wrote(self._api.call("POST", devices.path(namespace), wanted, **UNREAD))

    def _claim_again(self, spec: InstanceSpec, setting: making.Setting) -> None:
        """One that somebody took away from a pod that waits for it."""
        self._claim_devices(spec, setting)
        namespace = names.namespace_of(self._owner, spec.project_id)
        own = self._view.thing("Namespace", "", namespace)
        project = "" if own is None else own.annotations.get(names.PATH, "")
        self._mended.append(Meddling(project, f"ResourceClaim {namespace}/{names.device_claim_name(spec.name)}", mended=True))

    def _let_go(self, claim: DeviceClaim) -> None:
        """The cluster keeps it until no pod uses it any more."""
        if not claim.deleting:
            with suppress(Gone):
                self._api.call("DELETE", devices.path(claim.namespace, claim.name), {"preconditions": {"uid": claim.uid}})

    def _give_secret(self, spec: InstanceSpec, pod_uid: str) -> None:
        made = making.secret(spec, self._owner, pod_uid)
        where = f"/api/v1/namespaces/{made['metadata']['namespace']}/secrets"
        try:
            self._api.call("POST", where, made)
        except Collided:  # that of a pod before this one, or of a call that was cut short
            self._api.call("PUT", f"{where}/{made['metadata']['name']}", made)

    def _evict(self, seen: Pod) -> None:
        body = {
            "apiVersion": "policy/v1",
            "kind": "Eviction",
            "metadata": {"name": seen.name, "namespace": seen.namespace},
            "deleteOptions": {"preconditions": {"uid": seen.uid}},
        }
        try:
            self._api.call("POST", f"{_path(seen)}/eviction", body)
        except Held as error:
            detail = str(error.reason.params.get("detail", ""))
            if "disruption budget" in detail.lower():
                raise EvictionHeld(detail=detail) from None
            raise
        except Gone:
            self._view.lost_pod(seen)

    def _erase(self, seen: Pod) -> None:
        """Its object at once. Of a pod that no node has, only if that still is so."""
        same = {"uid": seen.uid} if seen.node else {"uid": seen.uid, "resourceVersion": str(seen.version)}
        self._delete(seen, 0, same)

    def _delete(self, seen: Pod, grace_s: int | None, same: Mapping[str, str] | None = None) -> None:
        how: dict[str, Any] = {"preconditions": same or {"uid": seen.uid}}
        if grace_s is not None:
            how["gracePeriodSeconds"] = grace_s
        try:
            left = self._api.call("DELETE", _path(seen), how)
        except Gone:
            self._view.lost_pod(seen)
            return
        metadata = left.get("metadata") or {}
        if left.get("kind") != "Pod":
            return
        if metadata.get("deletionGracePeriodSeconds") == 0 and not metadata.get("finalizers"):
            self._view.lost_pod(seen)
        else:
            self._view.wrote_pod(left)

    # -- asking --------------------------------------------------------------------------------------------------------------------

    def _check_host(self, spec: InstanceSpec, seen: Pod | None) -> None:
        """A host that isn't there, or is another's kind, is no host; one that doesn't answer can be given nothing new."""
        node = self._view.node(spec.host)
        if node is None:
            raise InvalidSpec(detail=f"no node {spec.host!r} in this cluster")
        if nodes.arch(node) != spec.arch:
            raise InvalidSpec(detail=f"node {spec.host} is {nodes.arch(node)}: no place for {spec.arch}")
        stays = seen is not None and seen.node == spec.host and not seen.deleting
        if spec.power is Power.RUNNING and not stays and nodes.health(node) is not Health.READY:
            raise HostUnreachable(detail=f"node {spec.host} is not ready")

    def _late(self, spec: InstanceSpec) -> bool:
        """Whether a claim of it would wait for a pod to be scheduled."""
        if spec.container is None or not spec.container.volumes:
            return False
        storage = self._storage
        if storage.late is None or storage.asked_at is None or time.monotonic() - storage.asked_at > CLASSES_S:
            found = self._api.call("GET", "/apis/storage.k8s.io/v1/storageclasses")["items"]
            storage.late = {one["metadata"]["name"]: one.get("volumeBindingMode") == "WaitForFirstConsumer" for one in found}
            usual = "storageclass.kubernetes.io/is-default-class"
            storage.usual = next(
                (one["metadata"]["name"] for one in found if (one["metadata"].get("annotations") or {}).get(usual) == "true"), ""
            )
            storage.asked_at = time.monotonic()
        return storage.late.get(self._options.storage_class or storage.usual, False)


def _path(pod: Pod) -> str:
    return f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}"
