"""Which real tests run beside each other: those on a cluster, those on a region, and all others, each of these one after another."""

from __future__ import annotations

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

RIGS = ("kubernetes", "openstack")
"""Words in the names of tests, or of their files, that share a rig; rigs are shared within a process."""


class ByRig(LoadScopeScheduling):
    """Gives all tests of a rig to one process (`--dist loadscope`)."""

    def _split_scope(self, nodeid: str) -> str:
        return next((rig for rig in RIGS if rig in nodeid), "machines")


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> LoadScopeScheduling | None:
    return ByRig(config, log) if config.getvalue("dist") == "loadscope" else None
