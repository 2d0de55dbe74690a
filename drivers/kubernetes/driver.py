"""The Kubernetes driver: one connection to one cluster, whose nodes are hosts and whose pods are our containers.

What is where: `names` how things are marked, `pod` and `tenancy` what objects we make (pure), `conditions`, `nodes` and `deciding` what is
concluded from those that are there (pure), `returning` when what a node took away is made anew (pure), `devices` what a DRA driver
publishes (pure), `view` with `gpus`, `watching` and `cache` what is known of the cluster, `ensuring` and `settling` what is written,
`talking` logs and commands, `failures` what refusals mean, `rights` what we must be allowed, `access` credentials.

Answers come from what the watches told, so looking costs the API server nothing; the answer to each write of ours goes there, too. Silence
is never reported as absence: while too long nothing was heard every verb raises HostUnreachable. That an instance is never there twice
rests on the API server alone: one name in one namespace.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Final

from drivers.base import CANONICAL_UUID, Condition, Driver, InstanceSpec, Inventory, Observation
from drivers.container import Executed, Meddling, Tenant
from drivers.errors import InvalidSpec, NotRunning, Unauthorized
from drivers.kubernetes import conditions, devices, nodes, rights, talking
from drivers.kubernetes.access import access
from drivers.kubernetes.api import Api
from drivers.kubernetes.ensuring import Ensuring
from drivers.kubernetes.failures import Gone
from drivers.kubernetes.options import Options, parse
from drivers.kubernetes.records import Pod
from drivers.kubernetes.settling import Settling
from drivers.kubernetes.view import View

TOLD: Final = 1000  # of what was mended, until somebody asks


class RightsMissing(Unauthorized):
    """The account may not do all that the driver does. Parameters: `missing`, verbs and resources."""

    code = "rights_missing"


class KubernetesDriver:
    """Implements Driver, Prepare, ConsoleLog, Events, Releases, Tenants, Meddled, LogStream and Exec. Open one with `open_kubernetes`."""

    def __init__(self, api: Api, owner: str, options: Options) -> None:
        self._api, self._owner, self._options = api, owner, options
        self._view = View(api, owner, options)
        mended: deque[Meddling] = deque(maxlen=TOLD)
        self._writes = Ensuring(api, self._view, owner, options, mended)
        self._surroundings = Settling(api, self._view, owner, options, mended)

    def prepare(self) -> None:
        """Makes nothing; raises RightsMissing with all of them."""
        needed = rights.needed(self._options)
        with ThreadPoolExecutor(8, thread_name_prefix="rights") as pool:
            asked = rights.reviews(needed)
            answers = dict(zip(map(str, asked), pool.map(self._allowed, asked), strict=True))
        lacking = rights.missing(lambda one: answers[str(one)], needed)
        if lacking:
            raise RightsMissing(missing="; ".join(lacking))

    def _allowed(self, attributes: Mapping[str, str]) -> bool:
        review = {
            "apiVersion": "authorization.k8s.io/v1",
            "kind": "SelfSubjectAccessReview",
            "spec": {"resourceAttributes": {key: value for key, value in attributes.items() if value}},
        }
        answer = self._api.call("POST", "/apis/authorization.k8s.io/v1/selfsubjectaccessreviews", review)
        return bool(answer["status"].get("allowed"))

    def inventory(self) -> Inventory:
        self._view.ready()
        return self._view.gpus.counted(nodes.inventory(self._view.nodes.all(), self._view.taken(), self._options))

    def observe(self, instance_id: str) -> Observation:
        self._view.ready()
        seen = self._seen(instance_id, datetime.now(UTC))
        if seen is None:
            self._view.ready(exact=True)
        return seen or Observation(instance_id, Condition.ABSENT)

    def observe_all(self) -> Iterator[Observation]:
        """Each as it is when its turn comes; whatever is raised is raised before the first."""
        self._view.ready()
        now = datetime.now(UTC)
        instances = {pod.mark.instance for pod in self._view.pods.all() if pod.mark is not None} | self._view.claimants()
        instances |= self._view.gpus.claimants()
        return (seen for instance in instances if (seen := self._seen(instance, now)) is not None)

    def _seen(self, instance_id: str, now: datetime) -> Observation | None:
        pod = self._view.pod(instance_id)
        claims, gpus = self._view.claims(instance_id), self._view.gpus.claim(instance_id)
        if pod is not None:
            seen = conditions.observation(pod, self._view.health(pod), now, float(self._options.retry_s))
            return self._view.gpus.observed(conditions.waiting(seen, claims), pod)
        left = [claim.deleting for claim in (*claims, gpus) if claim is not None]
        if not left:
            return None
        going = all(left)
        return Observation(instance_id, Condition.BUSY if going else Condition.STOPPED)

    def ensure(self, spec: InstanceSpec) -> None:
        self._view.ready()
        self._writes.ensure(spec)

    def remove(self, instance_id: str) -> None:
        """May return before it is gone: the kubelet has the last word; `observe` says BUSY until then."""
        if not CANONICAL_UUID.fullmatch(instance_id):
            raise InvalidSpec(detail=f"{instance_id!r} is not a UUID in canonical form")
        self._view.ready()
        self._writes.remove(instance_id)

    def release(self, instance_id: str, host: str) -> None:
        self._view.ready()
        self._writes.release(instance_id, host)

    def settle(self, tenants: Sequence[Tenant], whole: bool) -> None:
        self._view.ready()
        self._surroundings.settle(tenants, whole)

    def meddled(self) -> list[Meddling]:
        self._view.ready()
        return self._surroundings.meddled()

    def watch(self, wake: Callable[[str], None]) -> None:
        """Returns at once; `wake` is called from the threads that watch and must not block them."""
        self._view.watch(wake)

    def console_log(self, instance_id: str, max_bytes: int) -> bytes:
        self._view.ready()
        pod = self._view.pod(instance_id)
        return b"" if pod is None or not pod.node else talking.tail(self._api, pod, max_bytes, self._options.call_s)

    def follow_log(self, instance_id: str, max_bytes: int) -> Generator[bytes, None, None]:
        return talking.follow(self._api, self._running(instance_id), max_bytes, self._options.call_s)

    def execute(self, instance_id: str, command: Sequence[str], stdin: bytes, timeout_s: float, max_bytes: int) -> Executed:
        return talking.execute(self._api, self._running(instance_id), command, stdin, timeout_s, max_bytes)

    def _running(self, instance_id: str) -> Pod:
        self._view.ready()
        pod = self._view.pod(instance_id)
        if pod is None or not pod.node:
            raise NotRunning(detail=f"{instance_id} runs nowhere")
        return pod

    def close(self) -> None:
        self._view.close()
        self._api.close()


def open_kubernetes(uri: str, owner: str, options: Mapping[str, str]) -> Driver:
    """Connect to one cluster. Raises HostUnreachable, Unauthorized, or InvalidSpec for an address or an option that can't be."""
    given = parse(options)
    api = Api(access(uri, given.credentials), given.call_s)
    try:
        api.call("GET", "/version")
        if given.gpu_device_class:
            api.call("GET", devices.ROOT)
    except Gone:
        api.close()
        raise InvalidSpec(detail="gpu_device_class needs Kubernetes 1.34 or newer: this cluster has no resource.k8s.io/v1") from None
    except BaseException:
        api.close()
        raise
    return KubernetesDriver(api, owner, given)
