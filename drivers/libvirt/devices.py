"""What a host can give guests of itself: NUMA cells and whole GPUs, read from libvirt's XML.

In: the capabilities, the XML of node devices. Out: `Cell`s and `Gpu`s. All pure but for `gpus`, which lists the devices. The machines that
this is tested on have no GPU: `gpu` is tested on tables of node-device XML alone, and no guest has ever been given one in a test.

A GPU is a PCI device of the display class (VGA, XGA, 3D or other) in an IOMMU group without any other than its own functions and
bridges: a group is handed over as a whole or not at all, so its other functions (sound) have to be bound to vfio-pci by the operators.
Which one the host's own console is on is not told by libvirt. libvirt hands over whole devices: `Gpu.shared` is never set.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterable
from contextlib import suppress
from typing import Final

import libvirt

from drivers.base import Cell, Gpu

_DISPLAY: Final = 0x03  # the PCI base class of display controllers
_BRIDGE: Final = 0x06
_PCI: Final = re.compile(r"([0-9a-f]{4}):([0-9a-f]{2}):([0-9a-f]{2})\.([0-7])")


def cells(capabilities: ET.Element) -> tuple[Cell, ...]:
    """The host's NUMA cells that have both CPUs and memory. Memory that a cell does not tell counts as none."""
    found = []
    for cell in capabilities.iterfind("host/topology/cells/cell"):
        cpus = tuple(sorted(int(cpu.attrib["id"]) for cpu in cell.iterfind("cpus/cpu")))
        memory_mib = int(cell.findtext("memory") or 0) // 1024  # libvirt always gives KiB
        if cpus and memory_mib:
            found.append(Cell(int(cell.attrib["id"]), cpus, memory_mib))
    return tuple(found)


def gpus(connection: libvirt.virConnect) -> tuple[Gpu, ...]:
    """The GPUs that can be handed over, by address; none where libvirt can't list devices."""
    listed: list[str] = []
    with suppress(libvirt.libvirtError):  # the test driver, or a libvirtd without its node-device driver
        for device in connection.listAllDevices(libvirt.VIR_CONNECT_LIST_NODE_DEVICES_CAP_PCI_DEV):
            with suppress(libvirt.libvirtError):  # unplugged meanwhile
                listed.append(device.XMLDesc(0))
    return gpus_among(listed)


def gpus_among(listed: Iterable[str]) -> tuple[Gpu, ...]:
    """The GPUs among PCI devices, given as node-device XML."""
    roots = [ET.fromstring(xml) for xml in listed]  # noqa: S314  # from libvirtd
    classes = {address: _class(root) for root in roots if (address := _address(root.find("capability[@type='pci']")))}
    found = (gpu(root, classes) for root in roots)
    return tuple(sorted((one for one in found if one is not None), key=lambda one: one.id))


def gpu(root: ET.Element, classes: dict[str, int]) -> Gpu | None:
    """The GPU that a node device is; None where it is none, or can't be handed over. `classes`: PCI base classes by address."""
    pci = root.find("capability[@type='pci']")
    address = _address(pci)
    if pci is None or address is None or _class(root) != _DISPLAY:
        return None
    group = pci.find("iommuGroup")
    if group is None:
        return None
    slot = address.rpartition(".")[0]
    others = [one for one in map(_address, group.iterfind("address")) if one and one.rpartition(".")[0] != slot]
    if any(classes.get(one) != _BRIDGE for one in others):
        return None
    return Gpu(address, _model(pci))


def hostdev(address: str) -> ET.Element | None:
    """The element that hands a PCI device over; None for what is no PCI address."""
    matched = _PCI.fullmatch(address)
    if matched is None:
        return None
    element = ET.Element("hostdev", mode="subsystem", type="pci", managed="yes")
    numbers = {name: f"0x{value}" for name, value in zip(("domain", "bus", "slot", "function"), matched.groups(), strict=True)}
    ET.SubElement(ET.SubElement(element, "source"), "address", numbers)
    return element


def _class(root: ET.Element) -> int:
    """The PCI base class; 0 where it is not told."""
    text = root.findtext("capability[@type='pci']/class") or "0"
    try:
        return int(text, 16) >> 16
    except ValueError:
        return 0


def _address(element: ET.Element | None) -> str | None:
    """`0000:65:00.0`, from the elements of a capability (decimal) or the attributes of an address (hexadecimal)."""
    if element is None:
        return None
    names = ("domain", "bus", "slot", "function")
    texts = [element.get(name) or element.findtext(name) for name in names]
    try:
        domain, bus, slot, function = (int(text or "", 16 if (text or "").startswith("0x") else 10) for text in texts)
    except ValueError:
        return None
    return f"{domain:04x}:{bus:02x}:{slot:02x}.{function}"


def _model(pci: ET.Element) -> str:
    """What it is called, as a label: the name that libvirt's list of devices has, in brackets or not, or the numbers of its maker."""
    product = pci.find("product")
    name = "" if product is None else (product.text or "").strip()
    inside = re.search(r"\[([^\]]+)\]", name)
    label = re.sub(r"[^a-z0-9]+", "-", (inside.group(1) if inside else name).lower()).strip("-")
    if label:
        return label[:64]
    vendor = pci.find("vendor")
    numbers = ((element.get("id", "") if element is not None else "").removeprefix("0x") for element in (vendor, product))
    return "pci-" + "-".join(numbers)
