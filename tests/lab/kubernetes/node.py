"""A real Kubernetes node on a machine of the lab: containerd, runc and a kubelet, with pods on a bridge of its own.

In: a machine, the control plane's address and its authority. Out: a node that registers itself. What it calls /var is `folder/var`, so that
what is on its disk outlives a power cut, and nothing of it is seen outside. Between the nodes pods reach each other by routes; services and
names are not served (no kube-proxy, no DNS), and network policies are stored but not enforced: the bridge plugin can't.
"""

from __future__ import annotations

import json
import shutil
import uuid
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.lab import machine, pki
from tests.lab.kubernetes.api import Api
from tests.lab.kubernetes.components import Settings
from tests.lab.machine import Machine

HERE = Path(__file__).parent
KUBELET_PORT = 10250
READY_S = 60.0

CONTAINERD = """\
version = 2
root = "/var/lib/containerd"
state = "/run/containerd"
disabled_plugins = [
    "io.containerd.internal.v1.opt",  # would make a folder in this machine's /opt
    "io.containerd.snapshotter.v1.aufs",
    "io.containerd.snapshotter.v1.btrfs",
    "io.containerd.snapshotter.v1.devmapper",
    "io.containerd.snapshotter.v1.zfs",
]
[plugins."io.containerd.grpc.v1.cri"]
  sandbox_image = "{pause}"
  disable_apparmor = true
  restrict_oom_score_adj = true  # lowering it takes CAP_SYS_RESOURCE, which a machine that is a container itself may lack
  stream_server_address = "127.0.0.1"
  [plugins."io.containerd.grpc.v1.cri".containerd]
    default_runtime_name = "runc"
    [plugins."io.containerd.grpc.v1.cri".containerd.runtimes.runc]
      runtime_type = "io.containerd.runc.v2"
  [plugins."io.containerd.grpc.v1.cri".cni]
    bin_dir = "/usr/lib/cni"
    conf_dir = "/var/lib/cni/net.d"
"""


@dataclass(frozen=True, slots=True)
class Node:
    """One node and what can be done to it; what happens to the machine as a whole is `machine`'s."""

    machine: Machine
    index: int
    pods: str  # the subnet of its pods
    api: Api

    @property
    def name(self) -> str:
        return self.machine.name

    def start(self) -> None:
        """Switch it on; returns when the cluster sees it ready."""
        self.switch_on()
        self.await_ready()

    def switch_on(self) -> None:
        """Switch it on; returns when the kubelet answers."""
        try:
            self.machine.start()
        except TimeoutError as late:
            raise TimeoutError(f"{late}\n{self.log('containerd')}\n{self.log('kubelet')}") from None

    def power_cut(self) -> None:
        """Everything on it is gone at once; the cluster finds out when its patience ends."""
        self.machine.crash()

    def kill_kubelet(self) -> None:
        """Kill the kubelet alone; containers go on."""
        self.machine.run("sh", "-c", "kill -9 $(cat /run/kubelet.pid)")

    def start_kubelet(self) -> None:
        self.machine.run("/run/node-kubelet")
        self.machine.await_door()

    def load(self, image: Path) -> None:
        """Take in an image from an OCI archive, as if it had been pulled."""
        copy = self.machine.folder / "var/lib/images" / image.name
        shutil.copyfile(image, copy)
        self.machine.run("ctr", "--namespace=k8s.io", "images", "import", f"/var/lib/images/{image.name}")
        copy.unlink()

    def containers(self) -> set[str]:
        """The ids of what runs there, asked of containerd itself: works without kubelet and API server."""
        return set(self.machine.run("ctr", "--namespace=k8s.io", "tasks", "list", "--quiet").split())

    def seen(self) -> dict[str, Any]:
        """The node as the cluster sees it."""
        found: dict[str, Any] = self.api.ask(f"GET /api/v1/nodes/{self.name}")
        return found

    def await_ready(self, status: str = "True", within_s: float = READY_S) -> None:
        """Wait until the cluster thinks so. Ready counts once the taint for not being ready is gone, too."""

        def holds(node: dict[str, Any]) -> bool:
            return condition(node, "Ready") == status and (status != "True" or not _tainted(node))

        try:
            self.api.until(f"GET /api/v1/nodes/{self.name}", holds, within_s)
        except TimeoutError as late:
            raise TimeoutError(f"{self.name} is not Ready={status}: {late}\n{self.log('kubelet')}") from None

    def log(self, program: str) -> str:
        """The end of what kubelet or containerd wrote."""
        path = self.machine.folder / f"var/log/{program}.log"
        return path.read_text(errors="replace")[-3000:] if path.exists() else ""


def condition(thing: dict[str, Any], kind: str) -> str:
    """The status of that condition of a node or pod; empty where there is none."""
    return next((one["status"] for one in thing["status"].get("conditions", []) if one["type"] == kind), "")


def describe(folder: Path, number: int, index: int, api: Api) -> Node:
    """The node of that index (1 to 40) on the fabric of that number."""
    name = machine.fabric_name(number)
    made = Machine(folder, f"{name}-n{index}", name, f"n{index}", machine.address(number, index), HERE / "node-init", KUBELET_PORT)
    return Node(made, index, f"10.{100 + index}.{number}.0/24", api)


