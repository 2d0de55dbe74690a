"""libvirt as the driver contract sees it: its in-process test driver, and real QEMU on a lab host.

In: a folder. Out: a `Backend`. Meddling behind the driver's back goes through a connection of its own, never through the driver.
"""

from __future__ import annotations

import atexit
import hashlib
import subprocess
import tempfile
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any

import libvirt
from cryptography.hazmat.primitives import hashes

from drivers.base import Driver, Image, InstanceSpec, Power
from drivers.libvirt.connection import start_event_loop
from drivers.libvirt.driver import LibvirtDriver, open_libvirt
from drivers.libvirt.options import Options
from tests.drivers.contract import POWERS, USUAL, Backend
from tests.drivers.libvirt.folder_pool import FolderPool
from tests.lab import rig
from tests.lab.needs import require_lab

TINY = Path(__file__).parents[3] / "guests" / "tiny" / "build"
GUEST_LINE = b"chutian-guest: hostname="
MIB = 1 << 20


def image_of(path: Path, format_: str, virtual_size: int, id_: str = "tiny") -> Image:
    """The controller's record of a file."""
    content = path.read_bytes()
    sm3 = hashes.Hash(hashes.SM3())
    sm3.update(content)
    return Image(id_, str(path), format_, len(content), virtual_size, hashlib.sha256(content).hexdigest(), sm3.finalize().hex())


def spec_of(image: Image, host: str, arch: str, fields: dict[str, Any]) -> InstanceSpec:
    """A small running instance, with fields overridden."""
    given: dict[str, Any] = {
        "instance_id": str(uuid.uuid4()),
        "project_id": "bureau-of-tests",
        "name": "guest",
        "kind": "vm",
        "host": host,
        "vcpus": 1,
        "memory_mib": 96,
        "disk_gib": 1,
        "gpus": 0,
        "arch": arch,
        "image": image,
        "power": Power.RUNNING,
        "generation": 1,
    }
    return InstanceSpec(**{**given, **fields})


@contextmanager
def in_process(folder: Path) -> Iterator[Backend]:
    """libvirt's test driver: real domains, states, metadata and events without guests; volumes in a folder."""
    start_event_loop()
    (folder / "pool").mkdir()
    (folder / "image.raw").write_bytes(b"not much of a system" * 1000)
    image = image_of(folder / "image.raw", "raw", 1 * MIB)
    behind = libvirt.open("test:///default")  # keeps the hypervisor alive between connections

    def connect(owner: str) -> Driver:
        driver = LibvirtDriver("test:///default", owner, Options(network="default"), lambda *_: FolderPool(folder / "pool"))
        driver.connect()
        return driver

    try:
        host, arch = behind.getHostname(), behind.getInfo()[0]
        yield Backend(
            open=connect,
            make_spec=lambda **fields: spec_of(image, host, arch, fields),
            kill=lambda id_: kill(behind, id_),
            undefine=lambda id_: undefine(behind, id_),
            can=USUAL,
        )
    finally:
        behind.close()


@cache
def shared_rig() -> rig.Rig:
    """Two lab hosts for all tests of this process."""
    made = rig.up(Path(tempfile.mkdtemp(prefix="lab-")), 2)
    atexit.register(rig.down, made)
    return made


@cache
def tiny() -> Image:
    """The tiny guest's image, built once."""
    path = shared_rig().folder / "tiny.qcow2"
    subprocess.run([TINY, path], check=True, capture_output=True)
    return image_of(path, "qcow2", 64 * MIB)


@contextmanager
def in_qemu(folder: Path) -> Iterator[Backend]:
    """Real guests of QEMU on the first lab host."""
    require_lab()
    host = shared_rig().hosts[0]
    start_event_loop()
    behind = libvirt.open(host.unix)
    options = {"virt_type": "qemu"}
    first = open_libvirt(host.tcp, "nobody", options)
    first.prepare()  # type: ignore[attr-defined]
    first.close()

    def boots(instance_id: str) -> int:
        return console(behind, instance_id).count(GUEST_LINE)

    try:
        yield Backend(
            open=lambda owner: open_libvirt(host.tcp, owner, options),
            make_spec=lambda **fields: spec_of(tiny(), host.name, "x86_64", fields),
            kill=lambda id_: kill(behind, id_),
            undefine=lambda id_: undefine(behind, id_),
            boots=boots,
            size=lambda id_: size(behind, id_),
            cut=host.being_cut,
            can=frozenset(POWERS),
            timeout_s=90,
            pause_s=0.25,
        )
    finally:
        behind.close()


def kill(connection: libvirt.virConnect, instance_id: str) -> None:
    connection.lookupByUUIDString(instance_id).destroy()


def undefine(connection: libvirt.virConnect, instance_id: str) -> None:
    domain = connection.lookupByUUIDString(instance_id)
    with suppress(libvirt.libvirtError):
        domain.destroy()
    domain.undefine()


def size(connection: libvirt.virConnect, instance_id: str) -> tuple[int, int, int]:
    """vcpus, memory_mib, disk_gib, from the hypervisor."""
    domain = connection.lookupByUUIDString(instance_id)
    root = ET.fromstring(domain.XMLDesc(0))  # noqa: S314  # from libvirtd
    return int(root.findtext("vcpu") or 0), int(root.findtext("memory") or 0) // 1024, domain.blockInfo("vda")[0] >> 30


def console(connection: libvirt.virConnect, instance_id: str) -> bytes:
    """The whole console log, read without the driver."""
    pool = connection.storagePoolLookupByName("chutian")
    try:
        volume = pool.storageVolLookupByName(f"{instance_id}.log")
    except libvirt.libvirtError:
        return b""
    return content(connection, volume)


def content(connection: libvirt.virConnect, volume: libvirt.virStorageVol) -> bytes:
    stream = connection.newStream(0)
    volume.download(stream, 0, 0, 0)
    pieces = []
    while piece := stream.recv(1 << 18):
        pieces.append(piece)
    stream.finish()
    return b"".join(pieces)
