"""Whether guests run on a host, by KVM or emulated, found out through the API alone.

Capabilities and /dev/kvm may promise what no guest gets: nested virtualization that refuses a CPU register, or runs a thousand times
slower than it should. So we try: a transient guest without a disk, with the CPU that real guests get, told to reboot as soon as its
firmware finds nothing to boot, and a domain that ends where it would reboot. If it ends by itself, guest code ran; it takes one to two
seconds, emulated some more. Only x86_64's firmware can be told so; elsewhere that the guest starts is all we ask. A guest that a killed
controller leaves goes with its connection.

In: a connection, an architecture and what is to run the guest. Out: None, or why that can't be used.
"""

from __future__ import annotations

import time
import uuid
import xml.etree.ElementTree as ET
from contextlib import suppress
from typing import Final

import libvirt

from drivers.libvirt.domain import machine_for
from drivers.libvirt.failures import detail

WITHIN_S: Final = {"kvm": 10.0, "qemu": 120.0}
"""A guest that is emulated has to end within so long on a host that is itself emulated."""


def why_not(connection: libvirt.virConnect, arch: str, virt_type: str = "kvm") -> str | None:
    """None where guests run by that: a key of `WITHIN_S`."""
    capabilities = ET.fromstring(connection.getCapabilities())  # noqa: S314  # from libvirtd
    if capabilities.find(f"guest/arch[@name='{arch}']/domain[@type='{virt_type}']") is None:
        return "the hypervisor offers none"
    paused = arch != "x86_64"
    flags = libvirt.VIR_DOMAIN_START_AUTODESTROY | (libvirt.VIR_DOMAIN_START_PAUSED if paused else 0)
    try:
        domain = connection.createXML(probe_xml(arch, virt_type), flags)
    except libvirt.libvirtError as error:
        if not connection.isAlive():
            raise
        return detail(error)
    try:
        within_s = WITHIN_S[virt_type]
        return None if paused or _ends(domain, within_s) else f"a guest's firmware did not finish within {within_s:.0f} s"
    finally:
        with suppress(libvirt.libvirtError):
            domain.destroy()


def probe_xml(arch: str, virt_type: str) -> str:
    """The transient guest."""
    machine = machine_for(virt_type, arch)
    root = ET.Element("domain", type=virt_type)
    ET.SubElement(root, "name").text = f"chutian-probe-{uuid.uuid4()}"
    ET.SubElement(root, "memory", unit="MiB").text = "64"
    ET.SubElement(root, "vcpu").text = "1"
    system = ET.SubElement(root, "os", {"firmware": machine.firmware} if machine.firmware else {})
    ET.SubElement(system, "type", {"arch": arch} | ({"machine": machine.machine} if machine.machine else {})).text = "hvm"
    if arch == "x86_64":
        ET.SubElement(system, "bootmenu", enable="no")
        ET.SubElement(system, "bios", rebootTimeout="0")
    ET.SubElement(ET.SubElement(root, "features"), "acpi")
    if machine.cpu_mode:
        ET.SubElement(root, "cpu", mode=machine.cpu_mode)
    ET.SubElement(root, "on_reboot").text = "destroy"
    devices = ET.SubElement(root, "devices")
    ET.SubElement(devices, "controller", type="usb", model="none")
    ET.SubElement(devices, "memballoon", model="none")
    return ET.tostring(root, encoding="unicode")


def _ends(domain: libvirt.virDomain, within_s: float) -> bool:
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        try:
            domain.state()
        except libvirt.libvirtError as error:
            if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
                return True
            raise
        time.sleep(0.1)
    return False
