"""A real Kubernetes on one machine: a control plane, real nodes, simulated nodes, and the means to make each part fail.

In: a scratch folder and what it shall have. Out: etcd, API server, controller manager and scheduler as processes of this machine, each real
node on a machine of the lab (`tests.lab.machine`), and kwok for simulated ones. All of it is described by a file in the folder, so that
another process can find it. Any number run side by side. `down` undoes everything, also what was made only half.

A control plane without real nodes listens on 127.0.0.1 and needs no root. `python -m tests.lab.kubernetes` does the same by hand.
"""

from __future__ import annotations

import base64
import http.client
import json
import os
import shutil
import signal
import ssl
import subprocess
import time
import urllib.request
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from tests.lab import machine, pki
from tests.lab.failing import Failing
from tests.lab.kubernetes import node as nodes_of
from tests.lab.kubernetes.api import Api
from tests.lab.kubernetes.components import COMMANDS, SERVICES, Settings, command, free_ports, health
from tests.lab.kubernetes.node import Node, kubeconfig

CHECKOUT = Path(__file__).parents[3]
START_S = 60.0
STOP_S = 3.0  # an API server with open watches takes twenty seconds and more to end by itself


@dataclass(frozen=True, slots=True)
class Cluster(Failing):
    """One Kubernetes and what can be done to it."""

    settings: Settings
    binaries: Path
    components: tuple[str, ...]
    nodes: tuple[Node, ...]
    number: int | None  # of its fabric; None where it has no real nodes

    @property
    def folder(self) -> Path:
        return self.settings.folder

    @property
    def kubeconfig(self) -> Path:
        """The administrator's, with everything in it: it may be copied anywhere on this machine."""
        return self.settings.kubeconfig

    @property
    def api(self) -> Api:
        return _api(self.settings)

    def start(self, component: str) -> None:
        """Start it where it doesn't run, on the same port and data as before; returns when it is ready."""
        if not self.alive(component):
            with (self.folder / f"{component}.log").open("ab") as log:
                line = [str(self.binaries / component), *command(component, self.settings)]
                process = subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True)
            self._pid_file(component).write_text(str(process.pid))
            process.returncode = 0  # never waited for by this object: `_reap` does, by its number
        self._await_ready(component)

    def stop(self, component: str) -> None:
        """End it as its administrator would, or by force where it takes its time."""
        self._signal(component, signal.SIGCONT)
        self._signal(component, signal.SIGTERM)
        deadline = time.monotonic() + STOP_S
        while self.alive(component) and time.monotonic() < deadline:
            time.sleep(0.02)
        self.kill(component)

    def restart(self, component: str) -> None:
        self.stop(component)
        self.start(component)

    def kill(self, component: str) -> None:
        """End it at once."""
        self._signal(component, signal.SIGKILL)
        while self.alive(component):
            time.sleep(0.01)
        with suppress(FileNotFoundError, ChildProcessError):
            os.waitpid(int(self._pid_file(component).read_text()), 0)
        self._pid_file(component).unlink(missing_ok=True)

    def freeze(self, component: str) -> None:
        """Hang it: it still accepts connections, and never answers."""
        self._signal(component, signal.SIGSTOP)

    def thaw(self, component: str) -> None:
        self._signal(component, signal.SIGCONT)

    def alive(self, component: str) -> bool:
        pid = self.pid(component)
        if pid is None:
            return False
        with suppress(OSError):  # it is dead
            told = Path(f"/proc/{pid}/cmdline").read_bytes()
            if not told:  # it is a zombie, or its program is being loaded
                return Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][:1] not in "ZX"
            return str(self.folder).encode() in told  # else another program got its number
        return False

    def pid(self, component: str) -> int | None:
        try:
            return int(self._pid_file(component).read_text())
        except (FileNotFoundError, ValueError):
            return None

    def compact(self) -> int:
        """Make etcd forget all revisions but the newest; which that is.

        An API server that runs still knows them: only a watch from before that reaches a restarted one is told 410.
        """
        revision = int(self._etcd("kv/range", {"key": base64.b64encode(b"\0").decode()})["header"]["revision"])
        self._etcd("kv/compaction", {"revision": revision, "physical": True})
        return revision

    def kubectl(self, *arguments: str) -> str:
        """What `kubectl` says, as the administrator."""
        line = [str(self.binaries / "kubectl"), f"--kubeconfig={self.kubeconfig}", *arguments]
        done = subprocess.run(line, capture_output=True, text=True, stdin=subprocess.DEVNULL, check=False)
        if done.returncode:
            raise RuntimeError(f"kubectl {' '.join(arguments)}: {done.stderr.strip()}")
        return done.stdout

    def _etcd(self, path: str, body: dict[str, Any]) -> Any:
        url = f"http://127.0.0.1:{self.settings.ports['etcd']}/v3/{path}"
        with urllib.request.urlopen(urllib.request.Request(url, json.dumps(body).encode()), timeout=10) as answer:
            return json.load(answer)

    def _pid_file(self, component: str) -> Path:
        return self.folder / f"{component}.pid"

    def _signal(self, component: str, number: signal.Signals) -> None:
        if self.alive(component) and (pid := self.pid(component)):
            with suppress(ProcessLookupError):
                os.kill(pid, number)

    def _await_ready(self, component: str) -> None:
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            if _healthy(health(component, self.settings)):
                return
            if not self.alive(component):
                break
            time.sleep(0.05)
        log = (self.folder / f"{component}.log").read_text(errors="replace")
        raise RuntimeError(f"{component} did not become ready: {log[-2000:]}")


