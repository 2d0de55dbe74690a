"""The scheduler as the benchmarks drive it: one item at a time, on a fleet that learns as it goes."""

from __future__ import annotations

from scheduler.fleet import Fleet
from scheduler.history import Arrivals
from scheduler.place import propose
from scheduler.types import Host, Item, NoValidHost, Resources

KIND, ARCH = "vm", "any"


def host(name: str, capacity: Resources, **labels: object) -> Host:
    """A host that is there, and empty."""
    plain: dict[str, object] = {"pool": "p", "zone": "z", "site": "s", "traits": frozenset(), "used": Resources()}
    state = {"cordoned": False, "up": True, "generation": 1, "arch": ARCH, "kinds": frozenset({KIND})}
    return Host(id=name, name=name, capacity=capacity, **{**plain, **state, **labels})  # type: ignore[arg-type]


def put(fleet: Fleet, item: Item, arrivals: Arrivals | None = None) -> str | None:
    """Place and claim; the host's id, None where there is none. What arrives is learnt from, placed or not."""
    if arrivals is not None and arrivals.count(item):
        fleet.teach(arrivals.learnt(fleet.gpus()))
    (result,) = propose(fleet, [[item]]).results
    return None if isinstance(result, NoValidHost) else result[0].host_id
