"""What a node took away or would not take comes back: when, how often, and when no more. Pure.

A pod that was evicted, had to make way on its node, was refused by its kubelet or went down with its node did not end by itself, so it is
made anew whatever its restart policy says. The first time at once, then ever later, as a kubelet does with what crashes; a pod that ran for
`CALM_S` before it was taken begins a new series. How many there were, and since when, stands on the pod: whoever looks next goes on from
there. A series that lasts for longer than the endpoint's `retry_s` is given up.

Rejected: counting in the controller. It would have to remember something for each pod that only this driver knows to tell from an end.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from drivers.kubernetes.records import Failure, Pod

PAUSES_S: Final = (0, 10, 20, 40, 80, 160, 300)
"""After the end of the pod that was made first, second, …; after any further one as after the last."""
CALM_S: Final = 600
REFUSED: Final = (
    "OutOf",
    "NodeAffinity",
    "NodePorts",
    "NodeName",
    "UnexpectedAdmissionError",
    "AppArmor",
    "PodOSNotSupported",
    "Sysctl",
    "Unsupported",
)
"""How the reasons begin with which a kubelet refuses a pod that was bound to it."""
TAKEN: Final[Mapping[str, str]] = {
    "Evicted": "container_evicted",
    "Preempting": "container_evicted",
    "Preempted": "container_evicted",
    "Terminated": "host_shut_down",
    "Shutdown": "host_shut_down",
    "NodeShutdown": "host_shut_down",
    "NodeLost": "host_shut_down",
}
"""Why a pod was taken away, by its own reason."""


@dataclass(frozen=True, slots=True)
class Series:
    """Pods in a row that were taken away: how many, and since when (seconds since 1970)."""

    lost: int
    since: float

    def __str__(self) -> str:
        return f"{self.lost} {self.since:.0f}"


def read(note: str) -> Series | None:
    """From a pod's annotation; None where there is none, or somebody wrote something else there."""
    lost, _, since = note.partition(" ")
    return Series(int(lost), float(since)) if lost.isdecimal() and since.isdecimal() and len(note) < 40 else None


def taken(pod: Pod) -> bool:
    """Whether it was taken away, or never taken in; else it ended by itself, or lives."""
    return pod.failed is not None and (pod.reason.startswith(REFUSED) or pod.reason in TAKEN)


def series(pod: Pod) -> Series:
    """With this one that was taken. One that ran for long is the first of its series."""
    failed = _failure(pod)
    before = read(failed.again)
    if before is None or failed.ended_at - failed.made_at > CALM_S:
        return Series(1, failed.ended_at)
    return Series(before.lost + 1, before.since)


def due_at(pod: Pod) -> float:
    """When another may be made in its place."""
    return _failure(pod).ended_at + PAUSES_S[min(series(pod).lost, len(PAUSES_S)) - 1]


def hopeless(pod: Pod, retry_s: float) -> bool:
    """Whether its series has lasted for too long."""
    return due_at(pod) - series(pod).since > retry_s


def _failure(pod: Pod) -> Failure:
    assert pod.failed is not None  # noqa: S101  # `taken` was asked
    return pod.failed