def furnish(node: Node, settings: Settings, binaries: Path, signer: pki.Authority, images: list[Path]) -> None:
    """Network, cgroups and disk of a node that has never been on."""
    machine.furnish(node.machine)
    machine.ip("route", "add", node.pods, "via", node.machine.address)
    (node.machine.folder / "binaries").symlink_to(binaries)
    lib = node.machine.folder / "var/lib"
    for name in ("kubelet/pki", "cni/net.d", "containerd", "images", "dbus", "../log", "../tmp"):
        (lib / name).mkdir(parents=True, exist_ok=True)
    (lib / "../run").symlink_to("/run")
    (lib / "containerd.toml").write_text(CONTAINERD.format(pause="chutian.local/pause:1"))
    (lib / "cni/net.d/lab.conflist").write_text(json.dumps(_bridge(node)))
    (lib / "dbus/machine-id").write_text(uuid.uuid5(uuid.NAMESPACE_URL, str(node.machine.folder)).hex + "\n")
    (lib / "kubelet/resolv.conf").write_text("")
    (lib / "kubelet/config.yaml").write_text(json.dumps(_kubelet(node, settings)))
    (lib / "kubelet/kubeconfig").write_text(json.dumps(_kubeconfig(node)))
    (lib / "kubelet/arguments").write_text(f"--hostname-override={node.name} --node-ip={node.machine.address}")
    shutil.copyfile(settings.pki / "ca.crt", lib / "kubelet/pki/ca.crt")
    own = lib / "kubelet/pki"
    signer.issue(own / "node.crt", own / "node.key", f"system:node:{node.name}", pki.CLIENT, group="system:nodes")
    signer.issue(own / "kubelet.crt", own / "kubelet.key", node.name, pki.SERVER, also=[node.machine.address, node.name])
    for image in images:
        shutil.copyfile(image, lib / "images" / image.name)


def connect(nodes: tuple[Node, ...]) -> None:
    """Routes from the pods of each to those of the others."""
    for node in nodes:
        for other in nodes:
            if other is not node:
                machine.ip("-n", node.name, "route", "add", other.pods, "via", other.machine.address)


def _tainted(node: dict[str, Any]) -> bool:
    return any(taint["key"].startswith("node.kubernetes.io/") for taint in node["spec"].get("taints", []))


def _bridge(node: Node) -> dict[str, object]:
    ranges = [[{"subnet": node.pods}]]
    addresses = {"type": "host-local", "ranges": ranges, "routes": [{"dst": "0.0.0.0/0"}], "dataDir": "/run/cni-addresses"}
    bridge = {"type": "bridge", "bridge": "cni0", "isGateway": True, "ipMasq": False, "ipam": addresses}
    return {"cniVersion": "1.0.0", "name": "lab", "plugins": [bridge]}


def _kubeconfig(node: Node) -> dict[str, object]:
    pki_folder = "/var/lib/kubelet/pki"
    cluster = {"server": f"https://{node.api.address}:{node.api.port}", "certificate-authority": f"{pki_folder}/ca.crt"}
    user = {"client-certificate": f"{pki_folder}/node.crt", "client-key": f"{pki_folder}/node.key"}
    return kubeconfig(cluster, user)


def kubeconfig(cluster: dict[str, str], user: dict[str, str]) -> dict[str, object]:
    """One cluster, one user, one context."""
    return {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": "lab",
        "clusters": [{"name": "lab", "cluster": cluster}],
        "users": [{"name": "lab", "user": user}],
        "contexts": [{"name": "lab", "context": {"cluster": "lab", "user": "lab"}}],
    }


def _kubelet(node: Node, settings: Settings) -> dict[str, object]:
    own = "/var/lib/kubelet"
    return {
        "apiVersion": "kubelet.config.k8s.io/v1beta1",
        "kind": "KubeletConfiguration",
        "address": node.machine.address,
        "port": KUBELET_PORT,
        "healthzBindAddress": "127.0.0.1",
        "authentication": {"anonymous": {"enabled": False}, "webhook": {"enabled": True}, "x509": {"clientCAFile": f"{own}/pki/ca.crt"}},
        "authorization": {"mode": "Webhook"},
        "tlsCertFile": f"{own}/pki/kubelet.crt",
        "tlsPrivateKeyFile": f"{own}/pki/kubelet.key",
        "containerRuntimeEndpoint": "unix:///run/containerd/containerd.sock",
        "cgroupDriver": "cgroupfs",  # no systemd there to ask
        "failCgroupV1": False,
        "failSwapOn": False,
        "resolvConf": f"{own}/resolv.conf",
        "volumePluginDir": f"{own}/volume-plugins",
        "makeIPTablesUtilChains": False,
        "nodeLeaseDurationSeconds": settings.lease_s,
        "nodeStatusUpdateFrequency": "2s",
        "syncFrequency": "10s",
        "serializeImagePulls": False,
        "evictionHard": {"memory.available": "100Mi", "nodefs.available": "1%", "imagefs.available": "1%"},
        "imageGCHighThresholdPercent": 100,  # never: a loaded image could not be pulled again
    }
