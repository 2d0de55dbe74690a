"""A controller killed between any two calls leaves what the next one finishes from: libvirt's in-process driver, and a pool that dies."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import libvirt
import pytest

from drivers.base import Condition, InstanceSpec, Power
from drivers.libvirt.driver import LibvirtDriver
from drivers.libvirt.options import Options
from tests.drivers.contract import Backend
from tests.drivers.libvirt.backend import in_process
from tests.drivers.libvirt.folder_pool import FolderPool


class Killed(BaseException):
    """As kill -9: nothing that handles errors sees it coming."""


@dataclass
class Mortal:
    """Whatever it wraps, until so many calls have been made of it and what it gave out."""

    real: Any
    lives: list[int] = field(default_factory=lambda: [1 << 30])

    def __getattr__(self, name: str) -> Any:
        found = getattr(self.real, name)
        if not callable(found):
            return found

        def call(*arguments: Any) -> Any:
            if self.lives[0] <= 0:
                raise Killed(name)
            self.lives[0] -= 1
            given = [argument.real if isinstance(argument, Mortal) else argument for argument in arguments]
            answer = found(*given)
            return Mortal(answer, self.lives) if type(answer).__module__.endswith("folder_pool") else answer

        return call


@pytest.fixture
def backend(tmp_path: Path) -> Iterator[Backend]:
    with in_process(tmp_path) as made:
        yield made


Change = Callable[[InstanceSpec], InstanceSpec]
CHANGES: dict[str, tuple[Power, Change]] = {
    "create": (Power.RUNNING, lambda spec: spec),
    "create stopped": (Power.STOPPED, lambda spec: spec),
    "rebuild": (Power.RUNNING, lambda spec: replace(spec, build=2, generation=2)),
    "resize": (Power.RUNNING, lambda spec: replace(spec, vcpus=2, disk_gib=3, generation=2, force=True)),
}


@pytest.mark.parametrize("what", CHANGES)
def test_a_second_ensure_finishes_what_the_first_was_killed_in(backend: Backend, tmp_path: Path, what: str) -> None:
    power, change = CHANGES[what]
    whole = FolderPool(tmp_path / "pool")
    for lives in itertools.count():
        spec = backend.make_spec(power=power)
        after = backend.open("crash-tests")
        if change(spec) != spec:
            after.ensure(spec)
        dying = Mortal(whole, [lives])
        first = LibvirtDriver("test:///default", "crash-tests", Options(network="default"), lambda *_, pool=dying: pool)
        try:
            first.ensure(change(spec))
            survived = True
        except Killed:
            survived = False
        first.close()
        after.ensure(change(spec))
        seen = after.observe(spec.instance_id)
        case = f"killed at call {lives}"
        assert (seen.condition, seen.generation) == (Condition(power.value), change(spec).generation), case
        mine = sorted(name for name in whole.listVolumes() if spec.instance_id in name)
        build = change(spec).build
        assert mine == sorted(f"{spec.instance_id}{end}" for end in (f"-{build}.iso", f"-{build}.qcow2", ".log")), case
        after.remove(spec.instance_id)
        assert not [name for name in whole.listVolumes() if spec.instance_id in name], case
        after.close()
        for name in whole.listVolumes():  # the next one starts without the image
            whole.storageVolLookupByName(name).delete(0)
        if survived:
            assert lives > 5
            return


def test_what_is_in_the_way_of_another_owners_domain_is_left_alone(backend: Backend) -> None:
    connection = libvirt.open("test:///default")
    (domain,) = connection.listAllDomains()
    driver = backend.open("crash-tests")
    assert driver.observe(domain.UUIDString()).condition is Condition.ABSENT
    driver.remove(domain.UUIDString())
    assert domain.isActive()
    driver.close()
    connection.close()
