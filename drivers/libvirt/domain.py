"""Between an InstanceSpec and a libvirt domain: pure functions over XML text.

In: the spec, the mark that the domain bears, the machine that the host offers, the paths of its disks. Out: the domain's XML; and back,
what a domain's XML says. Invariants: the XML is built as a tree, so that no name can escape its place; the domain's uuid is the instance
id; the mark (a metadata element in a namespace of our own) is all that we need to know of a domain that we meet.
"""

from __future__ import annotations

import hashlib
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final

from drivers.base import Cell, InstanceSpec
from drivers.libvirt import cpus, devices

NAMESPACE: Final = "urn:chutian:instance:1"
PREFIX: Final = "chutian"
AGENT_CHANNEL: Final = "org.qemu.guest_agent.0"
MACHINES: Final[Mapping[str, tuple[str, str | None]]] = {"x86_64": ("q35", None), "aarch64": ("virt", "efi")}
CPU_MODES: Final[Mapping[str, str]] = {"kvm": "host-passthrough", "qemu": "maximum"}

ET.register_namespace(PREFIX, NAMESPACE)


@dataclass(frozen=True, slots=True)
class Mark:
    """What we stamp on a domain. `generation` is the last one whose whole spec held; None before the first. `binding`: as the spec's."""

    owner: str
    project: str
    build: int
    reboots: int
    generation: int | None = None
    binding: str = ""


@dataclass(frozen=True, slots=True)
class Machine:
    """What kind of guest the host can run; None leaves a choice to libvirt."""

    virt_type: str  # "kvm" | "qemu" | "test"
    arch: str
    machine: str | None
    cpu_mode: str | None
    firmware: str | None


@dataclass(frozen=True, slots=True)
class Paths:
    """Where on the host the instance's volumes are."""

    disk: str
    seed: str
    log: str


@dataclass(frozen=True, slots=True)
class Size:
    """What a domain's XML gives the guest."""

    vcpus: int
    memory_mib: int


def machine_for(virt_type: str, arch: str) -> Machine:
    """The machine that we ask for."""
    machine, firmware = MACHINES.get(arch, (None, None)) if virt_type in CPU_MODES else (None, None)
    return Machine(virt_type, arch, machine, CPU_MODES.get(virt_type), firmware)


def domain_name(spec: InstanceSpec) -> str:
    """Readable, and safe as a file name, which libvirt makes of it. It holds the whole id: the start of a version 7 UUID is a time that all
    instances of one minute share."""
    label = re.sub(r"[^a-z0-9]+", "-", spec.name.lower())[:40].strip("-")
    return f"chutian-{spec.instance_id}-{label}".rstrip("-")


def mac_address(instance_id: str) -> str:
    """The same for the same instance, always, so that its lease can be found without asking for the domain's XML. 40 bits, locally
    administered (the usual 52:54:00 leaves only 24: among 5,000 guests two would very likely share one)."""
    digest = hashlib.sha256(instance_id.encode()).hexdigest()
    return "52:" + ":".join(digest[at : at + 2] for at in range(0, 10, 2))


def mark_xml(mark: Mark) -> str:
    """The metadata element alone, as `setMetadata` wants it."""
    return ET.tostring(_mark(mark, "instance"), encoding="unicode")


def read_mark(xml: str) -> Mark | None:
    """The mark in a metadata element as libvirt gives it; None if it is not one of ours."""
    try:
        element = ET.fromstring(xml)  # noqa: S314  # from libvirtd, which has parsed it
        generation = element.get("generation")
        return Mark(
            owner=element.attrib["owner"],
            project=element.get("project", ""),
            build=int(element.attrib["build"]),
            reboots=int(element.attrib["reboots"]),
            generation=None if generation is None else int(generation),
            binding=element.get("binding", ""),
        )
    except (ET.ParseError, KeyError, ValueError):
        return None


