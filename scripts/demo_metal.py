"""`make demo-metal`: bare machines from power-off to a department and back, told with the `chutian` command.

A rack of servers is made on this machine: QEMU guests that are off, each behind a real Redfish BMC, with DHCP and iPXE on their network.
An operator enrols them by their BMCs and has them inspected; a department applies for two with `examples/servers.yaml` and logs in.
The largest becomes a hypervisor of a pool, by Ansible, and the department starts a virtual machine there. All is given back; every disk
is wiped, and openssl verifies a certificate of it. At the end stands how long each phase took. It shares the controller of `make demo`,
whether that is up or not, and `make down` takes all of it away.
"""

from __future__ import annotations

import shlex
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from scripts import demo
from scripts import demo_machine as machine
from scripts.demo import Body, chutian, ensure, say, tell
from scripts.demo_machine import DATA, LOG, RACK, STATE, DemoError
from tests.lab.metal import rig
from tests.lab.metal.rig import Rig
from tests.lab.metal.server import Hardware
from tests.lab.needs import METAL, missing

PROJECT = "hubei/statistics"
CLERK = "statistics-clerk"
POOL = "servers"
VIRTUAL = "virtual"  # the pool that the hypervisor joins
OPERATIONS = "hubei/operations"  # the operators' own project
HYPERVISOR = "kvm-01"
SERVERS = (Hardware(), Hardware(), Hardware(), Hardware(memory_mib=2048, cpus=2, disk=8 << 30, hosts_guests=True))
BOOT_BY = ("network", "cd")  # in turn: both ways are shown
DEPOT_PORT = 8090
PHASE_S = 900  # of the slowest phase, on the slowest machine


@dataclass(frozen=True, slots=True)
class Phases:
    """How long each took, in seconds, in the order in which they were."""

    took: dict[str, float] = field(default_factory=dict)

    @contextmanager
    def phase(self, name: str) -> Iterator[None]:
        begun = time.monotonic()
        yield
        self.took[name] = time.monotonic() - begun


def main() -> None:
    """Tell it."""
    phases = Phases()
    if lacking := missing(METAL):
        raise DemoError(f"no rack on this machine: {'; '.join(lacking)}")
    url = machine.settings()
    rack = _start(url)
    demo.administrator(url)
    with phases.phase("enrol"):
        _enrol(rack)
    with phases.phase("inspect"):
        _inspect()
    say("The operator: what may be used, and who may use how much")
    _catalogue()
    demo.people(url, PROJECT, "Provincial bureau of statistics", "instances=4 vcpus=4 memory_mib=4096 disk_gib=8", CLERK)
    demo.once("project", "update", PROJECT, "--auto-approve", "instances=1,vcpus=1,memory_mib=128,disk_gib=1")
    with phases.phase("provision"):
        request = demo.applied(PROJECT, CLERK, lambda: demo.form("servers.yaml"))
    _show(request)
    say("The operator: the largest becomes a hypervisor")
    _operations()
    with phases.phase("hypervisor"):
        _hypervisor()
    say("The department: a virtual machine on it, small enough to be approved at once")
    with phases.phase("boot a VM there"):
        _virtual_machine()
    with phases.phase("release"):
        _release(request)
    _prove()
    say("How long it took")
    demo.table([("PHASE", "SECONDS"), *((name, f"{seconds:.0f}") for name, seconds in phases.took.items())])


def _start(url: str) -> Rig:
    say(f"A rack of {len(SERVERS)} servers that are off, each behind a BMC of its own, and a controller")
    rack = rig.found(RACK) if (RACK / "metal.json").exists() else rig.up(RACK, SERVERS)
    demo.table(
        [
            ("SERVER", "BMC", "POWER", "MEMORY", "DISK"),
            *(
                (one.name, one.bmc.url, "on" if one.on else "off", f"{one.hardware.memory_mib} MiB", f"{one.hardware.disk >> 30} GiB")
                for one in rack.servers
            ),
        ]
    )
    demo.build("ramdisk", DATA / "depot" / "ramdisk", "linux-image-cloud-amd64")  # starts sooner, and these servers are virtual
    listen = f"{rack.outside}:{DEPOT_PORT}"
    rack.dhcp.boot_from(f"http://{listen}/boot/${{net0/mac:hexhyp}}")
    machine.depot_at(listen)
    machine.controller_up()
    tell(f"the controller answers at {url}, and machines fetch what they start from at http://{listen}; its log is {LOG}")
    return rack


