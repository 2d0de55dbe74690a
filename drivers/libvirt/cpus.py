"""CPU baselines: levels of an architecture that a guest is promised, the same to the last feature on every host that promises them.

In: a connection; a level's name. Out: the levels that the hypervisor can give a guest; the `cpu` element that asks for one. The levels of
x86-64 and their features are those of the System V psABI. A guest that asks for one sees that and nothing beyond it, whatever the host
has, so that it can move between all hosts that promise it, of either vendor. Rejected: libvirt's named models (Haswell, EPYC, ...), which
name one vendor's CPUs and more features than a level has; host-model, which differs from host to host.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from typing import Final

import libvirt

from drivers.base import BASELINES

_V2: Final = ("lahf_lm", "popcnt", "sse4.1", "sse4.2", "ssse3")
_V3: Final = (*_V2, "abm", "avx", "avx2", "bmi1", "bmi2", "f16c", "fma", "movbe", "xsave")
_V4: Final = (*_V3, "avx512bw", "avx512cd", "avx512dq", "avx512f", "avx512vl")
_FEATURES: Final[Mapping[str, Sequence[tuple[str, ...]]]] = {"x86_64": ((), _V2, _V3, _V4)}
"""By architecture, and level in the order of `BASELINES`, the features that are added to `_MODEL`.

That one is the first level of x86-64, with cmpxchg16b and sse3.
"""
_MODEL: Final = "kvm64"
_GIVES: Final = frozenset({libvirt.VIR_CPU_COMPARE_IDENTICAL, libvirt.VIR_CPU_COMPARE_SUPERSET})


def element(arch: str, baseline: str) -> ET.Element | None:
    """The `cpu` element for a level; None where there is no such level."""
    levels = BASELINES.get(arch, ())
    if baseline not in levels:
        return None
    cpu = ET.Element("cpu", mode="custom", match="exact", check="partial")
    ET.SubElement(cpu, "model", fallback="forbid").text = _MODEL
    for name in _FEATURES[arch][levels.index(baseline)]:
        ET.SubElement(cpu, "feature", policy="require", name=name)
    return cpu


def promised(connection: libvirt.virConnect, arch: str, virt: str) -> frozenset[str]:
    """The levels that guests of this kind ("kvm" | "qemu") can be given here, as the hypervisor itself compares them."""
    return frozenset(name for name in BASELINES.get(arch, ()) if _can(connection, arch, virt, name))


def _can(connection: libvirt.virConnect, arch: str, virt: str, baseline: str) -> bool:
    cpu = element(arch, baseline)
    assert cpu is not None, "only levels that there are are asked about"  # noqa: S101
    cpu.attrib.pop("check")
    try:
        return connection.compareHypervisorCPU(None, arch, None, virt, ET.tostring(cpu, encoding="unicode"), 0) in _GIVES
    except libvirt.libvirtError:  # this libvirt, or this kind of guest, knows no such comparison: nothing is promised
        if not connection.isAlive():
            raise
        return False
