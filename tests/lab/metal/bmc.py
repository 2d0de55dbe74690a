"""The BMC before one server, and the means to make it fail.

In: the rack that it is in, and a folder for its settings. Out: Redfish at https://ADDRESS (`tests.lab.metal.redfish`), and IPMI at the
same address where the server has it (`tests.lab.metal.ipmi`). Each is a process on the rack, so that all goes when that does.
"""

from __future__ import annotations

import json
import socket
import ssl
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import bcrypt

from tests.lab import machine, pki
from tests.lab.machine import Machine
from tests.lab.metal import faults
from tests.lab.needs import CHECKOUT

USER = "admin"
START_S = 30.0


@dataclass(frozen=True, slots=True)
class Bmc:
    """One BMC. What is made to fail by a `being_…` or `…ing` context is mended when that ends."""

    rack: Machine
    folder: Path
    address: str
    name: str  # of the server
    uuid: str  # of the server
    ipmi: bool

    @property
    def url(self) -> str:
        return f"https://{self.address}"

    @property
    def system(self) -> str:
        """The path of the server's resource."""
        return f"/redfish/v1/Systems/{self.uuid}"

    @property
    def account(self) -> tuple[str, str]:
        """User and password, for Redfish and IPMI alike."""
        return USER, (self.folder / "password").read_text()

    @property
    def authority(self) -> Path:
        """The certificate of who signed the BMC's own."""
        return self.folder.parent / "bmc-ca.crt"

    @property
    def programs(self) -> tuple[str, ...]:
        return ("redfish", "ipmi") if self.ipmi else ("redfish",)

    def start(self) -> None:
        """Start it where it doesn't run; returns before it answers: `await_ready`."""
        for program in self.programs:
            command = f"cd {CHECKOUT}; TMPDIR={self.folder} exec setsid {sys.executable} -m tests.lab.metal.{program} {self.folder}"
            log = f"</dev/null >>{self.folder}/{program}.log 2>&1"
            pid = self._pid_file(program)
            self.rack.run("sh", "-c", f"kill -0 $(cat {pid}) 2>/dev/null || {{ sh -c 'echo $$ >{pid}; {command}' {log} & }}")

    def await_ready(self) -> None:
        """Wait until it answers. Raises TimeoutError with what it wrote."""
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            with suppress(OSError), socket.create_connection((self.address, 443), timeout=1):
                return
            time.sleep(0.05)
        raise TimeoutError(f"the BMC of {self.name} did not come up: {(self.folder / 'redfish.log').read_text()[-1000:]}")

    def stop(self) -> None:
        """End it: connections are refused."""
        self._signal("KILL")
        deadline = time.monotonic() + START_S
        while time.monotonic() < deadline:
            try:
                socket.create_connection((self.address, 443), timeout=1).close()
            except ConnectionRefusedError:
                return
            time.sleep(0.01)
        raise TimeoutError(f"the BMC of {self.name} did not end")

    def restart(self) -> None:
        self.stop()
        self.start()
        self.await_ready()

    @contextmanager
    def being_stopped(self) -> Iterator[None]:
        """Connections to it are refused."""
        self.stop()
        try:
            yield
        finally:
            self.start()
            self.await_ready()

    @contextmanager
    def being_frozen(self) -> Iterator[None]:
        """It takes connections and never answers."""
        self._signal("STOP")
        try:
            yield
        finally:
            self._signal("CONT")

    @contextmanager
    def being_cut(self) -> Iterator[None]:
        """Its cable is pulled: nothing is there at its address."""
        machine.ip("-n", self.rack.name, "address", "delete", f"{self.address}/24", "dev", "rack")
        try:
            yield
        finally:
            machine.ip("-n", self.rack.name, "address", "add", f"{self.address}/24", "dev", "rack")
            self.await_ready()  # who asked meanwhile still believes for a moment that there is nobody

    @contextmanager
    def with_another_certificate(self) -> Iterator[None]:
        """Its certificate is for the same address, but of an authority that nobody knows."""
        kept = {path: path.read_bytes() for path in (self.folder / "server.crt", self.folder / "server.key")}
        self.certify(pki.authority("a stranger"))
        self.restart()
        try:
            yield
        finally:
            for path, content in kept.items():
                path.write_bytes(content)
            self.restart()

    @contextmanager
    def ignoring_power(self) -> Iterator[None]:
        """Power actions are answered with success, and nothing happens."""
        with self._failing(power_ignored=True):
            yield

    @contextmanager
    def losing_answers(self) -> Iterator[None]:
        """Power actions that are asked for by IPMI are carried out, and their answers get lost."""
        with self._failing(power_unanswered=True):
            yield

    @contextmanager
    def ignoring_boot(self, *, pretending: bool = False) -> Iterator[None]:
        """A boot device is taken with success and not used; `pretending`: it is even shown as set."""
        with self._failing(**{"boot_pretended" if pretending else "boot_ignored": True}):
            yield

    @contextmanager
    def ignoring_mode(self) -> Iterator[None]:
        """A boot mode is taken with success, and the one before kept."""
        with self._failing(mode_ignored=True):
            yield

    @contextmanager
    def being_slow(self, delay_s: float) -> Iterator[None]:
        """Each answer takes that long."""
        with self._failing(delay_s=delay_s):
            yield

    @contextmanager
    def answering(self, status: int) -> Iterator[None]:
        """Each answer is that HTTP error."""
        with self._failing(status=status):
            yield

    @contextmanager
    def with_another_password(self) -> Iterator[None]:
        """Somebody has changed it: what `account` said before is wrong, for Redfish (IPMI keeps the old one)."""
        kept = (self.folder / "htpasswd").read_text()
        self.set_password("changed by somebody")
        try:
            yield
        finally:
            (self.folder / "htpasswd").write_text(kept)

    def set_password(self, password: str) -> None:
        hashed = bcrypt.hashpw(password.encode(), bcrypt.gensalt(rounds=4)).decode()
        (self.folder / "htpasswd").write_text(f"{USER}:{hashed}\n")

    def certify(self, signer: pki.Authority) -> None:
        signer.issue(self.folder / "server.crt", self.folder / "server.key", self.name, pki.SERVER, also=[self.address])

    def trust(self) -> ssl.SSLContext:
        """For a client that knows the lab's authority."""
        return ssl.create_default_context(cafile=str(self.authority))

    @contextmanager
    def _failing(self, **wrong: Any) -> Iterator[None]:
        faults.write(self.folder, wrong)
        try:
            yield
        finally:
            faults.clear(self.folder)

    def _pid_file(self, program: str) -> str:
        return f"/run/{self.name}-{program}.pid"

    def _signal(self, signal: str) -> None:
        for program in self.programs:
            self.rack.run("sh", "-c", f"kill -{signal} $(cat {self._pid_file(program)})")


def furnish(bmc: Bmc, signer: pki.Authority, password: str, disks: list[dict[str, Any]]) -> None:
    """Address, account, certificate and settings of a BMC that has never been on. `disks`: what it tells of them (`serial`, `bytes`)."""
    bmc.folder.mkdir(parents=True)
    machine.ip("-n", bmc.rack.name, "address", "add", f"{bmc.address}/24", "dev", "rack")
    (bmc.folder / "password").write_text(password)
    bmc.set_password(password)
    bmc.certify(signer)
    common = {"address": bmc.address, "uuid": bmc.uuid}
    (bmc.folder / "redfish.json").write_text(json.dumps({**common, "port": 443, "serial": f"SN-{bmc.name}", "disks": disks}))
    account = {"username": USER, "password": password}
    (bmc.folder / "ipmi.json").write_text(json.dumps({**common, "name": bmc.name, "account": account}))
