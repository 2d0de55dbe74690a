"""The rig itself: what it starts is real, fails as it is told to, comes back, and leaves nothing."""

from __future__ import annotations

import http.client
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.lab.kubernetes import fake, rig
from tests.lab.kubernetes.api import Refused
from tests.lab.kubernetes.conftest import Namespace
from tests.lab.kubernetes.node import Node, condition
from tests.lab.kubernetes.rig import Cluster

pytestmark = pytest.mark.real


def _get(url: str) -> str:
    with urllib.request.urlopen(url, timeout=10) as answer:  # noqa: S310
        text: str = answer.read().decode()
    return text


def _ended(pod: dict[str, Any]) -> dict[str, Any]:
    """How the container ended the last time, where it did."""
    seen = [one for one in pod["status"].get("containerStatuses", []) for one in (one["state"], one.get("lastState", {}))]
    return next((one["terminated"] for one in seen if "terminated" in one), {})


def test_the_control_plane_answers_and_its_nodes_are_real_and_ready(cluster: Cluster) -> None:
    version = cluster.api.ask("GET /version")["gitVersion"]
    listed = cluster.api.ask("GET /api/v1/nodes?labelSelector=kubernetes.io/os=linux")["items"]
    real = [one for one in listed if one["status"]["nodeInfo"]["containerRuntimeVersion"].startswith("containerd://")]
    assert sorted(one["metadata"]["name"] for one in real) == sorted(node.name for node in cluster.nodes)
    assert {one["status"]["nodeInfo"]["kubeletVersion"] for one in real} == {version}
    assert len({one["status"]["nodeInfo"]["machineID"] for one in real}) == len(real)
    assert all(cluster.alive(component) for component in cluster.components)


def test_a_pod_that_we_placed_runs_says_a_line_and_answers(node: Node, namespace: Namespace) -> None:
    path = namespace.run("web", node.name)
    pod = namespace.running(path)
    log = namespace.api.until(f"GET {path}/log", bool)
    assert log == "chutian-container: hostname=web user=65534\n"
    assert _get(f"http://{pod['status']['podIP']}:8080/") == "chutian-container: hostname=web\n"


def test_the_image_runs_under_the_strictest_pod_security(node: Node, namespace: Namespace) -> None:
    strict = {"metadata": {"labels": {"pod-security.kubernetes.io/enforce": "restricted"}}}
    namespace.api.ask(f"PATCH /api/v1/namespaces/{namespace.name}", strict)
    with pytest.raises(Refused, match="violates PodSecurity"):
        namespace.run("lax", node.name)
    confined = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "readOnlyRootFilesystem": True}
    profile = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    namespace.running(namespace.run("strict", node.name, container={"securityContext": confined}, securityContext=profile))


def test_pods_reach_each_other_across_nodes(cluster: Cluster, namespace: Namespace) -> None:
    one, other = cluster.nodes
    served = namespace.running(namespace.run("web", one.name))["status"]["podIP"]
    path = namespace.run(
        "asks", other.name, container={"command": ["wget", "-q", "-O", "-", f"http://{served}:8080/"]}, restartPolicy="Never"
    )
    namespace.api.until(f"GET {path}", lambda pod: pod["status"]["phase"] == "Succeeded")
    assert namespace.api.ask(f"GET {path}/log") == "chutian-container: hostname=web\n"


def test_a_command_is_run_in_a_container_through_the_api_server(cluster: Cluster, node: Node, namespace: Namespace) -> None:
    namespace.running(namespace.run("web", node.name))
    said = cluster.kubectl("exec", f"--namespace={namespace.name}", "web", "--", "sh", "-c", "echo $((6 * 7)) on $(hostname)")
    assert said == "42 on web\n"


def test_a_container_ends_with_the_code_that_it_is_told(node: Node, namespace: Namespace) -> None:
    path = namespace.run("web", node.name, restartPolicy="Never")
    address = namespace.running(path)["status"]["podIP"]
    namespace.api.until(f"GET {path}/log", bool)
    _get(f"http://{address}:8080/cgi-bin/exit?7")
    pod = namespace.api.until(f"GET {path}", lambda pod: pod["status"]["phase"] == "Failed")
    assert (_ended(pod)["reason"], _ended(pod)["exitCode"]) == ("Error", 7)


