"""Several real libvirt hosts side by side on one machine, and the means to make them fail.

In: a scratch folder and a number. Out: hosts with addresses of their own, each a libvirtd on a machine of the lab (`tests.lab.machine`)
with its own /etc/libvirt, /var/lib/libvirt and /run. A host starts in half a second and takes about 10 MB. `down` undoes everything.
`python -m tests.lab` does the same by hand.
"""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tests.lab import machine, pki
from tests.lab.machine import Machine

LIBVIRTD_PORT = 16509

LIBVIRTD_CONF = """\
host_uuid = "{uuid}"
listen_tcp = 1
listen_tls = 1
listen_addr = "{address}"
auth_tcp = "none"
auth_tls = "none"
ca_file = "{pki}/cacert.pem"
cert_file = "{pki}/servercert.pem"
key_file = "{pki}/serverkey.pem"
keepalive_interval = 2
keepalive_count = 3
max_clients = 500
"""

QEMU_CONF = """\
user = "root"
group = "root"
dynamic_ownership = 0
remember_owner = 0
security_driver = "none"
"""


@dataclass(frozen=True, slots=True)
class Host:
    """One lab host and what can be done to it."""

    machine: Machine  # what it calls /var/lib/libvirt is `folder/lib`, and so on
    pki: Path

    @property
    def name(self) -> str:
        return self.machine.name

    @property
    def folder(self) -> Path:
        return self.machine.folder

    @property
    def address(self) -> str:
        return self.machine.address

    @property
    def tcp(self) -> str:
        return f"qemu+tcp://{self.address}/system"

    @property
    def tls(self) -> str:
        return f"qemu+tls://{self.address}/system?pkipath={self.pki}"

    @property
    def unix(self) -> str:
        return f"qemu+unix:///system?socket={self.folder}/run/libvirt/libvirt-sock"

    def start(self) -> None:
        """Switch it on."""
        self.machine.start()

    def crash(self) -> None:
        """Cut its power: libvirtd and every guest are gone at once."""
        self.machine.crash()

    def cut(self) -> None:
        """Pull its network cable; guests go on."""
        self.machine.cut()

    def heal(self) -> None:
        """Plug its network cable in again."""
        self.machine.heal()

    def freeze(self) -> None:
        """Hang it: libvirtd and guests stop where they are."""
        self.machine.freeze()

    def thaw(self) -> None:
        self.machine.thaw()

    def kill_libvirtd(self) -> None:
        """Kill the daemon alone; guests go on."""
        self.run("sh", "-c", "kill -9 $(cat /run/libvirtd.pid)")

    def start_libvirtd(self) -> None:
        self.run("libvirtd", "--daemon", "--listen")
        self.machine.await_door()

    def run(self, *command: str) -> str:
        """Run a command on the host; what it prints."""
        return self.machine.run(*command)

    @contextmanager
    def being_cut(self) -> Iterator[None]:
        with self.machine.being_cut():
            yield

    @contextmanager
    def being_frozen(self) -> Iterator[None]:
        with self.machine.being_frozen():
            yield


@dataclass(frozen=True, slots=True)
class Rig:
    """Some hosts on one bridge."""

    folder: Path
    number: int
    hosts: tuple[Host, ...]


def up(folder: Path, count: int) -> Rig:
    """Make and start the hosts."""
    folder.mkdir(parents=True, exist_ok=True)
    rig = describe(folder, machine.take_number(), count)
    try:
        (folder / "rig").write_text(f"{rig.number} {count}")
        pki.make(folder / "pki", [host.address for host in rig.hosts])
        for host in rig.hosts:
            furnish(host)
            host.start()
    except BaseException:
        down(rig)
        raise
    return rig


def describe(folder: Path, number: int, count: int) -> Rig:
    """The rig of that number."""
    fabric = machine.fabric_name(number)
    init = machine.HERE / "libvirt-init"
    machines = (
        Machine(folder / f"h{i}", f"{fabric}-h{i}", fabric, f"h{i}", machine.address(number, i), init, LIBVIRTD_PORT)
        for i in range(1, count + 1)
    )
    return Rig(folder, number, tuple(Host(one, folder / "pki") for one in machines))


def found(folder: Path) -> Rig:
    """The rig that `up` made there, perhaps in another process."""
    number, count = (folder / "rig").read_text().split()
    return describe(folder, int(number), int(count))


def down(rig: Rig) -> None:
    """Stop the hosts and take away every namespace, cgroup, link and file of the rig."""
    for host in rig.hosts:
        machine.remove(host.machine)
    machine.give_back(rig.number)
    shutil.rmtree(rig.folder, ignore_errors=True)


def furnish(host: Host) -> None:
    """Folders and settings of a host that has never been on."""
    for name in ("lib/images", "lib/qemu", "lib/dnsmasq", "lib/boot", "log/qemu", "cache", "etc/qemu/networks/autostart", "etc/nwfilter"):
        (host.folder / name).mkdir(parents=True, exist_ok=True)
    identity = uuid.uuid5(uuid.NAMESPACE_URL, str(host.folder))
    (host.folder / "etc/libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=identity, address=host.address, pki=host.pki))
    (host.folder / "etc/qemu.conf").write_text(QEMU_CONF)
    (host.folder / "etc/virtlogd.conf").write_text("")
    machine.furnish(host.machine)
