"""What is kept of the cluster's objects: slim records made from raw JSON, a fiftieth of it in memory.

In: one object as the API server gives it. Out: a frozen record with the few fields that some decision reads. Every record has `uid` and
`version`; versions are compared as whole numbers (KEP-5504: they are ordered within a resource).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from sys import intern  # names that thousands of records share are kept once
from typing import Any, Final

from drivers.kubernetes.names import AGAIN, IMAGE, INSTANCE, OWNER, SERVICE, STOPPED_GATE, Mark, mark_of
from drivers.kubernetes.quantity import quantity, requests_of

Raw = Mapping[str, Any]
NOTHING: Final[Mapping[str, Decimal]] = {}
ENDED: Final = ("Succeeded", "Failed")


@dataclass(frozen=True, slots=True)
class ContainerState:
    """What the kubelet says of the one container: what it does, and how it ended before."""

    what: str  # "running" | "waiting" | "terminated" | "" while nothing is known
    reason: str = ""
    message: str = ""
    exit_code: int = 0
    since: str = ""  # RFC 3339, of running
    started: bool = False
    ready: bool = False
    restarts: int = 0
    last_reason: str = ""
    last_message: str = ""
    last_exit_code: int | None = None


@dataclass(frozen=True, slots=True)
class Failure:
    """Of a pod that failed: from when to when it was there (seconds since 1970), and what it says of those that it was made in place of."""

    made_at: float
    ended_at: float
    again: str


@dataclass(frozen=True, slots=True)
class Pod:
    """One pod. Of one that isn't ours (`mark` is None) only where it is and what it takes; `claimed` is the instance that it names."""

    uid: str
    version: int
    namespace: str
    name: str
    node: str
    ended: bool
    mark: Mark | None = None
    claimed: str = ""
    requests: Mapping[str, Decimal] = field(default_factory=lambda: NOTHING)
    phase: str = ""
    reason: str = ""
    message: str = ""
    deleting: bool = False
    grace_s: int = 0
    gated: bool = False
    unschedulable: str = ""
    container: ContainerState = ContainerState("")
    restart: str = "Always"
    addresses: tuple[str, ...] = ()
    altered: bool = False  # somebody changed what it runs
    led_astray: bool = False  # somebody took it out of its service, or put it behind another
    secret: str = ""
    image: str = ""
    failed: Failure | None = None
    claims_devices: bool = False


@dataclass(frozen=True, slots=True)
class Node:
    """One node; amounts are what it can give to pods."""

    uid: str
    version: int
    name: str
    labels: Mapping[str, str]
    allocatable: Mapping[str, Decimal]
    ready: bool
    cordoned: bool
    taints: tuple[tuple[str, str], ...]  # key and effect
    system: str  # "linux" | "windows", as its kubelet says
    system_uuid: str
    machine_id: str
    why_not: str = ""


@dataclass(frozen=True, slots=True)
class Thing:
    """Any other object of ours: namespace, quota, policy, service, claim. `body` is what of it can be compared with what it should be."""

    uid: str
    version: int
    namespace: str
    name: str
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    body: Raw
    deleting: bool
    status: Raw


