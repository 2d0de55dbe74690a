"""The bare-metal driver, its first part: a machine behind a BMC is an endpoint with one host, which is looked at and not handed out yet.

The host takes instances of the kind `bare_metal` alone, so that no VM and no container is placed there, and it is closed, so that nothing
is: `ensure` would refuse it. Nothing of ours is on a machine that was never provisioned, so ABSENT is the truth about every instance.

A look costs one request, which says whether the machine is on and which machine it is: so OFF is said of this very machine, at this very
look, and others may go by it. The rest of what the BMC says is read again when either has changed, as that is when somebody may have opened
the machine, or put another in its place. A password that was refused is left alone for a while, as BMCs lock accounts that fail often; new
credentials open a new connection, which tries them at once.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Final

from drivers.bare_metal.bmc import Bmc, open_bmc
from drivers.bare_metal.machine import Machine
from drivers.base import Condition, Driver, HostInventory, InstanceSpec, Inventory, Observation, Reason
from drivers.errors import NotSupported, PasswordRefused

GIB: Final = 1 << 30
LEFT_ALONE_S: Final = 300.0


class BareMetalDriver:
    """Implements Driver. Open one with `open_bare_metal`."""

    def __init__(self, bmc: Bmc) -> None:
        self._bmc = bmc
        self._known: Machine | None = None
        self._refused: tuple[float, PasswordRefused] | None = None

    def inventory(self) -> Inventory:
        if self._refused is not None and time.monotonic() - self._refused[0] < LEFT_ALONE_S:
            raise PasswordRefused(**self._refused[1].reason.params)
        try:
            seen, known = self._bmc.glance(), self._known
            if known is None or (known.power, known.uuid) != seen:
                known = self._known = self._bmc.machine()
        except PasswordRefused as error:
            self._refused = time.monotonic(), error
            raise
        return Inventory((host_of(known),))

    def observe(self, instance_id: str) -> Observation:
        return Observation(instance_id, Condition.ABSENT)

    def observe_all(self) -> tuple[Observation, ...]:
        return ()

    def ensure(self, spec: InstanceSpec) -> None:
        raise NotSupported(detail=f"{spec.host} is only looked at: bare metal is not provisioned yet")

    def remove(self, instance_id: str) -> None:
        """Nothing is there to remove."""

    def close(self) -> None:
        self._bmc.close()


def open_bare_metal(uri: str, owner: str, options: Mapping[str, str]) -> Driver:  # noqa: ARG001  # no owner: nothing is marked as ours yet
    """Connect to one machine's BMC. Raises InvalidSpec, and what looking at the machine raises."""
    return BareMetalDriver(open_bmc(uri, options))


def host_of(machine: Machine) -> HostInventory:
    """The machine as a host, on its BMC's word. Raises NotSupported where that word isn't enough to place anything by (IPMI).

    Its identity is that of the BMC's machine and not of what runs on it: a hypervisor that is installed there is a host of its own, whose
    identity is the same UUID without the first word.
    """
    name = machine.uuid or machine.serial
    lacking = [
        what
        for what, there in (("uuid", name), ("arch", machine.arch), ("cpus", machine.cpus), ("memory", machine.memory_mib))
        if not there
    ]
    if machine.cpus is None or machine.memory_mib is None or lacking:
        raise NotSupported(detail=f"the BMC doesn't tell what its machine is: {', '.join(lacking)}")
    return HostInventory(
        name=machine.serial or name,
        arch=machine.arch,
        vcpus=machine.cpus,
        memory_mib=machine.memory_mib,
        disk_gib=sum(disk.size_bytes or 0 for disk in machine.disks) // GIB,
        kinds=frozenset({"bare_metal"}),
        machine=f"bmc {name.lower()}",
        closed=Reason("machine_only_seen"),
        instances=1,
        power=machine.power,
    )
