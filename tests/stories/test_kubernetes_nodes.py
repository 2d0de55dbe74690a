"""What becomes of containers whose node is in trouble while they are not, or that their node takes away: told over HTTP, on real nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.kubernetes.api import Refused
from tests.lab.kubernetes.node import Node
from tests.stories.containers import RUNS, Tale, a_tale, by_kubeconfig
from tests.stories.test_libvirt_hosts import NOTICED_S, until

pytestmark = [pytest.mark.real, pytest.mark.slow]
RETRY_S = 25
GREEDY = "dd if=/dev/zero of=/tmp/much bs=1M count=1100; sleep 600"  # more than its flavor has


@pytest.fixture(scope="module")
def tale() -> Iterator[Tale]:
    with a_tale() as made:
        made.enrol(by_kubeconfig(made.cluster), retry_s=str(RETRY_S))
        yield made


def test_a_kubeconfig_for_another_server_is_refused_when_enrolling_and_later(tale: Tale) -> None:
    there = by_kubeconfig(tale.cluster)
    elsewhere = there["credentials"].replace(there["uri"], "https://127.0.0.1:6443")
    body = {"name": "other", "driver": "kubernetes", "pool": "nodes", "uri": "https://127.0.0.1:1", "credentials": elsewhere}
    before = tale.admin.ask("GET /v1/endpoints/cluster")
    for line, given in (("POST /v1/endpoints", body), ("PATCH /v1/endpoints/cluster", {"credentials": elsewhere})):
        for language, word in (("en", "must be the same"), ("zh", "必须一致")):
            answer = tale.admin.call(line, given, {"Accept-Language": language})
            told = answer.json()["error"]
            assert (answer.status_code, told["details"]["reason"]) == (400, "credentials_elsewhere")
            assert word in told["message"]
            assert "https://127.0.0.1:6443" in told["message"], "of the kubeconfig"
            assert (given.get("uri") or there["uri"]) in told["message"], "of the endpoint"
    assert tale.admin.ask("GET /v1/endpoints/cluster")["generation"] == before["generation"]
    assert [one["name"] for one in tale.admin.ask("GET /v1/endpoints")["items"]] == ["cluster"]


def stranger(tale: Tale, namespace: str, pod: dict[str, Any]) -> bool:
    """A pod among ours, made by somebody who raised the quota; False where the quota was quicker, or isn't reckoned yet."""
    sizes = {"cpu": "9", "memory": "9Gi", "ephemeral-storage": "9Gi"}
    hard = {"pods": "9", **{f"{of}.{name}": amount for of in ("requests", "limits") for name, amount in sizes.items()}}
    tale.cluster.api.ask(f"PATCH /api/v1/namespaces/{namespace}/resourcequotas/chutian", {"spec": {"hard": hard}})
    spec = {name: pod["spec"][name] for name in ("containers", "securityContext")} | {"schedulerName": "nobody"}
    try:
        tale.cluster.api.ask(f"POST /api/v1/namespaces/{namespace}/pods", {"metadata": {"name": "stranger"}, "spec": spec})
    except Refused as refused:
        if "exceeded quota" not in str(refused):
            raise
        return False
    return True


def test_what_somebody_does_around_a_project_is_told_to_operators_and_mended_or_left_alone(tale: Tale) -> None:
    (id_,) = tale.ask(1, RUNS)
    tale.active([id_])
    (pod,) = tale.pods(id_)
    namespace, ask = pod["metadata"]["namespace"], tale.cluster.api.ask
    policy = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies/chutian"

    def told(kind: str) -> list[str]:
        return [one["details"]["what"] for one in tale.admin.ask("GET /v1/events", limit=500)["items"] if one["kind"] == kind]

    ask(f"DELETE {policy}")
    until(lambda: stranger(tale, namespace, pod), 10, "nobody got in")
    around = {f"NetworkPolicy {namespace}/chutian", f"ResourceQuota {namespace}/chutian"}
    until(lambda: set(told("endpoint.meddled")) == around, NOTICED_S, "it was not told of")
    until(lambda: told("endpoint.stranger_found") == [f"pod {namespace}/stranger"], NOTICED_S, "it was not told of")
    assert ask(f"GET {policy}")
    assert ask(f"GET /api/v1/namespaces/{namespace}/resourcequotas/chutian")["spec"]["hard"]["pods"] == "1"
    assert ask(f"GET /api/v1/namespaces/{namespace}/pods/stranger"), "left alone"
    assert not [one for one in tale.department.member.ask("GET /v1/events", limit=500)["items"] if one["kind"].startswith("endpoint.")]
    ask(f"DELETE /api/v1/namespaces/{namespace}/pods/stranger?gracePeriodSeconds=0")
    tale.delete([id_])


