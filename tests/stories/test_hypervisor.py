"""A Debian machine becomes a hypervisor of a pool by its playbook, runs a guest for a department, and is patched.

The machine is a guest of the bare-metal lab under emulation, and the department's guest runs within it: minutes in all, so this is no part
of `make real`. It starts from an image that has the packages; at the end another one starts from plain Debian and a mirror.
"""

from __future__ import annotations

import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from controller.store import embedded
from tests.api.outside import PLENTY, Cloud, Department
from tests.api.server import controller
from tests.lab import debs, tied
from tests.lab.metal import by_hand, installed, rig
from tests.lab.metal.installed import Installed
from tests.lab.metal.rig import Rig
from tests.lab.metal.server import Hardware
from tests.lab.needs import CHECKOUT, require_metal
from tests.stories.conftest import GUESTS, upload
from tests.stories.playing import Desk

pytestmark = [pytest.mark.real, pytest.mark.slow, pytest.mark.long]

GIB = 1 << 30
NEEDS = ("libvirt-daemon-system", "libvirt-clients", "qemu-system-x86", "qemu-utils", "dnsmasq-base", "iptables", "nftables", "openssl")
BOOTS_S = 400  # of a guest within a guest
SERVER = Hardware(memory_mib=2048, cpus=2, disk=8 * GIB, hosts_guests=True)
UPDATED = "netbase"


@dataclass(frozen=True)
class Office:
    """A controller, a department, the machine, and the folder that its packages are served from."""

    cloud: Cloud
    department: Department
    system: Installed
    desk: Desk
    packages: Path
    rack: Rig

    @property
    def host(self) -> dict[str, object]:
        seen: dict[str, object] = self.cloud.admin.ask(f"GET /v1/hosts/{self.system.server.name}")
        return seen

    def guest(self, name: str) -> str:
        body = {"project": self.department.path, "name": name, "flavor": "tiny", "image": "tiny"}
        id_: str = self.department.member.ask("POST /v1/instances", body)["id"]
        return id_

    def delete(self, id_: str) -> None:
        self.department.member.ask(f"DELETE /v1/instances/{id_}")
        self.department.member.settled_within(id_, "deleted", 120)

    def boot_id(self) -> str:
        return self.system.run("cat /proc/sys/kernel/random/boot_id")


@pytest.fixture(scope="module")
def office() -> Iterator[Office]:
    """The machine is a hypervisor by its playbook's first run."""
    require_metal()
    folder = Path(tempfile.mkdtemp(prefix="ct-hv-", dir="/tmp"))
    folder.chmod(0o755)
    (folder / "rack").mkdir()
    tied.tie(folder / "rack", "tests.lab.metal", "metal.json")
    packages = folder / "packages"
    packages.mkdir()
    debs.index(packages)
    rack = rig.up(folder / "rack", [SERVER, SERVER])
    try:
        url = embedded.start(folder)
        with debs.serving(packages, rack.outside) as repository, controller(folder, url, observe_interval_s=3.0) as cloud:
            system = installed.install(rack.servers[0], folder / "system", repository, "hypervisor")
            _furnish(cloud, folder)
            made = Office(cloud, cloud.department(PLENTY), system, Desk(folder, cloud, system), packages, rack)
            system.await_login()
            first = made.desk.play("hypervisor.yml", hypervisor_pool="general")
            assert first.changed == 6, "files, key and request, signature, certificate, what runs, and the endpoint"
            yield made
    finally:
        embedded.stop(folder)
        rig.down(rack)
        shutil.rmtree(folder, ignore_errors=True)


def _furnish(cloud: Cloud, folder: Path) -> None:
    cloud.admin.ask("POST /v1/pools", {"name": "general", "zone": "wuhan-a", "overcommit": {"vcpus": 4.0}})
    cloud.admin.ask("POST /v1/flavors", {"name": "tiny", "vcpus": 1, "memory_mib": 96, "disk_gib": 1})
    subprocess.run([GUESTS / "tiny" / "build", folder / "tiny.qcow2"], check=True, capture_output=True)
    upload(cloud, "tiny", folder / "tiny.qcow2")


def test_the_same_playbook_again_changes_nothing(office: Office) -> None:
    assert office.desk.play("hypervisor.yml", hypervisor_pool="general").changed == 0
    assert office.desk.play("hypervisor.yml", "--check", hypervisor_pool="general").changed == 0
    (endpoint,) = office.cloud.admin.ask("GET /v1/endpoints")["items"]
    assert endpoint["uri"] == f"qemu+tls://{office.system.server.address}/system"
    assert (endpoint["state"], endpoint["options"]) == ("connected", {"certificates": "own"})


def test_a_certificate_for_another_address_is_replaced_and_used_at_once(office: Office) -> None:
    other = [office.system.server.address, "kvm-01.example"]
    certificate = "openssl x509 -in /etc/pki/libvirt/servercert.pem -noout -text"
    listening = f"openssl s_client -connect {office.system.server.address}:16514 </dev/null 2>/dev/null | openssl x509 -noout -serial"
    before = office.system.run(listening)
    assert office.desk.play("hypervisor.yml", hypervisor_pool="general", hypervisor_addresses=other).changed >= 3
    assert "DNS:kvm-01.example" in office.system.run(certificate)
    assert office.system.run(listening) != before, "libvirtd goes on with the old one"
    office.cloud.admin.ask(f"PATCH /v1/endpoints/{office.system.server.name}", {})
    office.cloud.admin.until(f"GET /v1/hosts/{office.system.server.name}", lambda host: host["state"] == "up", within_s=60)


