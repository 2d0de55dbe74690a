"""What a region's options may say: a mapping of strings in, one frozen value out."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from drivers.errors import InvalidSpec
from drivers.options import read

HOSTS: Final = "hosts"
OPAQUE: Final = "opaque"
SEES: Final = (HOSTS, OPAQUE)
INTERFACES: Final = ("public", "internal", "admin")


@dataclass(frozen=True, slots=True)
class Options:
    """One endpoint's settings."""

    credentials: str = field(default="", repr=False)  # a clouds.yaml with one cloud, or USER:PASSWORD@PROJECT; sealed, never shown again
    sees: str = HOSTS  # `hosts`: each hypervisor is a host (an administrator's credentials); `opaque`: a zone, or the region, is one
    region: str = ""  # of keystone's catalogue; empty: as the credentials say, or the only one
    interface: str = ""  # which of a service's addresses: `public`, `internal`, `admin`; empty: as the credentials say, or `public`
    network: str = ""  # name or id of the network that each server gets a port on; empty: no network
    zone: str = ""  # opaque: the availability zone of all servers, and the host's name; empty: nova's choice, and the region's name
    ca_file: str = ""  # PEM file on the controller's machine with who may have signed the services' certificates; empty: whom it trusts
    arch: str = "x86_64"  # of hosts that don't say it themselves
    disk_gib: str = "100000"  # opaque: what the region is said to have of disk, which projects have no limit of
    timeout_s: str = "10"  # seconds for one request
    call_s: str = "60"  # seconds for one call of the driver, its requests together, but for sending an image
    look_s: str = "600"  # seconds after which all servers are listed anew, not only what changed
    stuck_s: str = "600"  # seconds after which a task of nova's is named, and a build that no hypervisor has begun asked for again

    @property
    def hosts(self) -> bool:
        """Whether hypervisors are hosts."""
        return self.sees == HOSTS


def parse(given: Mapping[str, str]) -> Options:
    """Raises InvalidSpec for an unknown option or a value that can't be; the text of `credentials` is never quoted."""
    options = read(Options, given)
    for name, allowed in (("sees", SEES), ("interface", ("", *INTERFACES))):
        if getattr(options, name) not in allowed:
            raise InvalidSpec(detail=f"{name} is {getattr(options, name)!r}, not one of {', '.join(filter(None, allowed))}")
    if options.zone and options.hosts:
        raise InvalidSpec(detail="zone is for sees=opaque: hypervisors say by themselves in which zone they are")
    if options.ca_file and not options.ca_file.startswith("/"):
        raise InvalidSpec(detail=f"ca_file {options.ca_file!r} is not an absolute path")
    for name, most in (("timeout_s", 300), ("call_s", 3600), ("look_s", 86_400), ("stuck_s", 86_400), ("disk_gib", 10**9)):
        text = getattr(options, name)
        if not (text.isdecimal() and text.isascii()) or not 1 <= int(text) <= most:
            raise InvalidSpec(detail=f"{name} is {text!r}, not a whole number from 1 to {most}")
    return options
