"""One start of a server into the ramdisk, as a controller would have it: by virtual media or by network, with a token and a key of its own.

In: a server, a depot and the ramdisk's files. Out: what the ramdisk said, and the answers of its commands.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.metal import by_hand
from tests.lab.metal.depot import Depot, personal
from tests.lab.metal.server import Server

ALIVE_S = 120.0
ALWAYS = "console=ttyS0 quiet panic=5 net.ifnames=0 no_timer_check cryptomgr.notests random.trust_cpu=on"


@dataclass(frozen=True, slots=True)
class Attempt:
    """`start_…` one of the ways, then `alive`, then `metal`."""

    server: Server
    depot: Depot
    ramdisk: Path  # the folder that guests/ramdisk/build made
    key: Path  # root's for ssh, with the public half beside it
    name: str = field(default_factory=lambda: secrets.token_hex(8))

    @property
    def arguments(self) -> str:
        """For the kernel of the ramdisk."""
        token = secrets.token_urlsafe(16)
        public = self.key.with_suffix(".pub").read_text().split()[1]
        return f"chutian.url={self.depot.expect(self.name, token)} chutian.token={token} chutian.key={public} chutian.mac={self.server.mac}"

    def start_from_cd(self) -> None:
        image = personal((self.ramdisk / "ramdisk.iso").read_bytes(), self.arguments)
        url, _ = self.depot.serve(f"{self.name}.iso", image)
        by_hand.insert(self.server.bmc, url)
        by_hand.boot_from(self.server.bmc, "Cd")
        by_hand.reset(self.server.bmc, "On")

    def start_from_network(self) -> None:
        """The rig's DHCP must point at the depot."""
        self.order()
        by_hand.boot_from(self.server.bmc, "Pxe")
        by_hand.reset(self.server.bmc, "On")

    def order(self) -> None:
        """Have the ramdisk there for when the server starts by network."""
        kernel, _ = self.depot.serve("ramdisk/vmlinuz", self.ramdisk / "vmlinuz")
        initrd, _ = self.depot.serve("ramdisk/initrd", self.ramdisk / "initrd")
        script = f"#!ipxe\nkernel {kernel} initrd=initrd {ALWAYS} {self.arguments}\ninitrd --name initrd {initrd}\nboot\n"
        self.depot.order(self.server.mac, script)

    def alive(self, within_s: float = ALIVE_S) -> dict[str, Any]:
        """What it reports when it is up. Raises TimeoutError with the end of the console."""
        try:
            report: dict[str, Any] = self.depot.wait(self.name, "alive", within_s)
        except TimeoutError as late:
            raise TimeoutError(f"{late}; {self.server.name} said: {self.server.console[-1500:]}") from None
        return report

    def metal(self, *command: str, given: bytes = b"") -> dict[str, Any]:
        """What a command of the ramdisk answers to that on its standard input, failed or not."""
        host_key = self.alive()["host_key"]
        done = by_hand.ssh(self.server.address, self.key, host_key, "metal", *command, given=given)
        if not done.stdout:
            raise RuntimeError(f"metal {' '.join(command)}: {done.returncode} {done.stderr}")
        answer: dict[str, Any] = json.loads(done.stdout)
        assert (done.returncode == 0) == ("failed" not in answer)
        return answer
