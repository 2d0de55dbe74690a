"""Carrying out `plan.steps` on a host.

In: a `Work`, which is one call of `ensure`: the connection, the pool, the spec, the domain if any. Out: nothing, or an error. Invariants:
each step may be repeated; a guest is started only over a base copy that was read and found right within this very call.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Final

import libvirt

from drivers.base import BASELINES, CANONICAL_UUID, HOST_NAME, Condition, GpuPart, InstanceSpec
from drivers.errors import DiskMissing, InvalidSpec, NotSupported
from drivers.image import FORMATS
from drivers.libvirt import base_image, devices, facts, volumes
from drivers.libvirt.domain import NAMESPACE, PREFIX, Machine, Mark, Paths, domain_xml, mark_xml, read_mark, read_size
from drivers.libvirt.plan import Body, Seen, Step, steps

SHA256: Final = re.compile(r"[0-9a-f]{64}")
WHOLE: Final = GpuPart("").milli
NOT_IN_XML: Final = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")


@dataclass(slots=True)
class Work:
    """One call of `ensure`."""

    spec: InstanceSpec
    owner: str
    connection: libvirt.virConnect
    pool: libvirt.virStoragePool
    network: str
    machine: Callable[[], Machine]  # may have to find out whether KVM works
    copying: AbstractContextManager[object]
    domain: libvirt.virDomain | None
    mark: Mark | None
    base: base_image.Base | None = None  # the copy that is read within this call


def refuse(spec: InstanceSpec, host: str, arch: str) -> None:
    """Raises InvalidSpec or NotSupported for what can't be here. Ids and digests become file names, so their form is checked, too."""
    if not CANONICAL_UUID.fullmatch(spec.instance_id):
        raise InvalidSpec(detail=f"{spec.instance_id!r} is not a UUID in canonical form")
    if not HOST_NAME.fullmatch(spec.name):
        raise InvalidSpec(detail=f"{spec.name!r} can't be a hostname")
    if NOT_IN_XML.search(spec.project_id):
        raise InvalidSpec(detail=f"{spec.project_id!r} can't be a project's id")
    if spec.boots_from.format not in FORMATS or not SHA256.fullmatch(spec.boots_from.sha256):
        raise InvalidSpec(detail=f"image {spec.boots_from.id} is not one of {', '.join(FORMATS)} with a SHA-256 digest")
    if spec.host != host:
        raise InvalidSpec(detail=f"no host {spec.host!r} behind this endpoint, only {host}")
    if spec.arch != arch:
        raise InvalidSpec(detail=f"{host} is {arch}, not {spec.arch}")
    if min(spec.vcpus, spec.memory_mib, spec.disk_gib) < 1:
        raise InvalidSpec(detail="an instance needs vcpus, memory and disk")
    _refuse_binding(spec, arch)


def _refuse_binding(spec: InstanceSpec, arch: str) -> None:
    if spec.kind != "vm" or not _whole_gpus(spec):
        raise NotSupported(detail=f"{spec.kind} with {spec.gpus} GPUs {spec.binding}".rstrip())
    if spec.cpu_baseline and spec.cpu_baseline not in BASELINES.get(arch, ()):
        raise NotSupported(detail=f"the CPU baseline {spec.cpu_baseline}")
    if len(spec.cells) > spec.vcpus:
        raise InvalidSpec(detail=f"{spec.vcpus} vcpus in {len(spec.cells)} NUMA cells")


def _whole_gpus(spec: InstanceSpec) -> bool:
    """Whether it asks for whole GPUs with PCI addresses, or none: there is nothing else to hand over."""
    return len(spec.devices) == spec.gpus and all(part.milli == WHOLE and devices.hostdev(part.id) is not None for part in spec.devices)


def mark_of(domain: libvirt.virDomain) -> Mark | None:
    """The domain's mark; None where it bears none, or has gone meanwhile."""
    try:
        return read_mark(domain.metadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, NAMESPACE, 0))
    except libvirt.libvirtError as error:
        if error.get_error_code() in (libvirt.VIR_ERR_NO_DOMAIN_METADATA, libvirt.VIR_ERR_NO_DOMAIN):
            return None
        raise


def body_of(state: int, reason: int) -> Body:
    """What the plan needs to know of a domain's state."""
    condition, _ = facts.verdict(state, reason)
    if reason == libvirt.VIR_DOMAIN_PAUSED_CRASHED and state == libvirt.VIR_DOMAIN_PAUSED:
        return Body.CRASHED
    if condition is Condition.BUSY:
        return Body.BUSY
    return _BODIES.get(state, Body.BUSY)


_BODIES: Final[Mapping[int, Body]] = {
    libvirt.VIR_DOMAIN_RUNNING: Body.ON,
    libvirt.VIR_DOMAIN_BLOCKED: Body.ON,
    libvirt.VIR_DOMAIN_PAUSED: Body.PAUSED,
    libvirt.VIR_DOMAIN_SHUTOFF: Body.OFF,
    libvirt.VIR_DOMAIN_CRASHED: Body.CRASHED,
    libvirt.VIR_DOMAIN_PMSUSPENDED: Body.ASLEEP,
}


def carry_out(work: Work) -> None:
    """Look, plan, do; what can't be undone, only over a base copy that was found right."""
    try:
        for step in steps(work.spec, _look(work), volumes.disk_bytes(work.spec)):
            if work.base is not None and step not in _WHILE_READING:
                work.base.check()
            _DO[step](work)
    finally:
        if work.base is not None:
            work.base.close()


