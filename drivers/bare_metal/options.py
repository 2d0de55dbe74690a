"""What a BMC's options may say: a mapping of strings in, one frozen value out."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from drivers.bare_metal.machine import BootMode
from drivers.bare_metal.reading import mac_of
from drivers.errors import InvalidSpec
from drivers.options import read

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
WIPES: Final = ("secure", "discard", "overwrite", "ends")
WHOLE: Final = "whole"
READ_BACK: Final = ("samples", WHOLE)
SUITES: Final = ("3", "17")


@dataclass(frozen=True, slots=True)
class Options:
    """One endpoint's settings."""

    credentials: str = field(default="", repr=False)  # one line, USER:PASSWORD; kept sealed, never shown again
    fingerprint: str = ""  # SHA-256 of the BMC's TLS certificate, in hex: this one and no other is trusted (Redfish)
    ca_file: str = ""  # else: PEM file on the controller's machine with who may have signed it; empty: whom the machine trusts
    cipher_suite: str = "17"  # of IPMI: 17 is SHA-256, 3 the old SHA-1, which is never fallen back to unasked
    timeout_s: str = "10"  # seconds for one call
    boot_by: str = "network"  # how it starts into the ramdisk: `network` (DHCP and iPXE lead it to the depot) or `cd` (virtual media)
    boot_mode: str = "auto"  # by what its firmware starts it: `bios`, `uefi`, or `auto`: as its BMC has it, by IPMI as it was inspected
    boot_mac: str = ""  # the port that it starts by; empty: any that the BMC tells of
    root_disk: str = ""  # serial number or name of the disk to install on; empty: the smallest that the image fits on
    wipe: str = "secure discard overwrite"  # how disks are cleared: the first that works (also: `ends`); `whole` last: all is read back
    provision_s: str = "3600"  # seconds that setting the machine up may take
    wipe_s: str = "86400"  # seconds that clearing its disks may take

    @property
    def call_s(self) -> float:
        """`timeout_s` as a number."""
        return float(self.timeout_s)

    @property
    def user(self) -> str:
        """Whom the BMC is to know us as."""
        return self.credentials.partition(":")[0]

    @property
    def password(self) -> str:
        """A secret."""
        return self.credentials.partition(":")[2]


def policy_of(wipe: str) -> tuple[list[str], str]:
    """What may clear a disk, the first that works, and which of `READ_BACK` proves it."""
    words = wipe.split()
    return (words[:-1], WHOLE) if words[-1:] == [WHOLE] else (words, READ_BACK[0])


def parse(given: Mapping[str, str]) -> Options:
    """Raises InvalidSpec for an unknown option or a value that can't be; the text of `credentials` is never quoted."""
    credentials = given.get("credentials", "").rstrip("\r\n")
    fingerprint = re.sub(r"[:\s]", "", given.get("fingerprint", "")).lower().removeprefix("sha256")
    options = read(Options, {**given, "credentials": credentials, "fingerprint": fingerprint})
    if not (options.user and options.password) or not credentials.isprintable():
        raise InvalidSpec(detail="credentials is not one line USER:PASSWORD")
    if fingerprint and not _FINGERPRINT.fullmatch(fingerprint):
        raise InvalidSpec(detail=f"fingerprint is {given['fingerprint']!r}, not the 64 hexadecimal digits of a SHA-256")
    if options.ca_file and fingerprint:
        raise InvalidSpec(detail="fingerprint and ca_file exclude each other: a pinned certificate needs nobody's signature")
    if options.ca_file and not options.ca_file.startswith("/"):
        raise InvalidSpec(detail=f"ca_file {options.ca_file!r} is not an absolute path")
    if options.cipher_suite not in SUITES:
        raise InvalidSpec(detail=f"cipher_suite is {options.cipher_suite!r}, not one of {', '.join(SUITES)}")
    for name, most in (("timeout_s", 300), ("provision_s", 86_400), ("wipe_s", 30 * 86_400)):
        given_s = getattr(options, name)
        if not given_s.isdecimal() or not 1 <= int(given_s) <= most:
            raise InvalidSpec(detail=f"{name} is {given_s!r}, not a whole number of seconds from 1 to {most}")
    _check_setting_up(options)
    return options


def _check_setting_up(options: Options) -> None:
    if options.boot_by not in ("network", "cd"):
        raise InvalidSpec(detail=f"boot_by is {options.boot_by!r}, not network or cd")
    if options.boot_mode not in ("auto", *BootMode):
        raise InvalidSpec(detail=f"boot_mode is {options.boot_mode!r}, not auto, bios or uefi")
    if options.boot_mac and not mac_of(options.boot_mac):
        raise InvalidSpec(detail=f"boot_mac is {options.boot_mac!r}, not six pairs of hexadecimal digits")
    methods, _ = policy_of(options.wipe)
    if not methods or not set(methods) <= set(WIPES):
        raise InvalidSpec(detail=f"wipe is {options.wipe!r}, not some of {', '.join(WIPES)}, and {WHOLE} last")