def test_a_guest_runs_there_and_nothing_is_patched_under_it(office: Office) -> None:
    guest = office.guest("within")
    member = office.department.member
    member.settled_within(guest, "active", BOOTS_S)
    member.until(f"GET /v1/instances/{guest}/console", lambda one: "chutian-guest: ready" in one["text"], BOOTS_S)
    member.until(f"GET /v1/instances/{guest}", lambda one: one["addresses"], BOOTS_S)
    before, boot = office.host, office.boot_id()
    played = office.desk.play("patch_host.yml")
    assert played.code != 0
    assert "can't be started elsewhere" in played.output
    assert "within" in played.output, "it is said who is in the way"
    assert "Update its packages" not in played.output
    after = office.host
    assert (after["cordoned"], after["draining"], after["generation"]) == (False, False, before["generation"])
    assert office.boot_id() == boot
    assert member.ask(f"GET /v1/instances/{guest}")["state"] == "active"
    office.delete(guest)


def test_a_host_is_drained_updated_started_anew_looked_at_and_opened(office: Office) -> None:
    debs.publish_update(office.packages, UPDATED)
    boot = office.boot_id()
    office.desk.play("patch_host.yml").changed  # noqa: B018 - it asserts that all went well
    assert office.boot_id() != boot
    assert office.system.run(f"dpkg-query -W -f '${{Version}}' {UPDATED}") == "99:1"
    host = office.host
    assert (host["state"], host["cordoned"], host["draining"]) == ("up", False, False)
    kinds = [one["kind"] for one in office.cloud.admin.ask("GET /v1/events", object=host["id"], limit=500)["items"]]
    assert {"host.draining", "host.uncordoned"} <= set(kinds)
    boot = office.boot_id()
    assert office.desk.play("patch_host.yml").changed == 2, "draining and opening"
    assert office.boot_id() == boot


def test_a_host_that_somebody_closed_stays_closed(office: Office) -> None:
    name = office.system.server.name
    office.cloud.admin.ask(f"POST /v1/hosts/{name}/cordon")
    assert office.desk.play("patch_host.yml").changed == 0
    assert office.host["cordoned"]
    office.cloud.admin.ask(f"POST /v1/hosts/{name}/uncordon")


def test_a_bridge_takes_over_the_address_and_a_network_of_libvirt_is_on_it(office: Office) -> None:
    """As its pool has it: over the NIC of its default route."""
    office.cloud.admin.ask("PATCH /v1/pools/general", {"hypervisor_bridge": "br0"})
    assert office.desk.play("hypervisor.yml", "--check", hypervisor_pool="general").changed == 2
    assert office.desk.play("hypervisor.yml", hypervisor_pool="general").changed == 2, "the bridge, the network"
    assert _nic(office.system) == "br0"
    assert "bridge name='br0'" in office.system.run("virsh net-dumpxml br0")
    assert office.desk.play("hypervisor.yml", hypervisor_pool="general").changed == 0
    office.system.run("test $(virsh net-list --autostart --name | grep -c br0) = 1; ls /etc/systemd/network/05-chutian-br0.netdev")
    named = {"name": "br0", "port": office.system.run("ls /sys/class/net/br0/brif").strip(), "network": "lan"}
    assert office.desk.play("hypervisor.yml", hypervisor_pool="general", hypervisor_bridge=named).changed == 1, "another name for libvirt"
    office.cloud.admin.ask("PATCH /v1/pools/general", {"hypervisor_bridge": ""})


def test_a_bridge_that_nobody_keeps_is_undone(office: Office) -> None:
    system = office.system
    port = system.run("ls /sys/class/net/br0/brif").strip()
    system.run("rm /etc/systemd/network/05-chutian-*; ip link delete br0; networkctl reload; networkctl reconfigure " + port)
    system.await_login(60)
    script = (CHECKOUT / "playbooks/roles/hypervisor/files/bridge").read_text()
    system.run(f"sh -c {shlex.quote(script)} bridge try br1 {port} 20")
    system.await_login(60)
    by_hand.until("the bridge", lambda: _nic(system) == "br1", 30)
    by_hand.until("the NIC alone", lambda: _nic(system) == port, 90)
    assert "br1" not in system.run("ls /sys/class/net /run/systemd/network /etc/systemd/network")


def test_plain_debian_takes_its_packages_from_a_mirror(office: Office, tmp_path: Path) -> None:
    office.system.server.pull_plug()
    image = tmp_path / "debian.qcow2"
    subprocess.run([GUESTS / "debian" / "build", image], check=True, capture_output=True)
    packages = debs.repository(debs.status_of(image, tmp_path), [*NEEDS, "python3-apt"])
    with debs.serving(packages, office.rack.outside) as repository:
        system = installed.install(office.rack.servers[1], tmp_path / "system", repository)
        system.await_login()
        desk = Desk(tmp_path, office.cloud, system)
        assert desk.play("hypervisor.yml", hypervisor_pool="general").changed == 7, "the packages, too"
        assert desk.play("hypervisor.yml", hypervisor_pool="general").changed == 0


def _nic(system: Installed) -> str:
    """Which has the machine's address; empty while it can't be reached, as when that moves."""
    with suppress(RuntimeError):
        return system.run(f"ip -4 -o address show | awk '/{system.server.address}/ {{print $2}}'").strip()
    return ""