def pod(raw: Raw, owner: str) -> Pod:
    """The record of a pod; it is ours if it bears a whole mark of this owner."""
    metadata, spec, status = raw["metadata"], raw["spec"], raw.get("status") or {}
    mark = mark_of(metadata)
    phase, node, namespace = status.get("phase", ""), intern(spec.get("nodeName", "")), intern(metadata["namespace"])
    labels, notes = metadata.get("labels") or {}, metadata.get("annotations") or {}
    if mark is None or mark.owner != owner:
        return Pod(
            uid=metadata["uid"],
            version=int(metadata["resourceVersion"]),
            namespace=namespace,
            name=metadata["name"],
            node=node,
            ended=phase in ENDED,
            claimed=labels.get(INSTANCE, "") if OWNER in labels else "",
            requests=requests_of(spec) if node and phase not in ENDED else NOTHING,
        )
    container = spec["containers"][0]
    conditions = {one["type"]: one for one in status.get("conditions") or ()}
    scheduled = conditions.get("PodScheduled", {})
    return Pod(
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        namespace=namespace,
        name=metadata["name"],
        node=node,
        ended=phase in ENDED,
        mark=mark,
        claimed=mark.instance,
        phase=phase,
        reason=status.get("reason", ""),
        message=status.get("message", ""),
        deleting="deletionTimestamp" in metadata,
        grace_s=metadata.get("deletionGracePeriodSeconds") or 0,
        gated=any(one["name"] == STOPPED_GATE for one in spec.get("schedulingGates") or ()),
        unschedulable=scheduled.get("message", "") if scheduled.get("reason") == "Unschedulable" else "",
        container=_container(status, container["name"]),
        restart=spec.get("restartPolicy", "Always"),
        addresses=tuple(sorted((one["ip"] for one in status.get("podIPs") or ()), key=lambda ip: ":" in ip)),
        altered=container.get("image") != notes.get(IMAGE) or "activeDeadlineSeconds" in spec,
        led_astray=SERVICE in notes and notes[SERVICE] != labels.get(SERVICE, ""),
        secret=next((one["secretRef"]["name"] for one in container.get("envFrom") or () if "secretRef" in one), ""),
        image=intern(container.get("image", "")),
        failed=_failure(metadata, status) if phase == "Failed" else None,
        claims_devices=bool(spec.get("resourceClaims")),
    )


def _failure(metadata: Raw, status: Raw) -> Failure:
    """No field says when it ended, so it is the last change that its kubelet tells of."""
    changes = [one.get("lastTransitionTime") for one in status.get("conditions") or ()]
    changes += [((one.get("state") or {}).get("terminated") or {}).get("finishedAt") for one in status.get("containerStatuses") or ()]
    made_at = datetime.fromisoformat(metadata["creationTimestamp"]).timestamp()
    ended_at = max((datetime.fromisoformat(one).timestamp() for one in (*changes, status.get("startTime")) if one), default=made_at)
    return Failure(made_at, ended_at, (metadata.get("annotations") or {}).get(AGAIN, ""))


def _container(status: Raw, name: str) -> ContainerState:
    seen = next((one for one in status.get("containerStatuses") or () if one["name"] == name), None)
    if seen is None:
        return ContainerState("")
    states: Raw = seen.get("state") or {}
    what = next(iter(states), "")
    state: Raw = states.get(what) or {}
    last = (seen.get("lastState") or {}).get("terminated")
    return ContainerState(
        what,
        reason=state.get("reason", ""),
        message=state.get("message", ""),
        exit_code=state.get("exitCode", 0),
        since=state.get("startedAt") or "",
        started=bool(seen.get("started")),
        ready=bool(seen.get("ready")),
        restarts=seen.get("restartCount", 0),
        last_reason="" if last is None else last.get("reason", ""),
        last_message="" if last is None else last.get("message", ""),
        last_exit_code=None if last is None else last.get("exitCode", 0),
    )


def node(raw: Raw, _owner: str) -> Node:
    """The record of a node."""
    metadata, spec, status = raw["metadata"], raw.get("spec") or {}, raw.get("status") or {}
    ready: Raw = next((one for one in status.get("conditions") or () if one["type"] == "Ready"), {})
    info = status.get("nodeInfo") or {}
    return Node(
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        allocatable={name: quantity(amount) for name, amount in (status.get("allocatable") or {}).items()},
        ready=ready.get("status") == "True",
        cordoned=bool(spec.get("unschedulable")),
        taints=tuple((one["key"], one["effect"]) for one in spec.get("taints") or ()),
        system=info.get("operatingSystem") or "linux",
        system_uuid=info.get("systemUUID", ""),
        machine_id=info.get("machineID", ""),
        why_not=ready.get("message", "") if ready.get("status") != "True" else "",
    )


def thing(raw: Raw, _owner: str) -> Thing:
    """The record of anything else."""
    metadata = raw["metadata"]
    return Thing(
        uid=metadata["uid"],
        version=int(metadata["resourceVersion"]),
        namespace=metadata.get("namespace", ""),
        name=metadata["name"],
        labels=metadata.get("labels") or {},
        annotations=metadata.get("annotations") or {},
        body={"spec": raw.get("spec") or {}},
        deleting="deletionTimestamp" in metadata,
        status=raw.get("status") or {},
    )
