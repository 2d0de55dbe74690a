"""Fixtures of the libvirt driver's own tests: a spec without a backend, and lab hosts with guests that really run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.base import Image, InstanceSpec
from drivers.libvirt.driver import LibvirtDriver, open_libvirt
from tests.drivers.libvirt import backend
from tests.lab.needs import require_lab
from tests.lab.rig import Host, Rig

OWNER = "libvirt-tests"
INSTANCE = "0190a000-0000-7000-8000-00000000000a"


@pytest.fixture
def make_spec() -> Callable[..., InstanceSpec]:
    """The same spec every time, with fields overridden by keyword."""
    image = Image("img", "/nowhere/image.qcow2", "qcow2", 100, 64 << 20, "ab" * 32, "cd" * 32)

    def make(**fields: object) -> InstanceSpec:
        return backend.spec_of(image, "host-1", "x86_64", {"instance_id": INSTANCE, "name": "web-1", "memory_mib": 512, **fields})

    return make


@pytest.fixture
def lab() -> Rig:
    """Two lab hosts, shared by all tests of this process."""
    require_lab()
    return backend.shared_rig()


@pytest.fixture
def host(lab: Rig) -> Host:
    """The second: the contract uses the first."""
    return lab.hosts[1]


@pytest.fixture
def driver(host: Host) -> Iterator[LibvirtDriver]:
    """A prepared connection to it by TCP; what it made is removed afterwards."""
    opened = open_libvirt(host.tcp, OWNER, {"virt_type": "qemu"})
    assert isinstance(opened, LibvirtDriver)
    opened.prepare()
    yield opened
    for seen in opened.observe_all():
        opened.remove(seen.instance_id)
    opened.close()


@pytest.fixture
def guest(host: Host) -> Callable[..., InstanceSpec]:
    """A fresh instance of the tiny guest, with fields overridden by keyword."""
    return lambda **fields: backend.spec_of(backend.tiny(), host.name, "x86_64", fields)


@pytest.fixture
def image_file(tmp_path: Path) -> Path:
    """A copy of the tiny guest's image, to be spoilt."""
    path = tmp_path / "image.qcow2"
    path.write_bytes(Path(backend.tiny().path).read_bytes())
    return path
