"""Which real tests may run beside each other: those on a cluster, and all others, each half one after another."""

from __future__ import annotations

import pytest


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rigs are shared by what comes one after another in a process, so a rig's tests stay together."""
    for item in items:
        if item.get_closest_marker("real") is not None:
            group = "cluster" if "kubernetes" in item.nodeid else "machines"
            item.add_marker(pytest.mark.xdist_group(group))
