"""Machines side by side on this one: namespaces, cgroups and a cable each, on one bridge, and the means to make them fail.

In: a folder, and the program that a machine starts with. Out: machines with addresses of their own, in network, mount, uts, ipc, pid and
cgroup namespaces. The tests' process stays outside and reaches them through one veth pair.

Every set of machines takes a free number, from which all its names and its subnet follow, so that several run at once. `remove` and
`give_back` undo everything, also what was made only half.
"""

from __future__ import annotations

import errno
import json
import os
import signal
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
CGROUPS = Path("/sys/fs/cgroup")
START_S = 20.0


@dataclass(frozen=True, slots=True)
class Machine:
    """One machine of the lab."""

    folder: Path
    name: str  # its hostname, and the name of its network namespace and its cgroups
    fabric: str  # the namespace of the bridge
    port: str  # its port on the bridge
    address: str
    init: Path  # what it runs once its namespaces are there: INIT FOLDER, never to end
    door: int  # the TCP port that it answers at when it is up

    def start(self) -> None:
        """Switch it on."""
        with (self.folder / "init.log").open("wb") as log:
            command = [str(one) for one in (HERE / "host-start", self.name, self.name, self.folder, self.init)]
            process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
        (self.folder / "pid").write_text(str(process.pid))
        process.returncode = 0  # never waited for by this object: `crash` does, by its number
        self.await_door()

    def crash(self) -> None:
        """Cut its power: everything that ran on it is gone at once."""
        with suppress(FileNotFoundError, ProcessLookupError, ChildProcessError):
            pid = int((self.folder / "pid").read_text())
            (self.folder / "pid").unlink()
            os.kill(pid, signal.SIGKILL)
            os.waitpid(pid, 0)
        self._await_death()
        for link in _links(self.name) - {"lo", "eth0"}:  # the network namespace stays, but bridges and taps went with the power
            ip("-n", self.name, "link", "delete", link, check=False)
        subprocess.run(["nsenter", f"--net=/run/netns/{self.name}", "nft", "flush", "ruleset"], capture_output=True, check=False)

    def cut(self) -> None:
        """Pull its network cable; what runs goes on."""
        ip("-n", self.fabric, "link", "set", self.port, "down")

    def heal(self) -> None:
        """Plug its network cable in again; returns once the link is up, which takes the kernel up to seconds."""
        ip("-n", self.fabric, "link", "set", self.port, "up")
        self._await_link()

    def freeze(self) -> None:
        """Hang it: all that runs on it stops where it is."""
        state = CGROUPS / "freezer" / self.name / "freezer.state"
        state.write_text("FROZEN")
        while state.read_text() != "FROZEN\n":  # it takes a moment
            time.sleep(0.01)

    def thaw(self) -> None:
        (CGROUPS / "freezer" / self.name / "freezer.state").write_text("THAWED")

    def run(self, *command: str) -> str:
        """Run a command on the machine; what it prints."""
        inside = [str(HERE / "host-run"), self.name, str(self.folder), str(self._init_pid()), *command]
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

    def await_door(self) -> None:
        """Wait until something answers at its door."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((self.address, self.door), timeout=1):
                return
            time.sleep(0.02)
        raise TimeoutError(f"{self.name} did not come up: {(self.folder / 'init.log').read_text()[-500:]}")

    def _init_pid(self) -> int:
        outer = (self.folder / "pid").read_text()
        return int(Path(f"/proc/{outer}/task/{outer}/children").read_text().split()[0])

    def _await_link(self) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection((self.address, self.door), timeout=1).close()
            except ConnectionRefusedError:  # reached, though nothing listens
                return
            except OSError:
                time.sleep(0.02)
            else:
                return
        raise TimeoutError(f"the link of {self.name} did not come up")

    def _await_death(self) -> None:
        deadline = time.monotonic() + START_S
        procs = CGROUPS / "freezer" / self.name
        while any(path.read_text() for path in procs.rglob("cgroup.procs")):
            if time.monotonic() > deadline:
                raise TimeoutError(f"{self.name} did not die")
            time.sleep(0.02)


def fabric_name(number: int) -> str:
    """The name of everything that belongs to all machines of that number."""
    return f"lab{number}"


def address(number: int, index: int) -> str:
    """The address of the machine of that index (1 to 200); 254, less 10, is that of the tests' own end."""
    return f"10.77.{number}.{10 + index}"


