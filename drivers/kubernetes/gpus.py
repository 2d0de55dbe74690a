"""GPUs of a cluster whose driver publishes them as devices (`gpu_device_class`), as this process knows them: slices, classes and claims,
each kept by a watch. Without that option nothing is watched and every answer is that there is none.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any, Final

from drivers.base import Condition, Gpu, HostInventory, Inventory, Observation, Reason
from drivers.kubernetes import devices
from drivers.kubernetes.api import Api
from drivers.kubernetes.cache import Table
from drivers.kubernetes.devices import Counted, DeviceClaim, DeviceClass, Slice
from drivers.kubernetes.records import Pod
from drivers.kubernetes.watching import Kind, Watcher

UNGIVEN: Final = "cannot allocate all claims"
"""What the cluster's scheduler says of a node that has too few devices left."""


class Gpus:
    """Safe to use from many threads. `wake` is called with an instance of whose claim something changed, or "" where hosts changed."""

    def __init__(self, api: Api, owner: str, class_: str, wake: Callable[[str], None]) -> None:
        self._owner, self._class, self._wake = owner, class_, wake
        self._by_instance: dict[str, DeviceClaim] = {}
        self._in_namespace: defaultdict[str, set[str]] = defaultdict(set)
        self._slices: Table[Slice] = Table(self._hosts_changed)
        self._classes: Table[DeviceClass] = Table(self._hosts_changed)
        self._claims: Table[DeviceClaim] = Table(self._claim_changed)
        kinds: tuple[tuple[str, Callable[..., Any], Table[Any]], ...] = (
            ("resourceslices", devices.slice_, self._slices),
            ("deviceclasses", devices.device_class, self._classes),
            ("resourceclaims", devices.device_claim, self._claims),
        )
        watched = kinds if class_ else ()
        self.watchers = [Watcher(api, Kind(f"{devices.ROOT}/{name}", record), owner, table) for name, record, table in watched]

    # -- hosts ---------------------------------------------------------------------------------------------------------------------

    def counted(self, found: Inventory) -> Inventory:
        """With the GPUs that are published for each host, less what claims of others hold."""
        if not self._class:
            return found
        seen = self._classes.get(("", self._class))
        if seen is None:
            note: tuple[Reason, ...] = (Reason("gpu_class_absent", {"device_class": self._class}),)
        else:
            note = (Reason("gpu_class_unread", {"device_class": self._class, "detail": seen.said}),) if seen.wants is None else ()
        others = {place for claim in self._claims.all() if claim.mark is None for place in claim.devices}
        there = devices.counted(self._slices.all(), seen.wants, others) if seen is not None and seen.wants is not None else {}
        hosts = (_with(host, there.get(host.name, Counted(0, "")), note) for host in found.hosts)
        return replace(found, hosts=tuple(hosts))

    # -- claims --------------------------------------------------------------------------------------------------------------------

    def claim(self, instance_id: str) -> DeviceClaim | None:
        """An instance's claim."""
        return self._by_instance.get(instance_id)

    def at(self, namespace: str, name: str) -> DeviceClaim | None:
        """The claim of that name, whosever it is."""
        return self._claims.get((namespace, name))

    def claimants(self) -> set[str]:
        """All instances that have a claim."""
        with self._claims.lock:
            return set(self._by_instance)

    def inhabitants(self, namespace: str) -> int:
        """How many claims, of whomever, are in a namespace."""
        return len(self._in_namespace.get(namespace, ()))

    def strangers(self, namespace: str) -> list[str]:
        """The names of claims in a namespace of ours that are not ours."""
        with self._claims.lock:
            found = (self._claims.get((namespace, name)) for name in self._in_namespace.get(namespace, ()))
            return sorted(one.name for one in found if one is not None and one.mark is None)

    def bereft(self, pod: Pod) -> bool:
        """Whether a pod of ours, one that is to run, names a claim that is not there, or is going."""
        if not (self._class and pod.claims_devices) or pod.deleting or pod.ended or pod.gated:
            return False
        seen = self._by_instance.get(pod.claimed)
        return seen is None or seen.deleting

    def stranded(self, pod: Pod) -> bool:
        """Whether it waits for that claim: none that runs does."""
        return not pod.node and self.bereft(pod)

    def observed(self, seen: Observation, pod: Pod) -> Observation:
        """With what its claim has to do with it: it waits for the claim itself, or for devices, or runs on without."""
        if self.stranded(pod):
            return replace(seen, condition=Condition.STOPPED, generation=None, reason=Reason("device_claim_missing"), told=False)
        if self.bereft(pod):
            return seen if seen.reason is not None else replace(seen, reason=Reason("device_claim_gone"))
        if seen.reason is None or seen.reason.code != "unschedulable" or UNGIVEN not in pod.unschedulable:
            return seen
        return replace(seen, reason=Reason("devices_taken", {"node": seen.host or "", "detail": seen.reason.params["detail"]}))

    def wrote(self, raw: dict[str, Any]) -> None:
        """The answer to a write of ours."""
        row = devices.device_claim(raw, self._owner)
        self._claims.put((row.namespace, row.name), row)

    # -- keeping indexes, under the table's lock -------------------------------------------------------------------------------------

    def _hosts_changed(self, _before: object, _after: object) -> None:
        self._wake("")

    def _claim_changed(self, before: DeviceClaim | None, after: DeviceClaim | None) -> None:
        if before is not None:
            self._in_namespace[before.namespace].discard(before.name)
            if before.mark is not None and self._by_instance.get(before.mark.instance) is before:
                del self._by_instance[before.mark.instance]
        if after is not None:
            self._in_namespace[after.namespace].add(after.name)
            if after.mark is not None:
                self._by_instance[after.mark.instance] = after
        if before is not None and before.mark is not None:  # one that only just came is our own doing
            self._wake(before.mark.instance)
        if _others(before) != _others(after):
            self._wake("")


def _others(claim: DeviceClaim | None) -> tuple[devices.Place, ...]:
    return claim.devices if claim is not None and claim.mark is None else ()


def _with(host: HostInventory, there: Counted, notes: Iterable[Reason]) -> HostInventory:
    """Where all are of one model they are named, for its sake alone: which of them an instance gets is the cluster's to say."""
    named = tuple(Gpu(f"gpu-{number}", there.model) for number in range(there.free)) if there.model else ()
    return replace(host, gpus=there.free, devices=named, notes=(*host.notes, *notes))
