"""One Kubernetes for all tests of this process: starting another takes a quarter of a minute."""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
import tempfile
from functools import cache
from pathlib import Path

from tests.lab.kubernetes import rig
from tests.lab.needs import CHECKOUT, kubernetes_binaries, require_kubernetes


@cache
def shared_cluster() -> rig.Cluster:
    """A control plane with two real nodes and kwok. Who makes a part of it fail mends it before the test ends."""
    require_kubernetes()
    folder = Path(tempfile.mkdtemp(prefix="ct-k8s-", dir="/tmp"))
    tie(folder)
    made = rig.up(folder, kubernetes_binaries(), nodes=2, fake=True)
    atexit.register(rig.down, made)
    return made


def tie(folder: Path) -> None:
    """Have what runs in that folder taken away when this process has ended, however it did: one that is killed can't do it itself."""
    end, _ = os.pipe()  # the other end is open, and nobody else has it, as long as this process lives
    script = 'read -r _; [ ! -e "$1/cluster.json" ] || exec "$2" -m tests.lab.kubernetes down "$1"'
    keeper = subprocess.Popen(["sh", "-c", script, "keeper", folder, sys.executable], stdin=end, cwd=CHECKOUT, start_new_session=True)
    keeper.returncode = 0  # outlives this process; nobody waits for it
    os.close(end)
