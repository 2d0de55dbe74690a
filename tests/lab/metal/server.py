"""One server of the rack: a QEMU guest that is off until its BMC is told otherwise, and what can be done to it with hands and screwdrivers.

In: a libvirt host (the rack), a number. Out: a guest with a MAC, an SMBIOS identity, one disk and a serial console that is kept in a file.
"""

from __future__ import annotations

import os
import subprocess
import threading
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import libvirt

from tests.lab.metal import by_hand
from tests.lab.metal.bmc import Bmc
from tests.lab.rig import Host

BAD = 4 << 20  # where a disk that can't be written fails

CPUS = {
    False: "<cpu mode='custom' match='exact' check='none'><model>qemu64</model>{topology}</cpu>",
    True: "<cpu mode='maximum'>{topology}<feature policy='disable' name='la57'/><feature policy='disable' name='svm'/></cpu>",
}
TOPOLOGY = "<topology sockets='1' cores='{cpus}' threads='1'/>"

OVMF = "/usr/share/OVMF"
LOADER = "<loader readonly='yes' secure='{secure}' type='pflash'>{code}</loader><nvram template='{variables}'>{kept}</nvram>"
FIRMWARE = {
    "bios": "<type arch='x86_64' machine='pc'>hvm</type>",
    "uefi": "<type arch='x86_64' machine='q35'>hvm</type>"
    + LOADER.format(secure="no", code=f"{OVMF}/OVMF_CODE_4M.fd", variables=f"{OVMF}/OVMF_VARS_4M.fd", kept="{kept}"),
    "secure": "<type arch='x86_64' machine='q35'>hvm</type>"
    + LOADER.format(secure="yes", code=f"{OVMF}/OVMF_CODE_4M.secboot.fd", variables=f"{OVMF}/OVMF_VARS_4M.ms.fd", kept="{kept}"),
}
"""By `Hardware.firmware`. Secure Boot holds Microsoft's keys, as in servers, and is guarded by SMM, which q35 alone has."""

DISK = """\
<disk type='file' device='disk'>
      <driver name='qemu' type='raw' discard='unmap' detect_zeroes='unmap' cache='unsafe' error_policy='report'/>
      <source file='{path}'/><target dev='{device}' bus='virtio'/><serial>{serial}</serial>
    </disk>"""

XML = """\
<domain type='qemu'>
  <name>{name}</name><uuid>{uuid}</uuid>
  <memory unit='MiB'>{memory}</memory><vcpu>{cpus}</vcpu>
  <os>{firmware}<boot dev='hd'/><smbios mode='sysinfo'/></os>
  <sysinfo type='smbios'><system>
    <entry name='manufacturer'>Lab</entry><entry name='product'>L1</entry><entry name='serial'>SN-{name}</entry>
  </system></sysinfo>
  <features><acpi/><apic/><smm state='{smm}'/></features>
  {cpu}
  <clock offset='utc'/>
  <on_poweroff>destroy</on_poweroff><on_reboot>restart</on_reboot><on_crash>destroy</on_crash>
  <devices>
    {disk}
    <interface type='bridge'><mac address='{mac}'/><source bridge='rack'/><model type='virtio'/></interface>
    <serial type='file'><source path='{console}' append='on'/><target port='0'/></serial>
    <rng model='virtio'><backend model='random'>/dev/urandom</backend></rng>
    <controller type='usb' model='none'/>
    <memballoon model='none'/>
  </devices>
</domain>"""


@dataclass(frozen=True, slots=True)
class Hardware:
    """What one server is made of."""

    memory_mib: int = 1024  # of less, sushy-tools says nothing
    cpus: int = 1
    disk: int = 1 << 30  # in bytes; takes no room until it is written
    ipmi: bool = False  # whether its BMC speaks that, too
    uuid: str = ""  # of its firmware; empty: one of its own
    firmware: str = "bios"  # or "uefi"; or "secure", which is UEFI with Secure Boot on
    hosts_guests: bool = (
        False  # a CPU with all that QEMU can emulate, AES for one; but for KVM within, which hangs the whole server at times
    )


