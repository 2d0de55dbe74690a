"""What becomes of containers whose node is in trouble while they are not, or that their node takes away: told over HTTP, on real nodes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest

from tests.lab.kubernetes.node import Node
from tests.stories.containers import RUNS, Tale, a_tale, by_kubeconfig
from tests.stories.test_libvirt_hosts import NOTICED_S

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture(scope="module")
def tale() -> Iterator[Tale]:
    with a_tale() as made:
        made.enrol(by_kubeconfig(made.cluster))
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
