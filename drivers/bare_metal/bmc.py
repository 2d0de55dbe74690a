"""A machine's BMC, whatever it speaks: the words that the driver and the playbooks have for it, and the one door to it.

Acts return as soon as the BMC took them and none repeats or waits, as `drivers.base` asks of drivers. Whether an act took effect is seen by
looking (`power`, `machine`); who may wait uses `drivers.bare_metal.waiting`.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from drivers.bare_metal import address, options
from drivers.bare_metal.api import fingerprint_of
from drivers.bare_metal.ipmi import Ipmi
from drivers.bare_metal.machine import Act, BootMode, BootOverride, Machine, Source
from drivers.bare_metal.redfish import Redfish
from drivers.base import HostPower

OFF = {True: Act.OFF, False: Act.POLITE_OFF}


class Bmc(Protocol):
    """One machine's. All methods may raise `drivers.errors`; all are safe to call from several threads at once."""

    def machine(self) -> Machine:
        """All that it says: by Redfish about a dozen requests, more with many disks."""
        ...

    def ports(self) -> tuple[str, ...]:
        """The MACs of its network ports, where it knows any: by Redfish a request for each port and two more."""
        ...

    def power(self) -> HostPower:
        """Whether the machine is on; unknown while it changes. One request."""
        ...

    def glance(self) -> tuple[HostPower, str]:
        """Its power, and the UUID of the machine that has it: by Redfish one answer that says both."""
        ...

    def switch(self, act: Act) -> None:
        """Ask for a power action. Raises PowerRefused."""
        ...

    def boot_from(self, source: Source, *, once: bool = True, mode: BootMode | None = None) -> None:
        """Make the next boot be from there, and those after it as before or, where it isn't for `once`, from there as well; in that mode,
        where the BMC has a word for it, or as the BMC has it. Raises NotSupported.
        """
        ...

    def boot(self) -> BootOverride:
        """What the next boot is from, by the BMC's own word. One request."""
        ...

    def insert(self, url: str) -> None:
        """Put the image at that URL into the virtual CD drive, in place of any other. There already: nothing happens."""
        ...

    def eject(self) -> None:
        """Take every image out of the virtual CD drives. Empty already: nothing happens."""
        ...

    def close(self) -> None:
        """Let go of connections."""
        ...


def open_bmc(uri: str, given: Mapping[str, str]) -> Bmc:
    """Get ready to talk to the BMC at that address (`address.parse`), with those options (`options.Options`); nothing is sent yet.

    Raises InvalidSpec.
    """
    where, how = address.parse(uri), options.parse(given)
    return Ipmi(where, how) if where.speaks is address.Speaks.IPMI else Redfish(where, how)


def certificate(uri: str, timeout_s: float = 10.0) -> str:
    """The fingerprint to pin: SHA-256, in hex, of the certificate that the BMC shows now. Raises InvalidSpec and BmcUnreachable."""
    return fingerprint_of(address.parse(uri), timeout_s)
