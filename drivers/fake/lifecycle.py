"""How a fake instance changes: pure functions over one `Record`, the same for every kind of world.

In: the record as the backend has it (or none), a spec, the time, the knobs. Out: the new record and the acts that led to it. No clock
is read and nothing is stored here. Invariants:

* `generation` is stamped only once the whole spec holds; until then the older one (or None) shows.
* A guest that must be off for a change is asked politely and the call ends; the *next* `ensure` goes on from there, as with a hypervisor
  that forgets who asked for a shutdown. Only `force` cuts the power. A build is the opposite: accepted once, it ends by itself.
* Time passes by itself: `settle` turns a record whose hour has come into what it has become, and nobody needs to write that down.

The rejected alternative, a thread per instance that sleeps and then flips a state, can't hold 100,000 instances or be tested with a clock.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass, replace

from drivers.base import CANONICAL_UUID, HOST_NAME, Condition, InstanceSpec, Observation, Power
from drivers.errors import InvalidSpec
from drivers.fake.settings import Knobs


@dataclass(frozen=True, slots=True)
class Record:
    """One instance as the backend has it."""

    instance_id: str
    owner: str
    host: str
    name: str
    vcpus: int
    memory_mib: int
    disk_gib: int
    gpus: int
    build: int
    reboots: int
    live: bool  # power is on (booting and shutting down included)
    generation: int | None  # stamped
    promised: int | None  # becomes `generation` when a build ends
    asked: int  # newest generation accepted
    digest: int  # of what that generation asked
    boots: int = 0
    until: float = 0.0  # BUSY until then; 0: not busy
    leaving: bool = False  # what it is busy with is shutting down
    binding: str = ""  # as `InstanceSpec.binding`


@dataclass(frozen=True, slots=True)
class Act:
    """Something that happened to an instance. `claim` is what its host holds for it from then on: vcpus, memory, disk, gpus; and of those
    GPUs that are known, `devices` which, and how many thousandths."""

    at: float
    instance_id: str
    what: str  # "define" | "resize" | "rebuild" | "boot" | "stop" | "gone" | a violation's name
    host: str
    claim: tuple[int, int, int, int] | None = None
    detail: str = ""
    devices: tuple[tuple[str, int], ...] = ()


def settle(record: Record, now: float) -> Record:
    """The record as time has made it."""
    if not record.until or now < record.until:
        return record
    if record.leaving:
        return replace(record, until=0.0, leaving=False, live=False)
    return replace(record, until=0.0, generation=record.promised)


def view(record: Record, now: float) -> Observation:
    """What `observe` says of it."""
    record = settle(record, now)
    if record.until:
        return Observation(record.instance_id, Condition.BUSY, record.generation, record.host)
    if not record.live:
        return Observation(record.instance_id, Condition.STOPPED, record.generation, record.host)
    return Observation(record.instance_id, Condition.RUNNING, record.generation, record.host, None, (address(record.instance_id),))


def address(instance_id: str) -> str:
    """The same address for the same instance, always; two may share one in a fake network."""
    number = zlib.crc32(instance_id.encode())
    return f"10.{number >> 16 & 255}.{number >> 8 & 255}.{number & 255}"


def console(record: Record, now: float) -> bytes:
    """What the guest has printed: a few lines for each boot."""
    starting = bool(record.until) and now < record.until and not record.leaving
    boots = record.boots - (1 if starting and record.live else 0)
    lines = "fake guest: booting\n" + f"chutian-guest: hostname={record.name} instance-id={record.instance_id}\n" + "fake guest: up\n"
    return (lines * boots).encode()


def refuse(record: Record | None, spec: InstanceSpec, owner: str, now: float) -> None:
    """Raise InvalidSpec where the backend won't have it: another owner's id, a stale generation, another host's live guest, ..."""
    if record is None and not CANONICAL_UUID.fullmatch(spec.instance_id):
        raise InvalidSpec(detail=f"{spec.instance_id!r} is not a UUID in canonical form")
    if not HOST_NAME.fullmatch(spec.name):
        raise InvalidSpec(detail=f"{spec.name!r} can't be a hostname")
    if min(spec.vcpus, spec.memory_mib, spec.disk_gib) < 1 or spec.gpus < 0:
        raise InvalidSpec(detail="an instance needs vcpus, memory and disk")
    if record is None:
        return
    if record.owner != owner:
        raise InvalidSpec(detail=f"instance {spec.instance_id} belongs to another owner")
    if spec.generation < record.asked:
        raise InvalidSpec(detail=f"stale generation: {spec.generation} after {record.asked}")
    if spec.host != record.host and settle(record, now).live:
        raise InvalidSpec(detail=f"instance {spec.instance_id} lives on {record.host}")
    if spec.disk_gib < record.disk_gib and spec.build == record.build:
        raise InvalidSpec(detail=f"a disk can't shrink from {record.disk_gib} to {spec.disk_gib} GiB")


