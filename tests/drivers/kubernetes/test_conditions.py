"""What is seen of a pod means what it should: one row for each thing that a kubelet or a scheduler says."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime
from typing import Any

import pytest

from controller.messages import CATALOGUE
from drivers.base import Condition, Health, Power
from drivers.container import Container
from drivers.kubernetes import conditions, names, records
from tests.drivers.kubernetes.objects import INSTANCE, OWNER, served, spec_of

NOW = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC)
LONG_AGO, JUST_NOW = "2026-01-01T11:00:00Z", "2026-01-01T11:59:58Z"


def status(phase: str, state: dict[str, Any] | None = None, last: dict[str, Any] | None = None, **fields: Any) -> dict[str, Any]:
    """A pod's status with one container's."""
    if state is None:
        return {"phase": phase, **fields}
    one = {"name": "main", "state": state, "ready": True, "started": True, "restartCount": 0, **fields.pop("of", {})}
    if last is not None:
        one["lastState"] = {"terminated": last}
    return {"phase": phase, "containerStatuses": [one], **fields}


def waiting(reason: str, message: str = "", last: dict[str, Any] | None = None, restarts: int = 0) -> dict[str, Any]:
    return status("Pending", {"waiting": {"reason": reason, "message": message}}, last, of={"restartCount": restarts, "ready": False})


def running(since: str = LONG_AGO, last: dict[str, Any] | None = None, **of: Any) -> dict[str, Any]:
    return status("Running", {"running": {"startedAt": since}}, last, of=of)


CRASHED = {"reason": "Error", "exitCode": 3}
OOM = {"reason": "OOMKilled", "exitCode": 137}
NO_START = {"reason": "StartError", "exitCode": 128, "message": "exec: no such file"}

TABLE: list[tuple[str, dict[str, Any], Condition, str | None]] = [
    ("nothing known yet", status("Pending"), Condition.BUSY, None),
    ("being made", waiting("ContainerCreating"), Condition.BUSY, None),
    ("pull fails", waiting("ErrImagePull", "404"), Condition.BUSY, "image_pull_failed"),
    ("pull backs off", waiting("ImagePullBackOff"), Condition.BUSY, "image_pull_failed"),
    ("registry away", waiting("RegistryUnavailable"), Condition.BUSY, "image_pull_failed"),
    ("bad signature", waiting("SignatureValidationFailed"), Condition.FAILED, "image_pull_failed"),
    ("may not pull", waiting("ErrImageNeverPull"), Condition.FAILED, "image_absent"),
    ("no image name", waiting("InvalidImageName"), Condition.FAILED, "image_name_invalid"),
    ("image unreadable", waiting("ImageInspectError"), Condition.FAILED, "image_unreadable"),
    ("runs as root", waiting("CreateContainerConfigError", "image will run as root"), Condition.FAILED, "container_config_wrong"),
    ("not created", waiting("CreateContainerError"), Condition.FAILED, "container_not_created"),
    ("no command", waiting("RunContainerError", "exec: no"), Condition.FAILED, "command_not_started"),
    ("no command, again", waiting("CrashLoopBackOff", "", NO_START, 1), Condition.FAILED, "command_not_started"),
    ("crash loop", waiting("CrashLoopBackOff", "", CRASHED, 2), Condition.BUSY, "container_crashes"),
    ("hopeless crash loop", waiting("CrashLoopBackOff", "", CRASHED, 5), Condition.FAILED, "container_crashes"),
    ("out of memory, waits", waiting("CrashLoopBackOff", "", OOM, 2), Condition.BUSY, "container_out_of_memory"),
    ("out of memory, hopeless", waiting("CrashLoopBackOff", "", OOM, 6), Condition.FAILED, "container_out_of_memory"),
    ("ended, to be restarted", status("Running", {"terminated": CRASHED}), Condition.BUSY, "container_exited"),
    ("runs", running(), Condition.RUNNING, None),
    ("runs, not ready", running(ready=False), Condition.RUNNING, "container_unready"),
    ("starting up", running(started=False), Condition.BUSY, None),
    ("just restarted", running(JUST_NOW, CRASHED, restartCount=1), Condition.BUSY, "container_crashes"),
    ("just restarted after memory ran out", running(JUST_NOW, OOM, restartCount=1), Condition.BUSY, "container_out_of_memory"),
    ("restarted long ago", running(LONG_AGO, CRASHED, restartCount=1), Condition.RUNNING, None),
    ("restarted after a good end", running(JUST_NOW, {"exitCode": 0}, restartCount=1), Condition.RUNNING, None),
    ("came to its end", status("Succeeded", {"terminated": {"exitCode": 0, "reason": "Completed"}}), Condition.FINISHED, None),
    ("ended badly", status("Failed", {"terminated": CRASHED}), Condition.FAILED, "container_exited"),
    ("ended for memory", status("Failed", {"terminated": OOM}), Condition.FAILED, "container_out_of_memory"),
    ("never began", status("Failed", {"terminated": NO_START}), Condition.FAILED, "command_not_started"),
    ("evicted", status("Failed", reason="Evicted", message="low on disk"), Condition.STOPPED, "container_evicted"),
    ("preempted on the node", status("Failed", reason="Preempting"), Condition.STOPPED, "container_evicted"),
    ("deadline", status("Failed", reason="DeadlineExceeded"), Condition.FAILED, "container_deadline"),
    ("node shut down", status("Failed", reason="Terminated"), Condition.STOPPED, "host_shut_down"),
    ("no cpu left", status("Failed", reason="OutOfcpu"), Condition.STOPPED, "host_refused"),
    ("no memory left", status("Failed", reason="OutOfmemory"), Condition.STOPPED, "host_refused"),
    ("no place for a pod", status("Failed", reason="OutOfpods"), Condition.STOPPED, "host_refused"),
    ("wrong node", status("Failed", reason="NodeAffinity"), Condition.STOPPED, "host_refused"),
    ("no device", status("Failed", reason="UnexpectedAdmissionError"), Condition.STOPPED, "host_refused"),
]


@pytest.mark.parametrize(("said", "condition", "code"), [row[1:] for row in TABLE], ids=[row[0] for row in TABLE])
def test_what_a_kubelet_says_has_one_meaning(said: dict[str, Any], condition: Condition, code: str | None) -> None:
    pod = records.pod(served(spec_of(), said), OWNER)
    seen = conditions.observation(pod, Health.READY, NOW)
    assert (seen.condition, seen.reason and seen.reason.code) == (condition, code)
    assert (seen.instance_id, seen.generation, seen.host) == (INSTANCE, 1, "node-1")
    assert code is None or code in CATALOGUE
    assert seen.told is ((condition, code, said["phase"]) == (Condition.BUSY, None, "Pending")), "time alone may change the others"


@pytest.mark.parametrize("said", [row[1] for row in TABLE], ids=[row[0] for row in TABLE])
def test_silence_is_never_taken_for_an_end_nor_an_end_for_silence(said: dict[str, Any]) -> None:
    pod = records.pod(served(spec_of(), said), OWNER)
    condition, reason = conditions.verdict(pod, Health.SILENT, NOW)
    if pod.ended:
        assert (condition, reason) == conditions.verdict(pod, Health.READY, NOW)
    else:
        assert (condition, reason and reason.code) == (Condition.BUSY, "host_silent")
    condition, reason = conditions.verdict(pod, Health.FENCED, NOW)
    assert (condition, reason and reason.code) == (Condition.FAILED, "host_fenced")


@pytest.mark.parametrize("said", [running(), status("Pending"), waiting("ErrImagePull")])
def test_what_is_being_deleted_is_busy_until_its_kubelet_agrees(said: dict[str, Any]) -> None:
    pod = records.pod(served(spec_of(), said, deletionTimestamp="2026-01-01T12:00:00Z", deletionGracePeriodSeconds=30), OWNER)
    assert conditions.verdict(pod, Health.READY, NOW) == (Condition.BUSY, None)


@pytest.mark.parametrize("health", Health)
@pytest.mark.parametrize("deleting", [True, False])
@pytest.mark.parametrize("bound", [True, False])
def test_only_what_was_told_to_end_on_a_silent_node_is_leaving(health: Health, deleting: bool, bound: bool) -> None:
    told = {"deletionTimestamp": "2026-01-01T12:00:00Z", "deletionGracePeriodSeconds": 30} if deleting else {}
    pod = records.pod(served(spec_of(power=Power.RUNNING if bound else Power.STOPPED), running() if bound else None, **told), OWNER)
    seen = conditions.observation(pod, health, NOW)
    assert seen.leaving is (bound and deleting and health is Health.SILENT)
    if seen.leaving:
        assert (seen.condition, seen.host) == (Condition.BUSY, "node-1")


def test_a_stopped_instance_is_a_pod_behind_our_gate_and_on_no_node() -> None:
    raw = served(spec_of(power=Power.STOPPED))
    assert "nodeName" not in raw["spec"]
    seen = conditions.observation(records.pod(raw, OWNER), Health.READY, NOW)
    assert (seen.condition, seen.host) == (Condition.STOPPED, "node-1")


def test_another_gate_than_ours_is_waited_for() -> None:
    raw = served(spec_of(power=Power.STOPPED))
    raw["spec"]["schedulingGates"] = [{"name": "somebody.else/gate"}]
    assert conditions.verdict(records.pod(raw, OWNER), Health.READY, NOW)[0] is Condition.BUSY


def test_a_pod_that_no_scheduler_finds_a_place_for_says_why() -> None:
    raw = served(spec_of())
    del raw["spec"]["nodeName"]
    why = {"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": "0/1 nodes"}
    raw["status"] = {"phase": "Pending", "conditions": [why]}
    condition, reason = conditions.verdict(records.pod(raw, OWNER), Health.READY, NOW)
    assert condition is Condition.BUSY
    assert reason is not None
    assert (reason.code, reason.params["detail"]) == ("unschedulable", "0/1 nodes")


def test_a_secret_that_is_gone_is_not_the_whole_spec_and_can_be_given_again() -> None:
    spec = spec_of(container=Container("web", secrets=(("KEY", "value"),)))
    pod = records.pod(served(spec, waiting("CreateContainerConfigError", 'secret "web-1.env-1" not found')), OWNER)
    seen = conditions.observation(pod, Health.READY, NOW)
    assert (seen.condition, seen.generation, seen.reason and seen.reason.code) == (Condition.STOPPED, None, "secret_missing")


@pytest.mark.parametrize("change", [{"image": "evil"}, {"activeDeadlineSeconds": 5}])
def test_what_somebody_changed_is_not_the_whole_spec(change: dict[str, Any]) -> None:
    raw = served(spec_of(), running())
    (raw["spec"]["containers"][0] if "image" in change else raw["spec"]).update(change)
    assert conditions.observation(records.pod(raw, OWNER), Health.READY, NOW).generation is None


@pytest.mark.parametrize(("made", "found"), [("web", "other"), ("web", ""), ("", "web")])
def test_who_was_taken_out_of_a_service_or_put_behind_another_is_not_the_whole_spec(made: str, found: str) -> None:
    raw = served(spec_of(container=Container("registry.lan/web:1", service=made)), running())
    assert conditions.observation(records.pod(raw, OWNER), Health.READY, NOW).generation == 1
    raw["metadata"]["labels"].pop(names.SERVICE, None)
    raw["metadata"]["labels"] |= {names.SERVICE: found} if found else {}
    seen = conditions.observation(records.pod(raw, OWNER), Health.READY, NOW)
    assert (seen.condition, seen.generation) == (Condition.RUNNING, None)
    del raw["metadata"]["annotations"][names.SERVICE]  # of a pod that was made before this was written down
    assert conditions.observation(records.pod(raw, OWNER), Health.READY, NOW).generation == 1


def test_addresses_are_those_of_what_runs_ipv4_first() -> None:
    raw = served(spec_of(), {**running(), "podIPs": [{"ip": "fd00::5"}, {"ip": "10.0.0.5"}]})
    pod = records.pod(raw, OWNER)
    assert conditions.observation(pod, Health.READY, NOW).addresses == ("10.0.0.5", "fd00::5")
    assert conditions.observation(replace(pod, phase="Failed"), Health.READY, NOW).addresses == ()


SPOILT: dict[str, Any] = {
    "copied under another name": lambda metadata: metadata["annotations"].update({names.NAME: "another"}),
    "copied elsewhere": lambda metadata: metadata.update(namespace="default"),
    "another owner": lambda metadata: metadata["labels"].update({names.OWNER: "another"}),
    "another instance": lambda metadata: metadata["labels"].update({names.INSTANCE: "another"}),
    "no generation": lambda metadata: metadata["annotations"].update({names.GENERATION: "many"}),
    "no project": lambda metadata: metadata["annotations"].pop(names.PROJECT),
}


@pytest.mark.parametrize("spoil", SPOILT.values(), ids=SPOILT)
def test_a_copy_or_a_half_of_our_mark_is_not_ours(spoil: Any) -> None:
    raw = served(spec_of(), running())
    assert records.pod(raw, OWNER).mark is not None
    spoil(raw["metadata"])
    assert records.pod(raw, OWNER).mark is None


def test_another_owners_pod_is_not_ours_but_its_claim_is_seen() -> None:
    pod = records.pod(served(spec_of(), running()), "another-cloud")
    assert (pod.mark, pod.claimed) == (None, INSTANCE)
    assert pod.requests["cpu"] == 1
