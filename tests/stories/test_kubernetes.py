"""Tales of containers on a real Kubernetes beside machines on real libvirt hosts, told over HTTP."""

from __future__ import annotations

import json
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import psycopg
import pytest

from drivers.kubernetes import names
from tests.api.outside import fresh
from tests.lab.kubernetes.rig import Cluster
from tests.stories.conftest import Province
from tests.stories.containers import IMAGE, RUNS
from tests.stories.test_libvirt_hosts import NOTICED_S, until

pytestmark = [pytest.mark.real, pytest.mark.slow]


def containers(province: Province, count: int, runs: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
    return {"kind": "container", "name": fresh("app"), "flavor": "pod", "count": count, "container": runs or RUNS, **more}


def hand_in(province: Province, *items: dict[str, Any], within_s: float = 120) -> list[dict[str, Any]]:
    member = province.department.member
    request = member.ask("POST /v1/requests", {"project": province.department.path, "reason": "test", "items": list(items)})
    assert request["state"] == "approved"
    return [member.settled_within(id_, "active", within_s) for id_ in request["instances"]]


def delete(province: Province, instances: list[dict[str, Any]]) -> None:
    for one in instances:
        province.department.member.ask(f"DELETE /v1/instances/{one['id']}")
    for one in instances:
        province.department.member.settled_within(one["id"], "deleted", 120)


def hosts(province: Province, instances: list[dict[str, Any]]) -> Counter[str]:
    return Counter(province.cloud.admin.ask(f"GET /v1/instances/{one['id']}")["host"] for one in instances)


def used(province: Province, resource: str) -> int:
    """What the department has of it, of all kinds together."""
    path = province.department.path
    rows = province.department.admin.ask(f"GET /v1/projects/{path}/quota")["rows"]
    return sum(row["used"] for row in rows if (row["project"], row["kind"], row["resource"]) == (path, "any", resource))


def ours(province: Province, cluster: Cluster, kind: str) -> list[str]:
    """What this controller made of one kind, wherever it is: the cluster is shared with tests that are owners, too."""
    with psycopg.connect(province.cloud.database_url) as conn:
        (owner,) = conn.execute("SELECT owner::text FROM cloud").fetchone() or ("",)
    found = cluster.api.ask(f"GET /api/v1/{kind}?labelSelector={names.OWNER}={names.label(owner)}")["items"]
    return [one["metadata"]["name"] for one in found]


def namespace_of(cluster: Cluster, instance: dict[str, Any]) -> str:
    """Where its pod is; namespaces of other projects may still be going."""
    (pod,) = cluster.api.ask(f"GET /api/v1/pods?labelSelector={names.INSTANCE}%3D{instance['id']}")["items"]
    return str(pod["metadata"]["namespace"])


def test_machines_and_containers_are_one_application_and_containers_outlive_their_node(province: Province, nodes: Cluster) -> None:
    member = province.department.member
    machines = {"flavor": "tiny", "image": "tiny", "count": 2, "name": fresh("vm")}
    six = containers(
        province,
        6,
        RUNS | {"secrets": {"WORD": "hidden-27"}, "ports": [{"name": "http", "port": 8080}], "service": "front"},
        spread={"mode": "spread", "domain": "host"},
    )
    found = hand_in(province, machines, six)
    pods = [one for one in found if one["kind"] == "container"]
    first, second = (node.name for node in nodes.nodes)
    assert hosts(province, pods) == Counter({first: 3, second: 3})
    until(lambda: f"here is {pods[0]['name']}" in province.console(pods[0]), 30, "nothing was printed")
    done = member.ask(
        f"POST /v1/instances/{pods[0]['id']}/exec", {"command": ["/bin/sh", "-c", "echo $WORD; cat; exit 3"], "stdin": "said"}
    )
    assert (done["exit_code"], done["stdout"]) == (3, "hidden-27\nsaid")
    assert "instance.exec_asked" in province.events(pods[0])
    assert "hidden-27" not in province.cloud.log.read_text()

    victim = nodes.nodes[0]
    lost = [one for one in pods if hosts(province, [one])[first]]
    victim.power_cut()
    try:
        until(lambda: member.ask(f"GET /v1/instances/{lost[0]['id']}")["condition"] == "unknown", 90, "nobody noticed that a node is dead")
        assert hosts(province, lost) == Counter({first: 3}), "not before it is certain that it is dead"
        taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
        nodes.api.ask(f"PATCH /api/v1/nodes/{first}", {"spec": {"taints": [taint]}})
        until(lambda: hosts(province, lost) == Counter({second: 3}), NOTICED_S, "they were not started elsewhere")
        for one in lost:
            assert member.settled_within(one["id"], "active", 60)["condition"] == "running"
            assert "instance.evacuated" in province.events(one)
    finally:
        nodes.api.ask(f"PATCH /api/v1/nodes/{first}", {"spec": {"taints": []}})
        victim.switch_on()
    assert used(province, "instances") == 8, "nothing was counted twice"
    delete(province, found)
    for kind in ("namespaces", "persistentvolumeclaims", "secrets", "pods", "services"):
        until(lambda kind=kind: ours(province, nodes, kind) == [], 90, f"{kind} were left behind")


def test_what_somebody_does_to_a_pod_by_hand_is_noticed_told_and_mended(province: Province, nodes: Cluster) -> None:
    (one,) = hand_in(province, containers(province, 1))
    namespace = namespace_of(nodes, one)
    started = time.monotonic()
    nodes.api.ask(f"DELETE /api/v1/namespaces/{namespace}/pods/{one['name']}?gracePeriodSeconds=0")
    until(lambda: "instance.vanished" in province.events(one), NOTICED_S, "a deleted pod was not told of")
    until(lambda: "instance.mended" in province.events(one), NOTICED_S, "a deleted pod was not made again")
    assert time.monotonic() - started < NOTICED_S
    delete(province, [one])


@pytest.mark.parametrize(
    ("runs", "code"),
    [
        ({"image": "nowhere.invalid/none:1"}, "image_pull_failed"),
        ({"image": IMAGE, "command": ["/no/such/command"]}, "command_not_started"),
        ({"image": IMAGE, "command": ["/bin/sh", "-c", "exit 7"]}, "container_crashes"),
        ({"image": IMAGE, "volumes": [{"name": "data", "path": "/data", "size_gib": 1}]}, "claim_unbound"),
    ],
)
def test_why_a_container_does_not_run_is_said_in_the_departments_words(province: Province, nodes: Cluster, runs: Any, code: str) -> None:
    member = province.department.member
    body = {"project": province.department.path, "reason": "test", "items": [containers(province, 1, runs, flavor="pod-with-room")]}
    (id_,) = member.ask("POST /v1/requests", body)["instances"]
    said = member.until(f"GET /v1/instances/{id_}", lambda one: one["reason"] is not None and one["reason"]["code"] == code, 60)
    assert said["reason"]["text"]
    assert nodes.nodes[0].name not in json.dumps(said)
    member.ask(f"DELETE /v1/instances/{id_}")
    member.settled_within(id_, "deleted", 90)


def test_a_container_whose_image_can_not_be_fetched_is_rebuilt_from_another_or_stopped(province: Province, nodes: Cluster) -> None:
    member = province.department.member
    body = {
        "project": province.department.path,
        "reason": "test",
        "items": [containers(province, 2, RUNS | {"image": "nowhere.invalid/none:1"})],
    }
    wrong, idle = member.ask("POST /v1/requests", body)["instances"]
    for id_ in (wrong, idle):
        member.until(f"GET /v1/instances/{id_}", lambda one: one["reason"] is not None and one["reason"]["code"] == "image_pull_failed", 60)
    member.ask(f"POST /v1/instances/{wrong}/rebuild", {"image": IMAGE})
    member.ask(f"POST /v1/instances/{idle}/stop")
    delete(province, [member.settled_within(wrong, "active", 60), member.settled_within(idle, "stopped", 60)])


def test_a_node_is_drained_through_us_and_a_cordon_by_hand_is_honoured(province: Province, nodes: Cluster) -> None:
    pods = hand_in(province, containers(province, 4, spread={"mode": "spread", "domain": "host"}))
    first, second = (node.name for node in nodes.nodes)
    province.cloud.admin.ask(f"POST /v1/hosts/{first}/drain")
    for one in pods:
        province.department.member.settled_within(one["id"], "active", 60)
    assert hosts(province, pods) == Counter({second: 4})
    province.cloud.admin.ask(f"POST /v1/hosts/{first}/uncordon")
    nodes.api.ask(f"PATCH /api/v1/nodes/{second}", {"spec": {"unschedulable": True}})
    try:
        admin = province.cloud.admin
        admin.until(f"GET /v1/hosts/{second}", lambda host: host["reason"] is not None and host["reason"]["code"] == "node_cordoned", 5)
        (another,) = hand_in(province, containers(province, 1))
        assert hosts(province, [another]) == Counter({first: 1})
    finally:
        nodes.api.ask(f"PATCH /api/v1/nodes/{second}", {"spec": {"unschedulable": False}})
    delete(province, [*pods, another])


def test_a_container_that_is_asked_for_once_ends_and_is_started_again_when_asked(province: Province, nodes: Cluster) -> None:
    member, path = province.department.member, province.department.path
    once = RUNS | {"command": ["/bin/sh", "-c", "echo done by $(hostname)"], "restart": "never"}
    body = {"project": path, "reason": "test", "items": [containers(province, 1, once)]}
    (id_,) = member.ask("POST /v1/requests", body)["instances"]
    ended = member.settled_within(id_, "stopped", 60)
    assert (ended["condition"], ended["goal"]) == ("finished", "running")
    assert "instance.finished" in province.events(ended)
    assert f"done by {ended['name']}" in province.console(ended)
    member.ask(f"POST /v1/instances/{id_}/start")
    until(lambda: province.events(ended).count("instance.finished") == 2, 60, "it was not started again")
    delete(province, [ended])


def test_a_log_is_followed_as_it_grows_and_many_followers_keep_nobody_else_waiting(province: Province, nodes: Cluster) -> None:
    talks = RUNS | {
        "command": ["/bin/sh", "-c", 'trap "exit 0" TERM; i=0; while :; do i=$((i+1)); echo "line $i"; sleep 1 & wait $!; done']
    }
    (one,) = hand_in(province, containers(province, 1, talks))
    member, address = province.department.member, f"/v1/instances/{one['id']}/log"
    ending = Event()

    def follow() -> list[str]:
        heard: list[str] = []
        with member.http.stream("GET", address, headers={"Authorization": f"Bearer {member.token}"}) as answer:
            assert answer.status_code == 200
            for line in answer.iter_lines():
                heard.append(line)
                if ending.is_set():
                    return heard
        return heard

    with ThreadPoolExecutor(60) as pool:
        followers = [pool.submit(follow) for _ in range(60)]
        time.sleep(6)
        begun = time.monotonic()
        for _ in range(5):
            member.ask(f"GET /v1/instances/{one['id']}")
        took = time.monotonic() - begun
        ending.set()
        heard = [follower.result(timeout=30) for follower in followers]
    assert took < 10, "others waited for those who listen"
    for lines in heard:
        told = [int(line.removeprefix("line ")) for line in lines if line.startswith("line ")]
        assert len(told) >= 3
        assert told == list(range(told[0], told[-1] + 1)), "every line once, in order"
    delete(province, [one])


def test_a_drain_waits_for_a_disruption_budget(province: Province, nodes: Cluster) -> None:
    (one,) = hand_in(province, containers(province, 1))
    namespace = namespace_of(nodes, one)
    budgets = f"/apis/policy/v1/namespaces/{namespace}/poddisruptionbudgets"
    everybody = {"minAvailable": 1, "selector": {"matchLabels": {"app.kubernetes.io/managed-by": "chutian"}}}
    nodes.api.ask(f"POST {budgets}", {"metadata": {"name": "keep"}, "spec": everybody})
    nodes.api.until(f"GET {budgets}/keep", lambda budget: budget.get("status", {}).get("expectedPods") == 1)
    (first,) = hosts(province, [one])
    uid = nodes.api.ask(f"GET /api/v1/namespaces/{namespace}/pods/{one['name']}")["metadata"]["uid"]
    province.cloud.admin.ask(f"POST /v1/hosts/{first}/drain")
    try:
        admin = province.cloud.admin
        admin.until(f"GET /v1/instances/{one['id']}", lambda it: it["reason"] is not None and it["reason"]["code"] == "eviction_held", 30)
        time.sleep(5)
        assert nodes.api.ask(f"GET /api/v1/namespaces/{namespace}/pods/{one['name']}")["metadata"]["uid"] == uid, "it was not taken away"
        nodes.api.ask(f"DELETE {budgets}/keep")
        moved = province.department.member.settled_within(one["id"], "active", 60)
        assert moved["condition"] == "running"
        assert hosts(province, [one])[first] == 0
    finally:
        province.cloud.admin.ask(f"POST /v1/hosts/{first}/uncordon")
    delete(province, [one])