def test_a_container_that_takes_too_much_memory_is_seen_as_killed_for_it(node: Node, namespace: Namespace) -> None:
    limits = {"resources": {"limits": {"memory": "32Mi", "cpu": "500m"}}}
    path = namespace.run("web", node.name, container=limits, restartPolicy="Never")
    address = namespace.running(path)["status"]["podIP"]
    namespace.api.until(f"GET {path}/log", bool)
    with suppress(OSError, http.client.HTTPException):  # it may be killed before it has answered
        _get(f"http://{address}:8080/cgi-bin/oom")
    pod = namespace.api.until(f"GET {path}", lambda pod: pod["status"]["phase"] == "Failed")
    assert (_ended(pod)["reason"], _ended(pod)["exitCode"]) == ("OOMKilled", 137)


@pytest.mark.slow
def test_a_power_cut_is_noticed_and_afterwards_its_pods_start_again(node: Node, namespace: Namespace) -> None:
    path = namespace.run("web", node.name)
    namespace.running(path)
    boot = node.seen()["status"]["nodeInfo"]["bootID"]
    node.power_cut()
    node.await_ready("Unknown")
    assert namespace.api.ask(f"GET {path}")["status"]["phase"] == "Running"  # nobody is there who could say otherwise
    node.start()
    assert node.seen()["status"]["nodeInfo"]["bootID"] != boot
    pod = namespace.api.until(f"GET {path}", lambda pod: pod["status"]["containerStatuses"][0]["restartCount"] == 1)
    assert "running" in pod["status"]["containerStatuses"][0]["state"]


@pytest.mark.slow
def test_containers_outlive_their_kubelet(node: Node, namespace: Namespace) -> None:
    path = namespace.run("web", node.name)
    status = namespace.running(path)["status"]
    address, container = status["podIP"], status["containerStatuses"][0]["containerID"].removeprefix("containerd://")
    assert container in node.containers()
    node.kill_kubelet()
    node.await_ready("Unknown")
    assert container in node.containers()
    assert _get(f"http://{address}:8080/") == "chutian-container: hostname=web\n"
    node.start_kubelet()
    node.await_ready()
    assert namespace.api.ask(f"GET {path}")["status"]["containerStatuses"][0]["restartCount"] == 0


def test_a_node_without_its_cable_is_reached_again(node: Node) -> None:
    with node.machine.being_cut(), pytest.raises(TimeoutError):
        socket.create_connection((node.machine.address, node.machine.door), timeout=1)
    node.await_ready()


def test_the_api_server_is_killed_and_comes_back_with_all_that_it_knew(cluster: Cluster, namespace: Namespace) -> None:
    with cluster.being_down("kube-apiserver"), pytest.raises(ConnectionRefusedError):
        cluster.api.ask("GET /version")
    assert cluster.api.ask(f"GET /api/v1/namespaces/{namespace.name}")["metadata"]["name"] == namespace.name


def test_a_frozen_api_server_takes_calls_and_never_answers(cluster: Cluster) -> None:
    with cluster.being_frozen("kube-apiserver"), pytest.raises(TimeoutError):
        cluster.api.ask("GET /version", timeout_s=1)
    assert cluster.api.ask("GET /version")["major"] == "1"


@pytest.mark.parametrize("component", ["etcd", "kube-controller-manager", "kube-scheduler", "kwok"])
def test_each_other_part_is_stopped_and_started_by_itself(cluster: Cluster, component: str) -> None:
    first = cluster.pid(component)
    cluster.stop(component)
    assert not cluster.alive(component)
    cluster.start(component)
    assert cluster.alive(component)
    assert cluster.pid(component) != first
    cluster.api.until("GET /readyz", lambda said: said == "ok")


def test_a_watch_from_before_a_compaction_is_told_so_by_a_restarted_api_server(cluster: Cluster, namespace: Namespace) -> None:
    settings = f"/api/v1/namespaces/{namespace.name}/configmaps"
    old = cluster.api.ask(f"GET {settings}")["metadata"]["resourceVersion"]
    for number in range(3):
        cluster.api.ask(f"POST {settings}", {"metadata": {"name": f"one-{number}"}})
    assert cluster.compact() > int(old)
    cluster.restart("kube-apiserver")
    event = next(cluster.api.watch(f"{settings}?watch=1&resourceVersion={old}"))
    assert (event["type"], event["object"]["code"], event["object"]["reason"]) == ("ERROR", 410, "Expired")


