"""A real OpenStack region on one machine, with simulated hypervisors, and the means to make each part fail.

In: a scratch folder, what `scripts/openstack-region` made, and a number of hypervisors. Out: keystone, placement, glance, neutron and
nova as processes of this machine on ports of 127.0.0.1, the APIs behind TLS (`tests.lab.openstack.gate`); a file in the folder describes
it, so that another process can find it. Any number run side by side. `down` undoes everything, also what was made only half. `python -m
tests.lab.openstack` does the same by hand.

Services reach each other without TLS, and by their own ports: a fault at the gate concerns those outside.
"""

from __future__ import annotations

import json
import shutil
import signal
import socket
import subprocess
import time
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.lab import pki
from tests.lab import rig as libvirt_lab
from tests.lab.failing import Failing
from tests.lab.needs import CHECKOUT
from tests.lab.openstack import compute as computes_of
from tests.lab.openstack import configuration, seed
from tests.lab.openstack.api import Api
from tests.lab.openstack.compute import Compute
from tests.lab.openstack.gate import Control
from tests.lab.openstack.process import Process
from tests.lab.openstack.services import COMMANDS, FORKED, environ, ready
from tests.lab.openstack.settings import ADMIN, APIS, DEMO, INSIDE, REGION, TINY, Account, Settings, free_ports, ports_from

START_S = 120.0
STOP_S = 3.0


