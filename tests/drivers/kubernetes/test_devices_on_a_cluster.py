"""GPUs that a DRA driver publishes, on a real API server, scheduler and controller manager; nodes are kwok's, and slices the test's own:
what is published is found, what is placed is given devices on the node that we named, and nothing is left behind.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Condition, Gpu, HostInventory, InstanceSpec, Power, Reason
from drivers.container import Meddling
from drivers.errors import TenantUnsettled
from drivers.kubernetes import devices, names
from drivers.kubernetes.driver import KubernetesDriver, RightsMissing
from drivers.kubernetes.ensuring import PlaceTaken
from drivers.kubernetes.rights import rbac_manifest
from tests.drivers.kubernetes import backend
from tests.drivers.kubernetes.backend import PROJECT, Behind
from tests.drivers.kubernetes.published import AS_LABEL, CLASSES, Published, on_a_simulated_node
from tests.drivers.kubernetes.waiting import becomes, converge, create, created, gone, until
from tests.lab.kubernetes import dra
from tests.lab.kubernetes.api import Refused
from tests.lab.kubernetes.rig import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]
ROOT = Path(__file__).parents[3]


@pytest.fixture
def published(cluster: Cluster) -> Iterator[Published]:
    """Two GPUs."""
    with on_a_simulated_node(cluster) as made:
        yield made


@pytest.fixture
def driver(owner: str, published: Published) -> Iterator[KubernetesDriver]:
    """With the rights that the shipped manifest has for such an endpoint."""
    given = backend.credentials()
    backend.apply(published.api, rbac_manifest({"gpu_device_class": published.name}))
    opened = backend.connect(owner, given=given, run_as="65534", gpu_device_class=published.name)
    until("rights", lambda: _prepared(opened))
    opened.settle([backend.tenant(gpus=4)], whole=False)
    yield opened
    opened.close()
    backend.apply(published.api, rbac_manifest({}))


def _prepared(driver: KubernetesDriver) -> bool:
    try:
        driver.prepare()
    except RightsMissing:
        return False
    return True


@pytest.fixture
def make_spec(published: Published) -> Callable[..., InstanceSpec]:
    """A fresh instance with a GPU."""
    return lambda **fields: backend.spec_on(published.node, **{"gpus": 1, **fields})


MakeSpec = Callable[..., InstanceSpec]


def host(driver: KubernetesDriver, node: str) -> HostInventory:
    return next(one for one in driver.inventory().hosts if one.name == node)


def claims(cluster: Cluster, owner: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = cluster.api.ask(f"GET {devices.path(names.namespace_of(owner, PROJECT))}")["items"]
    return found


def given_to(claim: dict[str, Any]) -> set[str]:
    results = claim.get("status", {}).get("allocation", {}).get("devices", {}).get("results", ())
    return {one["device"] for one in results}


# -- what there is -----------------------------------------------------------------------------------------------------------------------


def test_published_gpus_are_the_hosts_with_their_model_and_followed(driver: KubernetesDriver, published: Published) -> None:
    until("two", lambda: host(driver, published.node).gpus == 2)
    assert host(driver, published.node).devices == tuple(Gpu(f"gpu-{number}", AS_LABEL) for number in range(2))
    assert host(driver, published.node).notes == ()
    woken: list[str] = []
    driver.watch(woken.append)
    published.publish(3, generation=2)
    until("three", lambda: host(driver, published.node).gpus == 3, 10)
    assert "" in woken, "who places there is told"
    assert driver._view.wholes == len(driver._view._watchers), "nothing was listed twice"


def test_a_class_that_is_not_there_or_not_understood_is_said(cluster: Cluster, driver: KubernetesDriver, published: Published) -> None:
    cluster.api.ask(f"DELETE {CLASSES}/{published.name}")
    absent = Reason("gpu_class_absent", {"device_class": published.name})
    until("absent", lambda: host(driver, published.node).notes == (absent,), 10)
    assert host(driver, published.node).gpus == 0
    said = f"device.driver.startsWith('{published.name}')"
    cluster.api.ask(f"POST {CLASSES}", {"metadata": {"name": published.name}, "spec": {"selectors": [{"cel": {"expression": said}}]}})
    unread = Reason("gpu_class_unread", {"device_class": published.name, "detail": said})
    until("unread", lambda: host(driver, published.node).notes == (unread,), 10)


def test_what_others_hold_is_not_the_hosts_to_give_and_comes_back(cluster: Cluster, driver: KubernetesDriver, published: Published) -> None:
    until("two", lambda: host(driver, published.node).gpus == 2)
    name = published.node
    published.claim("default", name, 1)
    published.run("default", name, name)
    until("one", lambda: host(driver, published.node).gpus == 1)
    cluster.api.ask(f"DELETE /api/v1/namespaces/default/pods/{name}?gracePeriodSeconds=0")
    until("two again", lambda: host(driver, published.node).gpus == 2)
    cluster.api.ask(f"DELETE {devices.path('default', name)}")


# -- a container with GPUs ---------------------------------------------------------------------------------------------------------------


def test_a_container_is_given_devices_where_we_placed_it_and_leaves_no_claim(
    cluster: Cluster, driver: KubernetesDriver, owner: str, published: Published, behind: Behind, make_spec: MakeSpec
) -> None:
    spec = make_spec(gpus=2)
    assert converge(driver, spec).host == published.node
    pod = behind.pod(spec.instance_id)
    assert (pod["spec"]["nodeName"], pod["spec"]["schedulerName"]) == (published.node, "default-scheduler")
    (claim,) = claims(cluster, owner)
    assert given_to(claim) == {"gpu-0", "gpu-1"}
    assert claim["metadata"]["labels"][names.INSTANCE] == spec.instance_id
    assert host(driver, published.node).gpus == 2, "what ours hold is the ledger's to count"
    assert driver.meddled() == []
    gone(driver, spec)
    assert claims(cluster, owner) == [], "absent is said only when nothing is left"


def test_of_a_claim_cut_short_nothing_is_lost_or_left(
    cluster: Cluster, driver: KubernetesDriver, owner: str, published: Published, behind: Behind, make_spec: MakeSpec
) -> None:
    """As if the controller had been killed: after the claim was made, and after the pod was taken away."""
    spec = make_spec()
    create(driver, spec)
    behind.delete(spec.instance_id, 0)
    until("a claim alone", lambda: driver.observe(spec.instance_id).condition is Condition.STOPPED)
    assert [seen.instance_id for seen in driver.observe_all()] == [spec.instance_id], "so a controller that knows nothing of it finds it"
    converge(driver, spec)
    assert len(claims(cluster, owner)) == 1
    behind.delete(spec.instance_id, 0)
    gone(driver, spec)
    assert claims(cluster, owner) == []


def test_a_controller_that_is_killed_at_any_moment_leaves_no_claim_without_its_instance(
    cluster: Cluster, driver: KubernetesDriver, owner: str, published: Published, make_spec: MakeSpec, tmp_path: Path
) -> None:
    published.publish(8, generation=2)
    driver.settle([backend.tenant(gpus=12)], whole=False)
    rng = random.Random(11)  # noqa: S311
    there, leaving = [make_spec() for _ in range(5)], [make_spec() for _ in range(2)]
    task = {
        "uri": backend.uri(cluster),
        "owner": owner,
        "options": {"credentials": backend.credentials(), "run_as": "65534", "stop_s": "2", "gpu_device_class": published.name},
        "tenant": asdict(backend.tenant(gpus=12)),
        "there": [{**asdict(replace(spec, container=None)), "container": backend.IMAGE} for spec in there],
        "gone": [spec.instance_id for spec in leaving],
    }
    for spec in leaving:
        create(driver, spec)
    (tmp_path / "task").write_text(json.dumps(task))
    hammer = [sys.executable, "-m", "tests.drivers.kubernetes.hammer", str(tmp_path / "task")]
    for _ in range(6):
        process = subprocess.Popen(hammer, cwd=ROOT)
        time.sleep(rng.uniform(1.0, 2.5))
        process.kill()
        process.wait()
        for spec in rng.sample(there, 2):
            driver.remove(spec.instance_id)
    process = subprocess.Popen(hammer, cwd=ROOT)
    try:
        until("all have theirs", lambda: _holders(cluster, owner) == {spec.instance_id: 1 for spec in there})
    finally:
        process.kill()
        process.wait()
    gone(driver, *there, *leaving)
    assert claims(cluster, owner) == []


def _holders(cluster: Cluster, owner: str) -> dict[str, int]:
    """How many devices each instance has been given."""
    return {one["metadata"]["labels"][names.INSTANCE]: len(given_to(one)) for one in claims(cluster, owner)}


def test_a_kubelet_has_the_devices_prepared_before_the_container_runs_and_let_go_after_it(
    cluster: Cluster, driver: KubernetesDriver, owner: str, published: Published
) -> None:
    """On a real node, whose plugin is the lab's: it is told of claims, and there is no hardware."""
    node = cluster.nodes[0]
    real = replace(published, node=node.name)
    real.publish(1, generation=2)
    spec = backend.spec_on(node.name, gpus=1)
    create(driver, spec)
    until("given", lambda: [given_to(one) for one in claims(cluster, owner)] == [{"gpu-0"}])
    assert driver.observe(spec.instance_id).condition is Condition.BUSY, "nobody prepares it yet"
    with dra.plugin(node, published.name) as plugin:
        assert converge(driver, spec).host == node.name
        (claim,) = claims(cluster, owner)
        assert set(plugin.prepared) == {claim["metadata"]["uid"]}
        gone(driver, spec)
        assert set(plugin.unprepared) == {claim["metadata"]["uid"]}
        assert claims(cluster, owner) == []


