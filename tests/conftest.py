"""Which real tests may run beside each other: those on a cluster, those on a region, and all others, each of these one after another."""

from __future__ import annotations

import pytest

RIGS = {"kubernetes": "cluster", "openstack": "region"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Rigs are shared by what comes one after another in a process, so a rig's tests stay together."""
    for item in items:
        if item.get_closest_marker("real") is not None:
            group = next((rig for word, rig in RIGS.items() if word in item.nodeid), "machines")
            item.add_marker(pytest.mark.xdist_group(group))
