"""A storage pool in a local folder with the part of libvirt's storage API that the driver uses: libvirt's in-process test driver has no
transfers.

It knows two kinds of volume: files of bytes, and overlays, which are a line of JSON. What libvirt would refuse it refuses with the same
code.
"""
# ruff: noqa: ARG002, N802, S314  # libvirt's names and arguments; XML from our own driver

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from dataclasses import dataclass
from pathlib import Path

import libvirt


def refusal(code: int, text: str) -> libvirt.libvirtError:
    error = libvirt.libvirtError(text)
    error.err = (code, libvirt.VIR_FROM_STORAGE, text, libvirt.VIR_ERR_ERROR, None, None, None, -1, -1)
    return error


@dataclass(frozen=True)
class FolderPool:
    folder: Path

    def isActive(self) -> bool:
        return True

    def refresh(self, flags: int) -> None:
        pass

    def info(self) -> list[int]:
        return [libvirt.VIR_STORAGE_POOL_RUNNING, 100 << 30, 0, 100 << 30]

    def listVolumes(self) -> list[str]:
        return [path.name for path in self.folder.iterdir()]

    def storageVolLookupByName(self, name: str) -> FolderVolume:
        if not (self.folder / name).exists():
            raise refusal(libvirt.VIR_ERR_NO_STORAGE_VOL, name)
        return FolderVolume(self.folder / name)

    def createXML(self, xml: str, flags: int) -> FolderVolume:
        root = ET.fromstring(xml)
        path = self.folder / str(root.findtext("name"))
        if path.parent != self.folder:
            raise refusal(libvirt.VIR_ERR_XML_ERROR, path.name)
        backing = root.findtext("backingStore/path")
        try:
            with path.open("x") as file:
                if backing:
                    json.dump({"backing": backing, "capacity": int(root.findtext("capacity") or 0)}, file)
        except FileExistsError:
            raise refusal(libvirt.VIR_ERR_STORAGE_VOL_EXIST, path.name) from None
        return FolderVolume(path)

    def connect(self) -> FolderPool:
        return self

    def newStream(self, flags: int) -> FolderStream:
        return FolderStream()


@dataclass(frozen=True)
class FolderVolume:
    file: Path

    def path(self) -> str:
        return str(self.file)

    def info(self) -> list[int]:
        overlay = self._overlay()
        return [libvirt.VIR_STORAGE_VOL_FILE, overlay["capacity"] if overlay else self.file.stat().st_size, 0]

    def XMLDesc(self, flags: int) -> str:
        overlay = self._overlay()
        return f"<volume><backingStore><path>{overlay['backing']}</path></backingStore></volume>" if overlay else "<volume/>"

    def resize(self, capacity: int, flags: int) -> None:
        self.file.write_text(json.dumps({**self._overlay(), "capacity": capacity}))

    def delete(self, flags: int) -> None:
        try:
            self.file.unlink()
        except FileNotFoundError:
            raise refusal(libvirt.VIR_ERR_NO_STORAGE_VOL, self.file.name) from None

    def upload(self, stream: FolderStream, offset: int, length: int, flags: int) -> None:
        stream.sent = self.file

    def download(self, stream: FolderStream, offset: int, length: int, flags: int) -> None:
        content = self.file.read_bytes()[offset:]
        stream.received = content[:length] if length else content

    def _overlay(self) -> dict[str, object]:
        return json.loads(self.file.read_text()) if self.file.suffix == ".qcow2" and self.file.read_bytes()[:1] == b"{" else {}


@dataclass
class FolderStream:
    sent: Path | None = None
    received: bytes = b""

    def send(self, data: bytes) -> int:
        assert self.sent is not None
        with self.sent.open("ab") as file:
            return file.write(data)

    def recv(self, count: int) -> bytes:
        piece, self.received = self.received[:count], self.received[count:]
        return piece

    def finish(self) -> None:
        pass

    def abort(self) -> None:
        pass