def _enrol(rack: Rig) -> None:
    say("The operator: machines are enrolled by their BMCs")
    ensure("pool", POOL, "pool", "create", POOL, "--zone", "wuhan-1")
    account = STATE / "bmc-account"
    for server, boot_by in zip(rack.servers, BOOT_BY * len(rack.servers), strict=False):
        bmc = server.bmc
        machine.private(account, ":".join(bmc.account) + "\n")
        where = ("--driver", "bare_metal", "--uri", f"redfish+https://{bmc.address}", "--pool", POOL, "--credentials-file", str(account))
        how = ("--option", f"ca_file={bmc.authority}", "--option", f"boot_by={boot_by}")
        ensure("endpoint", server.name, "endpoint", "create", server.name, *where, *how)
    account.unlink()
    _until("enrolled", lambda: len(_machines()) == len(rack.servers))
    chutian("machine", "list", show=True)


def _inspect() -> None:
    say("The operator: machines say what they really are")
    unknown = [one["host"] for one in _machines() if one["state"] == "uninspected"]
    for name in unknown[1:]:
        chutian("machine", "inspect", name, "--yes")
    if unknown:
        tell("the first of them is followed task by task; the others go on at the same time")
        chutian("machine", "inspect", unknown[0], "--yes", "--wait", "--timeout", str(PHASE_S), live=True)
    _until("inspected", lambda: not any(one["reason"] and one["reason"]["code"] == "machine_uninspected" for one in _hosts()))
    chutian("machine", "show", _machines()[0]["host"], show=True)
    chutian("host", "list", "--pool", POOL, show=True)


def _catalogue() -> None:
    sizes = ("--vcpus", "1", "--memory-mib", "512", "--disk-gib", "1")
    ensure("flavor", "server", "flavor", "create", "server", "--kind", "bare_metal", *sizes)
    demo.image_of("tiny")


def _show(request: str) -> None:
    say("What the department has now, and how it came to be")
    chutian("instance", "list", "--project", PROJECT, show=True, profile=CLERK)
    chutian("machine", "list", show=True)
    chutian("run", "list", show=True)
    first = demo.instances(request, PROJECT)[0]
    run = chutian("run", "list", "--instance", first["id"], json_=True, quiet=True)["items"][0]
    chutian("run", "show", run["id"], show=True)
    say("Logged in, with the host key that is on record")
    _log_in(first, run["host"])


def _log_in(instance: Body, host: str) -> None:
    """By ssh, to the installed system."""
    key = chutian("machine", "show", host, json_=True)["host_key"]
    address = instance["addresses"][0]
    known = STATE / "ssh" / "known_hosts"
    known.write_text(f"{address} {key}\n")
    tell(f"its host_key goes into {known}")
    options = ["-F", "none", "-i", demo.SSH_KEY, "-o", f"UserKnownHostsFile={known}", "-o", "StrictHostKeyChecking=yes"]
    _outside(["ssh", *options, f"root@{address}", "hostname; uname -sr; cat /sys/class/dmi/id/product_serial"])


def _operations() -> None:
    """What the operators need for machines of their own."""
    room = ("instances=1,vcpus=2,memory_mib=2048,disk_gib=8", "instances=1 vcpus=2 memory_mib=2048 disk_gib=4")
    ensure("project", OPERATIONS, "project", "create", OPERATIONS, "--description", "The operators themselves", "--auto-approve", room[0])
    demo.once("quota", "set", OPERATIONS, *room[1].split())
    ensure("pool", VIRTUAL, "pool", "create", VIRTUAL, "--zone", "wuhan-1", "--overcommit", "vcpus=4")
    sizes = ("--vcpus", "2", "--memory-mib", "1536", "--disk-gib", "3")
    ensure("flavor", "hypervisor", "flavor", "create", "hypervisor", "--kind", "bare_metal", *sizes)
    ensure("flavor", "tiny", "flavor", "create", "tiny", "--vcpus", "1", "--memory-mib", "128", "--disk-gib", "1")
    demo.image_of("hypervisor")


