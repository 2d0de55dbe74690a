"""Which drivers there are, and what having them costs who doesn't use them."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from drivers.registry import DRIVERS

LIBRARIES = ("kubernetes", "libvirt", "openstack")  # each called as its driver is


def loaded(statement: str) -> set[str]:
    """Which of the libraries a process has that did nothing else."""
    code = f"import sys\n{statement}\nprint(*sys.modules)"
    said = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=Path(__file__).parents[2])
    return set(LIBRARIES) & set(said.stdout.split())


def test_a_controller_loads_no_library_of_a_driver_that_it_has_not_opened() -> None:
    assert loaded("import controller.__main__, controller.wiring") == set()


@pytest.mark.parametrize("name", LIBRARIES)
def test_a_driver_that_is_opened_loads_its_own_library_alone(name: str) -> None:
    assert name in DRIVERS
    assert loaded(f"from drivers.registry import DRIVERS\nDRIVERS[{name!r}]()") == {name}
