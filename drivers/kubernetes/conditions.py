"""What a pod's record means, in the boundary's words: pure, from the pod, its node's health and the time.

BUSY says that it may still come by itself, and `reason` what it waits for; FAILED, that it will not. What its node took away is BUSY until
another may be made in its place, then STOPPED; FAILED, once that is hopeless (`returning`). A container that ended and was started
again counts as running only once it has run for `STEADY_S`: else a crash loop would look well between two crashes. After
`HOPELESS` restarts a crash loop is FAILED.

Rejected: taking the pod's phase for the condition. "Pending" and "Running" are both said of what will never run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from drivers.base import Condition, Health, Observation, Reason
from drivers.kubernetes import returning
from drivers.kubernetes.records import ContainerState, Pod, Thing

STEADY_S: Final = 10
HOPELESS: Final = 5
RETRY_S: Final = 1800.0
_LONGEST: Final = 300

Verdict = tuple[Condition, Reason | None]

WAITING: Final[Mapping[str, tuple[Condition, str]]] = {
    "ErrImagePull": (Condition.BUSY, "image_pull_failed"),
    "ImagePullBackOff": (Condition.BUSY, "image_pull_failed"),
    "RegistryUnavailable": (Condition.BUSY, "image_pull_failed"),
    "SignatureValidationFailed": (Condition.FAILED, "image_pull_failed"),
    "ErrImageNeverPull": (Condition.FAILED, "image_absent"),
    "InvalidImageName": (Condition.FAILED, "image_name_invalid"),
    "ImageInspectError": (Condition.FAILED, "image_unreadable"),
    "CreateContainerConfigError": (Condition.FAILED, "container_config_wrong"),
    "CreateContainerError": (Condition.FAILED, "container_not_created"),
    "RunContainerError": (Condition.FAILED, "command_not_started"),
    "StartError": (Condition.FAILED, "command_not_started"),
}
"""What a container waits for (`state.waiting.reason`); anything else is the kubelet at work."""


def observation(pod: Pod, health: Health, now: datetime, retry_s: float = RETRY_S) -> Observation:
    """One pod of ours. `health` is that of the node it is bound to; READY for one that is bound to none."""
    assert pod.mark is not None  # noqa: S101  # only our own are asked about
    condition, reason = verdict(pod, health, now, retry_s)
    whole = not (pod.altered or pod.led_astray) and not (reason is not None and reason.code == "secret_missing")
    return Observation(
        pod.mark.instance,
        condition,
        pod.mark.generation if whole else None,
        pod.node or pod.mark.host,
        reason,
        pod.addresses if condition is Condition.RUNNING else (),
        told=condition is Condition.BUSY and reason is None and pod.phase == "Pending" and not pod.deleting,
        leaving=leaving(pod, health),
    )


def leaving(pod: Pod, health: Health) -> bool:
    """Whether only the word of its silent node is missing. No kubelet starts a pod that is being deleted: one that has just booted ends it
    first (its pod workers, on `deletionTimestamp`). So off at any moment from here on, it is over for good."""
    return bool(pod.node) and pod.deleting and health is Health.SILENT


def waiting(seen: Observation, claims: Iterable[Thing]) -> Observation:
    """With the volumes that it waits for, where nothing else is known to hold it up."""
    pending = sorted(claim.name for claim in claims if claim.status.get("phase") == "Pending")
    if seen.condition is not Condition.BUSY or seen.reason is not None or not pending:
        return seen
    return replace(seen, reason=Reason("claim_unbound", {"claims": ", ".join(pending)}))


def verdict(pod: Pod, health: Health, now: datetime, retry_s: float = RETRY_S) -> Verdict:
    """The condition and what is to be said of it."""
    if pod.node and health is Health.FENCED:
        return Condition.FAILED, Reason("host_fenced", {"node": pod.node})
    if pod.node and health is Health.SILENT and not pod.ended:
        return Condition.BUSY, Reason("host_silent", {"node": pod.node})
    if pod.deleting:
        return Condition.BUSY, None
    if pod.phase == "Succeeded":
        return Condition.FINISHED, None
    if pod.phase == "Failed":
        return _taken(pod, now, retry_s) if returning.taken(pod) else (Condition.FAILED, _ended(pod))
    if pod.gated:
        return Condition.STOPPED, None
    if not pod.node:
        return Condition.BUSY, Reason("unschedulable", {"detail": _cut(pod.unschedulable)}) if pod.unschedulable else None
    return _living(pod, now)


def _taken(pod: Pod, now: datetime, retry_s: float) -> Verdict:
    detail = _cut(pod.message)
    if returning.hopeless(pod, retry_s):
        return Condition.FAILED, Reason("host_keeps_refusing", {"times": returning.series(pod).lost, "cause": pod.reason, "detail": detail})
    condition = Condition.BUSY if now.timestamp() < returning.due_at(pod) else Condition.STOPPED
    if pod.reason in returning.TAKEN:
        return condition, Reason(returning.TAKEN[pod.reason], {"detail": detail})
    return condition, Reason("host_refused", {"cause": pod.reason, "detail": detail})


def _ended(pod: Pod) -> Reason:
    if pod.reason == "DeadlineExceeded":
        return Reason("container_deadline", {"detail": _cut(pod.message)})
    return _exit(pod.container.reason, pod.container.exit_code, pod.container.message)


def _exit(reason: str, code: int, message: str) -> Reason:
    if reason == "OOMKilled":
        return Reason("container_out_of_memory")
    if reason in ("StartError", "ContainerCannotRun"):
        return Reason("command_not_started", {"detail": _cut(message)})
    return Reason("container_exited", {"code": code})


def _living(pod: Pod, now: datetime) -> Verdict:
    one = pod.container
    if one.what == "running":
        return _running(one, now)
    if one.what == "terminated" and not one.exit_code:
        return Condition.BUSY, None  # it came to its end, or is started again: its pod says which in a moment
    if one.what == "terminated":
        return Condition.BUSY, _exit(one.reason, one.exit_code, one.message)
    if one.reason == "CrashLoopBackOff":
        return _crashing(one)
    if one.reason == "CreateContainerConfigError" and pod.secret and "secret" in one.message and "not found" in one.message:
        return Condition.STOPPED, Reason("secret_missing")
    if one.reason in WAITING:
        condition, code = WAITING[one.reason]
        return condition, Reason(code, {"reference": pod.image, "detail": _cut(one.message)})
    return Condition.BUSY, None


def _running(one: ContainerState, now: datetime) -> Verdict:
    if one.restarts and one.last_exit_code not in (None, 0) and _age_s(one.since, now) < STEADY_S:
        return Condition.BUSY, _last(one)
    if not one.started:
        return Condition.BUSY, None
    return Condition.RUNNING, None if one.ready else Reason("container_unready")


def _crashing(one: ContainerState) -> Verdict:
    why = _last(one)
    if why.code == "command_not_started" or one.restarts >= HOPELESS:
        return Condition.FAILED, why
    return Condition.BUSY, why


def _last(one: ContainerState) -> Reason:
    """What a container that was started again ended of before."""
    code = one.last_exit_code or 0
    why = _exit(one.last_reason, code, one.last_message)
    return Reason("container_crashes", {"code": code, "restarts": one.restarts}) if why.code == "container_exited" else why


def _age_s(since: str, now: datetime) -> float:
    try:
        return (now - datetime.fromisoformat(since)).total_seconds()
    except ValueError:
        return (now - datetime.min.replace(tzinfo=UTC)).total_seconds()


def _cut(text: str) -> str:
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"
