"""Made-up fleets and applications for benchmarks of the scheduler: 8 zones, 3 architectures, 2 traits, 40 flavors, gangs that lie apart."""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from itertools import product

from scheduler.fleet import Fleet
from scheduler.place import propose
from scheduler.types import Host, Item, NoValidHost, Placement, Resources, Spread

ZONES = tuple(f"zone-{number}" for number in range(8))
ARCHES = ("x86_64", "x86_64", "x86_64", "aarch64", "loongarch64")
FLAVORS = tuple(
    Resources(vcpus, vcpus * ratio * 1024, disk_gib) for vcpus, ratio, disk_gib in product((1, 2, 4, 8, 16), (1, 2, 4, 8), (20, 100))
)
"""Forty of them."""

Gang = list[Item]
Taken = list[tuple[Item, Placement]]


def host(number: int, dice: random.Random) -> Host:
    """A hypervisor of one of three sizes, with vCPUs given out three times."""
    vcpus, memory_mib, disk_gib = dice.choice(((192, 256 << 10, 8_000), (288, 512 << 10, 12_000), (384, 1024 << 10, 16_000)))
    zone = dice.choice(ZONES)
    return Host(
        id=f"{dice.getrandbits(128):032x}",
        name=f"{zone}-host-{number}",
        pool="general",
        zone=zone,
        site=zone[:-1],
        arch=dice.choice(ARCHES),
        traits=frozenset({"ssd"} if dice.random() < 0.5 else ()),
        kinds=frozenset({"vm"}),
        capacity=Resources(vcpus, memory_mib, disk_gib),
        used=Resources(),
        cordoned=False,
        up=True,
        generation=1,
        rack=f"{zone}-rack-{dice.randrange(50)}",
    )


def gang(name: str, where: Host, dice: random.Random) -> Gang:
    """One application: an instance, or, one time in four, three that lie apart; of `where`'s architecture, half of them in its zone."""
    count = 3 if dice.random() < 0.25 else 1
    wish = Item(
        key=name,
        kind="vm",
        resources=dice.choice(FLAVORS),
        arch=where.arch,
        zones=(where.zone,) if dice.random() < 0.5 else (),
        spread=Spread(name, "anti_affinity") if count > 1 else None,
    )
    return [wish] * count


def gangs(items: int, name: str, hosts: Sequence[Host], dice: random.Random) -> Iterator[Gang]:
    """Applications for about so many items; what they name is asked for as often as there are `hosts` that have it."""
    while items > 0:
        made = gang(f"{name}-{items}", dice.choice(hosts), dice)
        items -= len(made)
        yield made


def settle(fleet: Fleet, batch: list[Gang]) -> Taken:
    """Place a batch, claims included; what found a place."""
    taken: Taken = []
    for asked, result in zip(batch, propose(fleet, batch).results, strict=True):
        if not isinstance(result, NoValidHost):
            taken += zip(asked, result, strict=True)
    return taken


def fill(fleet: Fleet, hosts: Sequence[Host], share: float, dice: random.Random, progress: bool = False) -> Taken:
    """Place until so much of the scarcer of vCPUs and memory is used; what was placed last."""
    taken: Taken = []
    number = 0
    while used(fleet) < share:
        taken = settle(fleet, list(gangs(max(2000, len(fleet)), f"f{number}", hosts, dice)))
        number += 1
        if progress:
            print(f"\r  filling: {used(fleet):.0%}", end="", flush=True)
    if progress:
        print("\r", end="")
    return taken


def used(fleet: Fleet) -> float:
    """How much of the scarcer of vCPUs and memory is used."""
    return max(1.0 - free / total for free, total in zip(fleet.sums()[0][:2], fleet.sums()[1][:2], strict=True))