def read_size(xml: str) -> Size:
    """What a domain's XML gives the guest."""
    root = ET.fromstring(xml)  # noqa: S314  # from libvirtd
    vcpu = root.find("vcpu")
    vcpus = 0 if vcpu is None else int(vcpu.get("current") or vcpu.text or 0)
    return Size(vcpus, int(root.findtext("memory") or 0) // 1024)  # libvirt always gives KiB


def agent_connected(xml: str) -> bool:
    """Whether a program in the guest listens on the agent's channel, as the live XML says."""
    targets = ET.fromstring(xml).iterfind("devices/channel/target")  # noqa: S314  # from libvirtd
    return any(target.get("name") == AGENT_CHANNEL and target.get("state") == "connected" for target in targets)


def domain_xml(spec: InstanceSpec, mark: Mark, machine: Machine, paths: Paths, network: str) -> str:
    """The whole domain."""
    root = ET.Element("domain", {"type": machine.virt_type})
    _add(root, "name", domain_name(spec))
    _add(root, "uuid", spec.instance_id)
    ET.SubElement(root, "metadata").append(_mark(mark, f"{{{NAMESPACE}}}instance"))
    _add(root, "memory", str(spec.memory_mib), unit="MiB")
    _add(root, "vcpu", str(spec.vcpus), **({"placement": "static", "cpuset": _cpuset(spec.cells)} if spec.cells else {}))
    _bind(root, spec)
    system = _add(root, "os", **({"firmware": machine.firmware} if machine.firmware else {}))
    _add(system, "type", "hvm", arch=machine.arch, **({"machine": machine.machine} if machine.machine else {}))
    features = _add(root, "features")
    _add(features, "acpi")
    if machine.arch == "x86_64":
        _add(features, "apic")
    _cpu(root, spec, machine)
    _add(root, "clock", offset="utc")
    for event, action in (("on_poweroff", "destroy"), ("on_reboot", "restart"), ("on_crash", "destroy")):
        _add(root, event, action)
    inside = _add(root, "devices")
    _disks(inside, paths)
    _interface(inside, spec.instance_id, network)
    _lines(inside, paths)
    _rest(inside)
    inside.extend(element for part in spec.devices if (element := devices.hostdev(part.id)) is not None)
    ET.indent(root)
    return ET.tostring(root, encoding="unicode") + "\n"


def _mark(mark: Mark, tag: str) -> ET.Element:
    generation = {} if mark.generation is None else {"generation": str(mark.generation)}
    generation |= {"binding": mark.binding} if mark.binding else {}
    fields = {"owner": mark.owner, "project": mark.project, "build": str(mark.build), "reboots": str(mark.reboots)}
    return ET.Element(tag, fields | generation)


def _parts(total: int, number: int) -> list[int]:
    """A whole in so many parts that differ by one at most, the larger ones first."""
    return [total // number + (part < total % number) for part in range(number)]


def _cpuset(cells: Sequence[Cell]) -> str:
    return ",".join(str(cpu) for cell in cells for cpu in cell.cpus)


def _bind(root: ET.Element, spec: InstanceSpec) -> None:
    """To its NUMA cells: memory strictly, and where it has several, each part's vCPUs to the CPUs of its cell."""
    if not spec.cells:
        return
    if len(spec.cells) > 1:
        tune, first = _add(root, "cputune"), 0
        for cell, count in zip(spec.cells, _parts(spec.vcpus, len(spec.cells)), strict=True):
            for vcpu in range(first, first + count):
                _add(tune, "vcpupin", vcpu=str(vcpu), cpuset=_cpuset([cell]))
            first += count
    numa = _add(root, "numatune")
    _add(numa, "memory", mode="strict", nodeset=",".join(str(cell.number) for cell in spec.cells))
    for number, cell in enumerate(spec.cells if len(spec.cells) > 1 else ()):
        _add(numa, "memnode", cellid=str(number), mode="strict", nodeset=str(cell.number))


def _cpu(root: ET.Element, spec: InstanceSpec, machine: Machine) -> None:
    """The CPU that the guest sees, and its own NUMA cells where it has several."""
    cpu = cpus.element(machine.arch, spec.cpu_baseline) if spec.cpu_baseline else None
    if cpu is None and (machine.cpu_mode or len(spec.cells) > 1):
        cpu = ET.Element("cpu", {"mode": machine.cpu_mode} if machine.cpu_mode else {})
    if cpu is None:
        return
    root.append(cpu)
    if len(spec.cells) > 1:
        numa, first = _add(cpu, "numa"), 0
        sizes = zip(_parts(spec.vcpus, len(spec.cells)), _parts(spec.memory_mib, len(spec.cells)), strict=True)
        for number, (vcpus, memory_mib) in enumerate(sizes):
            last = first + vcpus - 1
            _add(numa, "cell", id=str(number), cpus=f"{first}-{last}" if vcpus > 1 else str(first), memory=str(memory_mib), unit="MiB")
            first += vcpus


def _disks(devices: ET.Element, paths: Paths) -> None:
    disk = _add(devices, "disk", type="file", device="disk")
    # a full pool pauses the guest, which goes on once there is room; other errors are the guest's to handle
    _add(disk, "driver", name="qemu", type="qcow2", discard="unmap", error_policy="enospace")
    _add(disk, "source", file=paths.disk)
    _add(disk, "target", dev="vda", bus="virtio")
    _add(disk, "boot", order="1")
    # the seed is a virtio disk, not a CD-ROM: small cloud kernels have no AHCI driver, and NoCloud goes by the label
    seed = _add(devices, "disk", type="file", device="disk")
    _add(seed, "driver", name="qemu", type="raw")
    _add(seed, "source", file=paths.seed)
    _add(seed, "target", dev="vdb", bus="virtio")
    _add(seed, "readonly")


def _interface(devices: ET.Element, instance_id: str, network: str) -> None:
    interface = _add(devices, "interface", type="network")
    _add(interface, "mac", address=mac_address(instance_id))
    _add(interface, "source", network=network)
    _add(interface, "model", type="virtio")


def _lines(devices: ET.Element, paths: Paths) -> None:
    serial = _add(devices, "serial", type="pty")
    _add(serial, "log", file=paths.log, append="on")
    _add(serial, "target", port="0")
    console = _add(devices, "console", type="pty")
    _add(console, "target", type="serial", port="0")
    channel = _add(devices, "channel", type="unix")
    _add(channel, "target", type="virtio", name=AGENT_CHANNEL)


def _rest(devices: ET.Element) -> None:
    _add(devices, "memballoon", model="virtio")
    _add(_add(devices, "rng", model="virtio"), "backend", "/dev/urandom", model="random")


def _add(parent: ET.Element, tag: str, text: str | None = None, /, **attributes: str) -> ET.Element:
    element = ET.SubElement(parent, tag, attributes)
    element.text = text
    return element