def test_who_moves_is_given_devices_where_it_goes(
    cluster: Cluster, driver: KubernetesDriver, owner: str, published: Published, make_spec: MakeSpec
) -> None:
    with on_a_simulated_node(cluster) as other:
        replace(published, node=other.node).publish(1)
        until("one there", lambda: host(driver, other.node).gpus == 1)
        spec = make_spec()
        converge(driver, spec)
        moved = replace(spec, host=other.node, generation=2)
        assert converge(driver, moved).host == other.node
        (claim,) = claims(cluster, owner)
        (result,) = claim["status"]["allocation"]["devices"]["results"]
        assert result["pool"] == other.node
        gone(driver, spec)


def test_stopped_it_holds_no_device_and_another_number_is_claimed_anew(
    cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec
) -> None:
    spec = make_spec(gpus=2)
    converge(driver, spec)
    converge(driver, replace(spec, power=Power.STOPPED, generation=2), Condition.STOPPED)
    until("let go", lambda: [given_to(one) for one in claims(cluster, owner)] == [set()])
    converge(driver, replace(spec, gpus=1, generation=3))
    assert [len(given_to(one)) for one in claims(cluster, owner)] == [1]
    converge(driver, replace(spec, gpus=0, generation=4))
    until("none", lambda: not claims(cluster, owner))
    gone(driver, spec)


