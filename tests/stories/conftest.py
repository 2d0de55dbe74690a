"""A controller process with real libvirt hosts, each reached in another way, and what else joins it, for tales told from the outside."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.store import embedded
from tests.api.outside import PLENTY, Cloud, Department
from tests.api.server import controller, new_database
from tests.drivers.kubernetes.backend import apply, credentials, uri
from tests.lab import rig
from tests.lab.kubernetes.rig import Cluster
from tests.lab.kubernetes.shared import shared_cluster
from tests.lab.needs import require_lab
from tests.stories.serving import Serving

GUESTS = Path(__file__).parents[2] / "guests"


@dataclass(frozen=True)
class Province:
    """A running controller, its hosts by name, and one department whose requests within `PLENTY` are approved at once."""

    cloud: Cloud
    hosts: dict[str, rig.Host]
    department: Department

    def host_of(self, instance: dict[str, object]) -> rig.Host:
        """The lab host that an instance is on (operators see its name)."""
        return self.hosts[self.cloud.admin.ask(f"GET /v1/instances/{instance['id']}")["host"]]

    def console(self, instance: dict[str, object]) -> str:
        text: str = self.department.member.ask(f"GET /v1/instances/{instance['id']}/console")["text"]
        return text

    def events(self, instance: dict[str, object]) -> list[str]:
        """The kinds of what happened to an instance."""
        return [one["kind"] for one in self.cloud.admin.ask("GET /v1/events", object=instance["id"], limit=500)["items"]]


@pytest.fixture(scope="session")
def province() -> Iterator[Province]:
    """Four hosts by TLS, TCP and socket; the tiny guest's image; sizes for it."""
    require_lab()
    folder = Path(tempfile.mkdtemp(prefix="ct-lv-", dir="/tmp"))
    folder.chmod(0o755)
    image = folder / "tiny.qcow2"
    subprocess.run([GUESTS / "tiny" / "build", image], check=True, capture_output=True)
    hosts = rig.up(folder / "lab", 4)
    try:
        url = embedded.start(folder)
        with controller(folder, url, observe_interval_s=3.0, stop_grace_s=30) as cloud:
            yield _furnished(cloud, image, {host.name: host for host in hosts.hosts})
    finally:
        embedded.stop(folder)
        rig.down(hosts)
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture(scope="session")
def nodes(province: Province) -> Cluster:
    """A cluster with two real nodes, enrolled with the rights that are shipped and no others."""
    cluster, ask = shared_cluster(), province.cloud.admin.ask
    manifest = ask("GET /v1/drivers/kubernetes/rights")["manifest"]
    apply(cluster.api, manifest)
    overcommit = {"vcpus": 8.0, "memory_mib": 1.0, "disk_gib": 1.0}
    ask("POST /v1/pools", {"name": "nodes", "zone": "wuhan-k", "overcommit": overcommit, "reserved": {"memory_mib": 64, "disk_gib": 0}})
    body = {
        "name": "cluster",
        "driver": "kubernetes",
        "uri": uri(cluster),
        "pool": "nodes",
        "options": {"run_as": "65534"},
        "credentials": credentials(),
    }
    made = ask("POST /v1/endpoints", body)
    assert {node.name for node in cluster.nodes} <= set(made["hosts"])
    for name in set(made["hosts"]) - {node.name for node in cluster.nodes}:
        ask(f"POST /v1/hosts/{name}/cordon")
    for name, disk_gib in (("pod", 1), ("pod-with-room", 3)):
        ask("POST /v1/flavors", {"name": name, "kind": "container", "vcpus": 1, "memory_mib": 48, "disk_gib": disk_gib})
    return cluster


@pytest.fixture
def serving() -> Iterator[Serving]:
    """A controller of this test's own, which it may kill."""
    folder = Path(tempfile.mkdtemp(prefix="ct-sv-", dir="/tmp"))
    folder.chmod(0o755)
    made = Serving(folder, new_database(embedded.start(folder), "faults"))
    made.start()
    yield made
    made.end()
    embedded.stop(folder)
    shutil.rmtree(folder, ignore_errors=True)


def _furnished(cloud: Cloud, image: Path, hosts: dict[str, rig.Host]) -> Province:
    ask = cloud.admin.ask
    for zone in ("wuhan-a", "wuhan-b"):
        overcommit = {"vcpus": 16.0, "memory_mib": 1.0, "disk_gib": 4.0}
        ask("POST /v1/pools", {"name": zone, "zone": zone, "overcommit": overcommit, "reserved": {"memory_mib": 64}})
    uris = [lambda host: host.tls, lambda host: host.tcp, lambda host: host.unix, lambda host: host.tls]
    for number, host in enumerate(hosts.values()):
        pool = "wuhan-a" if number < 2 else "wuhan-b"
        ask("POST /v1/endpoints", {"name": host.name, "driver": "libvirt", "uri": uris[number](host), "pool": pool})
    ask("POST /v1/flavors", {"name": "tiny", "vcpus": 1, "memory_mib": 96, "disk_gib": 1})
    ask("POST /v1/flavors", {"name": "less-tiny", "vcpus": 2, "memory_mib": 128, "disk_gib": 2})
    upload(cloud, "tiny", image)
    return Province(cloud, hosts, cloud.department(auto_approve=PLENTY))


def upload(cloud: Cloud, name: str, file: Path) -> None:
    """Import a qcow2 image."""
    cloud.admin.ask("POST /v1/images", {"name": name, "arch": "x86_64", "format": "qcow2"})
    cloud.admin.ask(f"PUT /v1/images/{name}/content", file.read_bytes())