def violations(record: Record | None, spec: InstanceSpec, owner: str, now: float) -> list[Act]:
    """What no correct controller asks, whether or not `refuse` stops it: to be written down before that."""
    if record is None or record.owner != owner or spec.generation < record.asked:
        return []
    found = []
    if spec.host != record.host and settle(record, now).live:
        found.append(Act(now, spec.instance_id, "live_twice", spec.host, detail=f"still lives on {record.host}"))
    if spec.generation == record.asked and record.digest != digest(spec):
        found.append(Act(now, spec.instance_id, "changed_without_generation", spec.host, detail=f"generation {spec.generation}"))
    return found


def digest(spec: InstanceSpec) -> int:
    """Of all that a new generation is needed to change. `force` and the host may differ between two calls for one generation."""
    size = f"{spec.vcpus} {spec.memory_mib} {spec.disk_gib} {spec.gpus}"
    what = spec.image.sha256 if spec.image else f"{spec.container} {spec.container and spec.container.secrets}"
    asked = f"{spec.power} {size} {spec.build} {spec.reboots} {what} {spec.name} {spec.ssh_keys} {spec.binding}\n{spec.user_data}"
    return zlib.crc32(asked.encode())


def needs_image(record: Record | None, spec: InstanceSpec) -> bool:
    """Whether this call would copy the image."""
    return record is None or record.build != spec.build


def advance(record: Record | None, spec: InstanceSpec, owner: str, now: float, knobs: Knobs) -> tuple[Record, list[Act]]:
    """One `ensure`: the record it leaves and what it did on the way. Call `refuse` first."""
    if record is None:
        return _create(spec, owner, now, knobs)
    record = settle(record, now)
    if spec.generation != record.asked:
        record = replace(record, asked=spec.generation, digest=digest(spec))
    if _holds(record, spec):
        return _stamp(record, spec), []
    if record.until and not spec.force:
        return record, []
    acts: list[Act] = []
    if record.live and (record.leaving or not _may_stay_on(record, spec)):
        record, acts = _power_off(record, spec, now, knobs)
    if record.live or record.until:
        return record, acts
    record, more = _apply(record, spec, now, knobs)
    return record, acts + more


def cut_power(record: Record, now: float) -> tuple[Record, list[Act]]:
    """The plug is pulled: by force, or behind the controller's back. A build that was under way never ends well enough to be stamped."""
    record = settle(record, now)
    if not record.live:
        return record, []
    return replace(record, live=False, until=0.0, leaving=False), [Act(now, record.instance_id, "stop", record.host)]


def power_on(record: Record, now: float) -> tuple[Record, list[Act]]:
    """Somebody switches it on."""
    record = settle(record, now)
    if record.live:
        return record, []
    return replace(record, live=True, boots=record.boots + 1), [Act(now, record.instance_id, "boot", record.host)]