def test_gpus_taken_behind_our_back_are_named_and_had_once_they_are_free(
    cluster: Cluster, driver: KubernetesDriver, published: Published, make_spec: MakeSpec
) -> None:
    name = published.node
    published.claim("default", name, 2)
    published.run("default", name, name)
    until("held", lambda: host(driver, published.node).gpus == 0)
    spec = make_spec()
    create(driver, spec)
    seen = becomes(driver, spec, "devices_taken")
    assert seen.condition is Condition.BUSY
    assert seen.reason is not None
    assert (seen.reason.params["node"], "cannot allocate all claims" in str(seen.reason.params["detail"])) == (published.node, True)
    cluster.api.ask(f"DELETE /api/v1/namespaces/default/pods/{name}?gracePeriodSeconds=0")
    converge(driver, spec)
    gone(driver, spec)
    cluster.api.ask(f"DELETE {devices.path('default', name)}")


# -- a project's share -------------------------------------------------------------------------------------------------------------------


def test_claims_beyond_what_was_settled_are_refused_to_us_and_to_others(
    cluster: Cluster, driver: KubernetesDriver, owner: str, published: Published, make_spec: MakeSpec
) -> None:
    driver.settle([backend.tenant(gpus=1)], whole=False)
    one, two = make_spec(), make_spec()
    converge(driver, one)
    with pytest.raises(TenantUnsettled, match="exceeded quota"):
        driver.ensure(two)
    assert driver.observe(two.instance_id).condition is Condition.ABSENT
    with pytest.raises(Refused, match="exceeded quota"):
        published.claim(names.namespace_of(owner, PROJECT), "mine", 1)
    driver.settle([backend.tenant(gpus=2)], whole=False)
    create(driver, two)
    converge(driver, two)
    gone(driver, one, two)