@dataclass(frozen=True, slots=True)
class Server:
    """One server."""

    host: Host
    bmc: Bmc
    hardware: Hardware
    index: int
    address: str  # the one that DHCP gives it

    @property
    def name(self) -> str:
        return self.bmc.name

    @property
    def uuid(self) -> str:
        return self.bmc.uuid

    @property
    def mac(self) -> str:
        return f"52:54:00:77:{int(self.address.split('.')[2]):02x}:{self.index:02x}"

    @property
    def disk(self) -> Path:
        return self.host.folder / f"lib/images/{self.name}.raw"

    @property
    def second(self) -> Path:
        """Of its second disk, where it has one (`with_broken_disk`)."""
        return self.disk.with_suffix(".second.raw")

    @property
    def disk_serial(self) -> str:
        return f"WD-{self.name}"

    @property
    def console(self) -> str:
        """All that it ever said on its serial line."""
        return self._console.read_text(errors="replace") if self._console.exists() else ""

    @property
    def on(self) -> bool:
        """Whether it has power, whatever its BMC says."""
        with self._domain() as domain:
            return bool(domain.isActive())

    @property
    def starts_from(self) -> str:
        """The kind of device that it tries first the next time that it gets power: "disk", "cdrom" or "network"."""
        with self._domain() as domain:
            tree = ET.fromstring(domain.XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))  # noqa: S314  # from libvirtd
        if (first := tree.find("os/boot")) is not None:
            return {"hd": "disk"}.get(first.get("dev", ""), first.get("dev", ""))
        device = next(one for one in tree.iterfind("devices/*") if one.find("boot[@order='1']") is not None)
        return device.get("device", "network")

    def holds(self, marker: bytes) -> bool:
        """Whether those bytes are anywhere on its disk."""
        return subprocess.run(["grep", "-q", "-a", "-F", marker, self.disk], check=False).returncode == 0

    def pull_plug(self) -> None:
        """Off at once."""
        with self._domain() as domain:
            if domain.isActive():
                domain.destroy()

    def push_button(self) -> None:
        """On, from where its boot order says."""
        with self._domain() as domain:
            domain.create()

    @contextmanager
    def hanging(self) -> Iterator[None]:
        """It has power and does nothing: no answer to anything, until it is reset. Where it was not, it goes on afterwards."""
        with self._domain() as domain:
            domain.suspend()
        try:
            yield
        finally:
            with self._domain() as domain:
                if domain.isActive() and domain.state()[0] == libvirt.VIR_DOMAIN_PAUSED:
                    domain.resume()

    def renew(self, size: int | None = None) -> None:
        """Off, no CD, else as from the factory: an empty disk (of another size, which the BMC doesn't notice), boot order, variables."""
        self.pull_plug()
        self.disk.unlink(missing_ok=True)
        self.disk.touch()
        os.truncate(self.disk, self.hardware.disk if size is None else size)
        (self.bmc.folder / "override.json").unlink(missing_ok=True)
        self._variables.unlink(missing_ok=True)
        self._define(_xml(self))

    @contextmanager
    def with_disk_of(self, size: int) -> Iterator[None]:
        """Somebody has put an empty disk of that size in, whatever the BMC says. The server is off before and after."""
        self.renew(size)
        try:
            yield
        finally:
            self.renew()

    @contextmanager
    def with_firmware(self, firmware: str) -> Iterator[Server]:
        """As if it were made with that (`Hardware.firmware`), board and all. It is off before and after."""
        other = replace(self, hardware=replace(self.hardware, firmware=firmware))
        other.renew()
        try:
            yield other
        finally:
            other.renew()
            self.renew()

    @contextmanager
    def with_broken_disk(self, *, and_a_good_one: int = 0) -> Iterator[None]:
        """Writes, and discards, that touch the sector at `BAD` fail; reads don't. The server is off before and after.

        `and_a_good_one`: the size of a second disk, at `second`, that is in order.
        QEMU's own disk of errors, blkdebug, is none that libvirt knows: it is reached over a socket.
        """
        self.renew()
        socket = f"/run/{self.name}-disk"
        image = f"driver=blkdebug,image.driver=file,image.filename={self.disk},image.discard=unmap"
        for number, kind in enumerate(("write", "write-zeroes", "discard")):
            rule = f"inject-error.{number}"
            image += f",{rule}.event=none,{rule}.iotype={kind},{rule}.errno=5,{rule}.sector={BAD // 512}"
        options = (
            "--fork",
            f"--pid-file={socket}.pid",
            f"--socket={socket}",
            "--persistent",
            "--shared=4",
            "--discard=unmap",
            "--cache=writeback",
        )
        self.host.run("qemu-nbd", *options, "--image-opts", image)
        tree = ET.fromstring(_xml(self))  # noqa: S314  # our own
        disk = next(tree.iter("disk"))
        disk.set("type", "network")
        disk.remove(_child(disk, "source"))
        source = ET.SubElement(disk, "source", protocol="nbd")
        ET.SubElement(source, "host", transport="unix", socket=socket)
        if and_a_good_one:
            self.second.touch()
            os.truncate(self.second, and_a_good_one)
            good = ET.fromstring(DISK.format(path=self.second, device="vdb", serial=f"{self.disk_serial}-2"))  # noqa: S314  # our own
            _child(tree, "devices").append(good)
        self._define(ET.tostring(tree, encoding="unicode"))
        try:
            yield
        finally:
            self.renew()
            self.second.unlink(missing_ok=True)
            self.host.run("sh", "-c", f"kill $(cat {socket}.pid)")

    @contextmanager
    def with_stuck_byte(self, at: int, value: int = 0) -> Iterator[None]:
        """Whatever is written to that place of its disk, a moment later it holds that value again."""

        def hold(over: threading.Event) -> None:
            with self.disk.open("r+b", buffering=0) as disk:
                while not over.wait(0.01):
                    os.pwrite(disk.fileno(), bytes([value]), at)

        with by_hand.meanwhile(hold):
            yield

    @property
    def _console(self) -> Path:
        return self.host.folder / f"log/{self.name}.console"

    @property
    def _variables(self) -> Path:
        """What UEFI keeps."""
        return self.disk.with_suffix(".variables")

    @contextmanager
    def _domain(self) -> Iterator[libvirt.virDomain]:
        connection = libvirt.open(self.host.unix)
        try:
            yield connection.lookupByUUIDString(self.uuid)
        finally:
            connection.close()

    def _define(self, xml: str) -> None:
        connection = libvirt.open(self.host.unix)
        try:
            connection.defineXML(xml)
        finally:
            connection.close()


def identity(folder: Path, name: str) -> str:
    """The UUID of the server of that name in that rig."""
    return str(uuid.uuid5(uuid.NAMESPACE_URL, f"{folder}/{name}"))


def furnish(server: Server) -> None:
    """Build it in, off."""
    server.disk.touch()
    os.truncate(server.disk, server.hardware.disk)
    server._define(_xml(server))


def _xml(server: Server) -> str:
    made_of = server.hardware
    facts = {"name": server.name, "uuid": server.uuid, "mac": server.mac, "memory": made_of.memory_mib, "cpus": made_of.cpus}
    cpu = CPUS[made_of.hosts_guests].format(topology=TOPOLOGY.format(cpus=made_of.cpus))
    disk = DISK.format(path=server.disk, device="vda", serial=server.disk_serial)
    firmware = FIRMWARE[made_of.firmware].format(kept=server._variables)
    smm = "on" if made_of.firmware == "secure" else "off"
    return XML.format(**facts, firmware=firmware, smm=smm, disk=disk, cpu=cpu, console=server._console)


def _child(element: ET.Element, name: str) -> ET.Element:
    found = element.find(name)
    assert found is not None
    return found
