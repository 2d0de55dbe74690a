"""The cluster as this process knows it: a table for each kind, kept by watches, with the sums and indexes that answers are made from.

In: an `Api`. Out: records, never older than our own writes. `ready()` is asked before anything is answered: it waits for the first whole
and raises while too long nothing was heard, for silence is no answer. Threads begin with the first question, so that a connection that is
opened only to be looked at costs one call.
"""

from __future__ import annotations

import threading
import time
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from decimal import Decimal
from typing import Any, Final

from drivers.base import Health
from drivers.errors import DriverError, HostUnreachable, Transient, Unauthorized
from drivers.kubernetes import names, nodes, records
from drivers.kubernetes.api import Api
from drivers.kubernetes.cache import Key, Table
from drivers.kubernetes.gpus import Gpus
from drivers.kubernetes.options import Options
from drivers.kubernetes.records import Node, Pod, Thing
from drivers.kubernetes.watching import SETTLE_S, Kind, Trouble, Watcher, forbidden

OURS: Final = ",".join(f"{key}={value}" for key, value in names.MANAGED_BY.items())
THINGS: Final[Mapping[str, str]] = {
    "Namespace": "/api/v1/namespaces",
    "ResourceQuota": "/api/v1/resourcequotas",
    "LimitRange": "/api/v1/limitranges",
    "NetworkPolicy": "/apis/networking.k8s.io/v1/networkpolicies",
    "Service": "/api/v1/services",
    "PersistentVolumeClaim": "/api/v1/persistentvolumeclaims",
}
"""Objects of ours beside pods, and where all of a kind are watched."""
PULSE_S: Final = 2.0
PROOF_S: Final = 15.0  # how often it is asked whether we are still known: a watch goes on though its token was revoked
HERE: Final = "/version"  # what anybody may ask