def outside(number: int) -> str:
    """The address by which machines reach the tests' process."""
    return address(number, 244)


def take_number() -> int:
    """Take a free number by making its veth pair, which only one can; then the bridge."""
    for number in range(1, 250):
        fabric = fabric_name(number)
        if ip("link", "add", fabric, "type", "veth", "peer", "name", f"{fabric}-up", check=False):
            break
    else:
        raise RuntimeError("all 249 lab numbers are taken")
    try:
        ip("netns", "add", fabric)
        ip("link", "set", f"{fabric}-up", "netns", fabric)
        ip("-n", fabric, "link", "add", "bridge", "type", "bridge")
        for link in ("lo", "bridge"):
            ip("-n", fabric, "link", "set", link, "up")
        ip("-n", fabric, "link", "set", f"{fabric}-up", "master", "bridge", "up")
        ip("address", "add", f"{outside(number)}/24", "dev", fabric)
        ip("link", "set", fabric, "up")
    except BaseException:
        give_back(number)
        raise
    return number


def give_back(number: int) -> None:
    """Take away the bridge and free the number."""
    ip("link", "delete", fabric_name(number), check=False)
    ip("netns", "delete", fabric_name(number), check=False)


def furnish(machine: Machine) -> None:
    """Network and cgroups of a machine that has never been on."""
    machine.folder.mkdir(parents=True, exist_ok=True)
    (machine.folder / "name").write_text(machine.name)
    (machine.folder / "controllers").write_text(" ".join(_controllers()))
    ip("netns", "add", machine.name)
    ip("-n", machine.fabric, "link", "add", machine.port, "type", "veth", "peer", "name", "eth0", "netns", machine.name)
    ip("-n", machine.fabric, "link", "set", machine.port, "master", "bridge", "up")
    ip("-n", machine.name, "address", "add", f"{machine.address}/24", "dev", "eth0")
    for link in ("lo", "eth0"):
        ip("-n", machine.name, "link", "set", link, "up")
    for controller in _controllers():
        group = CGROUPS / controller / machine.name
        group.mkdir(exist_ok=True)
        if controller == "cpuset":  # which starts empty
            for file in ("cpuset.cpus", "cpuset.mems"):
                (group / file).write_text((group.parent / file).read_text())


def remove(machine: Machine) -> None:
    """Switch it off and take away its namespaces and cgroups; its folder stays."""
    with suppress(OSError):
        machine.thaw()
    machine.crash()
    ip("netns", "delete", machine.name, check=False)
    for controller in _controllers():
        with suppress(FileNotFoundError):
            _remove_cgroup(CGROUPS / controller / machine.name, time.monotonic() + START_S)


def ip(*arguments: str, check: bool = True) -> bool:
    """Run `ip`; whether it succeeded."""
    done = subprocess.run(["ip", *arguments], capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
    if check and done.returncode:
        raise RuntimeError(f"ip {' '.join(arguments)}: {done.stderr.strip()}")
    return done.returncode == 0


def _controllers() -> list[str]:
    """The mounted cgroup controllers (of version 1: what /proc/cgroups names), and the hierarchy without one that a kubelet insists on."""
    known = [line.split()[0] for line in Path("/proc/cgroups").read_text().splitlines() if not line.startswith("#")]
    return sorted(name for name in [*known, "systemd"] if (CGROUPS / name / "cgroup.procs").exists())


def _remove_cgroup(group: Path, deadline: float) -> None:
    """Take it away with all in it; one that lists no process any more stays busy until the last has ended within the kernel."""
    for child in [path for path in group.iterdir() if path.is_dir()]:
        _remove_cgroup(child, deadline)
    while group.exists():
        try:
            group.rmdir()
        except OSError as error:
            if error.errno != errno.EBUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.02)


def _links(netns: str) -> set[str]:
    listed = subprocess.run(["ip", "-n", netns, "-j", "link"], capture_output=True, text=True, check=False).stdout
    return {link["ifname"] for link in json.loads(listed or "[]")}
