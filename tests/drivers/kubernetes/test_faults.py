"""Faults of a real cluster and of our own process: no pod without its spec, none twice, nothing taken for absent that can't be seen."""

from __future__ import annotations

import json
import random
import subprocess
import sys
import threading
import time
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from drivers.base import Condition, Health, InstanceSpec, Power
from drivers.errors import DriverError, HostUnreachable, Transient, Unauthorized
from drivers.kubernetes import names
from drivers.kubernetes.driver import KubernetesDriver
from tests.drivers.kubernetes import backend
from tests.drivers.kubernetes.backend import IMAGE, PROJECT, Behind
from tests.drivers.kubernetes.conftest import MakeSpec
from tests.drivers.kubernetes.waiting import becomes, converge, create, gone, until
from tests.lab.kubernetes.rig import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]
ROOT = Path(__file__).parents[3]


def pods_by_instance(cluster: Cluster, owner: str) -> Counter[str]:
    """As the API server has them: how many of each."""
    found = cluster.api.ask(f"GET /api/v1/pods?labelSelector={names.OWNER}%3D{owner}", timeout_s=30)["items"]
    return Counter(one["metadata"]["labels"][names.INSTANCE] for one in found)


def stopped(make_spec: MakeSpec, count: int) -> list[InstanceSpec]:
    """Instances that burden no node: their pods are made all the same."""
    return [make_spec(power=Power.STOPPED) for _ in range(count)]


def make_all(driver: KubernetesDriver, specs: list[InstanceSpec], errors: list[DriverError]) -> None:
    """As the controller does: whatever can be tried again is."""

    def one(spec: InstanceSpec) -> None:
        deadline = time.monotonic() + 120
        while time.monotonic() < deadline:
            try:
                driver.ensure(spec)
                if driver.observe(spec.instance_id).condition is Condition.STOPPED:
                    return
            except (Transient, Unauthorized) as error:  # a server that has just started knows of no roles yet
                errors.append(error)
            time.sleep(0.05)

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(one, specs))


@pytest.fixture
def roomy(driver: KubernetesDriver) -> KubernetesDriver:
    """A project with room for hundreds."""
    driver.settle([backend.tenant(instances=2000, vcpus=2000, memory_mib=1_000_000, disk_gib=20_000)], whole=False)
    return driver


@pytest.mark.parametrize("fault", ["killed", "frozen"])
def test_an_api_server_that_fails_in_the_middle_of_many_creates_makes_none_twice_and_loses_none(
    cluster: Cluster, roomy: KubernetesDriver, owner: str, make_spec: MakeSpec, fault: str
) -> None:
    specs = stopped(make_spec, 300)
    errors: list[DriverError] = []
    create(roomy, specs[0])
    maker = threading.Thread(target=make_all, args=(roomy, specs, errors))
    maker.start()
    until("a third", lambda: len(list(roomy._view.pods.all())) > 100)
    if fault == "killed":
        with cluster.being_down("kube-apiserver"):
            time.sleep(1)
    else:
        with cluster.being_frozen("kube-apiserver"):
            time.sleep(backend.STALE_S + 3)
    maker.join(150)
    assert errors, "the fault came too late to be felt"
    assert {type(error) for error in errors} & {HostUnreachable}
    assert pods_by_instance(cluster, owner) == Counter(spec.instance_id for spec in specs)
    assert {seen.instance_id for seen in roomy.observe_all()} == {spec.instance_id for spec in specs}


def test_a_container_costs_the_api_server_one_request(roomy: KubernetesDriver, make_spec: MakeSpec) -> None:
    specs = stopped(make_spec, 200)
    create(roomy, specs[0])
    before = roomy._api.asked
    make_all(roomy, specs[1:], [])
    assert (roomy._api.asked - before) / (len(specs) - 1) <= 1.1


def test_looking_costs_nothing(roomy: KubernetesDriver, make_spec: MakeSpec) -> None:
    make_all(roomy, stopped(make_spec, 20), [])
    before, wholes = roomy._api.asked, roomy._view.wholes
    for _ in range(50):
        roomy.inventory()
        assert len(list(roomy.observe_all())) == 20
    assert roomy._api.asked - before <= 1  # the pulse, perhaps
    assert roomy._view.wholes == wholes