def test_network_policies_are_kept(namespace: Namespace) -> None:
    policies = f"/apis/networking.k8s.io/v1/namespaces/{namespace.name}/networkpolicies"
    namespace.api.ask(f"POST {policies}", {"metadata": {"name": "closed"}, "spec": {"podSelector": {}, "policyTypes": ["Ingress"]}})
    assert [one["metadata"]["name"] for one in namespace.api.ask(f"GET {policies}")["items"]] == ["closed"]


def test_simulated_nodes_say_that_they_run_what_is_put_on_them(cluster: Cluster, namespace: Namespace) -> None:
    names = fake.add(cluster.api, 20)
    try:
        for name in names:
            cluster.api.until(f"GET /api/v1/nodes/{name}", lambda one: condition(one, "Ready") == "True")
        for name in names:
            namespace.run(f"on-{name}", name)
        namespace.api.until(f"GET {namespace.pods}", lambda pods: all(one["status"]["phase"] == "Running" for one in pods["items"]))
    finally:
        fake.remove(cluster.api, names)


def test_two_control_planes_do_not_know_each_other(cluster: Cluster, tmp_path: Path) -> None:
    other = rig.up(tmp_path / "other", cluster.binaries, components=("etcd", "kube-apiserver"))
    try:
        assert other.api.ask("GET /api/v1/nodes")["items"] == []
        assert rig.found(other.folder) == other
    finally:
        rig.down(other)
    assert _processes(other.folder) == []
    assert not other.folder.exists()


def test_what_could_be_started_only_in_half_is_taken_away(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "half"
    (folder / "n1").mkdir(parents=True)
    (folder / "n1/var").write_text("not a folder")  # found out after network and cgroups of the node were made
    with pytest.raises(NotADirectoryError):
        rig.up(folder, cluster.binaries, nodes=1, components=("etcd", "kube-apiserver"))
    assert _processes(folder) == []
    assert not folder.exists()


def test_what_its_starter_left_when_it_was_killed_is_taken_away_by_another(tmp_path: Path) -> None:
    folder = tmp_path / "orphan"
    starter = subprocess.Popen([sys.executable, "-m", "tests.lab.kubernetes", "up", folder, "--nodes", "1"], cwd=rig.CHECKOUT)
    while not (folder / "n1/pid").exists():
        assert starter.poll() is None
        time.sleep(0.05)
    starter.kill()
    starter.wait()
    orphan = rig.found(folder)
    assert _traces(orphan)
    assert _processes(folder)
    rig.down(orphan)
    assert _traces(orphan) == set()
    assert _processes(folder) == []
    assert not folder.exists()


def test_what_is_tied_to_a_process_goes_when_that_is_killed(cluster: Cluster, tmp_path: Path) -> None:
    folder = tmp_path / "tied"
    program = (
        "import sys, time; from pathlib import Path; from tests.lab.kubernetes import rig, shared; folder = Path(sys.argv[1]);"
        "shared.tie(folder); rig.up(folder, Path(sys.argv[2]), components=('etcd',)); print('up', flush=True); time.sleep(600)"
    )
    line = [sys.executable, "-c", program, str(folder), str(cluster.binaries)]
    with subprocess.Popen(line, cwd=rig.CHECKOUT, stdout=subprocess.PIPE) as tied:
        assert tied.stdout is not None
        assert tied.stdout.readline() == b"up\n"
        assert rig.found(folder).alive("etcd")
        tied.kill()
    deadline = time.monotonic() + 20
    while _processes(folder) and time.monotonic() < deadline:
        time.sleep(0.1)
    assert not folder.exists()
    assert _processes(folder) == []


def test_a_part_that_does_not_start_is_named_with_what_it_said(tmp_path: Path, cluster: Cluster) -> None:
    with pytest.raises(RuntimeError, match=r"etcd did not become ready: [\s\S]*no-such-flag"):
        rig.up(tmp_path / "wrong", cluster.binaries, components=("etcd",), more={"etcd": ["--no-such-flag"]})
    assert _processes(tmp_path) == []


def _traces(of: Cluster) -> set[Path]:
    """The network namespaces, links and cgroups of that cluster."""
    patterns = ("run/netns/lab{}", "run/netns/lab{}-*", "sys/class/net/lab{}", "sys/fs/cgroup/*/lab{}-*")
    return {path for pattern in patterns for path in Path("/").glob(pattern.format(of.number))}


def _processes(folder: Path) -> list[str]:
    lines = [(path, path.read_bytes()) for path in Path("/proc").glob("[0-9]*/cmdline")]
    return [str(path) for path, line in lines if str(folder).encode() in line]
