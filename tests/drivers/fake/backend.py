"""Fake worlds as backends of the contract suite: at once, slow, and in a directory."""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path

from drivers.base import Image, InstanceSpec, Power
from drivers.fake.driver import open_fake
from drivers.fake.world import forget, world
from tests.drivers.contract import POWERS, Backend


def make_image(folder: Path, content: bytes = b"a small image " * 64) -> Image:
    """An image file with its true digests."""
    path = folder / f"image-{uuid.uuid4()}.raw"
    path.write_bytes(content)
    sha256, sm3 = hashlib.sha256(content).hexdigest(), hashlib.new("sm3", content).hexdigest()
    return Image(str(uuid.uuid4()), str(path), "raw", len(content), len(content), sha256, sm3)


def spec_maker(image: Image) -> Callable[..., InstanceSpec]:
    """Fresh specs for a fake host, with any field overridden."""

    def make_spec(**overrides: object) -> InstanceSpec:
        fields: dict[str, object] = {
            "instance_id": str(uuid.uuid4()),
            "project_id": str(uuid.uuid4()),
            "name": "web-1",
            "kind": "vm",
            "host": "host-0001",
            "vcpus": 2,
            "memory_mib": 2048,
            "disk_gib": 20,
            "gpus": 0,
            "arch": "x86_64",
            "image": image,
            "power": Power.RUNNING,
            "generation": 1,
        }
        return InstanceSpec(**{**fields, **overrides})  # type: ignore[arg-type]

    return make_spec


@contextmanager
def fake_backend(uri: str, folder: Path) -> Iterator[Backend]:
    """One fake world; whatever a test does to it, it must end without a violation."""
    there = world(uri)

    @contextmanager
    def cut() -> Iterator[None]:
        there.silence()
        try:
            yield
        finally:
            there.unsilence()

    def size(instance_id: str) -> tuple[int, int, int]:
        record = there.records()[instance_id]
        return (record.vcpus, record.memory_mib, record.disk_gib)

    try:
        yield Backend(
            open=lambda owner: open_fake(uri, owner, {}),
            make_spec=spec_maker(make_image(folder)),
            kill=there.destroy,
            undefine=there.undefine,
            boots=there.boots,
            size=size,
            cut=cut,
            can=frozenset(POWERS),
        )
        assert there.violations == []
    finally:
        forget(uri)


def in_memory(folder: Path) -> AbstractContextManager[Backend]:
    """Everything happens at once."""
    return fake_backend(f"fake:contract-{uuid.uuid4()}?hosts=2", folder)


def slow(folder: Path) -> AbstractContextManager[Backend]:
    """Building and stopping take a while."""
    return fake_backend(f"fake:contract-{uuid.uuid4()}?hosts=2&build_s=0.05&stop_s=0.05", folder)


def in_directory(folder: Path) -> AbstractContextManager[Backend]:
    """Shared by processes."""
    return fake_backend(f"fake://{folder}/world?hosts=2&build_s=0.01&stop_s=0.01", folder)
