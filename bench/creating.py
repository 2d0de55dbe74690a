"""Many callers create instances at once: how fast they are accepted, how fast they become active, what it costs.

Request-to-active ends at the time of the transaction that recorded `active`, by the database's clock, which on one machine is the caller's
too; asking each instance for its state would measure the asking.
"""

from __future__ import annotations

import asyncio
import datetime as dt
import time
import uuid
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import psutil

from bench import cloud
from bench.cloud import Department
from bench.rig import Rig
from bench.wire import Wire

_LONGEST_S = 600.0


@dataclass(frozen=True, slots=True)
class Created:
    """What was seen of one run. Times in seconds; `create_s` and `active_s` hold one entry for each instance."""

    create_s: Sequence[float]
    active_s: Sequence[float]
    accepting_s: float
    activating_s: float
    controller_cpu_s: float
    database_cpu_s: float
    others_share: float
    """CPU used meanwhile by neither the controller nor its database nor this client, as a share of the machine."""


async def create(rig: Rig, departments: Sequence[Department], instances: int, clients: int) -> Created:
    """Create `instances`, spread over the departments, from `clients` connections, and wait until all are active."""
    sent: dict[str, float] = {}
    took: list[float] = []
    numbers = iter(range(instances))
    cpu, load, began = rig.cpu_s(), _Load(), time.time()
    wires = [Wire("127.0.0.1", rig.port) for _ in range(clients)]
    await asyncio.gather(*(_caller(wire, departments, numbers, sent, took) for wire in wires))
    accepted = time.time()
    await _settled(wires[0], rig.token)
    spent, others = rig.cpu_s(), load.others(cpu, rig)
    active = await _active(wires[0], rig.token, sent)
    for wire in wires:
        await wire.close()
    return Created(
        create_s=took,
        active_s=[active[id_] - at for id_, at in sent.items()],
        accepting_s=accepted - began,
        activating_s=max(active.values()) - began,
        controller_cpu_s=spent[0] - cpu[0],
        database_cpu_s=spent[1] - cpu[1],
        others_share=others,
    )


async def _caller(wire: Wire, departments: Sequence[Department], numbers: Iterator[int], sent: dict[str, float], took: list[float]) -> None:
    for number in numbers:
        department = departments[number % len(departments)]
        body = {"project": department.path, "flavor": cloud.FLAVOR, "image": cloud.IMAGE}
        at = time.time()
        made = await wire.call("POST", "/v1/instances", department.token, body, key=uuid.uuid4().hex)
        took.append(wire.took_s)
        sent[made["id"]] = at


async def _settled(wire: Wire, token: str) -> None:
    deadline = time.monotonic() + _LONGEST_S
    for state in ("pending", "building"):
        while (await wire.call("GET", f"/v1/instances?state={state}&limit=1", token))["items"]:
            if time.monotonic() > deadline:
                raise TimeoutError(f"instances are still {state} after {_LONGEST_S:.0f} s")
            await asyncio.sleep(0.05)


async def _active(wire: Wire, token: str, wanted: dict[str, float]) -> dict[str, float]:
    """When each instance became active."""
    found: dict[str, float] = {}
    cursor = ""
    while len(found) < len(wanted):
        page = await wire.call("GET", f"/v1/instances?state=active&limit=500{cursor}", token)
        found |= {one["id"]: dt.datetime.fromisoformat(one["since"]).timestamp() for one in page["items"] if one["id"] in wanted}
        if page["next"] is None:
            break
        cursor = f"&cursor={page['next']}"
    if len(found) < len(wanted):
        raise RuntimeError(f"{len(wanted) - len(found)} instances are not active")
    return found


class _Load:
    """The machine's busy time, to tell how much of it was neither ours nor what we measure."""

    def __init__(self) -> None:
        self._busy, self._at, self._own = _busy_s(), time.monotonic(), time.process_time()

    def others(self, cpu: tuple[float, float], rig: Rig) -> float:
        """The others' share since this began."""
        ours = sum(rig.cpu_s()) - sum(cpu) + time.process_time() - self._own
        capacity = (time.monotonic() - self._at) * (psutil.cpu_count() or 1)
        return max(0.0, _busy_s() - self._busy - ours) / capacity


def _busy_s() -> float:
    times = psutil.cpu_times()
    return float(times.user + times.system + times.nice + times.irq + times.softirq)
