"""Bare metal on one machine: servers that are off, each behind a BMC of its own, and the means to make each part fail.

In: a scratch folder and how many. Out: one host of the libvirt lab (`tests.lab.rig`) as the rack, whose guests are the servers, with
their BMCs, DHCP and iPXE. All of it runs in the rack's namespaces, so that it goes when the rack does. The tests' process stays outside
and reaches servers and BMCs, as they reach it, at `Rig.outside`. `down` undoes everything, also what was made only half. `python -m
tests.lab.metal` does the same by hand.
"""

from __future__ import annotations

import dataclasses
import json
import shutil
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import libvirt

from tests.lab import machine, pki
from tests.lab import rig as hosts
from tests.lab.metal import bmc as bmcs
from tests.lab.metal import server as servers_of
from tests.lab.metal.bmc import Bmc
from tests.lab.metal.dhcp import Dhcp
from tests.lab.metal.server import Hardware, Server
from tests.lab.rig import Host

HERE = Path(__file__).parent
PASSWORD = "lab: not a secret"  # noqa: S105
NOWHERE = "http://127.0.0.1/"
BMCS, SERVERS = 20, 60  # added to a server's number (at most 40): the indices of its addresses

MEDIA = "<pool type='dir'><name>media</name><target><path>/var/lib/libvirt/media</path></target></pool>"


@dataclass(frozen=True, slots=True)
class Rig:
    """A rack of servers."""

    folder: Path
    number: int
    host: Host  # the rack itself
    servers: tuple[Server, ...]
    dhcp: Dhcp

    @property
    def outside(self) -> str:
        """The address by which servers and BMCs reach the tests' process."""
        return machine.outside(self.number)


def up(folder: Path, machines: Sequence[Hardware], *, boot_url: str = NOWHERE) -> Rig:
    """Make it, with those servers, all off, all BMCs answering. `boot_url`: where iPXE gets its script (`Dhcp.boot_from`)."""
    folder.mkdir(parents=True, exist_ok=True)
    rig = describe(folder, machine.take_number(), machines)
    try:
        kept = {"number": rig.number, "machines": [dataclasses.asdict(one) for one in machines]}
        (folder / "metal.json").write_text(json.dumps(kept))
        with suppress(FileNotFoundError):  # this machine shall not take routes from its lab
            Path(f"/proc/sys/net/ipv6/conf/{machine.fabric_name(rig.number)}/accept_ra").write_text("0")
        pki.make(folder / "pki", [rig.host.address])
        hosts.furnish(rig.host)
        (rig.host.folder / "lib/media").mkdir()
        rig.host.start()
        rig.dhcp.start(boot_url)
        _build_in(rig)
    except BaseException:
        down(rig)
        raise
    return rig


@contextmanager
def running(folder: Path, machines: Sequence[Hardware], *, boot_url: str = NOWHERE) -> Iterator[Rig]:
    """`up`, and `down` at the end."""
    rig = up(folder, machines, boot_url=boot_url)
    try:
        yield rig
    finally:
        down(rig)


def describe(folder: Path, number: int, machines: Sequence[Hardware]) -> Rig:
    """The rig of that number."""
    (host,) = hosts.describe(folder, number, 1).hosts
    host = dataclasses.replace(host, machine=dataclasses.replace(host.machine, init=HERE / "rack-init"))
    servers = tuple(_server(folder, host, number, i, made_of) for i, made_of in enumerate(machines, start=1))
    dhcp = Dhcp(host.machine, folder / "dhcp", {one.mac: one.address for one in servers})
    return Rig(folder, number, host, servers, dhcp)


def found(folder: Path) -> Rig:
    """The rig that `up` made there, perhaps in another process."""
    kept = json.loads((folder / "metal.json").read_text())
    return describe(folder, kept["number"], [Hardware(**one) for one in kept["machines"]])


def down(rig: Rig) -> None:
    """Take away every process, namespace, cgroup, link, mount and file of it."""
    machine.remove(rig.host.machine)
    machine.give_back(rig.number)
    shutil.rmtree(rig.folder, ignore_errors=True)


def _server(folder: Path, host: Host, number: int, index: int, made_of: Hardware) -> Server:
    name = f"m{index}"
    address = machine.address(number, BMCS + index)
    bmc = Bmc(host.machine, folder / "bmc" / name, address, name, made_of.uuid or servers_of.identity(folder, name), made_of.ipmi)
    return Server(host, bmc, made_of, index, machine.address(number, SERVERS + index))


def _build_in(rig: Rig) -> None:
    connection = libvirt.open(rig.host.unix)
    try:
        connection.storagePoolCreateXML(MEDIA)
    finally:
        connection.close()
    signer = pki.authority("chutian metal lab")
    (rig.folder / "bmc").mkdir()
    pki.write_certificate(rig.folder / "bmc/bmc-ca.crt", signer.certificate)
    for server in rig.servers:
        servers_of.furnish(server)
        bmcs.furnish(server.bmc, signer, PASSWORD, [{"serial": server.disk_serial, "bytes": server.hardware.disk}])
        server.bmc.start()
    for server in rig.servers:
        server.bmc.await_ready()
