"""A server with Debian on its disk, as provisioning leaves it, without the minutes that provisioning takes: for what comes after.

In: a server that is off. Out: the same server, started from its disk, with a NoCloud seed in a partition at the end of that disk, as
`metal seed` in the ramdisk puts it. It takes its packages from a `tests.lab.debs` repository.
"""

from __future__ import annotations

import json
import struct
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

from tests.lab.metal import by_hand
from tests.lab.metal.server import Server
from tests.lab.needs import CHECKOUT

SECTOR, MIB = 512, 1 << 20
BOOT_S = 420.0
SOURCES = """\
#cloud-config
bootcmd: ["rm -f /etc/apt/sources.list.d/*"] # where this machine has no way to
write_files:
  - path: /etc/apt/sources.list
    content: "deb [trusted=yes] {packages} ./\\n"
"""
"""The part of its user data that has it take its packages from the URL `packages`."""
USER_DATA = f"""\
{SOURCES}
disable_root: false
ssh_deletekeys: false
ssh_keys:
  ed25519_private: |
{{host_key}}
users: []
ssh_authorized_keys: ["{{public}}"]
"""


@dataclass(frozen=True, slots=True)
class Installed:
    """A system that can be logged into as root."""

    server: Server
    key: Path  # root's for ssh
    host_key: str  # "ssh-ed25519 AAAA…"

    def run(self, command: str, within_s: float = 300) -> str:
        """What a command prints there. Raises RuntimeError where it fails."""
        done = by_hand.ssh(self.server.address, self.key, self.host_key, command, within_s=within_s)
        if done.returncode:
            raise RuntimeError(f"{command}: {done.returncode} {done.stdout[-1000:]} {done.stderr[-1000:]}")
        return done.stdout

    def await_login(self, within_s: float = BOOT_S) -> None:
        """Wait until it lets root in. Raises TimeoutError with the end of its console."""
        deadline = time.monotonic() + within_s
        while by_hand.ssh(self.server.address, self.key, self.host_key, "true").returncode:
            if time.monotonic() > deadline:
                raise TimeoutError(f"no login within {within_s} s: {self.server.console[-3000:]}")
            time.sleep(2)


def install(server: Server, folder: Path, packages: str, guest: str = "debian") -> Installed:
    """Write its disk and switch it on; returns before it is up. `packages`: the URL of its apt repository; `guest`: what guests/ builds."""
    folder.mkdir(parents=True, exist_ok=True)
    image, key, host_key = folder / "image.qcow2", folder / "key", folder / "host-key"
    subprocess.run([CHECKOUT / "guests" / guest / "build", image], check=True)
    public, host_public = by_hand.new_key(key), by_hand.new_key(host_key)
    size = server.disk.stat().st_size
    subprocess.run(["qemu-img", "convert", "-O", "raw", image, server.disk], check=True)
    with server.disk.open("r+b") as disk:
        disk.truncate(size)
    indented = "\n".join(f"    {line}" for line in host_key.read_text().splitlines())
    user_data = USER_DATA.format(host_key=indented, public=public, packages=packages)
    _put_seed(server.disk, folder / "seed", server.name, user_data)
    server.push_button()
    return Installed(server, key, host_public)


def _put_seed(disk: Path, folder: Path, name: str, user_data: str) -> None:
    """Into the third entry of the disk's partition table, behind the two that guests/debian/build fills."""
    folder.mkdir()
    (folder / "user-data").write_text(user_data)
    (folder / "meta-data").write_text(json.dumps({"instance-id": name, "local-hostname": name}))
    iso = folder / "seed.iso"
    subprocess.run(["genisoimage", "-quiet", "-o", iso, "-V", "cidata", "-J", "-r", folder / "user-data", folder / "meta-data"], check=True)
    content = iso.read_bytes()
    start = disk.stat().st_size // MIB - 1 - (len(content) + MIB - 1) // MIB
    entry = struct.pack("<B3sB3sII", 0, b"\xfe\xff\xff", 0x83, b"\xfe\xff\xff", start * MIB // SECTOR, len(content) // SECTOR)
    with disk.open("r+b") as file:
        file.seek(446 + 2 * 16)
        file.write(entry)
        file.seek(start * MIB)
        file.write(content)
