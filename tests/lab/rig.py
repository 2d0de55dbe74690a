"""Several real libvirt hosts side by side on one machine, and the means to make them fail.

In: a scratch folder and a number. Out: hosts with addresses of their own, each a libvirtd in network, mount, uts, ipc, pid and cgroup
namespaces with its own /etc/libvirt, /var/lib/libvirt and /run, joined by a bridge in a namespace of its own. The tests' process stays
outside and reaches them through one veth pair. A host starts in half a second and takes about 10 MB.

Every rig takes a free number, from which all its names and its subnet follow, so that several run at once. `down` undoes everything.
`python -m tests.lab` does the same by hand.
"""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import time
import uuid
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

from tests.lab import pki

HERE = Path(__file__).parent
CGROUPS = Path("/sys/fs/cgroup")
START_S = 20.0

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

    folder: Path  # what it calls /var/lib/libvirt is `folder/lib`, and so on
    name: str  # its hostname, and the name of its network namespace and its cgroups
    fabric: str  # the namespace of the bridge
    port: str  # its port on the bridge
    address: str
    pki: Path

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
        with (self.folder / "init.log").open("wb") as log:
            command = [HERE / "host-start", self.name, self.name, self.folder]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        (self.folder / "pid").write_text(str(process.pid))
        process.returncode = 0  # never waited for by this object: `crash` does, by its number
        self._await_libvirtd()

    def crash(self) -> None:
        """Cut its power: libvirtd and every guest are gone at once."""
        with suppress(FileNotFoundError, ProcessLookupError, ChildProcessError):
            pid = int((self.folder / "pid").read_text())
            (self.folder / "pid").unlink()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._await_death()
        for link in _links(self.name) - {"lo", "eth0"}:  # the network namespace stays, but bridges and taps went with the power
            _ip("-n", self.name, "link", "delete", link, check=False)
        subprocess.run(["nsenter", f"--net=/run/netns/{self.name}", "nft", "flush", "ruleset"], capture_output=True, check=False)

    def cut(self) -> None:
        """Pull its network cable; guests go on."""
        _ip("-n", self.fabric, "link", "set", self.port, "down")

    def heal(self) -> None:
        """Plug its network cable in again; returns once the link is up, which takes the kernel up to seconds."""
        _ip("-n", self.fabric, "link", "set", self.port, "up")
        self._await_link()

    def freeze(self) -> None:
        """Hang it: libvirtd and guests stop where they are."""
        state = CGROUPS / "freezer" / self.name / "freezer.state"
        state.write_text("FROZEN")
        while state.read_text() != "FROZEN\n":  # it takes a moment
            time.sleep(0.01)

    def thaw(self) -> None:
        (CGROUPS / "freezer" / self.name / "freezer.state").write_text("THAWED")

    def kill_libvirtd(self) -> None:
        """Kill the daemon alone; guests go on."""
        self.run("sh", "-c", "kill -9 $(cat /run/libvirtd.pid)")

    def start_libvirtd(self) -> None:
        self.run("libvirtd", "--daemon", "--listen")
        self._await_libvirtd()

    def run(self, *command: str) -> str:
        """Run a command on the host; what it prints."""
        inside = [HERE / "host-run", self.name, self.folder, str(self._init()), *command]
        return subprocess.run(inside, check=True, capture_output=True, text=True, stdin=subprocess.DEVNULL).stdout

    @contextmanager
    def being_cut(self) -> Iterator[None]:
        self.cut()
        try:
            yield
        finally:
            self.heal()

    @contextmanager
    def being_frozen(self) -> Iterator[None]:
        self.freeze()
        try:
            yield
        finally:
            self.thaw()

    def _init(self) -> int:
        outer = (self.folder / "pid").read_text()
        return int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])

    def _await_link(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection((self.address, 16509), timeout=1).close()
            except ConnectionRefusedError:  # reached, though no libvirtd listens
                return
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError(f"the link of {self.name} did not come up")

    def _await_libvirtd(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((self.address, 16509), timeout=1):
                return
            time.sleep(0.02)
        raise TimeoutError(f"{self.name} did not come up: {(self.folder / 'init.log').read_text()[-500:]}")

    def _await_death(self) -> None:
        deadline = time.monotonic() + START_S
        procs = CGROUPS / "freezer" / self.name
        while any(path.read_text() for path in procs.rglob("cgroup.procs")):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} did not die")
            time.sleep(0.02)


@dataclass(frozen=True, slots=True)
class Rig:
    """Some hosts on one bridge."""

    folder: Path
    number: int
    hosts: tuple[Host, ...]


def up(folder: Path, count: int) -> Rig:
    """Make and start the hosts."""
    folder.mkdir(parents=True, exist_ok=True)
    rig = describe(folder, _fabric(), count)
    (folder / "rig").write_text(f"{rig.number} {count}")
    try:
        pki.make(folder / "pki", [host.address for host in rig.hosts])
        for host in rig.hosts:
            _furnish(host)
            host.start()
    except BaseException:
        down(rig)
        raise
    return rig


def describe(folder: Path, number: int, count: int) -> Rig:
    """The rig of that number."""
    fabric = f"lab{number}"
    hosts = (
        Host(folder / f"h{i}", f"{fabric}-h{i}", fabric, f"h{i}", f"10.77.{number}.{10 + i}", folder / "pki") for i in range(1, count + 1)
    )
    return Rig(folder, number, tuple(hosts))


def found(folder: Path) -> Rig:
    """The rig that `up` made there, perhaps in another process."""
    number, count = (folder / "rig").read_text().split()
    return describe(folder, int(number), int(count))


def down(rig: Rig) -> None:
    """Stop the hosts and take away every namespace, cgroup, link and file of the rig."""
    for host in rig.hosts:
        with suppress(OSError):
            host.thaw()
        host.crash()
        _ip("netns", "delete", host.name, check=False)
        for controller in _controllers():
            _remove_cgroup(CGROUPS / controller / host.name)
    _ip("link", "delete", f"lab{rig.number}", check=False)
    _ip("netns", "delete", f"lab{rig.number}", check=False)
    shutil.rmtree(rig.folder, ignore_errors=True)


def _fabric() -> int:
    """Take a free number by making its veth pair, which only one can; then the bridge."""
    for number in range(1, 250):
        fabric = f"lab{number}"
        if _ip("link", "add", fabric, "type", "veth", "peer", "name", f"{fabric}-up", check=False):
            break
    else:
        raise RuntimeError("all 249 lab numbers are taken")
    _ip("netns", "add", fabric)
    _ip("link", "set", f"{fabric}-up", "netns", fabric)
    _ip("-n", fabric, "link", "add", "bridge", "type", "bridge")
    for link in ("lo", "bridge"):
        _ip("-n", fabric, "link", "set", link, "up")
    _ip("-n", fabric, "link", "set", f"{fabric}-up", "master", "bridge", "up")
    _ip("address", "add", f"10.77.{number}.254/24", "dev", fabric)
    _ip("link", "set", fabric, "up")
    return number


def _furnish(host: Host) -> None:
    """Folders, settings, network and cgroups of a host that has never been on."""
    folder = host.folder
    for name in ("lib/images", "lib/qemu", "lib/dnsmasq", "lib/boot", "log/qemu", "cache", "etc/qemu/networks/autostart", "etc/nwfilter"):
        (folder / name).mkdir(parents=True, exist_ok=True)
    (folder / "name").write_text(host.name)
    (folder / "controllers").write_text(" ".join(_controllers()))
    identity = uuid.uuid5(uuid.NAMESPACE_URL, str(folder))
    (folder / "etc/libvirtd.conf").write_text(LIBVIRTD_CONF.format(uuid=identity, address=host.address, pki=host.pki))
    (folder / "etc/qemu.conf").write_text(QEMU_CONF)
    (folder / "etc/virtlogd.conf").write_text("")
    _ip("netns", "add", host.name)
    _ip("-n", host.fabric, "link", "add", host.port, "type", "veth", "peer", "name", "eth0", "netns", host.name)
    _ip("-n", host.fabric, "link", "set", host.port, "master", "bridge", "up")
    _ip("-n", host.name, "address", "add", f"{host.address}/24", "dev", "eth0")
    for link in ("lo", "eth0"):
        _ip("-n", host.name, "link", "set", link, "up")
    for controller in _controllers():
        group = CGROUPS / controller / host.name
        group.mkdir(exist_ok=True)
        if controller == "cpuset":  # which starts empty
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((group.parent / file).read_text())


def _controllers() -> list[str]:
    """The mounted cgroup controllers (of version 1: what /proc/cgroups names)."""
    known = [line.split()[0] for line in Path("/proc/cgroups").read_text().splitlines() if not line.startswith("#")]
    return sorted(name for name in known if (CGROUPS / name / "cgroup.procs").exists())


def _remove_cgroup(group: Path) -> None:
    if group.is_dir():
        for child in [path for path in group.iterdir() if path.is_dir()]:
            _remove_cgroup(child)
        with suppress(OSError):
            group.rmdir()


def _links(netns: str) -> set[str]:
    listed = subprocess.run(["ip", "-n", netns, "-j", "link"], capture_output=True, text=True, check=False).stdout
    return {link["ifname"] for link in json.loads(listed or "[]")}


def _ip(*arguments: str, check: bool = True) -> bool:
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.returncode == 0
