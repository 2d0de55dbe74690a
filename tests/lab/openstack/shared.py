"""One region for all tests of this process: starting another takes half a minute."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path

from tests.lab import tied
from tests.lab.needs import openstack_environment, require_openstack
from tests.lab.openstack import rig


@cache
def shared_region() -> rig.Region:
    """A region with two simulated hypervisors. Who makes a part of it fail mends it before the test ends."""
    require_openstack()
    folder = Path(tempfile.mkdtemp(prefix="ct-openstack-", dir="/tmp"))
    tied.tie(folder, "tests.lab.openstack", "region.json")
    made = rig.up(folder, openstack_environment())
    atexit.register(rig.down, made)
    return made
