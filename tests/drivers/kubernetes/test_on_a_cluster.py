"""What goes wrong, and right, on a real API server with a real node: each thing is named, and nothing is lost or there twice."""

from __future__ import annotations

import base64
import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from drivers.base import Condition, Health, InstanceSpec, Power, Reason
from drivers.container import Container, Meddling, Port, Probe
from drivers.errors import EvictionHeld, HostUnreachable, PolicyRefused, TenantUnsettled, Unauthorized
from drivers.kubernetes import names
from drivers.kubernetes.driver import KubernetesDriver
from drivers.kubernetes.ensuring import PlaceTaken
from tests.drivers.kubernetes import backend
from tests.drivers.kubernetes.backend import IMAGE, PROJECT, Behind
from tests.drivers.kubernetes.conftest import MakeSpec
from tests.drivers.kubernetes.waiting import becomes, converge, create, created, gone, shell, until
from tests.lab import pki
from tests.lab.kubernetes.api import Refused
from tests.lab.kubernetes.rig import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]


# -- named conditions ------------------------------------------------------------------------------------------------------------------


def test_an_image_that_no_registry_has_is_named_and_may_still_come(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec(container=Container("127.0.0.1:1/nobody/nothing:1"))
    create(driver, spec)
    seen = becomes(driver, spec, "image_pull_failed")
    assert seen.condition is Condition.BUSY
    assert seen.reason is not None
    assert seen.reason.params["reference"] == "127.0.0.1:1/nobody/nothing:1"
    gone(driver, spec)


def test_an_image_name_that_is_none_fails(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec(container=Container("Not An Image"))
    create(driver, spec)
    assert becomes(driver, spec, "image_name_invalid").condition is Condition.FAILED
    gone(driver, spec)


def test_too_much_memory_is_named(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec(container=shell("tail /dev/zero"), memory_mib=16)
    create(driver, spec)
    becomes(driver, spec, "container_out_of_memory")
    gone(driver, spec)


def test_a_crash_loop_is_named_with_its_exit_code(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec(container=shell("exit 3"))
    create(driver, spec)
    seen = becomes(driver, spec, "container_crashes")
    assert seen.condition is Condition.BUSY
    assert seen.reason is not None
    assert seen.reason.params["code"] == 3
    gone(driver, spec)


def test_a_command_that_is_not_there_fails(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec(container=Container(IMAGE, command=("/no/such/command",)))
    create(driver, spec)
    becomes(driver, spec, "command_not_started", Condition.FAILED)
    gone(driver, spec)


def test_what_runs_once_finishes_or_fails_by_its_exit_code(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    good, bad = (make_spec(container=shell(f"exit {code}", restart="never")) for code in (0, 7))
    create(driver, good)
    create(driver, bad)
    until("finished", lambda: driver.observe(good.instance_id).condition is Condition.FINISHED)
    seen = becomes(driver, bad, "container_exited", Condition.FAILED)
    assert seen.reason == Reason("container_exited", {"code": 7})
    driver.ensure(good)
    assert driver.observe(good.instance_id).condition is Condition.FINISHED
    gone(driver, good, bad)


def test_more_than_the_node_has_is_refused_by_its_kubelet(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec(vcpus=50)
    create(driver, spec)
    seen = becomes(driver, spec, "host_refused")
    assert seen.condition is Condition.STOPPED, "it may be tried again at once"
    assert seen.reason is not None
    assert seen.reason.params["cause"] == "OutOfcpu"
    driver.ensure(spec)
    seen = becomes(driver, spec, "host_refused")
    assert seen.condition is Condition.BUSY, "but not a second time"
    gone(driver, spec)


def test_what_a_kubelet_refused_runs_once_there_is_room(
    cluster: Cluster, driver: KubernetesDriver, behind: Behind, make_spec: MakeSpec
) -> None:
    node, spec = cluster.nodes[0], make_spec()
    cores = int(node.seen()["status"]["allocatable"]["cpu"])
    hog = {"name": "c", "image": IMAGE, "resources": {"requests": {"cpu": f"{cores * 1000 - 500}m"}}}
    pod = {"metadata": {"name": "hog"}, "spec": {"nodeName": node.name, "containers": [hog], "terminationGracePeriodSeconds": 0}}
    cluster.api.ask("POST /api/v1/namespaces/default/pods", pod)
    try:
        cluster.api.until("GET /api/v1/namespaces/default/pods/hog", lambda one: one["status"]["phase"] == "Running")
        create(driver, spec)
        becomes(driver, spec, "host_refused")
        first = behind.pod(spec.instance_id)["metadata"]["uid"]
    finally:
        cluster.api.ask("DELETE /api/v1/namespaces/default/pods/hog")
    cluster.api.until("GET /api/v1/namespaces/default/pods", lambda found: "hog" not in {one["metadata"]["name"] for one in found["items"]})

    def runs() -> bool:
        """As the controller does: only what is stopped is made anew."""
        seen = driver.observe(spec.instance_id)
        if seen.condition is Condition.STOPPED:
            driver.ensure(spec)
        return seen.condition is Condition.RUNNING

    until("it runs", runs)
    assert behind.pod(spec.instance_id)["metadata"]["uid"] != first
    gone(driver, spec)


def test_root_is_refused_where_the_level_is_restricted(owner: str, make_spec: MakeSpec) -> None:
    strict, loose = backend.connect(owner), backend.connect(owner, pod_security="baseline", run_as="0")
    try:
        strict.settle([backend.tenant()], whole=False)
        spec = make_spec()
        until("Pod Security", lambda: _policy_says(loose, spec, "PodSecurity"))
        assert strict.observe(spec.instance_id).condition is Condition.ABSENT
    finally:
        strict.close()
        loose.close()


def _policy_says(driver: KubernetesDriver, spec: InstanceSpec, word: str) -> bool:
    try:
        driver.ensure(spec)
    except PolicyRefused as refused:
        return word in str(refused)
    except TenantUnsettled:
        return False
    raise AssertionError("it was let in")


def test_a_policy_of_the_clusters_people_refuses_in_their_words(
    cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec
) -> None:
    root = "/apis/admissionregistration.k8s.io/v1"
    rule = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    chosen = {"resourceRules": [rule], "namespaceSelector": {"matchLabels": {names.OWNER: owner}}}
    says = [{"expression": "false", "message": "images come from our own registry"}]
    cluster.api.ask(
        f"POST {root}/validatingadmissionpolicies", {"metadata": {"name": owner}, "spec": {"matchConstraints": chosen, "validations": says}}
    )
    bound = {"metadata": {"name": owner}, "spec": {"policyName": owner, "validationActions": ["Deny"]}}
    cluster.api.ask(f"POST {root}/validatingadmissionpolicybindings", bound)
    try:
        until("the policy", lambda: _refused(driver, make_spec(power=Power.STOPPED), "our own registry"))
    finally:
        cluster.api.ask(f"DELETE {root}/validatingadmissionpolicybindings/{owner}")
        cluster.api.ask(f"DELETE {root}/validatingadmissionpolicies/{owner}")


def _refused(driver: KubernetesDriver, spec: InstanceSpec, word: str) -> bool:
    """Let in, until the server knows of the policy."""
    try:
        driver.ensure(spec)
    except PolicyRefused as refused:
        return word in str(refused)
    except TenantUnsettled:
        pass
    return False


def test_what_is_not_ready_says_so_and_runs_all_the_same(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec(container=shell("sleep 600", readiness=Probe(command=("/bin/false",), period_s=1)))
    create(driver, spec)
    assert becomes(driver, spec, "container_unready").condition is Condition.RUNNING
    gone(driver, spec)


# -- a project's share -----------------------------------------------------------------------------------------------------------------


def test_nothing_is_made_beyond_what_was_settled(cluster: Cluster, owner: str, make_spec: MakeSpec) -> None:
    driver = backend.connect(owner, run_as="65534")
    try:
        with pytest.raises(TenantUnsettled):
            driver.ensure(make_spec())
        driver.settle([backend.tenant(instances=1)], whole=False)
        one, two = make_spec(), make_spec()
        create(driver, one)
        with pytest.raises(TenantUnsettled):
            driver.ensure(two)
        driver.settle([backend.tenant(instances=2)], whole=False)
        create(driver, two)
        gone(driver, one, two)
    finally:
        driver.close()


def test_settling_what_is_settled_asks_the_server_nothing(cluster: Cluster, driver: KubernetesDriver) -> None:
    tenants = [backend.tenant(services={"web": (Port("http", 8080),)})]
    driver.settle(tenants, whole=True)
    before = driver._api.asked
    for _ in range(20):
        driver.settle(tenants, whole=True)
    assert driver._api.asked == before


def test_what_somebody_changed_around_a_project_is_mended(cluster: Cluster, driver: KubernetesDriver, owner: str) -> None:
    namespace = names.namespace_of(owner, PROJECT)
    root = f"/apis/networking.k8s.io/v1/namespaces/{namespace}/networkpolicies"
    quota = f"/api/v1/namespaces/{namespace}/resourcequotas/chutian"
    cluster.api.ask(f"DELETE {root}/chutian")
    cluster.api.ask(f"PATCH {quota}", {"spec": {"hard": {"pods": "999"}}})

    def mended() -> bool:
        driver.settle([backend.tenant()], whole=False)
        return cluster.api.ask(f"GET {quota}")["spec"]["hard"]["pods"] == "50" and bool(cluster.api.ask(f"GET {root}")["items"])

    until("mended", mended, 10)
    found = driver.meddled()
    told = {f"NetworkPolicy {namespace}/chutian", f"ResourceQuota {namespace}/chutian"}
    assert {(one.project, one.what) for one in found if one.mended} == {(backend.tenant().project, what) for what in told}
    driver.settle([backend.tenant()], whole=False)
    assert driver.meddled() == [], "each is told of once"


def test_a_project_that_is_gone_leaves_nothing_and_one_with_an_instance_stays(
    cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec
) -> None:
    spec = make_spec()
    converge(driver, spec)
    for _ in range(3):
        driver.settle([], whole=True)
    converge(driver, spec)
    gone(driver, spec)
    driver.settle([], whole=True)
    with pytest.raises(TenantUnsettled):
        driver.ensure(make_spec())
    driver.settle([backend.tenant()], whole=True)  # it is back before the second step
    create(driver, spec)
    gone(driver, spec)

    def emptied() -> bool:
        driver.settle([], whole=True)
        found = cluster.api.ask(f"GET /api/v1/namespaces?labelSelector={names.OWNER}%3D{owner}")["items"]
        return not found

    until("no namespace", emptied)


def test_a_pod_that_raced_with_the_end_of_its_project_keeps_it(cluster: Cluster, driver: KubernetesDriver, owner: str) -> None:
    driver.settle([], whole=True)
    namespace = names.namespace_of(owner, PROJECT)
    until(
        "quota of nothing",
        lambda: cluster.api.ask(f"GET /api/v1/namespaces/{namespace}/resourcequotas/chutian")["spec"]["hard"]["pods"] == "0",
    )
    cluster.api.ask(f"PATCH /api/v1/namespaces/{namespace}", {"metadata": {"annotations": {"somebody": "touched it"}}})
    stale = driver._view.things["Namespace"].get(("", namespace))
    assert stale is not None
    driver.settle([], whole=True)
    # The mark's deletion names the version it saw; whichever event came first, nothing but an unchanged namespace was deleted.
    left = cluster.api.ask(f"GET /api/v1/namespaces/{namespace}")
    assert left["metadata"].get("deletionTimestamp") is None or int(left["metadata"]["resourceVersion"]) > stale.version


# -- moving ------------------------------------------------------------------------------------------------------------------------------


def test_who_moves_waits_for_a_budget(cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec) -> None:
    spec = make_spec()
    converge(driver, spec)
    budgets = f"/apis/policy/v1/namespaces/{names.namespace_of(owner, PROJECT)}/poddisruptionbudgets"
    chosen = {"matchLabels": {names.INSTANCE: spec.instance_id}}
    cluster.api.ask(f"POST {budgets}", {"metadata": {"name": "b"}, "spec": {"minAvailable": 1, "selector": chosen}})
    cluster.api.until(f"GET {budgets}/b", lambda budget: budget.get("status", {}).get("currentHealthy") == 1)
    moved = replace(spec, host=cluster.nodes[1].name, generation=2)
    with pytest.raises(EvictionHeld):
        driver.ensure(moved)
    assert driver.observe(spec.instance_id).condition is Condition.RUNNING
    cluster.api.ask(f"DELETE {budgets}/b")
    assert converge(driver, moved).host == cluster.nodes[1].name
    gone(driver, spec)


def test_a_cordoned_node_is_seen_and_so_is_what_others_take(cluster: Cluster, driver: KubernetesDriver) -> None:
    node = cluster.nodes[0].name

    def host() -> Any:
        return next(one for one in driver.inventory().hosts if one.name == node)

    free = host().vcpus
    pod = {
        "metadata": {"name": "others"},
        "spec": {"nodeName": node, "containers": [{"name": "c", "image": IMAGE, "resources": {"requests": {"cpu": "100m"}}}]},
    }
    cluster.api.ask("POST /api/v1/namespaces/default/pods", pod)
    cluster.api.ask(f"PATCH /api/v1/nodes/{node}", {"spec": {"unschedulable": True}})
    try:
        until("closed", lambda: host().closed == Reason("node_cordoned"))
        until("less room", lambda: host().vcpus == free - 1)
    finally:
        cluster.api.ask(f"PATCH /api/v1/nodes/{node}", {"spec": {"unschedulable": None}})
        cluster.api.ask("DELETE /api/v1/namespaces/default/pods/others?gracePeriodSeconds=0")
    until("open", lambda: host().closed is None and host().vcpus == free)
    assert host().health is Health.READY


# -- rights ------------------------------------------------------------------------------------------------------------------------------


def test_a_right_that_was_taken_away_is_named(cluster: Cluster, driver: KubernetesDriver) -> None:
    role = "/apis/rbac.authorization.k8s.io/v1/clusterroles/chutian"
    rules = cluster.api.ask(f"GET {role}")["rules"]
    driver.prepare()
    cluster.api.ask(f"PATCH {role}", {"rules": [rule for rule in rules if rule["resources"] != ["pods/eviction"]]})
    try:
        until("a missing right", lambda: _lacks(driver, "create pods/eviction"), 10)
    finally:
        cluster.api.ask(f"PATCH {role}", {"rules": rules})
    until("all rights", lambda: _lacks(driver, None), 10)


def _lacks(driver: KubernetesDriver, right: str | None) -> bool:
    try:
        driver.prepare()
    except Unauthorized as lacking:
        return right is not None and right in str(lacking)
    return right is None


def test_a_token_that_is_none_is_refused(cluster: Cluster) -> None:
    with pytest.raises(Unauthorized):
        backend.connect("tests-nobody", given=backend.with_token(cluster, "nonsense"))


def test_a_server_that_another_authority_vouches_for_is_not_trusted(cluster: Cluster, tmp_path: Path) -> None:
    pki.write_certificate(tmp_path / "ca.crt", pki.authority("somebody else").certificate)
    whole = json.loads(backend.with_token(cluster, "nonsense"))
    whole["clusters"][0]["cluster"]["certificate-authority-data"] = base64.b64encode((tmp_path / "ca.crt").read_bytes()).decode()
    with pytest.raises(HostUnreachable, match="SSL certificate"):
        backend.connect("tests-nobody", given=json.dumps(whole))


# -- what is done behind our back ----------------------------------------------------------------------------------------------------------


def test_a_name_that_somebody_took_is_said_and_left_alone(
    cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec
) -> None:
    spec = make_spec()
    namespace = names.namespace_of(owner, PROJECT)
    until("an account", lambda: _made(cluster, namespace, spec.name))
    with pytest.raises(PlaceTaken, match="bears no mark"):
        until("a refusal", lambda: created(driver, spec) and False)
    assert driver.observe(spec.instance_id).condition is Condition.ABSENT
    assert driver.meddled() == [Meddling(backend.tenant().project, f"pod {namespace}/{spec.name}", mended=False)]


def _made(cluster: Cluster, namespace: str, name: str) -> bool:
    pod = {"metadata": {"name": name}, "spec": {"schedulerName": "nobody", "containers": [{"name": "c", "image": IMAGE}]}}
    strict = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    pod["spec"]["containers"][0] |= {"securityContext": strict, "resources": {"requests": {"cpu": "1"}, "limits": {"cpu": "1"}}}
    pod["spec"]["securityContext"] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    try:
        cluster.api.ask(f"POST /api/v1/namespaces/{namespace}/pods", pod)
    except Refused:  # neither quota nor account are reckoned yet
        return False
    return True


def test_an_image_changed_by_hand_is_put_right(driver: KubernetesDriver, behind: Behind, cluster: Cluster, make_spec: MakeSpec) -> None:
    spec = make_spec()
    converge(driver, spec)
    pod = behind.pod(spec.instance_id)
    changed = [{**pod["spec"]["containers"][0], "image": "chutian.local/pause:1"}]
    cluster.api.ask(f"PATCH {backend.path_of(pod)}", {"spec": {"containers": changed}})
    until("seen", lambda: driver.observe(spec.instance_id).generation is None, 10)
    converge(driver, spec)
    assert behind.pod(spec.instance_id)["spec"]["containers"][0]["image"] == IMAGE
    gone(driver, spec)
