"""What a BMC's options may say: a mapping of strings in, one frozen value out.

Invariant: an option that is not understood is refused, never ignored, so that a misspelt one can't silently mean the default.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from typing import Final

from drivers.errors import InvalidSpec

_FINGERPRINT: Final = re.compile(r"[0-9a-f]{64}")
SUITES: Final = ("3", "17")


@dataclass(frozen=True, slots=True)
class Options:
    """One endpoint's settings."""

    credentials: str = field(default="", repr=False)  # one line, USER:PASSWORD; kept sealed, never shown again
    fingerprint: str = ""  # SHA-256 of the BMC's TLS certificate, in hex: this one and no other is trusted (Redfish)
    ca_file: str = ""  # else: PEM file on the controller's machine with who may have signed it; empty: whom the machine trusts
    cipher_suite: str = "17"  # of IPMI: 17 is SHA-256, 3 the old SHA-1, which is never fallen back to unasked
    timeout_s: str = "10"  # seconds for one call

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


def parse(given: Mapping[str, str]) -> Options:
    """Raises InvalidSpec for an unknown option or a value that can't be; the text of `credentials` is never quoted."""
    known = {one.name for one in fields(Options)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise InvalidSpec(detail=f"unknown options: {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    credentials = given.get("credentials", "").rstrip("\r\n")
    fingerprint = re.sub(r"[:\s]", "", given.get("fingerprint", "")).lower().removeprefix("sha256")
    options = Options(**{**given, "credentials": credentials, "fingerprint": fingerprint})
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
    if not options.timeout_s.isdecimal() or not 1 <= int(options.timeout_s) <= 300:
        raise InvalidSpec(detail=f"timeout_s is {options.timeout_s!r}, not a whole number of seconds from 1 to 300")
    return options
