"""One machine behind a BMC that speaks IPMI 2.0 alone (RMCP+), through ipmitool: power, boot device, what little it says of itself.

ipmitool is a process of its own that is killed when its time is over, says why a session failed, and takes the cipher suite it is told.
Rejected: pyghmi, whose sessions live in the module, share one loop between threads, retry by a clock of their own, and break ("pack
expected 32 items") on a BMC that speaks only the old suite, where this has a name.

The password is handed over in anonymous memory (`memfd`, `-f`): it is in no argv, no environment and no file. Every call opens and closes
its own session; datagrams that get lost are sent again by ipmitool (`-R`), which is the protocol's way and no retry of ours.
"""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from drivers.bare_metal import ipmi_reading as reading
from drivers.bare_metal.address import Address
from drivers.bare_metal.failures import ipmi_failure
from drivers.bare_metal.machine import Act, BootMode, BootOverride, Machine, Source
from drivers.bare_metal.options import Options
from drivers.base import HostPower
from drivers.errors import BmcUnreachable, InvalidSpec, NotSupported, Permanent, PowerRefused

LONGEST_PASSWORD: Final = 20  # bytes, of IPMI 2.0
ACTS: Final = {Act.ON: "on", Act.OFF: "off", Act.RESET: "reset", Act.POLITE_OFF: "soft"}
DEVICES: Final = {Source.NETWORK: "pxe", Source.CD: "cdrom", Source.DISK: "disk"}


class Ipmi:
    """Implements `drivers.bare_metal.bmc.Bmc`."""

    def __init__(self, address: Address, options: Options) -> None:
        """Raises InvalidSpec for a password that IPMI can't carry, or where ipmitool is not installed."""
        if len(options.password.encode()) > LONGEST_PASSWORD:
            raise InvalidSpec(detail=f"the password has more than the {LONGEST_PASSWORD} bytes that IPMI takes")
        if not address.host or address.host.startswith("-") or options.user.startswith("-"):
            raise InvalidSpec(detail="neither address nor user may begin with '-'")
        program = shutil.which("ipmitool", path=f"{os.environ.get('PATH', os.defpath)}:/usr/sbin:/sbin")
        if program is None:
            raise InvalidSpec(detail="ipmitool is not installed on the controller's machine")
        self._program, self._address, self._options = program, address, options

    def machine(self) -> Machine:
        """What power state and firmware there is, and identity where it has such."""
        power, firmware = self.power(), reading.fields(self._run("mc", "info"))
        fru = ""
        with suppress(Permanent):
            fru = self._run("fru", "print", "0")
        boot = BootOverride()
        with suppress(Permanent):
            boot = self.boot()
        return reading.machine_of(power, firmware, reading.fields(fru), self._guid(), boot)

    def ports(self) -> tuple[str, ...]:
        return ()  # not a word for them

    def power(self) -> HostPower:
        return reading.power_of(self._run("chassis", "power", "status"))

    def glance(self) -> tuple[HostPower, str]:
        return self.power(), reading.uuid_of(self._guid())

    def switch(self, act: Act) -> None:
        if act not in ACTS:
            raise PowerRefused(detail=f"IPMI has no {act}.")
        try:
            self._run("chassis", "power", ACTS[act])
        except NotSupported:
            raise
        except Permanent as error:
            raise PowerRefused(detail=str(error.reason.params.get("detail", ""))) from error

    def boot_from(self, source: Source, *, once: bool = True, mode: BootMode | None = None) -> None:
        """An order always says a mode; without one it is BIOS, which firmware that has UEFI alone doesn't heed."""
        options = [*(() if once else ("persistent",)), *(("efiboot",) if mode is BootMode.UEFI else ())]
        self._run("chassis", "bootdev", DEVICES[source], *([f"options={','.join(options)}"] if options else ()))

    def boot(self) -> BootOverride:
        return reading.boot_of(self._run("chassis", "bootparam", "get", "5"))

    def insert(self, url: str) -> None:
        raise NotSupported(detail=f"IPMI has no virtual media for {url}")

    def eject(self) -> None:
        """There never is anything to eject."""

    def close(self) -> None:
        """No session outlives its call."""

    def _guid(self) -> str:
        with suppress(Permanent):
            return self._run("mc", "guid")
        return ""

    def _run(self, *words: str) -> str:
        """What ipmitool says. Raises what `failures.ipmi_failure` makes of it, and BmcUnreachable when the time is over."""
        secret = os.memfd_create("ipmi")
        try:
            os.write(secret, self._options.password.encode())
            done = subprocess.run(
                (self._program, *arguments(self._address, self._options, secret, words)),
                capture_output=True,
                stdin=subprocess.DEVNULL,
                env={"LC_ALL": "C", "PATH": os.defpath},
                pass_fds=(secret,),
                timeout=self._options.call_s,
                check=False,
            )
        except subprocess.TimeoutExpired:
            raise BmcUnreachable(detail=f"no answer by IPMI within {self._options.call_s:.0f} s.") from None
        finally:
            os.close(secret)
        if done.returncode:
            raise ipmi_failure((done.stderr + b"\n" + done.stdout).decode(errors="replace"), self._options.cipher_suite)
        return done.stdout.decode(errors="replace")


def arguments(address: Address, options: Options, secret: int, words: Sequence[str]) -> tuple[str, ...]:
    """What ipmitool is called with; the password is read from the open file of that number."""
    to = ("-I", "lanplus", "-H", address.host, "-p", str(address.port), "-U", options.user, "-f", f"/proc/self/fd/{secret}")
    return ("-v", *to, "-C", options.cipher_suite, "-N", "1", "-R", "2", *words)