def container_of(pod: dict[str, Any]) -> tuple[str, str, str, int]:
    """What stays the same as long as nobody starts it anew: pod, container, its start, its restarts."""
    (status,) = pod["status"]["containerStatuses"]
    return (
        pod["metadata"]["uid"],
        status["containerID"].removeprefix("containerd://"),
        status["state"]["running"]["startedAt"],
        status["restartCount"],
    )


def process_of(node: Node, container: str) -> str:
    """The container's first process on its node, and when that began (in ticks since the machine did), without asking a kubelet."""
    rows = [line.split() for line in node.machine.run("ctr", "--namespace=k8s.io", "tasks", "list").splitlines()]
    (pid,) = (row[1] for row in rows if row[0] == container)
    began = node.machine.run("cat", f"/proc/{pid}/stat").rpartition(")")[2].split()[19]
    return f"{pid} since {began}"


def test_containers_whose_kubelet_is_dead_are_unknown_and_go_on_and_are_active_again_when_it_is_back(tale: Tale) -> None:
    member, node = tale.department.member, tale.cluster.nodes[0]
    ids = tale.ask(4, RUNS, spread={"mode": "spread", "domain": "host"})
    tale.active(ids)
    pods = {id_: pod for id_ in ids for pod in tale.pods(id_)}
    before = {id_: container_of(pod) for id_, pod in pods.items()}
    there = [id_ for id_ in ids if pods[id_]["spec"]["nodeName"] == node.name]
    elsewhere = [id_ for id_ in ids if id_ not in there]
    assert len(there) == len(elsewhere) == 2
    processes = {id_: process_of(node, before[id_][1]) for id_ in there}
    node.kill_kubelet()
    try:
        for id_ in there:
            seen = member.until(f"GET /v1/instances/{id_}", lambda one: one["condition"] == "unknown", NOTICED_S + 30)
            assert (seen["state"], seen["goal"]) == ("active", "running")
            assert seen["reason"]["code"] in ("host_silent", "host_unreachable")
            assert "not answer" in seen["reason"]["text"]
            assert node.name not in str(seen), "whose department is not told of hosts"
        (host,) = (one for one in tale.admin.ask("GET /v1/events", limit=500)["items"] if one["kind"] == "host.unreachable")
        assert host["object_name"] == node.name
        end = time.monotonic() + 20
        while time.monotonic() < end:  # several looks, and passes if any were due
            assert {id_: process_of(node, before[id_][1]) for id_ in there} == processes, "what runs goes on"
            for id_ in ids:
                (pod,) = tale.pods(id_)
                assert pod["metadata"]["uid"] == before[id_][0], "nothing is made anew, and nothing taken away"
                assert "deletionTimestamp" not in pod["metadata"]
            time.sleep(2)
        for id_ in elsewhere:
            assert member.ask(f"GET /v1/instances/{id_}")["condition"] == "running"
    finally:
        node.start_kubelet()
    node.await_ready()
    for id_ in there:
        again = member.until(f"GET /v1/instances/{id_}", lambda one: one["condition"] == "running", NOTICED_S)
        assert (again["state"], again["reason"]) == ("active", None)
        assert tale.told(id_)[-2:] == ["instance.unseen", "instance.seen_again"]
    for id_ in elsewhere:
        assert tale.told(id_)[-1] == "instance.active"
    assert {id_: container_of(pod) for id_ in ids for pod in tale.pods(id_)} == before, "the same pods, containers and starts"
    assert {id_: process_of(node, before[id_][1]) for id_ in there} == processes
    tale.delete(ids)


