"""What is read of a host's cells and GPUs, and what a domain says of those that it is bound to: on XML as libvirt writes it.

No machine that this runs on has a GPU: node devices come from tables here, and no guest was ever given one.
"""

# ruff: noqa: S314  # XML from our own code

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable

import pytest

from drivers.base import BASELINES, Cell, Gpu, GpuPart, InstanceSpec
from drivers.errors import InvalidSpec, NotSupported
from drivers.libvirt import cpus, devices
from drivers.libvirt.domain import Mark, Paths, domain_xml, machine_for, mark_xml, read_mark
from drivers.libvirt.ensuring import refuse

MakeSpec = Callable[..., InstanceSpec]
PATHS = Paths("/pool/disk.qcow2", "/pool/seed.iso", "/pool/console.log")
CELLS = (Cell(0, (0, 1, 4, 5), 32_000), Cell(2, (2, 3, 6, 7), 32_000))


A100 = "GA100 [A100 PCIe 40GB]"


def node(
    bus: int = 0x65, function: int = 0, class_: str = "0x030200", group: list[tuple[int, int]] | None = None, product: str = A100
) -> str:
    """A node device; `group`: bus and function of all in its IOMMU group (itself alone by default)."""
    inside = [(bus, function)] if group is None else group
    members = "".join(f"<address domain='0x0000' bus='0x{at:02x}' slot='0x00' function='0x{number}'/>" for at, number in inside)
    iommu = f"<iommuGroup number='7'>{members}</iommuGroup>" if inside else ""
    return (
        f"<device><name>pci_0000_{bus:02x}_00_{function}</name><capability type='pci'><class>{class_}</class><domain>0</domain>"
        f"<bus>{bus}</bus><slot>0</slot><function>{function}</function><product id='0x20f1'>{product}</product>"
        f"<vendor id='0x10de'>NVIDIA Corporation</vendor>{iommu}</capability></device>"
    )


SOUND, BRIDGE, NETWORK = "0x040300", "0x060400", "0x020000"


@pytest.mark.parametrize(
    ("listed", "found"),
    [
        ([node()], [Gpu("0000:65:00.0", "a100-pcie-40gb")]),
        ([node(class_="0x030000")], [Gpu("0000:65:00.0", "a100-pcie-40gb")]),
        ([node(bus=0xB3), node()], [Gpu("0000:65:00.0", "a100-pcie-40gb"), Gpu("0000:b3:00.0", "a100-pcie-40gb")]),
        ([node(product="Tesla V100")], [Gpu("0000:65:00.0", "tesla-v100")]),
        ([node(product="")], [Gpu("0000:65:00.0", "pci-10de-20f1")]),
        ([node(group=[])], []),
        ([node(class_=NETWORK)], []),
        ([node(class_="")], []),
        ([node(class_="vga")], []),
        ([node(group=[(0x65, 0), (0x65, 1)]), node(function=1, class_=SOUND)], [Gpu("0000:65:00.0", "a100-pcie-40gb")]),
        ([node(group=[(0x65, 0), (0x64, 0)]), node(bus=0x64, class_=BRIDGE)], [Gpu("0000:65:00.0", "a100-pcie-40gb")]),
        ([node(group=[(0x65, 0), (0x66, 0)]), node(bus=0x66, class_=NETWORK)], []),
        ([node(group=[(0x65, 0), (0x66, 0)])], []),
        (["<device><capability type='net'/></device>"], []),
        ([], []),
    ],
    ids=str,
)
def test_gpus_are_display_devices_that_can_be_handed_over(listed: list[str], found: list[Gpu]) -> None:
    assert devices.gpus_among(listed) == tuple(found)


@pytest.mark.parametrize(
    ("xml", "found"),
    [
        (
            "<cell id='0'><memory unit='KiB'>2097152</memory><cpus num='2'><cpu id='1'/><cpu id='0'/></cpus></cell>",
            (Cell(0, (0, 1), 2048),),
        ),
        ("<cell id='1'><memory unit='KiB'>2097152</memory></cell>", ()),
        ("<cell id='1'><cpus num='1'><cpu id='1'/></cpus></cell>", ()),
        ("", ()),
    ],
)
def test_cells_have_cpus_and_memory(xml: str, found: tuple[Cell, ...]) -> None:
    root = ET.fromstring(f"<capabilities><host><topology><cells>{xml}</cells></topology></host></capabilities>")
    assert devices.cells(root) == found


@pytest.mark.parametrize("address", ["", "0000:65:00", "gpu-1", "0000:65:00.8", "0000:65:00.0'/>", "0000:65:00.0\n"])
def test_only_a_pci_address_is_handed_over(address: str) -> None:
    assert devices.hostdev(address) is None


