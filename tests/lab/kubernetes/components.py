"""The parts of a control plane: how each is called, and by what one sees that it is ready.

In: the settings of one control plane. Out: command lines, and the address of each one's health check. Nothing is started here.
"""

from __future__ import annotations

import random
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
PORTS = ("etcd", "etcd-peer", "kube-apiserver", "kube-controller-manager", "kube-scheduler", "kwok")
SERVICES = "10.96.0.0/16"


@dataclass(frozen=True, slots=True)
class Settings:
    """What the command lines depend on."""

    folder: Path
    address: str  # of the API server
    ports: Mapping[str, int]
    patience_s: int  # how long a node may be silent before it counts as gone
    more: Mapping[str, list[str]]  # further arguments of a component

    @property
    def kubeconfig(self) -> Path:
        """The administrator's."""
        return self.folder / "kubeconfig"

    @property
    def pki(self) -> Path:
        return self.folder / "pki"

    @property
    def lease_s(self) -> int:
        """How long a node's lease lasts; it is renewed every quarter of that, so four renewals may be late before the patience ends."""
        return max(4, self.patience_s * 3 // 4)


def free_ports(address: str) -> dict[str, int]:
    """One for each part, below the range for outgoing connections: a part that comes back finds its own free."""
    found: dict[str, int] = {}
    while len(found) < len(PORTS):
        port = random.randint(10_000, 30_000)  # noqa: S311
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind((address, port))
                if address != "127.0.0.1":
                    other.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found.values():
            found[PORTS[len(found)]] = port
    return found


def _etcd(settings: Settings) -> list[str]:
    client, peer = (f"http://127.0.0.1:{settings.ports[name]}" for name in ("etcd", "etcd-peer"))
    return [
        f"--data-dir={settings.folder}/etcd",
        "--unsafe-no-fsync",  # outlives a kill all the same: only the machine's own end would cost data
        f"--listen-client-urls={client}",
        f"--advertise-client-urls={client}",
        f"--listen-peer-urls={peer}",
        f"--initial-advertise-peer-urls={peer}",
        f"--initial-cluster=default={peer}",
        f"--quota-backend-bytes={8 << 30}",
        "--log-level=warn",
    ]


def _api_server(settings: Settings) -> list[str]:
    pki = settings.pki
    return [
        f"--etcd-servers=http://127.0.0.1:{settings.ports['etcd']}",
        f"--bind-address={settings.address}",
        f"--advertise-address={settings.address}",
        f"--secure-port={settings.ports['kube-apiserver']}",
        "--endpoint-reconciler-type=none",  # which would refuse a loopback address, and serves only clients inside the cluster
        f"--tls-cert-file={pki}/apiserver.crt",
        f"--tls-private-key-file={pki}/apiserver.key",
        f"--client-ca-file={pki}/ca.crt",
        f"--kubelet-certificate-authority={pki}/ca.crt",
        f"--kubelet-client-certificate={pki}/admin.crt",
        f"--kubelet-client-key={pki}/admin.key",
        "--kubelet-preferred-address-types=InternalIP",
        "--service-account-issuer=https://kubernetes.default.svc",
        f"--service-account-key-file={pki}/accounts.key",
        f"--service-account-signing-key-file={pki}/accounts.key",
        f"--service-cluster-ip-range={SERVICES}",
        "--authorization-mode=Node,RBAC",
        "--enable-admission-plugins=NodeRestriction",
        "--allow-privileged",
        "--profiling=false",
        "--shutdown-delay-duration=0s",
    ]


def _as_client(settings: Settings, name: str) -> list[str]:
    """How controller manager and scheduler find the API server, and who may ask them."""
    return [
        f"--authentication-kubeconfig={settings.kubeconfig}",
        f"--authorization-kubeconfig={settings.kubeconfig}",
        f"--client-ca-file={settings.pki}/ca.crt",
        "--authorization-always-allow-paths=/healthz,/readyz,/livez,/metrics",
        "--bind-address=127.0.0.1",
        f"--secure-port={settings.ports[name]}",
        "--leader-elect=false",
        "--profiling=false",
    ]


def _controller_manager(settings: Settings) -> list[str]:
    pki = settings.pki
    return [
        f"--kubeconfig={settings.kubeconfig}",
        *_as_client(settings, "kube-controller-manager"),
        f"--service-account-private-key-file={pki}/accounts.key",
        f"--root-ca-file={pki}/ca.crt",
        f"--cluster-signing-cert-file={pki}/ca.crt",
        f"--cluster-signing-key-file={pki}/ca.key",
        f"--node-monitor-grace-period={settings.patience_s}s",
        "--node-monitor-period=1s",
        f"--flex-volume-plugin-dir={settings.folder}/volume-plugins",  # it makes the folder, which by default is one of this machine
    ]


def _scheduler(settings: Settings) -> list[str]:
    return [f"--kubeconfig={settings.kubeconfig}", *_as_client(settings, "kube-scheduler")]


def _kwok(settings: Settings) -> list[str]:
    return [
        f"--kubeconfig={settings.kubeconfig}",
        f"--config={HERE}/fake-nodes.yaml",
        "--manage-all-nodes=false",
        "--manage-nodes-with-annotation-selector=kwok.x-k8s.io/node=fake",
        f"--node-lease-duration-seconds={settings.lease_s}",
        "--node-ip=10.250.0.1",
        "--cidr=10.128.0.0/9",
        f"--server-address=127.0.0.1:{settings.ports['kwok']}",
    ]


COMMANDS: dict[str, Callable[[Settings], list[str]]] = {  # in the order of starting
    "etcd": _etcd,
    "kube-apiserver": _api_server,
    "kube-controller-manager": _controller_manager,
    "kube-scheduler": _scheduler,
    "kwok": _kwok,
}


def command(component: str, settings: Settings) -> list[str]:
    """The arguments that it is called with."""
    return [*COMMANDS[component](settings), *settings.more.get(component, [])]


def health(component: str, settings: Settings) -> str:
    """The URL that answers 200 once it is ready."""
    scheme = "http" if component in {"etcd", "kwok"} else "https"
    address = settings.address if component == "kube-apiserver" else "127.0.0.1"
    path = "readyz" if component in {"etcd", "kube-apiserver"} else "healthz"
    return f"{scheme}://{address}:{settings.ports[component]}/{path}"
