"""An instance's own volumes in the host's pool, through the storage API alone: root disk, seed, console log.

In: an active pool, an instance id, a build. Out: volumes and their paths. Invariants: every volume of an instance has a name that starts
with its id, so that leftovers are found when the domain is gone; a root disk that is complete is never made anew for the same build,
because the guest's data is on it.
"""

from __future__ import annotations

import xml.etree.ElementTree as ET
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import Final

import libvirt

from drivers.base import InstanceSpec
from drivers.errors import DiskMissing
from drivers.libvirt import seed

GIB: Final = 1 << 30
CHUNK: Final = 1 << 18  # about what one message of libvirt's protocol carries


def disk_name(instance_id: str, build: int) -> str:
    return f"{instance_id}-{build}.qcow2"


def seed_name(instance_id: str, build: int) -> str:
    return f"{instance_id}-{build}.iso"


def log_name(instance_id: str) -> str:
    return f"{instance_id}.log"


def find(pool: libvirt.virStoragePool, name: str) -> libvirt.virStorageVol | None:
    """A volume, or None if there is none of that name."""
    try:
        return pool.storageVolLookupByName(name)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_VOL:
            return None
        raise


def create(
    pool: libvirt.virStoragePool, name: str, format_: str, capacity: int, backing: tuple[str, str] | None = None
) -> libvirt.virStorageVol:
    """A new sparse volume; `backing` is the path and the format of what it lies over. An existing one raises libvirtError."""
    root = ET.Element("volume")
    ET.SubElement(root, "name").text = name
    ET.SubElement(root, "capacity", unit="bytes").text = str(capacity)
    ET.SubElement(root, "allocation", unit="bytes").text = "0"
    ET.SubElement(ET.SubElement(root, "target"), "format", type=format_)
    if backing is not None:
        store = ET.SubElement(root, "backingStore")
        ET.SubElement(store, "path").text = backing[0]
        ET.SubElement(store, "format", type=backing[1])
    return pool.createXML(ET.tostring(root, encoding="unicode"), 0)


def delete(volume: libvirt.virStorageVol | None) -> None:
    """Absent already: nothing happens."""
    if volume is None:
        return
    try:
        volume.delete(0)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_STORAGE_VOL:
            raise


def backing_path(volume: libvirt.virStorageVol) -> str | None:
    """What a volume lies over, read from its header on the host."""
    path = ET.fromstring(volume.XMLDesc(0)).findtext("backingStore/path")  # noqa: S314  # from libvirtd
    return path or None


def disk_bytes(spec: InstanceSpec) -> int:
    """The root disk's size: as asked, and never smaller than the image's own."""
    return max(spec.disk_gib * GIB, spec.boots_from.virtual_size_bytes)


def make_disk(pool: libvirt.virStoragePool, spec: InstanceSpec, base_path: str) -> None:
    """The root disk of this build. What is there and complete stays (the domain was undefined behind our back, a call was cut short); what
    is missing or incomplete is made, unless it had been whole before: then its data is lost, which must be said (DiskMissing)."""
    name = disk_name(spec.instance_id, spec.build)
    there = find(pool, name)
    if there is not None and backing_path(there) == base_path:
        if there.info()[1] < disk_bytes(spec):
            there.resize(disk_bytes(spec), 0)
        return
    if spec.built:
        raise DiskMissing(detail=name if there is None else f"{name} does not lie over {base_path}")
    delete(there)
    create(pool, name, "qcow2", disk_bytes(spec), (base_path, spec.boots_from.format))


def make_seed(pool: libvirt.virStoragePool, spec: InstanceSpec) -> None:
    """The cloud-init seed, always anew: only ever called while the guest is off."""
    content = seed.image(spec)
    delete(find(pool, seed_name(spec.instance_id, spec.build)))
    volume = create(pool, seed_name(spec.instance_id, spec.build), "raw", len(content))
    upload(pool, volume, (content[at : at + CHUNK] for at in range(0, len(content), CHUNK)), len(content))


def make_log(pool: libvirt.virStoragePool, instance_id: str) -> None:
    """An empty volume that the host's log daemon will append to: made beforehand so that the pool knows it without a refresh."""
    if find(pool, log_name(instance_id)) is None:
        create(pool, log_name(instance_id), "raw", 0)


def tail(pool: libvirt.virStoragePool, name: str, max_bytes: int) -> bytes:
    """The last bytes of a volume; empty if there is none."""
    volume = find(pool, name)
    size = 0 if volume is None else volume.info()[1]
    if volume is None or size == 0 or max_bytes <= 0:
        return b""
    found: list[bytes] = []
    length = min(size, max_bytes)
    download(pool, volume, found.append, size - length, length)
    return b"".join(found)


def names_of(pool: libvirt.virStoragePool, instance_id: str) -> list[str]:
    """Every volume that bears an instance's id, whatever build."""
    return [name for name in pool.listVolumes() if name.startswith(instance_id)]


def tidy(pool: libvirt.virStoragePool, instance_id: str, keep: Iterable[str] = ()) -> None:
    """Delete an instance's volumes but those to keep."""
    kept = frozenset(keep)
    for name in names_of(pool, instance_id):
        if name not in kept:
            delete(find(pool, name))


def upload(pool: libvirt.virStoragePool, volume: libvirt.virStorageVol, chunks: Iterable[bytes], length: int) -> None:
    """Send the chunks into the volume; what the iterator raises aborts the transfer and goes on up."""
    stream = pool.connect().newStream(0)
    volume.upload(stream, 0, length, 0)
    try:
        for chunk in chunks:
            _send(stream, chunk)
    except BaseException:
        with suppress(libvirt.libvirtError):
            stream.abort()
        raise
    stream.finish()


def download(
    pool: libvirt.virStoragePool, volume: libvirt.virStorageVol, take: Callable[[bytes], object], offset: int = 0, length: int = 0
) -> None:
    """Hand the volume's bytes to `take`, piece by piece; a length of 0 means to the end."""
    stream = pool.connect().newStream(0)
    volume.download(stream, offset, length, 0)
    try:
        while piece := stream.recv(CHUNK):
            take(piece)
    except BaseException:
        with suppress(libvirt.libvirtError):
            stream.abort()
        raise
    stream.finish()


def _send(stream: libvirt.virStream, chunk: bytes) -> None:
    view = memoryview(chunk)
    while view:
        view = view[stream.send(bytes(view)) :]
