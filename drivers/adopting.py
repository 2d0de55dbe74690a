"""What is behind an endpoint and isn't ours, and how it becomes ours without being touched: an optional power of drivers.

What is adopted is known by the id that its backend gave it, for good: `InstanceSpec.adopted`. So adopting is no verb of its own. The
controller puts on record that it wants it, and `ensure` finds it by that id and marks it as an instance's, once or again, whoever died
meanwhile; it makes nothing, and nothing is done to what runs. Whether it may be is asked before (`Foreign.obstacle`), and again in the
moment of marking (NotAdoptable). The rejected alternative, a verb that marks at once, would mark before anything is on record.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from drivers.base import Inventory, Power, Reason
from drivers.errors import Permanent


@dataclass(frozen=True, slots=True)
class Foreign:
    """Something that bears no mark of ours. `obstacle`: why it can't be adopted as it is.

    `host`: as `Inventory` names it. `group`: whose it is there, by name or, where that isn't known, by id; `flavor`: how its size is called
    there, `status`: in the backend's words. `power`: None where it is neither on nor off. `image_sha256`: of the bytes that it booted
    from, where they are known.
    """

    id: str
    name: str
    status: str
    power: Power | None
    host: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    group: str = ""
    flavor: str = ""
    image: str = ""
    image_sha256: str = ""
    addresses: tuple[str, ...] = ()
    created_at: str = ""  # ISO 8601, UTC
    obstacle: Reason | None = None


class NotAdoptable(Permanent):
    """It can't become an instance: `reason` is the obstacle."""

    code = "not_adoptable"

    def __init__(self, obstacle: Reason) -> None:
        super().__init__(**obstacle.params)
        self.reason = obstacle


@runtime_checkable
class Adopts(Protocol):
    """What is behind the endpoint already can become instances."""

    def foreign(self, after: str, most: int) -> tuple[tuple[Foreign, ...], str]:
        """Some of what isn't ours, in a fixed order, and where to go on from; empty: that was all. `after`: empty, or what was told before.

        Raises InvalidSpec for a place that there is not any more.
        """
        ...

    def foreigner(self, id_: str) -> Foreign | None:
        """One of them; None where there is none of that id that isn't ours."""
        ...

    def inventory_with(self, adopted: Collection[str]) -> Inventory:
        """As `inventory`; what is `adopted`, whether it bears our mark yet or not, is not taken off its host."""
        ...

    def disown(self, instance_id: str, adopted: str) -> None:
        """Take our marks off what became this instance, and do nothing else to it. Gone, or unmarked: nothing happens."""
        ...