def _hypervisor() -> None:
    what = ("--kind", "bare_metal", "--flavor", "hypervisor", "--image", "hypervisor", "--pool", POOL, "--hypervisor", VIRTUAL)
    if not _named(HYPERVISOR, OPERATIONS):
        chutian("instance", "create", "--project", OPERATIONS, "--name", HYPERVISOR, *what)
    chutian("instance", "wait", HYPERVISOR, "--project", OPERATIONS, "--timeout", str(PHASE_S), live=True)
    run = chutian("run", "list", "--instance", _named(HYPERVISOR, OPERATIONS)[0]["id"], json_=True, quiet=True)["items"][0]
    chutian("run", "show", run["id"], show=True)
    chutian("endpoint", "show", HYPERVISOR, show=True)
    chutian("host", "list", "--pool", VIRTUAL, show=True)


def _virtual_machine() -> None:
    what = ("--flavor", "tiny", "--image", "tiny", "--pool", VIRTUAL)
    if not _named("map-1", PROJECT):
        chutian("instance", "create", "--project", PROJECT, "--name", "map-1", *what, profile=CLERK)
    chutian("instance", "wait", "map-1", "--project", PROJECT, "--timeout", str(PHASE_S), live=True, profile=CLERK)
    console = ("instance", "console", "map-1", "--project", PROJECT)
    _until("booted", lambda: "chutian-guest: ready" in chutian(*console, json_=True, quiet=True, profile=CLERK)["text"])
    chutian(*console, "--max-bytes", "400", show=True, profile=CLERK)


def _named(name: str, project: str) -> list[Body]:
    found: list[Body] = chutian("instance", "list", "--project", project, "--name", name, json_=True, quiet=True)["items"]
    return found


def _release(request: str) -> None:
    say("Given back: every disk is wiped and read back before anybody else gets the machine")
    mine = [*demo.instances(request, PROJECT), *_named("map-1", PROJECT)]
    for one in mine:
        chutian("instance", "delete", one["name"], "--project", PROJECT, "--yes", profile=CLERK)
    for one in mine:
        chutian("instance", "wait", one["id"], "--for", "deleted", "--timeout", str(PHASE_S), live=True)
    for host in (one for one in chutian("host", "list", "--pool", VIRTUAL, json_=True, quiet=True)["items"] if one["state"] != "retired"):
        chutian("host", "retire", host["name"], "--yes")
        chutian("endpoint", "delete", HYPERVISOR, "--yes")
    for one in _named(HYPERVISOR, OPERATIONS):
        chutian("instance", "delete", one["name"], "--project", OPERATIONS, "--yes")
        chutian("instance", "wait", one["id"], "--for", "deleted", "--timeout", str(PHASE_S), live=True)
    chutian("machine", "list", show=True)


def _prove() -> None:
    say("The proof, for the department as for the operator")
    chutian("certificate", "list", show=True, profile=CLERK)
    newest = chutian("certificate", "list", json_=True, quiet=True, profile=CLERK)["items"][0]["id"]
    chutian("certificate", "show", newest, show=True, profile=CLERK)
    folder = STATE / "certificate"
    chutian("certificate", "save", newest, str(folder), show=True, profile=CLERK)
    signed = ["-rawin", "-in", folder / "document.json", "-sigfile", folder / "document.sig"]
    _outside(["openssl", "pkeyutl", "-verify", "-pubin", "-inkey", folder / "verify.pem", *signed])


def _machines() -> list[Body]:
    found: list[Body] = chutian("machine", "list", "--pool", POOL, json_=True, quiet=True)["items"]
    return sorted(found, key=lambda one: one["host"])


def _hosts() -> list[Body]:
    found: list[Body] = chutian("host", "list", "--pool", POOL, json_=True, quiet=True)["items"]
    return found


def _outside(command: list[str | Path]) -> None:
    """Run a program that isn't ours, and show what it prints. Raises DemoError."""
    tell(f"$ {shlex.join(str(word) for word in command)}")
    done = machine.run(command)
    if done.returncode != 0:
        raise DemoError(f"{command[0]} failed: {(done.stderr or done.stdout).strip()}")
    print("".join(f"    {line}\n" for line in done.stdout.splitlines()), end="", flush=True)


def _until(what: str, so: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PHASE_S
    while not so():
        if time.monotonic() > deadline:
            raise DemoError(f"not {what} after {PHASE_S} s; `chutian machine list` and `chutian run list` say why")
        time.sleep(1)


if __name__ == "__main__":
    sys.exit(demo.told("demo-metal", "Rack", main))