def _look(work: Work) -> Seen | None:
    spec, domain, mark = work.spec, work.domain, work.mark
    if domain is None or mark is None:
        return None
    if mark.generation is not None and spec.generation < mark.generation:
        raise InvalidSpec(detail=f"stale generation: {spec.generation} after {mark.generation}")
    disk = volumes.find(work.pool, volumes.disk_name(spec.instance_id, spec.build))
    size = None if disk is None else int(disk.info()[1])
    if size is not None and size > volumes.disk_bytes(spec) and mark.build == spec.build:
        raise InvalidSpec(detail=f"a disk can't shrink from {size} to {volumes.disk_bytes(spec)} bytes")
    state, reason = domain.state()
    return Seen(mark, body_of(state, reason), read_size(domain.XMLDesc(0)), size, bool(domain.isPersistent()))


# -- steps -------------------------------------------------------------------------------------------------------------------------------


def power_off(domain: libvirt.virDomain) -> None:
    """Abruptly. Off already: nothing happens."""
    if not domain.isActive():
        return
    try:
        domain.destroy()
    except libvirt.libvirtError:
        if domain.isActive():  # else it went by itself meanwhile
            raise


def _ask_off(work: Work) -> None:
    try:
        _there(work).shutdownFlags(libvirt.VIR_DOMAIN_SHUTDOWN_ACPI_POWER_BTN)  # never the agent's way: it may hang
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED and error.get_error_code() != libvirt.VIR_ERR_INVALID_ARG:
            raise
        _there(work).shutdown()  # the test driver takes no flags


def _make_disk(work: Work) -> None:
    volumes.make_disk(work.pool, work.spec, _base(work).path)


def _grow_disk(work: Work) -> None:
    _disk(work).resize(volumes.disk_bytes(work.spec), 0)


def _define(work: Work) -> None:
    spec, before = work.spec, work.mark
    disk = _disk(work)
    if work.domain is None or not work.domain.isActive():  # else the guest has it open
        volumes.make_seed(work.pool, spec)
    volumes.make_log(work.pool, spec.instance_id)
    mark = Mark(
        owner=work.owner,
        project=spec.project_id,
        build=spec.build,
        reboots=spec.reboots if before is None else before.reboots,
        generation=None if before is None else before.generation,
        binding=spec.binding,
    )
    paths = Paths(
        disk=disk.path(),
        seed=work.pool.storageVolLookupByName(volumes.seed_name(spec.instance_id, spec.build)).path(),
        log=work.pool.storageVolLookupByName(volumes.log_name(spec.instance_id)).path(),
    )
    xml = domain_xml(spec, mark, work.machine(), paths, work.network)
    work.domain, work.mark = work.connection.defineXML(xml), mark


def _start(work: Work) -> None:
    disk = _disk(work)
    base = _base(work)
    if volumes.backing_path(disk) != base.path:
        raise InvalidSpec(detail=f"the root disk was not made from image {work.spec.boots_from.id}; only a rebuild can change that")
    base.check()
    _there(work).create()


def _tidy(work: Work) -> None:
    """Throw away what other builds left."""
    spec = work.spec
    keep = {volumes.disk_name(spec.instance_id, spec.build), volumes.seed_name(spec.instance_id, spec.build)}
    names = volumes.names_of(work.pool, spec.instance_id)
    volumes.tidy(work.pool, spec.instance_id, keep | {name for name in names if name.startswith(volumes.log_name(spec.instance_id))})


def _stamp(work: Work) -> None:
    spec, domain = work.spec, _there(work)
    mark = Mark(work.owner, spec.project_id, spec.build, spec.reboots, spec.generation, spec.binding)
    flags = libvirt.VIR_DOMAIN_AFFECT_CONFIG | (libvirt.VIR_DOMAIN_AFFECT_LIVE if domain.isActive() else 0)
    domain.setMetadata(libvirt.VIR_DOMAIN_METADATA_ELEMENT, mark_xml(mark), PREFIX, NAMESPACE, flags)


_DO: Final[Mapping[Step, Callable[[Work], object]]] = {
    Step.CUT_OFF: lambda work: power_off(_there(work)),
    Step.RESUME: lambda work: _there(work).resume(),
    Step.WAKE: lambda work: _there(work).pMWakeup(0),
    Step.ASK_OFF: _ask_off,
    Step.RESET: lambda work: _there(work).reset(0),
    Step.MAKE_DISK: _make_disk,
    Step.GROW_DISK: _grow_disk,
    Step.DEFINE: _define,
    Step.START: _start,
    Step.TIDY: _tidy,
    Step.STAMP: _stamp,
}


_WHILE_READING: Final = frozenset({Step.MAKE_DISK, Step.DEFINE, Step.START})
"""What may be done before the base copy has been read. START waits by itself, at the last moment."""


def _base(work: Work) -> base_image.Base:
    if work.base is None:
        work.base = base_image.begin(work.pool, work.spec.boots_from, work.copying)
    return work.base


def _there(work: Work) -> libvirt.virDomain:
    assert work.domain is not None, "a step for a domain that was never defined"  # noqa: S101  # the plan's invariant
    return work.domain


def _disk(work: Work) -> libvirt.virStorageVol:
    name = volumes.disk_name(work.spec.instance_id, work.spec.build)
    disk = volumes.find(work.pool, name)
    if disk is None:
        raise DiskMissing(detail=name)
    return disk