@dataclass(frozen=True, slots=True)
class Region(Failing):
    """One OpenStack and what can be done to it. A component is one of `services.COMMANDS`, `services.FORKED`, or a compute by its name."""

    settings: Settings

    @property
    def folder(self) -> Path:
        return self.settings.folder

    @property
    def computes(self) -> tuple[Compute, ...]:
        return tuple(Compute(one) for one in sorted((self.folder / "computes").iterdir()))

    @property
    def admin(self) -> Api:
        """The administrator's way in: not by the gate."""
        return Api({api: self.settings.url(api) for api in APIS}, ADMIN)

    def user(self, account: Account = DEMO) -> Api:
        """Anybody's way in, by the gate, as that of the product."""
        return Api({api: self.settings.public_url(api) for api in APIS}, account, self.settings.ca)

    @property
    def gate(self) -> Control:
        return Control(self.folder)

    # credentials

    def application_credential(self, account: Account = DEMO) -> tuple[str, str]:
        """A new one: its id and its secret."""
        api = self.user(account)
        user = api.ask("keystone", "GET /auth/tokens", more={"X-Subject-Token": api.bearer})["token"]["user"]["id"]
        asked = {"application_credential": {"name": f"lab-{time.monotonic_ns()}"}}
        made = api.ask("keystone", f"POST /users/{user}/application_credentials", asked)["application_credential"]
        return made["id"], made["secret"]

    def cloud(self, account: Account = DEMO) -> dict[str, Any]:
        """An entry of clouds.yaml, by password."""
        domains = {"user_domain_name": "Default", "project_domain_name": "Default"}
        who = {"username": account.name, "password": account.password, "project_name": account.project, **domains}
        return self._cloud(who)

    def cloud_by_application_credential(self, account: Account = DEMO) -> dict[str, Any]:
        """An entry of clouds.yaml with a new application credential."""
        key, secret = self.application_credential(account)
        who = {"application_credential_id": key, "application_credential_secret": secret}
        return {**self._cloud(who), "auth_type": "v3applicationcredential"}

    def clouds_yaml(self, **clouds: dict[str, Any]) -> str:
        """The text of a clouds.yaml (JSON, which is YAML) with those entries by their names."""
        return json.dumps({"clouds": clouds}, indent=2)

    def _cloud(self, who: dict[str, str]) -> dict[str, Any]:
        return {"auth": {"auth_url": self.settings.public_url("keystone"), **who}, "region_name": REGION, "cacert": str(self.settings.ca)}

    # components

    def process(self, component: str) -> Process:
        return Process(self.folder, component)

    def start(self, component: str) -> None:
        """Start it where it doesn't run, on the same port and data as before; returns when it is ready."""
        self.launch(component)
        self.await_ready(component)

    def launch(self, component: str) -> None:
        if self.process(component).alive:
            return
        if component in COMMANDS:
            (self.folder / component).unlink(missing_ok=True)  # the zygote's socket, which tells that it is ready
            line = COMMANDS[component](self.settings)
            self.process(component).spawn(line, environ(self.settings), self.settings.log(component))
        else:
            self._fork(component)

    def stop(self, component: str) -> None:
        """End it as its administrator would, or by force where it takes its time."""
        self.process(component).stop(STOP_S)

    def kill(self, component: str) -> None:
        """End it at once."""
        self.process(component).kill()

    def freeze(self, component: str) -> None:
        """Hang it: connections are still accepted, and never answered."""
        self.process(component).signal(signal.SIGSTOP)

    def thaw(self, component: str) -> None:
        self.process(component).signal(signal.SIGCONT)

    def await_ready(self, component: str) -> None:
        deadline = time.monotonic() + START_S
        while not ready(component, self.settings):
            if not self.process(component).alive or time.monotonic() > deadline:
                log = self.settings.log(component).read_text(errors="replace") if self.settings.log(component).exists() else ""
                raise RuntimeError(f"{component} did not become ready: {log[-2000:]}")
            time.sleep(0.05)

    # what an administrator does behind somebody's back

    def quota(self, account: Account, **limits: int) -> None:
        """Set nova's own limits of that account's project: `instances`, `cores`, `ram` in MiB; below what is used, too.

        Nova's count is not exact: a server is in it once its record is in the cell.
        """
        self.admin.ask("nova-api", f"PUT /os-quota-sets/{self.user(account).project}", {"quota_set": {"force": True, **limits}})

    def delete(self, server: str) -> None:
        self.admin.ask("nova-api", f"DELETE /servers/{server}")

    def reset(self, server: str, state: str = "error") -> None:
        """Say that it is in that state ("error" or "active"), whatever is true."""
        self.admin.ask("nova-api", f"POST /servers/{server}/action", {"os-resetState": {"state": state}})

    def expire_tokens(self) -> None:
        """Those given out so far, to the region's own services too, are refused from now on.

        A service notices at its next call, which may fail for that: once, a build finds no valid host or an answer is 500.
        """
        configuration.new_keys(self.settings.etc / "keystone/fernet-keys")
        with socket.create_connection(("127.0.0.1", self.settings.ports["memcached"]), timeout=5) as line:
            line.sendall(b"flush_all\r\n")
            line.recv(16)

    @property
    def libvirt_host(self) -> libvirt_lab.Host:
        """The machine of the real hypervisor, where there is one; its name is that of the hypervisor."""
        return libvirt_lab.found(self.folder / "libvirt").hosts[0]

    # making it

    def prepare(self) -> None:
        """Folders, configuration and certificates: all that can be there before the first process."""
        for name in ("run", "log", "pki", "etc", "computes", "data/rabbit/log", "data/locks", "data/nova", "data/neutron", "data/images"):
            (self.folder / name).mkdir(parents=True, exist_ok=True)
        kept = {**asdict(self.settings), "folder": str(self.folder), "environment": str(self.settings.environment)}
        (self.folder / "region.json").write_text(json.dumps(kept))
        configuration.write(self.settings)
        signer = pki.authority("chutian openstack lab")
        pki.write_certificate(self.settings.ca, signer.certificate)
        signer.issue(self.folder / "pki/api.crt", self.folder / "pki/api.key", "api", pki.SERVER, also=["127.0.0.1", "localhost"])

    def sql(self, text: str) -> None:
        """As MariaDB's root."""
        line = ["mariadb", "--no-defaults", "-uroot", f"--socket={self.settings.data}/mariadb/socket"]
        subprocess.run(line, input=text, text=True, check=True, capture_output=True)

    def lose(self, queue: str, what: str) -> int:
        """Take out of a message queue what holds these words, and leave the rest; how many messages those were."""
        line = [f"{self.settings.environment}/venv/bin/python", f"{INSIDE}/lose.py", configuration.queue(self.settings), queue, what]
        return int(subprocess.run(line, text=True, check=True, capture_output=True).stdout)

    def await_reports(self) -> None:
        """Until each hypervisor has said anew that it lives; one whose call was lost waits a minute for the answer before."""
        since = datetime.now(UTC).replace(tzinfo=None).isoformat()
        wanted = {one.name for one in self.computes}
        path = "GET /os-services?binary=nova-compute"
        self.admin.until(
            "nova-api", path, lambda said: wanted <= {one["host"] for one in said["services"] if (one["updated_at"] or "") > since}, START_S
        )

    def add_computes(self, count: int) -> None:
        """That many more hypervisors; returns when nova would place on them."""
        first = len(self.computes) + 1
        for number in range(first, first + count):
            added = Compute(self.folder / "computes" / f"c{number:04d}")
            computes_of.furnish(added)
            configuration.write_compute(self.settings, added.folder)
            self.launch(added.name)
        seed.await_computes(self.admin, {one.name: one.name for one in self.computes})

    def add_libvirt(self, name: str, uri: str, hostname: str) -> None:
        """A nova-compute of that name that drives the libvirtd there, on a host that sees the same files; needs root.

        Nova calls the hypervisor by its host's name, and the service by `name`.
        """
        folder = self.folder / "real" / name
        (folder / "instances").mkdir(parents=True)
        configuration.write_compute(self.settings, folder, uri)
        self.launch(name)
        seed.await_computes(self.admin, {name: hostname})

    def kill_all(self) -> None:
        names = [file.name for file in (self.folder / "run").glob("*")]
        for name in names:
            self.process(name).signal(signal.SIGKILL)
        for name in names:
            self.kill(name)

    def memory_kb(self) -> dict[str, int]:
        """Of each component its share of the machine's memory (PSS)."""
        return {file.name: self.process(file.name).memory_kb() for file in sorted((self.folder / "run").glob("*"))}

    def _fork(self, component: str) -> None:
        """Have the zygote start it."""
        arguments = [f"--config-file={self.settings.etc}/nova/nova.conf"]
        if component not in FORKED:
            own = next(self.folder.glob(f"*/{component}/compute.conf"))
            arguments.append(f"--config-file={own}")
        service = component.removeprefix("nova-") if component in FORKED else "compute"
        log = self.settings.log(component)
        log.unlink(missing_ok=True)  # it tells whether the new one is ready
        with socket.socket(socket.AF_UNIX) as line:
            line.connect(str(self.folder / "zygote"))
            line.sendall(json.dumps({"service": service, "arguments": arguments, "log": str(log)}).encode() + b"\n")
            self.process(component).note(int(line.recv(32)))


