"""Regions for all tests of this process: starting another takes half a minute."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path

from tests.lab import tied
from tests.lab.needs import openstack_environment, require_lab, require_openstack
from tests.lab.openstack import rig


@cache
def shared_region() -> rig.Region:
    """A region with two simulated hypervisors. Who makes a part of it fail mends it before the test ends."""
    return _make(computes=2)


@cache
def shared_region_of_guests() -> rig.Region:
    """Another, with one hypervisor that boots guests."""
    require_lab()
    return _make(computes=0, real=True)


def _make(computes: int, real: bool = False) -> rig.Region:
    require_openstack()
    folder = Path(tempfile.mkdtemp(prefix="ct-openstack-", dir="/tmp"))
    tied.tie(folder, "tests.lab.openstack", "region.json")
    made = rig.up(folder, openstack_environment(), computes=computes, real=real)
    atexit.register(rig.down, made)
    return made
