"""A department's containers with GPUs, on a cluster whose GPUs a DRA driver publishes: asked for, placed, refused and given like others."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from drivers.kubernetes import devices, names
from tests.api.outside import fresh
from tests.drivers.kubernetes.backend import apply, credentials, uri
from tests.drivers.kubernetes.published import AS_LABEL, Published, on_a_simulated_node
from tests.drivers.kubernetes.waiting import until
from tests.lab.kubernetes.shared import shared_cluster
from tests.stories.containers import RUNS, Tale, a_tale

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def published() -> Iterator[Published]:
    """Two GPUs on a simulated node, which alone takes containers."""
    with on_a_simulated_node(shared_cluster()) as made:
        yield made


@pytest.fixture
def tale(published: Published) -> Iterator[Tale]:
    """The cluster is enrolled with the rights that the API says, for the options that the endpoint has."""
    with a_tale() as made:
        rights, option = "GET /v1/drivers/kubernetes/rights", f"gpu_device_class={published.name}"
        given = credentials()
        plain = made.admin.ask(rights)["manifest"]
        apply(published.api, made.admin.ask(rights, option=option)["manifest"])
        made.admin.ask(
            "POST /v1/flavors",
            {"name": "gpu", "kind": "container", "vcpus": 1, "memory_mib": 48, "disk_gib": 1, "gpus": 1, "gpu_model": AS_LABEL},
        )
        options = {"run_as": "65534", "gpu_device_class": published.name}
        body = {"name": "cluster", "driver": "kubernetes", "pool": "nodes", "uri": uri(made.cluster), "credentials": given}
        found = made.admin.ask("POST /v1/endpoints", body | {"options": options})
        for name in set(found["hosts"]) - {published.node}:
            made.admin.ask(f"POST /v1/hosts/{name}/cordon")
        yield made
        apply(published.api, plain)


def wish(tale: Tale, count: int) -> dict[str, Any]:
    """So many containers with a GPU each, which an approver has to grant."""
    item = {"kind": "container", "name": fresh("app"), "flavor": "gpu", "count": count, "container": RUNS}
    return {"project": tale.department.path, "reason": "test", "items": [item]}


def held(tale: Tale) -> list[str]:
    """Claims of all our instances."""
    found = tale.cluster.api.ask(f"GET {devices.ROOT}/resourceclaims?labelSelector={names.INSTANCE}")["items"]
    return [one["metadata"]["name"] for one in found]


def test_gpus_are_given_up_to_what_there_is_and_what_was_taken_behind_our_back_is_said(tale: Tale, published: Published) -> None:
    told = tale.admin.refused(400, "endpoint_refused", "GET /v1/drivers/kubernetes/rights", option="colour=red")
    assert "colour" in told["message"]
    host = tale.admin.ask(f"GET /v1/hosts/{published.node}")
    assert ([one["model"] for one in host["gpu_devices"]], host["notes"]) == ([AS_LABEL] * 2, [])

    asked = tale.department.member.ask("POST /v1/requests", wish(tale, 2))
    two = tale.department.approver.ask(f"POST /v1/requests/{asked['id']}/approve")["instances"]
    for one in tale.active(two):
        assert tale.admin.ask(f"GET /v1/instances/{one['id']}")["host"] == published.node
    refusal = tale.department.member.refused(409, "no_capacity", "POST /v1/requests", wish(tale, 1))
    assert "gpus" in [one["rule"] for one in refusal["details"]["rules"]], "our scheduler refuses, and nothing was asked of the cluster"
    assert len(held(tale)) == 2

    member, first = tale.department.member, two[0]
    member.ask(f"POST /v1/instances/{first}/stop")
    member.settled_within(first, "stopped", 60)
    until("a device is free", lambda: _lent(published))
    member.ask(f"POST /v1/instances/{first}/start")
    said = member.until(
        f"GET /v1/instances/{first}", lambda one: one["reason"] is not None and one["reason"]["code"] == "devices_taken", 60
    )
    assert published.node not in said["reason"]["text"], "a department is told no hosts"
    published.api.ask("DELETE /api/v1/namespaces/default/pods/borrower?gracePeriodSeconds=0")
    tale.active(two)
    published.api.ask(f"DELETE {devices.path('default', 'borrower')}")
    tale.delete(two)
    assert held(tale) == []


def _lent(published: Published) -> bool:
    """Whether somebody else was given the one that is free."""
    path = devices.path("default", "borrower")
    if not published.api.ask(f"GET {devices.path('default')}")["items"]:
        published.claim("default", "borrower", 1)
        published.run("default", "borrower", "borrower")
    return "allocation" in published.api.ask(f"GET {path}").get("status", {})