def test_a_history_that_the_server_forgot_is_asked_for_anew_and_nothing_is_missed(
    cluster: Cluster, driver: KubernetesDriver, behind: Behind, make_spec: MakeSpec
) -> None:
    kept, lost = make_spec(power=Power.STOPPED), make_spec(power=Power.STOPPED)
    create(driver, kept)
    create(driver, lost)
    wholes = driver._view.wholes
    for i in range(3):
        cluster.api.ask("POST /api/v1/namespaces/default/configmaps", {"metadata": {"name": f"history-{i}-{time.time_ns()}"}})
    cluster.compact()
    cluster.restart("kube-apiserver")
    behind.delete(lost.instance_id, 0)
    until("absent", lambda: seen(driver, lost) is Condition.ABSENT)
    assert seen(driver, kept) is Condition.STOPPED
    assert driver._view.wholes > wholes
    gone(driver, kept)


def seen(driver: KubernetesDriver, spec: InstanceSpec) -> Condition | None:
    try:
        return driver.observe(spec.instance_id).condition
    except (Transient, Unauthorized):  # a server that has just started knows of no roles yet
        return None


def test_a_token_that_was_revoked_is_said_and_nothing_is_called_absent(cluster: Cluster, owner: str, make_spec: MakeSpec) -> None:
    assert backend.credentials()  # the role is there
    account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": owner, "namespace": "chutian-system"}}
    cluster.api.ask("POST /api/v1/namespaces/chutian-system/serviceaccounts", account)
    bound = {
        "metadata": {"name": owner},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "chutian"},
        "subjects": [{"kind": "ServiceAccount", "name": owner, "namespace": "chutian-system"}],
    }
    bindings = "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"
    cluster.api.ask(f"POST {bindings}", bound)
    wanted = {"spec": {"expirationSeconds": 600}}
    token = cluster.api.ask(f"POST /api/v1/namespaces/chutian-system/serviceaccounts/{owner}/token", wanted)["status"]["token"]
    driver = backend.connect(owner, given=backend.with_token(cluster, token))
    try:
        driver.settle([backend.tenant()], whole=False)
        spec = make_spec(power=Power.STOPPED)
        create(driver, spec)
        cluster.api.ask(f"DELETE /api/v1/namespaces/chutian-system/serviceaccounts/{owner}")
        with pytest.raises(Unauthorized):
            until("a refusal, though nothing is written", lambda: driver.inventory() is None, 45)
        with pytest.raises(Unauthorized):
            driver.ensure(replace(spec, generation=2))
        assert seen(driver, spec) is not Condition.ABSENT
    finally:
        driver.close()
        cluster.api.ask(f"DELETE {bindings}/{owner}")


def test_a_node_that_lost_power_is_silent_until_it_is_fenced_and_what_it_ran_comes_back_elsewhere_once(
    cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec
) -> None:
    first, second = cluster.nodes
    spec = make_spec(host=second.name)
    converge(driver, spec)
    second.power_cut()
    try:
        assert becomes(driver, spec, "host_silent").condition is Condition.BUSY
        assert health(driver, second.name) is Health.SILENT
        moved = replace(spec, host=first.name, generation=2)
        driver.ensure(moved)  # too early: nobody knows whether it runs
        time.sleep(2)
        assert driver.observe(spec.instance_id).condition is Condition.BUSY
        taint = {"key": "node.kubernetes.io/out-of-service", "value": "nodeshutdown", "effect": "NoExecute"}
        taints = second.seen()["spec"].get("taints", [])
        cluster.api.ask(f"PATCH /api/v1/nodes/{second.name}", {"spec": {"taints": [*taints, taint]}})
        until("fenced", lambda: health(driver, second.name) is Health.FENCED)
        assert converge(driver, moved).host == first.name
    finally:
        cluster.api.ask(f"PATCH /api/v1/nodes/{second.name}", {"spec": {"taints": None}})
        second.start()
    until("the node runs nothing of it", lambda: not second.containers())
    assert pods_by_instance(cluster, owner) == Counter([spec.instance_id])
    assert converge(driver, moved).host == first.name
    gone(driver, moved)


