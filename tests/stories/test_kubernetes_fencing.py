"""A node that is certainly off is evacuated: its object deleted by the cluster's people, or its machine proven off by a real BMC, which
switched it off itself where operators asked for that."""

from __future__ import annotations

import tempfile
import time
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from drivers.bare_metal import waiting
from drivers.bare_metal.bmc import Bmc, open_bmc
from drivers.base import HostPower
from tests.lab import tied
from tests.lab.kubernetes.node import Node
from tests.lab.metal import rig as metal
from tests.lab.metal.server import Hardware, Server
from tests.lab.needs import require_metal
from tests.stories.containers import RUNS, Tale, a_tale, by_kubeconfig
from tests.stories.test_libvirt_hosts import NOTICED_S, until

pytestmark = [pytest.mark.real, pytest.mark.slow]
QUIET_S = 10  # several looks at all endpoints


@pytest.fixture(scope="module")
def tale() -> Iterator[Tale]:
    with a_tale() as made:
        made.enrol(by_kubeconfig(made.cluster))
        yield made


@pytest.fixture(scope="module")
def machine(tale: Tale) -> Iterator[Server]:
    """The first node's machine, as its BMC has it: a server, on, with the UUID that the kubelet reads from its firmware."""
    require_metal()
    folder = Path(tempfile.mkdtemp(prefix="ct-fence-", dir="/tmp"))
    tied.tie(folder, "tests.lab.metal", "metal.json")
    identity = str(uuid.UUID(tale.cluster.nodes[0].seen()["status"]["nodeInfo"]["systemUUID"]))
    with metal.running(folder, (Hardware(uuid=identity),)) as rack:
        (server,) = rack.servers
        server.push_button()
        tale.admin.ask("POST /v1/pools", {"name": "metal", "zone": "m"})
        given = {"driver": "bare_metal", "pool": "metal", "uri": address(server), "options": {"ca_file": str(server.bmc.authority)}}
        tale.admin.ask("POST /v1/endpoints", {"name": "bmc-of-first", "credentials": ":".join(server.bmc.account), **given})
        yield server


def address(server: Server) -> str:
    return f"redfish+https://{server.bmc.address}{server.bmc.system}"


@contextmanager
def bmc_of(server: Server) -> Iterator[Bmc]:
    bmc = open_bmc(address(server), {"credentials": ":".join(server.bmc.account), "ca_file": str(server.bmc.authority), "timeout_s": "30"})
    try:
        yield bmc
    finally:
        bmc.close()


def hosts(tale: Tale, ids: list[str]) -> Counter[str]:
    return Counter(tale.admin.ask(f"GET /v1/instances/{id_}")["host"] for id_ in ids)


def spread(tale: Tale) -> list[str]:
    """Four containers, two on each node."""
    ids = tale.ask(4, RUNS, spread={"mode": "spread", "domain": "host"})
    tale.active(ids)
    assert hosts(tale, ids) == Counter({node.name: 2 for node in tale.cluster.nodes})
    return ids


def cut(tale: Tale, node: Node, ids: list[str]) -> list[str]:
    """Cut the node's power; who was on it, once it is seen that nobody knows of them."""
    lost = [id_ for id_ in ids if hosts(tale, [id_])[node.name]]
    node.power_cut()
    for id_ in lost:
        tale.department.member.until(f"GET /v1/instances/{id_}", lambda one: one["condition"] == "unknown", NOTICED_S + 30)
    return lost


def stay(tale: Tale, node: Node, lost: list[str]) -> None:
    """For several looks nothing is moved, told to end or made anew."""
    end = time.monotonic() + QUIET_S
    while time.monotonic() < end:
        assert hosts(tale, lost) == Counter({node.name: len(lost)})
        for id_ in lost:
            (pod,) = tale.pods(id_)
            assert pod["spec"]["nodeName"] == node.name
            assert "deletionTimestamp" not in pod["metadata"]
        time.sleep(1)
    assert host(tale, node)["state"] == "unreachable"


def host(tale: Tale, node: Node, lang: str = "en") -> dict[str, Any]:
    answer = tale.admin.call(f"GET /v1/hosts/{node.name}", None, {"Accept-Language": lang})
    found: dict[str, Any] = answer.json()
    return found


