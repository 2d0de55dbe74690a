"""When a host that its backend lost sight of is certain to run nothing: its machine's BMC says that the machine is off.

In: what a look found of hosts, and what BMCs said. Out: who is fenced. Pure; who asks, and when, is `controller.reconcile.fencing`.

A BMC's answer counts for the very machine that it names, and only where it says OFF: a machine that is on, one that is just changing, a BMC
that names another machine than before, and one that says nothing all prove nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from datetime import UTC, datetime
from typing import Any, Final

from drivers.base import Health, HostInventory, HostPower, Inventory, Reason

PROOF: Final = "machine_off"


def says_off(answer: Inventory | None, machine: str) -> bool:
    """Whether a BMC says that this machine is off; `answer`: all that it says, None where it said nothing."""
    return answer is not None and [host.power for host in answer.hosts if host.machine == machine] == [HostPower.OFF]


def proof(endpoint: str, at: datetime) -> Reason:
    """What people are told of it; `at`: not later than it was seen."""
    return Reason(PROOF, {"endpoint": endpoint, "at": f"{at.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"})


def proof_among(notes: Iterable[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    """That reason among a host's notes as they are kept."""
    return next((note for note in notes if note["code"] == PROOF), None)


def unproven(notes: Iterable[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
    """The others."""
    return [note for note in notes if note["code"] != PROOF]


def silent(inventory: Inventory) -> list[str]:
    """The hosts of which somebody else may know more than their backend."""
    return [host.name for host in inventory.hosts if host.health is Health.SILENT and host.machine]


def judged(inventory: Inventory, proofs: Mapping[str, Reason]) -> Inventory:
    """With the silent hosts for which there is proof fenced, and what proves it among their notes."""
    return replace(inventory, hosts=tuple(_judged(host, proofs.get(host.name)) for host in inventory.hosts))


def _judged(host: HostInventory, found: Reason | None) -> HostInventory:
    if found is None or host.health is not Health.SILENT:
        return host
    return replace(host, health=Health.FENCED, notes=(*host.notes, found))