@pytest.mark.parametrize("released", [True, False], ids=["released", "not released"])
def test_what_was_told_to_end_on_a_node_without_power_is_never_started_there_again(
    cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec, released: bool
) -> None:
    first, second = cluster.nodes
    spec = make_spec(host=second.name)
    converge(driver, spec)
    second.power_cut()
    try:
        assert not becomes(driver, spec, "host_silent").leaving
        driver.release(spec.instance_id, second.name)  # too early: its kubelet would start it when it boots
        assert driver.observe(spec.instance_id).condition is Condition.BUSY
        moved = replace(spec, host=first.name, generation=2)
        driver.ensure(moved)
        assert until("leaving", lambda: driver.observe(spec.instance_id).leaving)
        driver.release(spec.instance_id, first.name)  # the wrong host
        assert driver.observe(spec.instance_id).leaving
        if released:
            driver.release(spec.instance_id, second.name)
            assert driver.observe(spec.instance_id).condition is Condition.ABSENT
            assert converge(driver, moved).host == first.name
    finally:
        second.start()
    assert converge(driver, moved).host == first.name
    until("the node runs nothing of it", lambda: not second.containers())
    assert pods_by_instance(cluster, owner) == Counter([spec.instance_id])
    assert starts(cluster, spec) == Counter({first.name: 1, second.name: 1}), "the one before the power was cut, and the one elsewhere"
    gone(driver, moved)


def starts(cluster: Cluster, spec: InstanceSpec) -> Counter[str]:
    """How often its container was started, by node, as kubelets tell."""
    events = cluster.api.ask(f"GET /api/v1/events?fieldSelector=involvedObject.name%3D{spec.name},reason%3DStarted")["items"]
    found: Counter[str] = Counter()
    for one in events:
        found[one["source"]["host"]] += one.get("count") or 1
    return found


def health(driver: KubernetesDriver, name: str) -> Health:
    return next(host.health for host in driver.inventory().hosts if host.name == name)


def test_a_controller_that_is_killed_at_any_moment_leaves_no_pod_twice_and_none_without_its_spec(
    cluster: Cluster, roomy: KubernetesDriver, owner: str, make_spec: MakeSpec, tmp_path: Path
) -> None:
    rng = random.Random(7)  # noqa: S311
    there, leaving = stopped(make_spec, 12), stopped(make_spec, 6)
    running = make_spec()
    plain = [{**asdict(replace(spec, container=None)), "container": IMAGE} for spec in (*there, running)]
    task = {
        "uri": backend.uri(cluster),
        "owner": owner,
        "options": {"credentials": backend.credentials(), "run_as": "65534", "stop_s": "2", "timeout_s": "3"},
        "tenant": asdict(backend.tenant(instances=2000, vcpus=2000, memory_mib=1_000_000, disk_gib=20_000)),
        "there": plain,
        "gone": [spec.instance_id for spec in leaving],
    }
    for spec in leaving:
        create(roomy, spec)
    (tmp_path / "task").write_text(json.dumps(task))
    for _ in range(8):
        hammers = [
            subprocess.Popen([sys.executable, "-m", "tests.drivers.kubernetes.hammer", tmp_path / "task"], cwd=ROOT) for _ in range(2)
        ]
        time.sleep(rng.uniform(1.2, 3.0))
        for hammer in hammers:
            hammer.kill()
            hammer.wait()
        for id_ in rng.sample([spec.instance_id for spec in there], 3):
            roomy.remove(id_)
        assert max(pods_by_instance(cluster, owner).values()) == 1
    hammer = subprocess.Popen([sys.executable, "-m", "tests.drivers.kubernetes.hammer", tmp_path / "task"], cwd=ROOT)
    try:
        wanted = Counter(spec.instance_id for spec in (*there, running))
        until("exactly those", lambda: pods_by_instance(cluster, owner) == wanted)
        until("it runs", lambda: roomy.observe(running.instance_id).condition is Condition.RUNNING)
    finally:
        hammer.kill()
        hammer.wait()
    for spec in (*there, running):
        roomy.remove(spec.instance_id)
    until("nothing", lambda: not pods_by_instance(cluster, owner))
    secrets = f"/api/v1/namespaces/{names.namespace_of(owner, PROJECT)}/secrets"
    until("no secret", lambda: not cluster.api.ask(f"GET {secrets}")["items"])