def up(
    folder: Path,
    environment: Path,
    *,
    computes: int = 2,
    real: bool = False,
    first_port: int | None = None,
    report_s: int = 2,
    patience_s: int = 10,
    token_s: int = 3600,
) -> Region:
    """Make and start it. Ports are free ones, or those from the first on (`settings.PORTS` says how many).

    `real`: with one hypervisor more, r0001, which drives libvirt on a host of the libvirt lab, and the image `tiny`, which boots there;
    that needs root.
    """
    ports = free_ports() if first_port is None else ports_from(first_port)
    region = Region(Settings(folder, environment, ports, report_s, patience_s, token_s))
    try:
        region.prepare()
        _start(region)
        region.add_computes(computes)
        if real:
            _add_real(region)
    except BaseException:
        down(region)
        raise
    return region


def found(folder: Path) -> Region:
    """What `up` made there, perhaps in another process."""
    kept = json.loads((folder / "region.json").read_text())
    return Region(Settings(**{**kept, "folder": folder, "environment": Path(kept["environment"])}))


def down(region: Region) -> None:
    """Stop it and take away every process and file of it."""
    region.kill_all()
    if (region.folder / "libvirt/rig").exists():
        libvirt_lab.down(libvirt_lab.found(region.folder / "libvirt"))
    with suppress(FileNotFoundError):
        shutil.rmtree(region.folder)


def _start(region: Region) -> None:
    for component in ("zygote", "epmd", "memcached", "gate"):
        region.launch(component)
    subprocess.run(["cp", "-a", "--sparse=always", region.settings.environment / "databases", region.settings.data / "mariadb"], check=True)
    region.launch("mariadb")
    region.await_ready("epmd")
    region.launch("rabbit")
    region.await_ready("mariadb")
    region.sql(configuration.adaptations(region.settings))
    for api in APIS:
        region.launch(api)
    region.await_ready("rabbit")
    region.await_ready("zygote")
    for component in FORKED:
        region.launch(component)
    for api in APIS:
        region.await_ready(api)
    seed.fill(region.admin)
    region.await_ready("nova-conductor")


def _add_real(region: Region) -> None:
    libvirt_lab.up(region.folder / "libvirt", 1)
    host = region.libvirt_host
    region.add_libvirt("r0001", host.tcp, host.name)
    image = region.folder / "tiny.qcow2"
    subprocess.run([CHECKOUT / "guests/tiny/build", image], check=True, capture_output=True)
    seed.upload(region.admin, TINY, image.read_bytes(), "qcow2")
