"""One Kubernetes for all tests of this process: starting another takes a quarter of a minute."""

from __future__ import annotations

import atexit
import tempfile
from functools import cache
from pathlib import Path

from tests.lab import tied
from tests.lab.kubernetes import rig
from tests.lab.needs import kubernetes_binaries, require_kubernetes


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
    """Have the cluster in that folder taken away when this process has ended."""
    tied.tie(folder, "tests.lab.kubernetes", "cluster.json")
