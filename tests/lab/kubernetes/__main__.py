"""Kubernetes by hand.

python -m tests.lab.kubernetes up FOLDER [--nodes COUNT] [--fake COUNT]     start it; prints how to reach it
python -m tests.lab.kubernetes down FOLDER                                  take it away, with all that belongs to it
python -m tests.lab.kubernetes FAULT FOLDER COMPONENT                       kill, stop, start, restart, freeze, thaw
python -m tests.lab.kubernetes compact FOLDER                               make etcd forget the past
python -m tests.lab.kubernetes FAULT FOLDER NODE                            NODE is 1, 2, ...: power-cut, start, cut, heal, freeze, thaw,
                                                                            kill-kubelet, start-kubelet
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tests.lab.kubernetes import fake
from tests.lab.kubernetes.node import Node
from tests.lab.kubernetes.rig import Cluster, down, found, up
from tests.lab.needs import KUBERNETES_NODES, kubernetes_binaries, missing

ON_COMPONENTS: dict[str, Callable[[Cluster, str], None]] = {
    "kill": Cluster.kill,
    "stop": Cluster.stop,
    "start": Cluster.start,
    "restart": Cluster.restart,
    "freeze": Cluster.freeze,
    "thaw": Cluster.thaw,
}
ON_NODES: dict[str, Callable[[Node], None]] = {
    "power-cut": Node.power_cut,
    "start": Node.start,
    "cut": lambda node: node.machine.cut(),
    "heal": lambda node: node.machine.heal(),
    "freeze": lambda node: node.machine.freeze(),
    "thaw": lambda node: node.machine.thaw(),
    "kill-kubelet": Node.kill_kubelet,
    "start-kubelet": Node.start_kubelet,
}


def main(arguments: list[str]) -> None:
    match arguments:
        case ["up", folder, *options]:
            _up(Path(folder).absolute(), options)
        case ["down", folder]:
            down(found(Path(folder).absolute()))
        case ["compact", folder]:
            print(found(Path(folder).absolute()).compact())
        case [fault, folder, number] if number.isdigit() and fault in ON_NODES:
            ON_NODES[fault](found(Path(folder).absolute()).nodes[int(number) - 1])
        case [fault, folder, component] if fault in ON_COMPONENTS:
            ON_COMPONENTS[fault](found(Path(folder).absolute()), component)
        case _:
            sys.exit(__doc__)


def _up(folder: Path, options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.kubernetes up FOLDER")
    parser.add_argument("--nodes", type=int, default=0)
    parser.add_argument("--fake", type=int, default=0)
    wanted = parser.parse_args(options)
    if wanted.nodes and (lacking := missing(KUBERNETES_NODES)):
        sys.exit(f"no nodes on this machine: {'; '.join(lacking)}")
    try:
        binaries = kubernetes_binaries()
    except FileNotFoundError as none:
        sys.exit(str(none))
    cluster = up(folder, binaries, nodes=wanted.nodes, fake=bool(wanted.fake))
    fake.add(cluster.api, wanted.fake)
    print(f"export KUBECONFIG={cluster.kubeconfig}\n{cluster.binaries}/kubectl get nodes")


if __name__ == "__main__":
    main(sys.argv[1:])