def come_back(tale: Tale, lost: list[str], there: Node) -> None:
    """They are started on that node, once."""
    until(lambda: hosts(tale, lost) == Counter({there.name: len(lost)}), NOTICED_S, "they were not started elsewhere")
    for one in tale.active(lost):
        assert one["condition"] == "running"
        assert "instance.evacuated" in tale.told(one["id"])
        (pod,) = tale.pods(one["id"])
        assert pod["spec"]["nodeName"] == there.name


def runs_nothing(tale: Tale, node: Node, ids: list[str]) -> None:
    """Back again the node ends what the cluster no longer wants there, and whoever was on it runs in one place."""
    until(lambda: host(tale, node)["state"] == "up", NOTICED_S, "it was not seen to be back")
    until(lambda: not node.containers(), 60, "it still runs something")
    for id_ in ids:
        (pod,) = tale.pods(id_)
        assert pod["spec"]["nodeName"] != node.name


def test_a_node_whose_object_is_deleted_is_evacuated(tale: Tale) -> None:
    first, second = tale.cluster.nodes
    ids = spread(tale)
    lost = cut(tale, second, ids)
    try:
        stay(tale, second, lost)
        tale.cluster.api.ask(f"DELETE /api/v1/nodes/{second.name}")
        come_back(tale, lost, first)
        assert host(tale, second)["state"] == "fenced"
    finally:
        second.start()
    runs_nothing(tale, second, lost)
    tale.delete(ids)


def test_a_node_whose_machine_is_proven_off_is_evacuated_and_not_before(tale: Tale, machine: Server) -> None:
    first, second = tale.cluster.nodes
    ids = spread(tale)
    lost = cut(tale, first, ids)
    try:
        stay(tale, first, lost)  # its machine is on: it may only have lost its network
        with machine.bmc.being_stopped():
            machine.pull_plug()
            stay(tale, first, lost)  # it is off, and nobody can say so
            machine.push_button()
        stay(tale, first, lost)
        with bmc_of(machine) as bmc:
            waiting.turn(bmc, HostPower.OFF, 30, force=True)
        come_back(tale, lost, second)
        seen, told = host(tale, first), host(tale, first, "zh")
        assert (seen["state"], seen["reason"]["code"]) == ("fenced", "machine_off")
        assert "bmc-of-first" in seen["reason"]["text"]
        assert "服务器已关机" in told["reason"]["text"]
        facts = [one for one in tale.admin.ask("GET /v1/events", limit=500)["items"] if one["object_name"] == first.name]
        assert "bmc-of-first" in next(one for one in facts if one["kind"] == "host.fenced")["text"]
        with bmc_of(machine) as bmc:
            waiting.turn(bmc, HostPower.ON, 30)
        until(lambda: host(tale, first)["state"] == "unreachable", NOTICED_S, "a machine that is on is fenced")
    finally:
        first.start()
    runs_nothing(tale, first, lost)
    tale.delete(ids)


def test_a_silent_node_is_switched_off_by_its_bmc_when_its_operators_ask_for_it(tale: Tale, machine: Server) -> None:
    first, second = tale.cluster.nodes
    fence = f"POST /v1/hosts/{first.name}/fence"
    tale.admin.refused(409, "host_answers", fence)
    tale.admin.refused(409, "machine_in_use", f"POST /v1/machines/{metal_name(tale)}/inspect")
    ids = spread(tale)
    lost = cut(tale, first, ids)
    try:
        stay(tale, first, lost)
        tale.admin.ask(fence)
        come_back(tale, lost, second)
        assert (host(tale, first)["state"], host(tale, first)["power_wanted"]) == ("fenced", None)
        with bmc_of(machine) as bmc:
            assert bmc.power() is HostPower.OFF
            tale.admin.ask(f"POST /v1/machines/{metal_name(tale)}/power", {"power": "on"})
            until(lambda: bmc.power() is HostPower.ON, 30, "it was not switched on")
        until(lambda: host(tale, first)["state"] == "unreachable", NOTICED_S, "a machine that is on is fenced")
    finally:
        first.start()
    runs_nothing(tale, first, lost)
    tale.delete(ids)


def metal_name(tale: Tale) -> str:
    """The machine, as its BMC has it."""
    (found,) = tale.admin.ask("GET /v1/machines")["items"]
    return str(found["host"])
