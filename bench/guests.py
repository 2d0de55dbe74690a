"""Real guests: from a request to the controller until QEMU runs it, beside libvirt's bare define and start of the same guest.

The bare guest is the same domain under another name, with a fresh overlay on the same base and the same seed; its disk is made beforehand
and not counted, so that the ratio charges everything else to the controller: admission, placement, the disk, the seed, the records. The
two take turns, so that a busy moment meets both. A guest that has booted idles; each is removed before the next is measured.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import tempfile
import time
import uuid
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from bench import cloud, creating
from bench.cloud import Department, Fleet
from bench.rig import Rig, running
from bench.table import Row
from bench.wire import Wire

_URI = "qemu:///system"
_POOL = "chutian-bench"
_POOL_PATH = f"/var/lib/libvirt/images/{_POOL}"
_BUILD = Path(__file__).resolve().parent.parent / "guests" / "tiny" / "build"
_BOOT_S = 6.0


def missing(image: Path | None) -> str | None:
    """Why real guests can't be run here; None where they can."""
    try:
        import libvirt

        libvirt.open(_URI).close()
    except Exception as error:  # noqa: BLE001 - whatever it is, it is the reason
        return f"libvirt does not answer at {_URI}: {error}"
    if image is not None and not image.exists():
        return f"there is no {image}"
    if image is None and not _BUILD.exists():
        return "no image was given and the tiny guest's builder is not here"
    return None


async def measure(count: int, image: Path | None) -> list[Row]:
    """Run `count` guests each way, in turns."""
    content = image.read_bytes() if image else tiny()
    fleet = Fleet("libvirt", _URI, content, "qcow2", {"pool": _POOL, "pool_path": _POOL_PATH})
    try:
        with running({"build_deadline_s": 120}) as rig:
            wire = Wire("127.0.0.1", rig.port)
            departments = await cloud.set_up(wire, rig.token, 1, fleet)
            ours, bare = await _take_turns(rig, wire, departments, count)
            await _remove_all(wire, rig.token)
            await wire.close()
    finally:
        _forget_pool()
    return [
        Row("request to guest running, median", statistics.median(ours) * 1000, "ms", "vm_running_ms"),
        Row("libvirt's define and start, median", statistics.median(bare) * 1000, "ms", "vm_bare_ms"),
        Row("ratio", statistics.median(ours) / statistics.median(bare), "", "vm_ratio", ("<=", 1.5)),
    ]


def tiny() -> bytes:
    """The tiny guest, qcow2."""
    with tempfile.TemporaryDirectory() as folder:
        subprocess.run([_BUILD, Path(folder) / "tiny.qcow2"], check=True, capture_output=True)
        return (Path(folder) / "tiny.qcow2").read_bytes()


async def _take_turns(rig: Rig, wire: Wire, departments: Sequence[Department], count: int) -> tuple[list[float], list[float]]:
    await creating.create(rig, departments, 1, 1)  # brings the base image to the host; stays, as the pattern of the bare ones
    pattern = (await wire.call("GET", "/v1/instances?limit=1", rig.token))["items"][0]["id"]
    await asyncio.sleep(_BOOT_S)
    ours, bare = [], []
    for _ in range(count):
        made = await creating.create(rig, departments, 1, 1)
        ours.append(made.active_s[0])
        await _remove_all(wire, rig.token, but=pattern)
        bare.append(await asyncio.to_thread(_bare, pattern))
    return ours, bare


async def _remove_all(wire: Wire, token: str, but: str | None = None) -> None:
    """Delete every instance but one, and wait until they are gone."""
    while there := [one for one in (await wire.call("GET", "/v1/instances", token))["items"] if one["id"] != but]:
        for one in there:
            if one["goal"] != "gone":
                await wire.call("DELETE", f"/v1/instances/{one['id']}", token)
        await asyncio.sleep(0.1)


def _bare(pattern: str) -> float:
    """The seconds that libvirt takes to define and start a guest like `pattern`, which is removed again."""
    import libvirt

    connection = libvirt.open(_URI)
    domain = disk = None
    try:
        root = ET.fromstring(connection.lookupByUUIDString(pattern).XMLDesc(libvirt.VIR_DOMAIN_XML_INACTIVE))  # noqa: S314 - from libvirtd
        disk = _rename(connection, root)
        text = ET.tostring(root, encoding="unicode")
        began = time.perf_counter()
        domain = connection.defineXML(text)
        domain.create()
        return time.perf_counter() - began
    finally:
        for undo in (*((domain.destroy, domain.undefine) if domain else ()), *((disk.delete,) if disk else ())):
            with suppress(libvirt.libvirtError):
                undo()
        connection.close()


def _rename(connection: Any, root: ET.Element) -> Any:
    """Give the domain another identity and a disk of its own; that disk."""
    name = f"bench-{uuid.uuid4().hex[:8]}"
    for tag, value in (("name", name), ("uuid", str(uuid.uuid4()))):
        element = root.find(tag)
        if element is not None:
            element.text = value
    for metadata in root.findall("metadata"):
        root.remove(metadata)
    for tag in ("mac", "alias"):
        for parent in root.iter():
            for child in parent.findall(tag):
                parent.remove(child)
    for log in root.iter("log"):
        log.set("file", f"{_POOL_PATH}/{name}.log")
    source = root.find("devices/disk[@device='disk']/source")
    if source is None:
        raise RuntimeError("the pattern has no disk")
    pool = connection.storagePoolLookupByName(_POOL)
    made = pool.createXML(_overlay(connection.storageVolLookupByPath(source.get("file")).XMLDesc(), name))
    source.set("file", made.path())
    return made


def _overlay(pattern: str, name: str) -> str:
    """The XML of an empty volume on the same base."""
    old = ET.fromstring(pattern)  # noqa: S314 - from libvirtd
    new = ET.Element("volume")
    ET.SubElement(new, "name").text = f"{name}.qcow2"
    ET.SubElement(new, "capacity").text = old.findtext("capacity")
    ET.SubElement(ET.SubElement(new, "target"), "format", {"type": "qcow2"})
    base = ET.SubElement(new, "backingStore")
    ET.SubElement(base, "path").text = old.findtext("backingStore/path")
    ET.SubElement(base, "format", {"type": "qcow2"})
    return ET.tostring(new, encoding="unicode")


def _forget_pool() -> None:
    """Remove our storage pool with all that is left in it."""
    import libvirt

    connection = libvirt.open(_URI)
    with suppress(libvirt.libvirtError):
        pool = connection.storagePoolLookupByName(_POOL)
        pool.refresh()
        for volume in pool.listAllVolumes():
            volume.delete()
        pool.destroy()
        pool.delete()
        pool.undefine()
    connection.close()
