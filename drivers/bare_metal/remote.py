"""A machine by ssh: the ramdisk's commands, and the proof that an installed system is up and is the one that we made.

In: where it is, the key to log in with and the host key that it must have. Out: what `metal` answered (guests/ramdisk/metal), or the named
failure. The host key is pinned: the ramdisk told it with the attempt's token, the system was given it with its seed. OpenSSH's client does
it, as the ramdisk has no Python for a playbook to run there, and as every operator can repeat by hand what it is called with.
"""

from __future__ import annotations

import json
import shlex
import subprocess
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from drivers.bare_metal.attempt import Attempt
from drivers.errors import (
    ChecksumMismatch,
    DeadlinePassed,
    DepotUnreachable,
    DiskTooSmall,
    DriverError,
    ReadbackMismatch,
    SshUnreachable,
    WipeFailed,
    WriteError,
)

Json = dict[str, Any]

EVERY_S: Final = 1.0  # at most; what has just been switched on is asked more often, as a small system is up within seconds
_CLEARING: Final = ("look", "wipe", "unlock")
CONNECT_S: Final = 10
PROVE_S: Final = 60.0  # for one look whether a system is up
OPTIONS: Final = (
    "StrictHostKeyChecking=yes",
    "HostKeyAlgorithms=ssh-ed25519",
    "GlobalKnownHostsFile=none",
    "BatchMode=yes",
    "IdentitiesOnly=yes",
    f"ConnectTimeout={CONNECT_S}",
    "ServerAliveInterval=15",  # a machine that lost its power says no goodbye
    "ServerAliveCountMax=8",
    "LogLevel=ERROR",
)


@dataclass(frozen=True, slots=True)
class Ramdisk:
    """One machine that runs the ramdisk."""

    address: str
    host_key: str
    key: Path

    def metal(self, *command: str, within_s: float, given: bytes = b"") -> Json:
        """What a command answers. Raises what `failure` makes of one that failed, SshUnreachable and DeadlinePassed."""
        login = (*ssh(self.address, self.host_key, self.key.with_name("known_hosts")), "-i", str(self.key), f"root@{self.address}")
        try:
            done = subprocess.run(
                (*login, shlex.join(("metal", *command))), input=given, capture_output=True, timeout=within_s, check=False
            )
        except subprocess.TimeoutExpired:
            raise DeadlinePassed(step=command[0], seconds=round(within_s)) from None
        answer = _answer(done.stdout)
        if answer is None:
            raise SshUnreachable(address=self.address, detail=_last(done.stderr) or f"metal {command[0]} ended with {done.returncode}")
        if "failed" in answer:
            raise failure(command, answer)
        return answer


def ramdisk_of(attempt: Attempt) -> Ramdisk:
    """The machine that has called back in that attempt. Raises SshUnreachable where none has, or none that could be reached."""
    said = attempt.alive or {}
    address, host_key = address_of(said, attempt.macs), said.get("host_key")
    if not address or not isinstance(host_key, str) or "\n" in host_key:
        raise SshUnreachable(address=address, detail="the ramdisk has told no address or no host key")
    return Ramdisk(address, host_key, attempt.key)


def address_of(said: Mapping[str, Any], macs: Sequence[str]) -> str:
    """Where a machine is by its own word: at one of those ports first. Empty: nowhere."""
    nics = [nic for nic in said.get("nics", ()) if nic.get("address")]
    nics.sort(key=lambda nic: macs.index(nic["mac"]) if nic.get("mac") in macs else len(macs))
    return str(nics[0]["address"]) if nics else ""


def failure(command: Sequence[str], answer: Mapping[str, Any]) -> DriverError:
    """The error for a command that failed, from what it says (guests/ramdisk/metal lists the codes)."""
    code, detail = str(answer["failed"]), str(answer.get("detail", ""))[:400]
    disk = next((word.removeprefix("/dev/") for word in command if word.startswith("/dev/")), "")
    match code:
        case "disk_too_small":
            return DiskTooSmall(detail=detail)
        case "checksum_mismatch":
            return ChecksumMismatch(detail=detail)
        case "download_failed":
            return DepotUnreachable(detail=detail)
        case "readback_mismatch":
            return ReadbackMismatch(disk=disk, detail=detail)
        case "wipe_failed" | "not_zero":
            return WipeFailed(disks=disk, detail=detail)
    return WipeFailed(disks=disk, detail=detail) if command[0] in _CLEARING else WriteError(disk=disk, detail=f"{code}: {detail}")


def prove(address: str, user: str, host_key: str, within_s: float) -> float:
    """Wait until a system answers by ssh there with that host key; the seconds that it took.

    Nobody logs in: the server has shown that it holds the key once it goes on to refuse who we are. Raises SshUnreachable.
    """
    since = time.monotonic()
    while True:
        with tempfile.NamedTemporaryFile("w", prefix="known-") as known:
            call = (*ssh(address, host_key, Path(known.name)), "-o", "PreferredAuthentications=none", f"{user}@{address}", "true")
            said = _said_at_login(call, max(1.0, min(PROVE_S, since + within_s - time.monotonic())))
        if said is None:
            return time.monotonic() - since
        waited = time.monotonic() - since
        if waited + EVERY_S > within_s:
            raise SshUnreachable(address=address, detail=f"after {round(within_s)} s: {said}")
        time.sleep(min(EVERY_S, 0.1 + waited / 20))


def _said_at_login(call: Sequence[str], within_s: float) -> str | None:
    """What ssh complains of; None where the server has shown its key. Of one that hangs after its hello we complain: ssh doesn't."""
    try:
        done = subprocess.run(call, stdin=subprocess.DEVNULL, capture_output=True, timeout=within_s, check=False)
    except subprocess.TimeoutExpired:
        return f"it takes connections, and had shown no host key {round(within_s)} s later"
    return None if not done.returncode or b"Permission denied" in done.stderr else _last(done.stderr)


def ssh(address: str, host_key: str, known: Path) -> tuple[str, ...]:
    """The beginning of the command line; the host key is written into that file."""
    known.write_text(f"{address} {host_key}\n")
    options = (f"UserKnownHostsFile={known}", *OPTIONS)
    return ("ssh", "-F", "none", *(word for option in options for word in ("-o", option)))


def _answer(output: bytes) -> Json | None:
    try:
        found = json.loads(output)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None


def _last(output: bytes) -> str:
    lines = [line.strip() for line in output.decode(errors="replace").splitlines() if line.strip()]
    return lines[-1][:200] if lines else ""