def until_told(tale: Tale, id_: str, state: str, within_s: float) -> tuple[dict[str, Any], dict[str, float]]:
    """The instance once it is in that state, and when each pod that it had until then was first seen."""
    made: dict[str, float] = {}
    end = time.monotonic() + within_s
    while True:
        pods = tale.pods(id_)
        assert len(pods) <= 1, "never two"
        for pod in pods:
            made.setdefault(pod["metadata"]["uid"], time.monotonic())
        one = tale.department.member.ask(f"GET /v1/instances/{id_}")
        if one["state"] == state:
            return one, made
        assert time.monotonic() < end, f"not {state} within {within_s} s: {one}, {tale.told(id_)}"
        time.sleep(0.2)


def test_what_its_node_takes_away_again_and_again_comes_back_ever_later_is_told_and_given_up(tale: Tale) -> None:
    member = tale.department.member
    (id_,) = tale.ask(1, RUNS | {"command": ["/bin/sh", "-c", GREEDY], "restart": "never"})
    tale.active([id_])
    given_up, made = until_told(tale, id_, "error", 300)
    assert (given_up["goal"], given_up["reason"]["code"]) == ("running", "host_keeps_refusing")
    assert "Evicted" in given_up["reason"]["text"]
    assert len(made) >= 3
    begun = list(made.values())
    assert begun[2] - begun[1] > 10, "the second time not at once"
    told = tale.told(id_)
    assert told.count("instance.troubled") >= 2
    assert told[-1] == "instance.failed"
    assert "instance.stopped_by_other" not in told
    time.sleep(15)
    assert [pod["metadata"]["uid"] for pod in tale.pods(id_)] == [list(made)[-1]], "and then not any more"
    member.ask(f"POST /v1/instances/{id_}/start")
    member.until(f"GET /v1/instances/{id_}", lambda one: one["state"] == "active", 60)  # a new series, as somebody asked
    tale.delete([id_])


@pytest.mark.parametrize("restart", ["never", "on_failure"])
def test_what_ends_by_itself_is_run_once_or_until_it_ends_well_as_was_asked(tale: Tale, restart: str) -> None:
    ends = {"never": "exit 7", "on_failure": "exit 0"}[restart]
    (id_,) = tale.ask(1, RUNS | {"command": ["/bin/sh", "-c", ends], "restart": restart})
    ended, made = until_told(tale, id_, {"never": "error", "on_failure": "stopped"}[restart], 60)
    assert (ended["reason"] and ended["reason"]["code"]) == {"never": "container_exited", "on_failure": None}[restart]
    time.sleep(10)
    (pod,) = tale.pods(id_)
    assert [pod["metadata"]["uid"]] == list(made), "one pod"
    assert pod["status"]["containerStatuses"][0]["restartCount"] == 0, "run once"
    tale.delete([id_])


def test_a_container_that_crashes_and_is_restarted_is_told_of_when_it_does_and_when_it_is_well_again(tale: Tale) -> None:
    member = tale.department.member
    (id_,) = tale.ask(1, RUNS | {"command": ["/bin/sh", "-c", "while [ ! -e /tmp/die ]; do sleep 0.2; done; exit 3"]})
    tale.active([id_])
    member.ask(f"POST /v1/instances/{id_}/exec", {"command": ["touch", "/tmp/die"]})
    member.until(f"GET /v1/instances/{id_}", lambda one: one["condition"] == "busy" and one["reason"] is not None, 20)
    member.until(f"GET /v1/instances/{id_}", lambda one: one["condition"] == "running", 60)
    assert tale.told(id_)[-2:] == ["instance.troubled", "instance.mended"]
    assert tale.pods(id_)[0]["status"]["containerStatuses"][0]["restartCount"] == 1
    tale.delete([id_])
