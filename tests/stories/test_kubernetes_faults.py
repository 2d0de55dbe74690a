"""Containers by the hundred while the controller is killed again and again, and the API server is killed and hangs.

Real controller processes and a real API server; the nodes are simulated by kwok, since it is scale and faults that are asked about.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.outside import PLENTY, Cloud
from tests.drivers.kubernetes.backend import credentials, uri
from tests.lab.kubernetes import fake
from tests.lab.kubernetes.rig import Cluster
from tests.lab.kubernetes.shared import shared_cluster
from tests.stories.serving import Serving, patient, states_of

pytestmark = [pytest.mark.real, pytest.mark.slow]
MANY = 500
FIRST = 900  # numbers of the simulated nodes: nobody else's


@pytest.fixture
def cluster() -> Iterator[Cluster]:
    """The shared cluster with twenty simulated nodes more."""
    made = shared_cluster()
    names = fake.add(made.api, 20, first=FIRST)
    yield made
    fake.remove(made.api, names)


def our_pods(cluster: Cluster) -> list[dict[str, Any]]:
    found = cluster.api.ask("GET /api/v1/pods?labelSelector=app.kubernetes.io/managed-by=chutian", timeout_s=60)["items"]
    return [pod for pod in found if pod["spec"].get("nodeName", "").startswith("fake-")]


def test_five_hundred_containers_survive_killed_controllers_and_an_api_server_that_dies_and_hangs(
    cluster: Cluster, serving: Serving
) -> None:
    admin = serving.admin
    department = Cloud("", "hubei", admin, admin, "", serving.folder, serving.log).department(PLENTY | {"instances": MANY, "vcpus": MANY})
    admin.ask("POST /v1/pools", {"name": "nodes", "zone": "z", "overcommit": {"vcpus": 1.0}, "reserved": {"disk_gib": 0}})
    enrolled = {"name": "cluster", "driver": "kubernetes", "uri": uri(cluster), "pool": "nodes", "credentials": credentials()}
    hosts = admin.ask("POST /v1/endpoints", enrolled)["hosts"]
    for name in hosts:
        if not name.startswith("fake-009"):
            admin.ask(f"POST /v1/hosts/{name}/cordon")
    admin.ask("POST /v1/flavors", {"name": "pod", "kind": "container", "vcpus": 1, "memory_mib": 32, "disk_gib": 1})
    runs = {"image": "simulated.example/nothing:1"}

    def wish(number: int) -> dict[str, Any]:
        item = {"kind": "container", "name": f"app-{number}", "flavor": "pod", "count": 100, "container": runs}
        return {"project": department.path, "reason": "test", "items": [item]}

    with ThreadPoolExecutor(5) as clients:
        asked = [clients.submit(patient, department.member, "POST /v1/requests", wish(number)) for number in range(MANY // 100)]
        for fault in (
            serving.again,
            lambda: cluster.kill("kube-apiserver"),
            serving.again,
            lambda: cluster.freeze("kube-apiserver"),
            serving.again,
        ):
            time.sleep(1.5)
            fault()
            if not cluster.alive("kube-apiserver"):
                cluster.start("kube-apiserver")
        time.sleep(3)
        cluster.thaw("kube-apiserver")
        serving.again()
        answers = [one.result() for one in asked]
    assert Counter(answer.status_code for answer in answers) == Counter({201: 5})
    ids = {id_ for answer in answers for id_ in answer.json()["instances"]}
    assert len(ids) == MANY

    end = time.monotonic() + 180
    while (states := states_of(serving))["active", "running", None] < MANY:
        assert time.monotonic() < end, f"not all run: {states}\n{serving.log.read_text()[-2000:]}"
        time.sleep(1)
    pods = our_pods(cluster)
    assert Counter(pod["metadata"]["labels"]["chutian.io/instance"] for pod in pods) == Counter(dict.fromkeys(ids, 1)), "a pod for each row"
    serving.again()
    for one in ids:
        assert patient(department.member, f"DELETE /v1/instances/{one}").status_code == 202
    end = time.monotonic() + 180
    while left := our_pods(cluster):
        assert time.monotonic() < end, f"{len(left)} pods are left"
        time.sleep(1)
    department.admin.until(
        f"GET /v1/projects/{department.path}/quota",
        lambda quota: sum(row["used"] for row in quota["rows"] if row["project"] == department.path) == 0,
    )