def test_a_project_that_is_gone_takes_its_claims_with_it_and_one_that_has_some_stays(
    cluster: Cluster, driver: KubernetesDriver, owner: str, behind: Behind, make_spec: MakeSpec
) -> None:
    spec = make_spec()
    converge(driver, spec)
    behind.delete(spec.instance_id, 0)
    until("a claim alone", lambda: driver.observe(spec.instance_id).condition is Condition.STOPPED)
    for _ in range(3):
        driver.settle([], whole=True)
    assert len(claims(cluster, owner)) == 1
    gone(driver, spec)

    def emptied() -> bool:
        driver.settle([], whole=True)
        return not cluster.api.ask(f"GET /api/v1/namespaces?labelSelector={names.OWNER}%3D{owner}")["items"]

    until("no namespace", emptied)


# -- what is done behind our back --------------------------------------------------------------------------------------------------------


def test_a_claim_deleted_from_a_pod_that_waits_for_it_is_made_anew_and_told(
    cluster: Cluster, driver: KubernetesDriver, owner: str, published: Published, make_spec: MakeSpec
) -> None:
    namespace = names.namespace_of(owner, PROJECT)
    published.publish(0, generation=2)
    spec = make_spec()
    create(driver, spec)
    becomes(driver, spec, "devices_taken")
    (claim,) = claims(cluster, owner)
    cluster.api.ask(f"DELETE {devices.path(namespace, claim['metadata']['name'])}")
    seen = becomes(driver, spec, "device_claim_missing")
    assert (seen.condition, seen.generation) == (Condition.STOPPED, None)
    published.publish(1, generation=3)
    converge(driver, spec)
    told = Meddling(backend.tenant().project, f"ResourceClaim {namespace}/{claim['metadata']['name']}", mended=True)
    assert driver.meddled() == [told]
    gone(driver, spec)


def test_a_claim_deleted_from_a_container_that_runs_is_said_and_claimed_anew_when_it_restarts(
    cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec
) -> None:
    spec = make_spec()
    converge(driver, spec)
    (claim,) = claims(cluster, owner)
    cluster.api.ask(f"DELETE {devices.path(claim['metadata']['namespace'], claim['metadata']['name'])}")
    assert becomes(driver, spec, "device_claim_gone").condition is Condition.RUNNING
    again = replace(spec, generation=2, reboots=1)
    assert converge(driver, again).reason is None
    (new,) = claims(cluster, owner)
    assert new["metadata"]["uid"] != claim["metadata"]["uid"]
    gone(driver, spec)


def test_a_claim_of_others_among_ours_is_told_and_its_name_is_theirs(
    cluster: Cluster, driver: KubernetesDriver, owner: str, published: Published, make_spec: MakeSpec
) -> None:
    namespace, spec = names.namespace_of(owner, PROJECT), make_spec()
    name = names.device_claim_name(spec.name)
    until("room in the quota", lambda: _claimed(published, namespace, name))
    told = Meddling(backend.tenant().project, f"ResourceClaim {namespace}/{name}", mended=False)
    until("told", lambda: driver.meddled() == [told])
    with pytest.raises(PlaceTaken, match="bears no mark"):
        until("a refusal", lambda: created(driver, spec) and False)
    cluster.api.ask(f"DELETE {devices.path(namespace, name)}")
    until("theirs no more", lambda: driver.meddled() == [])
    converge(driver, spec)
    gone(driver, spec)


def _claimed(published: Published, namespace: str, name: str) -> bool:
    try:
        published.claim(namespace, name, 1)
    except Refused:  # the quota is not reckoned yet
        return False
    return True


# -- rights ------------------------------------------------------------------------------------------------------------------------------


def test_rights_on_devices_are_missed_where_the_class_is_named_and_only_there(cluster: Cluster, owner: str) -> None:
    with_class = backend.connect(owner, gpu_device_class="gpu.example.com")
    without = backend.connect(owner)
    try:
        without.prepare()
        with pytest.raises(RightsMissing, match=r"list, watch, create, delete resourceclaims \(resource\.k8s\.io\)"):
            with_class.prepare()
    finally:
        with_class.close()
        without.close()