def domain(spec: InstanceSpec) -> ET.Element:
    return ET.fromstring(domain_xml(spec, Mark("cloud-1", "bureau", 1, 0, None, spec.binding), machine_for("kvm", "x86_64"), PATHS, "net"))


def test_a_guest_in_one_cell_has_its_memory_and_its_cpus_there(make_spec: MakeSpec) -> None:
    root = domain(make_spec(vcpus=3, cells=CELLS[1:]))
    assert (root.findtext("vcpu"), root.find("vcpu").attrib) == ("3", {"placement": "static", "cpuset": "2,3,6,7"})  # type: ignore[union-attr]
    assert [one.attrib for one in root.iterfind("numatune/*")] == [{"mode": "strict", "nodeset": "2"}]
    assert root.find("cpu/numa") is None
    assert root.find("cpu").get("mode") == "host-passthrough"  # type: ignore[union-attr]


def test_a_guest_in_two_cells_has_two_of_its_own_each_bound_to_one(make_spec: MakeSpec) -> None:
    root = domain(make_spec(vcpus=5, memory_mib=1025, cells=CELLS))
    assert [one.attrib for one in root.iterfind("cpu/numa/cell")] == [
        {"id": "0", "cpus": "0-2", "memory": "513", "unit": "MiB"},
        {"id": "1", "cpus": "3-4", "memory": "512", "unit": "MiB"},
    ]
    assert [one.attrib for one in root.iterfind("numatune/memnode")] == [
        {"cellid": "0", "mode": "strict", "nodeset": "0"},
        {"cellid": "1", "mode": "strict", "nodeset": "2"},
    ]
    pins = {one.attrib["vcpu"]: one.attrib["cpuset"] for one in root.iterfind("cputune/vcpupin")}
    assert pins == dict.fromkeys("012", "0,1,4,5") | dict.fromkeys("34", "2,3,6,7")


@pytest.mark.parametrize("level", BASELINES["x86_64"])
def test_a_baseline_is_a_cpu_of_exactly_these_features(make_spec: MakeSpec, level: str) -> None:
    cpu = domain(make_spec(cpu_baseline=level)).find("cpu")
    assert cpu is not None
    assert (cpu.get("mode"), cpu.get("match"), cpu.findtext("model")) == ("custom", "exact", "kvm64")
    features = {one.attrib["name"] for one in cpu.iterfind("feature[@policy='require']")}
    below = [set(), {"popcnt", "sse4.2"}, {"avx2", "bmi2", "fma"}, {"avx512f", "avx512vl"}]
    assert features >= set().union(*below[: BASELINES["x86_64"].index(level) + 1])
    assert not features & set().union(*below[BASELINES["x86_64"].index(level) + 1 :])


def test_levels_of_one_architecture_are_none_of_another() -> None:
    assert cpus.element("aarch64", "x86-64-v2") is None
    assert cpus.element("x86_64", "x86-64-v5") is None


def test_whole_gpus_are_handed_over_by_address(make_spec: MakeSpec) -> None:
    root = domain(make_spec(gpus=2, devices=(GpuPart("0000:65:00.0"), GpuPart("000a:b3:1f.7"))))
    assert [one.attrib for one in root.iterfind("devices/hostdev")] == [{"mode": "subsystem", "type": "pci", "managed": "yes"}] * 2
    assert [one.attrib for one in root.iterfind("devices/hostdev/source/address")] == [
        {"domain": "0x0000", "bus": "0x65", "slot": "0x00", "function": "0x0"},
        {"domain": "0x000a", "bus": "0xb3", "slot": "0x1f", "function": "0x7"},
    ]


@pytest.mark.parametrize(
    ("fields", "error"),
    [
        ({"gpus": 1}, NotSupported),
        ({"gpus": 1, "devices": (GpuPart("0000:65:00.0", 500),)}, NotSupported),
        ({"gpus": 2, "devices": (GpuPart("0000:65:00.0"),)}, NotSupported),
        ({"gpus": 1, "devices": (GpuPart("gpu-0"),)}, NotSupported),
        ({"cpu_baseline": "x86-64-v5"}, NotSupported),
        ({"vcpus": 1, "cells": CELLS}, InvalidSpec),
    ],
)
def test_what_libvirt_can_not_bind_is_refused(make_spec: MakeSpec, fields: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        refuse(make_spec(**fields), "host-1", "x86_64")


def test_a_mark_tells_what_its_domain_is_bound_to(make_spec: MakeSpec) -> None:
    spec = make_spec(cpu_baseline="x86-64-v2", cells=CELLS, gpus=1, devices=(GpuPart("0000:65:00.0"),))
    assert spec.binding == "cpu:x86-64-v2 cells:0,2 gpus:0000:65:00.0=1000"
    mark = Mark("cloud-1", "bureau", 1, 0, 4, spec.binding)
    assert read_mark(mark_xml(mark)) == mark
