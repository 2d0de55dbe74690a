"""The driver contract (`tests/drivers/contract.py` and `contract_changes.py`) against every backend in the table below.

To add a backend: write a context manager that takes a folder for its files and yields a `tests.drivers.contract.Backend`, beside that
driver's own tests (as `tests/drivers/fake/backend.py` does), and give it a line in `BACKENDS`: its name, the marks its cases bear
(`pytest.mark.real` where it needs libvirt and QEMU), and a function that imports it, so that a library missing here skips or fails its own
cases alone. Before and after each case everything that the suite's owners have on the backend is removed. `pytest tests/drivers -k
fake-memory` runs one backend.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path

import pytest

from drivers.base import Driver
from tests.drivers.contract import *  # noqa: F403  # the cases
from tests.drivers.contract import OWNER, Backend, clear
from tests.drivers.contract_changes import *  # noqa: F403  # the other half

OpenBackend = Callable[[Path], AbstractContextManager[Backend]]


def _fake_memory() -> OpenBackend:
    from tests.drivers.fake.backend import in_memory

    return in_memory


def _fake_slow() -> OpenBackend:
    from tests.drivers.fake.backend import slow

    return slow


def _fake_directory() -> OpenBackend:
    from tests.drivers.fake.backend import in_directory

    return in_directory


def _libvirt_in_process() -> OpenBackend:
    from tests.drivers.libvirt.backend import in_process

    return in_process


def _libvirt_qemu() -> OpenBackend:
    from tests.drivers.libvirt.backend import in_qemu

    return in_qemu


def _bare_metal() -> OpenBackend:
    from tests.drivers.bare_metal.backend import on_a_real_server

    return on_a_real_server


def _kubernetes() -> OpenBackend:
    from tests.drivers.kubernetes.backend import on_a_real_node

    return on_a_real_node


def _openstack() -> OpenBackend:
    from tests.drivers.openstack.backend import of_hypervisors

    return of_hypervisors


def _openstack_guests() -> OpenBackend:
    from tests.drivers.openstack.backend import of_guests

    return of_guests


def _openstack_opaque() -> OpenBackend:
    from tests.drivers.openstack.backend import opaque

    return opaque


BACKENDS: Mapping[str, tuple[Sequence[pytest.MarkDecorator], Callable[[], OpenBackend]]] = {
    "fake-memory": ((), _fake_memory),
    "fake-slow": ((), _fake_slow),
    "fake-directory": ((), _fake_directory),
    "libvirt-in-process": ((), _libvirt_in_process),
    "bare-metal": ((pytest.mark.real, pytest.mark.slow), _bare_metal),
    "kubernetes": ((pytest.mark.real, pytest.mark.slow), _kubernetes),
    "openstack": ((pytest.mark.real, pytest.mark.slow), _openstack),
    "openstack-guests": ((pytest.mark.real, pytest.mark.slow), _openstack_guests),
    "openstack-opaque": ((pytest.mark.real, pytest.mark.slow), _openstack_opaque),
    "libvirt-qemu": ((pytest.mark.real, pytest.mark.slow), _libvirt_qemu),
}


@pytest.fixture(params=[pytest.param(name, marks=marks) for name, (marks, _) in BACKENDS.items()])
def backend(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Backend]:
    """One backend, with nothing of ours in it."""
    _, importer = BACKENDS[request.param]
    with importer()(tmp_path) as found:
        clear(found)
        yield found
        clear(found)


@pytest.fixture
def driver(backend: Backend) -> Iterator[Driver]:
    """A connection to it."""
    connection = backend.open(OWNER)
    yield connection
    connection.close()
