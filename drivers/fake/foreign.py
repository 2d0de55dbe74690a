"""What is in a fake world and isn't ours: pure functions over the same `Record`s, whose owner is nobody, whose id is its own."""

from __future__ import annotations

import uuid
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import replace

from drivers.adopting import Foreign, NotAdoptable
from drivers.base import HostInventory, InstanceSpec, Power, Reason
from drivers.fake.lifecycle import Act, Record, address, cut_power, define, digest, settle

NOBODY = ""


def stranger(id_: str, name: str, host: str, size: tuple[int, int, int], live: bool) -> Record:
    """A guest that nobody of ours made."""
    return Record(id_, NOBODY, host, name, *size, 0, 0, 0, live, None, None, 0, 0)


def populace(world: str, hosts: Sequence[str], count: int) -> Iterator[Record]:
    """So many guests, spread over the hosts of a world, the same each time."""
    for number in range(count):
        id_ = str(uuid.uuid5(uuid.NAMESPACE_URL, f"fake:{world}/{number}"))
        yield stranger(id_, f"Guest {number + 1}", hosts[number % len(hosts)], (1, 1024, 10), True)


def told(record: Record, now: float) -> Foreign:
    """As who may adopt it is told of it."""
    record = settle(record, now)
    return Foreign(
        id=record.instance_id,
        name=record.name,
        status="busy" if record.until else "on" if record.live else "off",
        power=Power.RUNNING if record.live else Power.STOPPED,
        host=record.host,
        vcpus=record.vcpus,
        memory_mib=record.memory_mib,
        disk_gib=record.disk_gib,
        group="others",
        flavor="theirs",
        image="theirs",
        addresses=(address(record.instance_id),) if record.live else (),
        obstacle=Reason("server_unsettled", {"status": "busy"}) if record.until else None,
    )


def less(hosts: Iterable[HostInventory], there: Iterable[Record], adopted: Collection[str]) -> Iterator[HostInventory]:
    """What hosts have once what is there and isn't taken for ours has its part."""
    others = [one for one in there if one.instance_id not in adopted]
    for host in hosts:
        mine = [one for one in others if one.host == host.name]
        taken = {name: sum(getattr(one, name) for one in mine) for name in ("vcpus", "memory_mib", "disk_gib")}
        yield replace(host, **{name: max(0, getattr(host, name) - amount) for name, amount in taken.items()})


def marked(record: Record | None, spec: InstanceSpec, owner: str, now: float) -> tuple[Record, list[Act]]:
    """It becomes an instance, and isn't touched. Raises NotAdoptable where it is gone or not what was booked."""
    if record is None:
        raise NotAdoptable(Reason("adoptee_gone", {"server": spec.adopted}))
    size = {"vcpus": record.vcpus, "memory_mib": record.memory_mib, "disk_gib": record.disk_gib}
    if (record.host, *size.values()) != (spec.host, spec.vcpus, spec.memory_mib, spec.disk_gib):
        raise NotAdoptable(Reason("adoptee_changed", size))
    found = replace(settle(record, now), instance_id=spec.instance_id, owner=owner, build=spec.build, reboots=spec.reboots)
    holds = found.live == (spec.power is Power.RUNNING)
    return replace(
        found, generation=spec.generation if holds else None, promised=spec.generation, asked=spec.generation, digest=digest(spec)
    ), [define(now, spec)]


def unmarked(record: Record, id_: str, now: float) -> tuple[Record, list[Act]]:
    """It is nobody's again, and isn't touched."""
    _, ended = cut_power(record, now)  # an instance's life has ended, if not the guest's
    return replace(settle(record, now), instance_id=id_, owner=NOBODY), [*ended, Act(now, record.instance_id, "gone", record.host)]
