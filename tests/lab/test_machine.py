"""What machines of the lab leave behind."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from tests.lab import machine
from tests.lab.machine import CGROUPS

pytestmark = [pytest.mark.real]


def test_a_cgroup_that_is_busy_for_a_moment_more_is_taken_away_all_the_same(tmp_path: Path) -> None:
    one = machine.Machine(tmp_path / "one", "lab-busy", "lab-none", "lab-none-1", "10.77.0.11", tmp_path / "init", 1)
    group = CGROUPS / "blkio" / one.name
    group.mkdir()
    with subprocess.Popen(["sleep", "0.4"]) as busy:
        (group / "cgroup.procs").write_text(str(busy.pid))
        machine.remove(one)
        assert not group.exists()
        assert busy.wait() == 0
