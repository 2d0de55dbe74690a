"""A connection that breaks while many threads use it: each gets an error of ours, and the process lives."""

from __future__ import annotations

import subprocess
import sys
import time

import pytest

from tests.drivers.libvirt.backend import shared_rig
from tests.lab.needs import require_lab

pytestmark = [pytest.mark.real, pytest.mark.slow]
SECONDS = 32


def test_threads_that_use_a_connection_while_it_breaks_survive_it() -> None:
    require_lab()
    host = shared_rig().hosts[1]
    command = [sys.executable, "-X", "faulthandler", "-m", "tests.drivers.libvirt.hammer", host.tcp, str(SECONDS)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "begun\n"
        for _ in range(2):
            with host.being_cut():  # every thread is inside a call when keepalive gives up
                time.sleep(9)
            time.sleep(2)
        for _ in range(3):
            host.kill_libvirtd()
            time.sleep(1)
            host.start_libvirtd()
            time.sleep(1)
        said, trace = process.communicate(timeout=60)
    assert process.returncode == 0, f"it ended with {process.returncode}:\n{trace[-3000:]}"
    assert int(said.removeprefix("worked ")) > 100, "the connection came back each time"
