"""What a container has around it on a real cluster: secrets, services, output, commands, volumes."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from drivers.base import Condition, Power
from drivers.container import Container, Port, Tenant, Volume
from drivers.errors import DriverError, NotRunning, Timeout
from drivers.kubernetes import names
from drivers.kubernetes.driver import KubernetesDriver
from drivers.kubernetes.ensuring import PlaceTaken
from tests.drivers.kubernetes import backend
from tests.drivers.kubernetes.backend import IMAGE, PROJECT, Behind
from tests.drivers.kubernetes.conftest import MakeSpec
from tests.drivers.kubernetes.waiting import converge, create, gone, shell, until
from tests.lab.kubernetes.rig import Cluster

pytestmark = [pytest.mark.real, pytest.mark.slow]


# -- secrets, services, logs, commands ---------------------------------------------------------------------------------------------------


def test_secrets_reach_the_container_and_go_with_it(cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec) -> None:
    spec = make_spec(container=shell('echo "key=$KEY"; sleep 600', secrets=(("KEY", "s3cret$v"),)))
    converge(driver, spec)
    until("the secret", lambda: b"key=s3cret$v" in driver.console_log(spec.instance_id, 1000))
    secrets = f"/api/v1/namespaces/{names.namespace_of(owner, PROJECT)}/secrets"
    assert len(cluster.api.ask(f"GET {secrets}")["items"]) == 1
    gone(driver, spec)
    until("no secret", lambda: not cluster.api.ask(f"GET {secrets}")["items"])


def test_a_secret_that_was_never_made_is_made_by_the_next_call(
    cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec
) -> None:
    spec = make_spec(container=shell("sleep 600", secrets=(("KEY", "v"),)))
    create(driver, replace(spec, power=Power.STOPPED))
    secret = f"/api/v1/namespaces/{names.namespace_of(owner, PROJECT)}/secrets/{names.secret_name(spec.name, 2)}"
    driver.ensure(replace(spec, generation=2))
    with suppress(Exception):
        cluster.api.ask(f"DELETE {secret}")  # as if the controller had died before it
    converge(driver, replace(spec, generation=2))
    gone(driver, spec)


def test_all_instances_of_a_service_are_behind_it(cluster: Cluster, driver: KubernetesDriver, owner: str, make_spec: MakeSpec) -> None:
    driver.settle([backend.tenant(services={"web": (Port("http", 8080),)})], whole=False)
    specs = [make_spec(container=Container(IMAGE, service="web", ports=(Port("http", 8080),)), vcpus=1) for _ in range(2)]
    for spec in specs:
        converge(driver, spec)
    root = f"/api/v1/namespaces/{names.namespace_of(owner, PROJECT)}"
    chosen = cluster.api.ask(f"GET {root}/services/web")["spec"]["selector"]
    found = cluster.api.ask(f"GET {root}/pods?labelSelector={'%2C'.join(f'{key}%3D{value}' for key, value in chosen.items())}")["items"]
    assert len(found) == 2
    one = found[0]
    cluster.api.ask(f"PATCH {backend.path_of(one)}", {"metadata": {"labels": {names.SERVICE: "elsewhere"}}})
    led = next(spec for spec in specs if spec.name == one["metadata"]["name"])
    until("seen", lambda: driver.observe(led.instance_id).generation is None)
    converge(driver, led)
    back = cluster.api.ask(f"GET {backend.path_of(one)}")["metadata"]
    assert (back["labels"][names.SERVICE], back["uid"]) == ("web", one["metadata"]["uid"]), "put right, and not made anew"
    driver.settle([backend.tenant()], whole=False)
    until("no service", lambda: not cluster.api.ask(f"GET {root}/services")["items"])
    gone(driver, *specs)


def test_what_is_wanted_otherwise_than_before_is_no_meddling(driver: KubernetesDriver) -> None:
    served = backend.tenant(services={"web": (Port("http", 8080),)})
    for tenants in ([served], [backend.tenant()], [served], [], [], [served], [replace(served, instances=3)], [served]):
        until("settled", lambda tenants=tenants: _settled(driver, tenants))
    assert driver.meddled() == []


def _settled(driver: KubernetesDriver, tenants: list[Tenant]) -> bool:
    """The namespace may be going just now."""
    try:
        driver.settle(tenants, whole=True)
    except DriverError:
        return False
    return True


def test_a_log_is_followed_to_its_end_and_its_tail_is_exact(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec(container=shell("for i in 1 2 3 4 5; do echo line-$i; sleep 1; done", restart="never"))
    create(driver, spec)
    until("begun", lambda: b"line-2" in driver.console_log(spec.instance_id, 1000))
    heard = b"".join(driver.follow_log(spec.instance_id, 1000))
    assert heard == b"".join(f"line-{i}\n".encode() for i in range(1, 6))
    assert driver.console_log(spec.instance_id, 8) == b"\nline-5\n"
    gone(driver, spec)


def test_following_can_be_given_up(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec(container=shell("echo begun; sleep 600"))
    converge(driver, spec)
    until("begun", lambda: b"begun" in driver.console_log(spec.instance_id, 1000))
    stream = driver.follow_log(spec.instance_id, 1000)
    assert next(stream) == b"begun\n"
    began = time.monotonic()
    assert next(stream) == b""
    stream.close()
    assert time.monotonic() - began < 7
    gone(driver, spec)


def test_a_command_is_run_bounded_in_time_and_size(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec()
    converge(driver, spec)

    def run(*command: str, stdin: bytes = b"", timeout_s: float = 10, max_bytes: int = 1000) -> Any:
        return driver.execute(spec.instance_id, command, stdin, timeout_s, max_bytes)

    done = run("/bin/sh", "-c", "echo out; echo err >&2; exit 4")
    assert (done.exit_code, done.stdout, done.stderr, done.truncated) == (4, b"out\n", b"err\n", False)
    assert run("cat", stdin=b"x" * 5000, max_bytes=1 << 20).stdout == b"x" * 5000
    cut = run("/bin/sh", "-c", "seq 1 100000", max_bytes=100)
    assert (cut.exit_code, len(cut.stdout), cut.truncated) == (0, 100, True)
    absent = run("/no/such/command")
    assert (absent.exit_code, absent.stderr) == (127, b"/no/such/command: not found\n")
    assert (run("/etc/hostname").exit_code, run("/etc/hostname").stderr) == (126, b"/etc/hostname: permission denied\n")
    assert run("true").exit_code == 0
    began = time.monotonic()
    with pytest.raises(Timeout):
        run("sleep", "60", timeout_s=2)
    assert time.monotonic() - began < 5
    gone(driver, spec)


def test_no_command_is_run_in_a_container_that_waits_for_its_image(driver: KubernetesDriver, make_spec: MakeSpec) -> None:
    spec = make_spec(container=Container("nowhere.invalid/none:1"))
    create(driver, spec)
    until("the reason", lambda: driver.observe(spec.instance_id).reason is not None)
    with pytest.raises(NotRunning):
        driver.execute(spec.instance_id, ("true",), b"", 10, 1000)
    gone(driver, spec)


# -- volumes -----------------------------------------------------------------------------------------------------------------------------


def storage(cluster: Cluster, name: str, node: str, mode: str) -> None:
    """A class of storage by hand: one folder of a node, as a local volume."""
    made = {"metadata": {"name": name}, "provisioner": "kubernetes.io/no-provisioner", "volumeBindingMode": mode}
    cluster.api.ask("POST /apis/storage.k8s.io/v1/storageclasses", made)
    term = {"matchExpressions": [{"key": "kubernetes.io/hostname", "operator": "In", "values": [node]}]}
    spec = {
        "capacity": {"storage": "1Gi"},
        "accessModes": ["ReadWriteOnce"],
        "storageClassName": name,
        "hostPath": {"path": f"/var/lib/{name}", "type": "DirectoryOrCreate"},
        "nodeAffinity": {"required": {"nodeSelectorTerms": [term]}},
    }
    cluster.api.ask("POST /api/v1/persistentvolumes", {"metadata": {"name": name}, "spec": spec})


@pytest.fixture(params=["Immediate", "WaitForFirstConsumer"])
def stored(cluster: Cluster, owner: str, request: pytest.FixtureRequest) -> Iterator[tuple[str, str]]:
    """The name of a class with one volume on the first node, and when it binds."""
    storage(cluster, owner, cluster.nodes[0].name, request.param)
    yield owner, request.param
    for path in ("/apis/storage.k8s.io/v1/storageclasses", "/api/v1/persistentvolumes"):
        cluster.api.ask(f"DELETE {path}/{owner}")


def test_a_volume_outlives_its_pod_and_goes_with_its_instance(
    cluster: Cluster, owner: str, stored: tuple[str, str], make_spec: MakeSpec
) -> None:
    name, mode = stored
    driver = backend.connect(owner, run_as="0", pod_security="privileged", storage_class=name)
    try:
        driver.settle([backend.tenant()], whole=False)
        script = "cat /data/mark 2>/dev/null || echo empty; echo kept > /data/mark; trap 'exit 0' TERM; sleep 600 & wait"
        spec = make_spec(disk_gib=2, container=shell(script, volumes=(Volume("data", "/data", 1),)))
        converge(driver, spec)
        until("empty", lambda: driver.console_log(spec.instance_id, 100) == b"empty\n")
        scheduler = cluster.api.ask(f"GET /api/v1/namespaces/{names.namespace_of(owner, PROJECT)}/pods")["items"][0]["spec"][
            "schedulerName"
        ]
        assert scheduler == ("chutian" if mode == "Immediate" else "default-scheduler")
        again = replace(spec, generation=2, reboots=1)
        assert converge(driver, again).host == spec.host
        until("kept", lambda: driver.console_log(spec.instance_id, 100) == b"kept\n")
        gone(driver, spec)
        assert not cluster.api.ask(f"GET /api/v1/namespaces/{names.namespace_of(owner, PROJECT)}/persistentvolumeclaims")["items"]
    finally:
        driver.close()


def test_a_claim_whose_pod_was_never_made_is_seen_and_removed(cluster: Cluster, owner: str, make_spec: MakeSpec) -> None:
    driver = backend.connect(owner, run_as="65534", storage_class="nobody")
    try:
        driver.settle([backend.tenant()], whole=False)
        spec = make_spec(disk_gib=2, container=shell("sleep 600", volumes=(Volume("data", "/data", 1),)))
        create(driver, spec)
        assert driver.observe(spec.instance_id).condition is Condition.BUSY
        Behind(cluster.api).delete(spec.instance_id, 0)
        until("a claim alone", lambda: driver.observe(spec.instance_id).condition is Condition.STOPPED)
        assert [seen.instance_id for seen in driver.observe_all()] == [spec.instance_id]
        gone(driver, spec)
    finally:
        driver.close()


def test_a_mark_that_somebody_spoilt_is_said_and_the_pod_left_alone(
    cluster: Cluster, driver: KubernetesDriver, behind: Behind, make_spec: MakeSpec
) -> None:
    spec = make_spec()
    converge(driver, spec)
    pod = behind.pod(spec.instance_id)
    spoilt = {"metadata": {"annotations": {names.GENERATION: "many"}}}
    cluster.api.ask(f"PATCH {backend.path_of(pod)}", spoilt)
    until("absent", lambda: driver.observe(spec.instance_id).condition is Condition.ABSENT)
    with pytest.raises(PlaceTaken, match="not a whole one"):
        driver.ensure(spec)
    assert behind.pod(spec.instance_id)["metadata"]["uid"] == pod["metadata"]["uid"]
    cluster.api.ask(f"DELETE {backend.path_of(pod)}?gracePeriodSeconds=0")
    until("gone", lambda: not driver.meddled())
    converge(driver, spec)
