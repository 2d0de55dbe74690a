"""Where a BMC is: an endpoint's address in, one frozen value out.

`redfish+https://HOST[:PORT][/redfish/v1/Systems/ID]` or `ipmi://HOST[:PORT]`. No Redfish without TLS: the password would go over the
wire as it is. An address that holds a user or a password is refused without being quoted.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum
from typing import Final
from urllib.parse import urlsplit

from drivers.errors import InvalidSpec

ROOT: Final = "/redfish/v1"
SYSTEMS: Final = f"{ROOT}/Systems"


class Speaks(StrEnum):
    """A BMC's protocol."""

    REDFISH = "redfish+https"
    IPMI = "ipmi"


PORTS: Final = {Speaks.REDFISH: 443, Speaks.IPMI: 623}


@dataclass(frozen=True, slots=True)
class Address:
    """`system`: the path of the machine's resource; empty: the only one that there is."""

    speaks: Speaks
    host: str
    port: int
    system: str = ""


def parse(uri: str) -> Address:
    """Raises InvalidSpec."""
    try:
        parts = urlsplit(uri)
        port, path = parts.port, parts.path.rstrip("/")
    except ValueError as error:
        raise InvalidSpec(detail=f"the address can't be read: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidSpec(detail="the address holds a user or a password; these belong into the credentials")
    if parts.scheme not in list(Speaks) or not parts.hostname or parts.query or parts.fragment:
        raise InvalidSpec(detail=f"{uri!r} is neither redfish+https://HOST:PORT/redfish/v1/Systems/ID nor ipmi://HOST:PORT")
    speaks = Speaks(parts.scheme)
    system = "" if path in ("", ROOT, SYSTEMS) else path
    if system and (speaks is Speaks.IPMI or not _names_one(system)):
        raise InvalidSpec(detail=f"the path {path!r} is no machine's: {SYSTEMS}/ID, for Redfish alone")
    return Address(speaks, parts.hostname, PORTS[speaks] if port is None else port, system)


def _names_one(path: str) -> bool:
    return path.startswith(f"{SYSTEMS}/") and "/" not in path.removeprefix(f"{SYSTEMS}/") and path.isprintable() and " " not in path