def _create(spec: InstanceSpec, owner: str, now: float, knobs: Knobs) -> tuple[Record, list[Act]]:
    on = spec.power is Power.RUNNING
    built = knobs.build_s <= 0
    record = Record(
        instance_id=spec.instance_id,
        owner=owner,
        host=spec.host,
        name=spec.name,
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        disk_gib=spec.disk_gib,
        gpus=spec.gpus,
        build=spec.build,
        reboots=spec.reboots,
        live=on,
        generation=spec.generation if built else None,
        promised=spec.generation,
        asked=spec.generation,
        digest=digest(spec),
        boots=1 if on else 0,
        until=0.0 if built else now + knobs.build_s,
        binding=spec.binding,
    )
    acts = [define(now, spec)]
    if on:
        acts.append(Act(now, spec.instance_id, "boot", spec.host))
    return record, acts


def define(now: float, spec: InstanceSpec, what: str = "define") -> Act:
    """That its host holds so much for it from now on."""
    devices = tuple((part.id, part.milli) for part in spec.devices)
    claim = (spec.vcpus, spec.memory_mib, spec.disk_gib, 0 if devices else spec.gpus)
    return Act(now, spec.instance_id, what, spec.host, claim, devices=devices)


def _same_size(record: Record, spec: InstanceSpec) -> bool:
    size = (spec.vcpus, spec.memory_mib, spec.disk_gib, spec.gpus, spec.binding)
    return size == (record.vcpus, record.memory_mib, record.disk_gib, record.gpus, record.binding)


def _same_shape(record: Record, spec: InstanceSpec) -> bool:
    return _same_size(record, spec) and record.build == spec.build and record.host == spec.host


def _may_stay_on(record: Record, spec: InstanceSpec) -> bool:
    return spec.power is Power.RUNNING and record.reboots >= spec.reboots and _same_shape(record, spec)


def _holds(record: Record, spec: InstanceSpec) -> bool:
    """All that the spec asks is so, or will be when the build under way ends."""
    if record.leaving:
        return False
    return _may_stay_on(record, spec) if record.live else spec.power is Power.STOPPED and _same_shape(record, spec)


def _stamp(record: Record, spec: InstanceSpec) -> Record:
    generation = record.generation if record.until else spec.generation
    if (record.generation, record.promised, record.name) == (generation, spec.generation, spec.name):
        return record
    reboots = max(record.reboots, spec.reboots)
    return replace(record, generation=generation, promised=spec.generation, name=spec.name, reboots=reboots)


def _power_off(record: Record, spec: InstanceSpec, now: float, knobs: Knobs) -> tuple[Record, list[Act]]:
    if spec.force or (knobs.stop_s <= 0 and not knobs.ignores_shutdown):
        return cut_power(record, now)
    if knobs.ignores_shutdown:
        return record, []
    gone = now + knobs.stop_s
    return replace(record, until=gone, leaving=True), [Act(gone, record.instance_id, "stop", record.host)]


def _apply(record: Record, spec: InstanceSpec, now: float, knobs: Knobs) -> tuple[Record, list[Act]]:
    """The guest is off: change what differs, then start it if that is asked."""
    acts: list[Act] = []
    until = 0.0
    if record.host != spec.host:
        acts.append(Act(now, spec.instance_id, "gone", record.host))
        acts.append(define(now, spec))
    elif not _same_size(record, spec):
        acts.append(define(now, spec, "resize"))
    if record.build != spec.build:
        acts.append(Act(now, spec.instance_id, "rebuild", spec.host))
        until = now + knobs.build_s if knobs.build_s > 0 else 0.0
    on = spec.power is Power.RUNNING
    if on:
        acts.append(Act(now, spec.instance_id, "boot", spec.host))
    after = replace(
        record,
        host=spec.host,
        name=spec.name,
        vcpus=spec.vcpus,
        memory_mib=spec.memory_mib,
        disk_gib=spec.disk_gib,
        gpus=spec.gpus,
        build=spec.build,
        reboots=max(record.reboots, spec.reboots),
        live=on,
        boots=record.boots + on,
        generation=record.generation if until else spec.generation,
        promised=spec.generation,
        until=until,
        binding=spec.binding,
    )
    return after, acts