def up(
    folder: Path,
    binaries: Path,
    *,
    nodes: int = 0,
    fake: bool = False,
    components: tuple[str, ...] = ("etcd", "kube-apiserver", "kube-controller-manager", "kube-scheduler"),
    patience_s: int = 12,
    more: Mapping[str, list[str]] | None = None,
) -> Cluster:
    """Make and start it, with that many real nodes, and with kwok where nodes are to be simulated.

    `patience_s`: how long a node may be silent before the cluster calls it NotReady. `more`: further arguments, by component.
    """
    folder.mkdir(parents=True, exist_ok=True)
    number = machine.take_number() if nodes else None
    address = "127.0.0.1" if number is None else machine.outside(number)
    settings = Settings(folder, address, free_ports(address), patience_s, more or {})
    wanted = tuple(name for name in COMMANDS if name in components or (fake and name == "kwok"))
    cluster = Cluster(settings, binaries, wanted, _nodes(settings, number, nodes), number)
    try:
        _describe(cluster)
        signer = _certificates(cluster)
        for component in wanted:
            cluster.start(component)
        if "kube-controller-manager" in wanted:  # which makes the account that pods in there need
            cluster.api.until("GET /api/v1/namespaces/default/serviceaccounts/default", bool)
        _add_nodes(cluster, signer)
    except BaseException:
        down(cluster)
        raise
    return cluster


def found(folder: Path) -> Cluster:
    """What `up` made there, perhaps in another process."""
    kept = json.loads((folder / "cluster.json").read_text())
    settings = Settings(**{**kept["settings"], "folder": folder})
    return Cluster(
        settings, Path(kept["binaries"]), tuple(kept["components"]), _nodes(settings, kept["number"], kept["nodes"]), kept["number"]
    )


def down(cluster: Cluster) -> None:
    """Stop it and take away every process, namespace, cgroup, link and file of it."""
    for node in cluster.nodes:
        machine.remove(node.machine)
    for component in reversed(cluster.components):
        cluster.kill(component)
    if cluster.number is not None:
        machine.give_back(cluster.number)
    shutil.rmtree(cluster.folder, ignore_errors=True)


def _api(settings: Settings) -> Api:
    return Api(settings.address, settings.ports["kube-apiserver"], settings.pki)


def _nodes(settings: Settings, number: int | None, count: int) -> tuple[Node, ...]:
    if number is None:
        return ()
    return tuple(nodes_of.describe(settings.folder / f"n{i}", number, i, _api(settings)) for i in range(1, count + 1))


def _describe(cluster: Cluster) -> None:
    settings = {**asdict(cluster.settings), "folder": str(cluster.folder)}
    kept = {
        "settings": settings,
        "binaries": str(cluster.binaries),
        "components": cluster.components,
        "nodes": len(cluster.nodes),
        "number": cluster.number,
    }
    (cluster.folder / "cluster.json").write_text(json.dumps(kept))


def _certificates(cluster: Cluster) -> pki.Authority:
    """Those of the control plane and its administrator, with the kubeconfig; who signs those of the nodes."""
    folder = cluster.settings.pki
    folder.mkdir()
    signer = pki.authority("chutian kubernetes lab")
    pki.write_certificate(folder / "ca.crt", signer.certificate)
    pki.write_key(folder / "ca.key", signer.key)
    pki.write_key(folder / "accounts.key", pki.new_key())
    service = SERVICES.replace(".0.0/16", ".0.1")  # the first of the range is the API server's own
    names = ["127.0.0.1", cluster.settings.address, service, "localhost", "kubernetes", "kubernetes.default", "kubernetes.default.svc"]
    signer.issue(folder / "apiserver.crt", folder / "apiserver.key", "kube-apiserver", pki.SERVER, also=list(dict.fromkeys(names)))
    signer.issue(folder / "admin.crt", folder / "admin.key", "admin", pki.CLIENT, group="system:masters")
    inline = {name: base64.b64encode((folder / name).read_bytes()).decode() for name in ("ca.crt", "admin.crt", "admin.key")}
    server = f"https://{cluster.settings.address}:{cluster.settings.ports['kube-apiserver']}"
    where = {"server": server, "certificate-authority-data": inline["ca.crt"]}
    who = {"client-certificate-data": inline["admin.crt"], "client-key-data": inline["admin.key"]}
    cluster.kubeconfig.touch(0o600)
    cluster.kubeconfig.write_text(json.dumps(kubeconfig(where, who)))
    return signer


def _add_nodes(cluster: Cluster, signer: pki.Authority) -> None:
    if not cluster.nodes:
        return
    archive = cluster.folder / "container.tar"
    subprocess.run([CHECKOUT / "guests/container/build", archive], check=True, capture_output=True)
    for node in cluster.nodes:
        nodes_of.furnish(node, cluster.settings, cluster.binaries, signer, [archive])
    nodes_of.connect(cluster.nodes)
    for node in cluster.nodes:
        node.switch_on()
    for node in cluster.nodes:
        node.await_ready()


def _healthy(url: str) -> bool:
    trust = ssl.create_default_context()
    trust.check_hostname = False
    trust.verify_mode = ssl.CERT_NONE  # some make a certificate for themselves; only their health is asked
    with suppress(OSError, http.client.HTTPException), urllib.request.urlopen(url, timeout=2, context=trust) as answer:  # noqa: S310
        return bool(answer.status == 200)
    return False