class View:
    """What is known of one cluster; safe to use from many threads."""

    def __init__(self, api: Api, owner: str, options: Options) -> None:
        self._api, self._owner = api, owner
        self._call_s, self._stale_s = options.call_s, float(options.stale_s)
        self._wakes: list[Callable[[str], None]] = []
        self._lock, self._asking = threading.Lock(), threading.Lock()
        self._started = False
        self._ending = threading.Event()
        self._proved_at = time.monotonic()
        self._refused: str | None = None  # what the server said of our credentials when it was asked last
        self._by_instance: dict[str, Pod] = {}
        self._claimed: defaultdict[str, set[str]] = defaultdict(set)  # pods of others, by the instance that they name
        self._on_node: defaultdict[str, set[str]] = defaultdict(set)
        self._in_namespace: defaultdict[str, set[str]] = defaultdict(set)
        self._strangers: defaultdict[str, set[str]] = defaultdict(set)  # names of pods of others, by a namespace that may be ours
        self._claims: defaultdict[str, set[Key]] = defaultdict(set)
        self._taken: dict[str, dict[str, Decimal]] = {}
        self._own = False  # what changes just now is our own doing; under the pods' lock
        self.pods: Table[Pod] = Table(self._pod_changed)
        self.nodes: Table[Node] = Table(self._node_changed)
        self.things: Mapping[str, Table[Thing]] = {
            name: Table(self._claim_changed if name == "PersistentVolumeClaim" else _unused) for name in THINGS
        }
        self.gpus = Gpus(api, owner, options.gpu_device_class, self._wake)
        self._watchers = [
            Watcher(api, Kind("/api/v1/pods", records.pod), owner, self.pods),
            Watcher(api, Kind("/api/v1/nodes", records.node), owner, self.nodes),
            *(Watcher(api, Kind(path, records.thing, OURS), owner, self.things[name]) for name, path in THINGS.items()),
            *self.gpus.watchers,
        ]
        self._pulse = threading.Thread(target=self._beat, name="watch-pulse", daemon=True)

    # -- being up to date ----------------------------------------------------------------------------------------------------------

    def ready(self, exact: bool = False) -> None:
        """Raises HostUnreachable or Unauthorized unless all is known, and was heard of lately.

        `exact`: and no watch is broken just now, or was a moment ago (Transient).
        """
        self._start()
        deadline = time.monotonic() + 2 * self._call_s
        for one in self._watchers:
            if not one.synced.is_set():
                one.settled.wait(max(0.0, deadline - time.monotonic()))
            if not one.synced.is_set():
                raise one.trouble.error if one.trouble else HostUnreachable(detail="the API server takes too long to tell what there is")
        self._heard()
        for one in self._watchers:
            trouble = one.trouble
            if trouble is not None and (exact or self._too_long(trouble)):
                raise trouble.error
            if exact and time.monotonic() - one.resumed_at < SETTLE_S:
                raise Transient(detail="the watch was only just taken up again")

    def _heard(self) -> None:
        """Raises HostUnreachable while nobody answers; one thread asks, for all."""
        if time.monotonic() - self._api.heard_at > self._stale_s and self._asking.acquire(blocking=False):
            try:
                self._prove()
            finally:
                self._asking.release()
        silent = time.monotonic() - self._api.heard_at
        if self._api.closed or silent > self._stale_s:
            raise HostUnreachable(detail=f"the API server has been silent for {silent:.0f} s")
        if self._refused is not None:
            raise Unauthorized(detail=self._refused)

    def _prove(self) -> None:
        """Ask whether anybody is there, and still knows us."""
        self._proved_at = time.monotonic()
        try:
            self._api.call("GET", HERE)
            self._refused = None
        except Unauthorized as error:
            self._refused = str(error.reason.params.get("detail", ""))
        except DriverError:
            pass

    def _too_long(self, trouble: Trouble) -> bool:
        return forbidden(trouble) or time.monotonic() - trouble.since > self._stale_s

    def _start(self) -> None:
        with self._lock:
            if self._started or self._api.closed:
                return
            self._started = True
        for one in self._watchers:
            one.start()
        self._pulse.start()

    def _beat(self) -> None:
        """Where nothing is heard for a while, ask whether anybody is there: a server that hangs keeps its connections."""
        while not self._ending.wait(PULSE_S):
            now = time.monotonic()
            if now - self._api.heard_at > PULSE_S or now - self._proved_at > PROOF_S:
                self._prove()

    def watch(self, wake: Callable[[str], None]) -> None:
        """Call `wake` with each instance of which something changed."""
        self._wakes.append(wake)
        self._start()

    def close(self) -> None:
        """End all threads."""
        self._wakes.clear()
        self._ending.set()
        with self._lock:
            started, self._started = self._started, True
        for one in self._watchers:
            one.end()
        if started:
            for one in self._watchers:
                one.join(2)

    @property
    def wholes(self) -> int:
        """How many whole lists were asked for so far; one for each kind, unless the server forgot where we were."""
        return sum(one.wholes for one in self._watchers)

    # -- asking --------------------------------------------------------------------------------------------------------------------

    def pod(self, instance_id: str) -> Pod | None:
        """The pod of an instance of ours."""
        return self._by_instance.get(instance_id)

    def node(self, name: str) -> Node | None:
        """One node."""
        return self.nodes.get(("", name))

    def health(self, pod: Pod) -> Health:
        """That of the node it is bound to."""
        return nodes.health(self.node(pod.node)) if pod.node else Health.READY

    def claimed(self, instance_id: str) -> bool:
        """Whether somebody else's pod names this instance."""
        return instance_id in self._claimed

    def taken(self) -> nodes.Taken:
        """What pods that aren't ours request, by node."""
        with self.pods.lock:
            return {name: dict(amounts) for name, amounts in self._taken.items()}

    def occupied(self, namespace: str) -> bool:
        """Whether any pod, of whomever, is in a namespace."""
        return self.inhabitants(namespace) > 0

    def inhabitants(self, namespace: str) -> int:
        """How many pods, of whomever, are in a namespace."""
        return len(self._in_namespace.get(namespace, ()))

    def strangers(self, namespace: str) -> list[str]:
        """The names of pods in a namespace of ours that are not ours."""
        with self.pods.lock:
            return sorted(self._strangers.get(namespace, ()))

    def claims(self, instance_id: str) -> list[Thing]:
        """An instance's claims."""
        table = self.things["PersistentVolumeClaim"]
        with table.lock:
            return [row for key in self._claims.get(instance_id, ()) if (row := table.get(key)) is not None]

    def claimants(self) -> set[str]:
        """All instances that have claims."""
        with self.things["PersistentVolumeClaim"].lock:
            return {instance for instance, keys in self._claims.items() if keys}

    def thing(self, kind: str, namespace: str, name: str) -> Thing | None:
        """One object of ours."""
        return self.things[kind].get((namespace, name))

    # -- telling what was written --------------------------------------------------------------------------------------------------

    def wrote_pod(self, raw: Mapping[str, Any]) -> Pod:
        """The answer to a write of ours; nobody is woken by it, as whoever writes looks himself."""
        row = records.pod(raw, self._owner)
        with self._ours():
            self.pods.put((row.namespace, row.name), row)
        return row

    def lost_pod(self, pod: Pod) -> None:
        """The server said that it is gone, to us."""
        with self._ours():
            self.pods.drop((pod.namespace, pod.name), pod.uid)

    @contextmanager
    def _ours(self) -> Iterator[None]:
        with self.pods.lock:
            self._own = True
            try:
                yield
            finally:
                self._own = False

    def wrote(self, kind: str, raw: Mapping[str, Any]) -> Thing:
        """The same for anything else."""
        row = records.thing(raw, self._owner)
        self.things[kind].put((row.namespace, row.name), row)
        return row

    # -- keeping sums, under the table's lock ----------------------------------------------------------------------------------------

    def _pod_changed(self, before: Pod | None, after: Pod | None) -> None:
        for row, there in ((before, False), (after, True)):
            if row is not None:
                self._count(row, there)
        if self._own:
            return
        for instance in {row.mark.instance for row in (before, after) if row is not None and row.mark is not None}:
            self._wake(instance)

    def _count(self, row: Pod, there: bool) -> None:
        _member(self._in_namespace, row.namespace, row.uid, there)
        if row.mark is not None:
            _member(self._on_node, row.node, row.mark.instance, there)
            if there:
                self._by_instance[row.mark.instance] = row
            elif self._by_instance.get(row.mark.instance) is row:
                del self._by_instance[row.mark.instance]
            return
        if row.namespace.startswith(names.NAMESPACES):
            _member(self._strangers, row.namespace, row.name, there)
        if row.claimed:
            _member(self._claimed, row.claimed, row.uid, there)
        if row.node and not row.ended:
            one = self._taken.setdefault(row.node, {})
            one["pods"] = one.get("pods", Decimal(0)) + (1 if there else -1)
        if row.requests:
            taken = self._taken.setdefault(row.node, {})
            for name, amount in row.requests.items():
                taken[name] = taken.get(name, Decimal(0)) + (amount if there else -amount)

    def _node_changed(self, before: Node | None, after: Node | None) -> None:
        if _of_hosts(before) != _of_hosts(after):
            self._wake("")
        if before is not None and nodes.health(before) is not nodes.health(after):
            with self.pods.lock:
                touched = list(self._on_node.get(before.name, ()))
            for instance in touched:
                self._wake(instance)

    def _claim_changed(self, before: Thing | None, after: Thing | None) -> None:
        for row, there in ((before, False), (after, True)):
            if row is not None and row.labels.get(names.OWNER) == names.label(self._owner) and names.INSTANCE in row.labels:
                _member(self._claims, row.labels[names.INSTANCE], (row.namespace, row.name), there)
                self._wake(row.labels[names.INSTANCE])

    def _wake(self, instance: str) -> None:
        for wake in tuple(self._wakes):
            wake(instance)


def _of_hosts(node: Node | None) -> tuple[object, ...]:
    """What of a node matters to who places there."""
    return () if node is None else (node.ready, node.cordoned, node.taints, node.allocatable)


def _member(of: defaultdict[str, set[Any]], key: str, value: Any, there: bool) -> None:
    if there:
        of[key].add(value)
    elif key in of:
        of[key].discard(value)
        if not of[key]:
            del of[key]


def _unused(_before: Thing | None, _after: Thing | None) -> None:
    """Nothing is summed up of this kind."""
