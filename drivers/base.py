"""The boundary between the controller and what it drives: one small vocabulary of end states.

A driver is one open connection to one endpoint (a libvirtd, a Kubernetes cluster, ...). Its verbs name end states and repeat
safely: `ensure(spec)` may be called any number of times, from a controller that died in the middle of the last call or from two
controllers at once. A driver never retries, sleeps, schedules or sees the database; deciding *when* and *whether* is the
controller's. It stamps our ids, its owner and the spec's counters on the backend's own object, so that what it finds there is all it needs
to know: nothing is remembered between calls that could not be forgotten.

ABSENT is a positive answer ("the backend says there is no such thing"); a backend that can't be asked raises.

Optional powers (console, events, ...) are further small Protocols: having the method is the capability. The rejected alternative, a table
of booleans beside one large class, says the same thing in two places.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, Protocol, runtime_checkable

from drivers.container import Container

CANONICAL_UUID: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}")
HOST_NAME: Final = re.compile(r"[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?")  # an RFC 1123 label


@dataclass(frozen=True, slots=True)
class Reason:
    """Why something is as it is: a stable code and its parameters; the controller's catalogue makes the sentence."""

    code: str
    params: Mapping[str, str | int] = field(default_factory=dict)


class Condition(StrEnum):
    """What a driver saw just now."""

    RUNNING = "running"
    STOPPED = "stopped"
    BUSY = "busy"  # on its way (shutting down, rebooting, being copied): look again soon; with a reason: something holds it up
    ABSENT = "absent"  # the backend answered: there is no such thing
    FINISHED = "finished"  # it came to its end by itself and well, and isn't to be started again
    FAILED = "failed"  # there, but broken; `Observation.reason` says how


class Power(StrEnum):
    """The power state that a spec asks for."""

    RUNNING = "running"
    STOPPED = "stopped"


class HostPower(StrEnum):
    """Whether a host is switched on."""

    ON = "on"
    OFF = "off"
    UNKNOWN = "unknown"  # the backend can't say


@dataclass(frozen=True, slots=True)
class Image:
    """The bytes that an instance boots from, as the controller's store holds them.

    `path` is readable by the controller's process. Digests are lower-case hex of the file's bytes as stored (not of the virtual disk).
    """

    id: str
    path: str
    format: str  # "qcow2" | "raw"
    size_bytes: int
    virtual_size_bytes: int
    sha256: str
    sm3: str


BASELINES: Mapping[str, tuple[str, ...]] = {"x86_64": ("x86-64-v1", "x86-64-v2", "x86-64-v3", "x86-64-v4")}
"""CPU baselines by architecture, the lowest first: levels of features that a guest can be promised; of x86-64 those of its psABI."""


@dataclass(frozen=True, slots=True)
class Cell:
    """One NUMA cell of a host: its number there, its hardware threads, its memory."""

    number: int
    cpus: tuple[int, ...]
    memory_mib: int


@dataclass(frozen=True, slots=True)
class Gpu:
    """One GPU of a host. `id` is stable there (its PCI address). `shared`: several instances may have parts of it, in thousandths."""

    id: str
    model: str = ""
    shared: bool = False


@dataclass(frozen=True, slots=True)
class GpuPart:
    """What an instance has of one GPU: 1000 thousandths are all of it."""

    id: str
    milli: int = 1000


@dataclass(frozen=True, slots=True)
class InstanceSpec:
    """One instance as it should be. Equal specs ask for the same end state.

    `generation` counts every change asked of the instance; the driver stamps it on the backend's object once the whole spec holds, and
    reports it back in `Observation.generation`. `build` counts rebuilds (a new value: throw the root disk away and make it again from
    the image); `reboots` counts reboots asked for (a value higher than the stamped one: reboot once). `force` allows an abrupt power-off
    where the spec needs the guest stopped; without it the guest is asked politely and `ensure` returns at once. `built`: the root disk
    of this build was made before, so that a missing one is lost data: to be reported (DiskMissing), never made up for by an empty one.

    A container has `container`, anything else an `image`. `overcommit`: by size (`vcpus`, `memory_mib`, `disk_gib`), how many times what
    its host has is promised there, for backends that count by themselves what is set aside; 1 where nothing is said.

    `cpu_baseline`: the guest sees a CPU of exactly this level, the same on every host that promises it. `cells`: the NUMA cells that it is
    bound to, in equal parts (none: wherever). `devices`: its GPUs; empty with `gpus` above zero: any of the host's.

    `hypervisor`: the pool that a bare machine joins as a hypervisor once its system is up.

    `adopted`: the backend's own id of what was there before and became this instance (`drivers.adopting`). It is never made, or made up
    for, and keeps its name there; its image may be unknown.
    """

    instance_id: str  # a UUID in canonical form; also the domain's uuid where the backend has one
    project_id: str
    name: str  # an RFC 1123 label: usable as hostname
    kind: str  # "vm" | "container" | "bare_metal"
    host: str  # the host's name behind this endpoint, as `Inventory` gave it
    vcpus: int
    memory_mib: int
    disk_gib: int
    gpus: int
    arch: str  # "x86_64", "aarch64", ...
    image: Image | None
    power: Power
    generation: int
    build: int = 1
    reboots: int = 0
    force: bool = False
    built: bool = False
    user_data: str = ""  # cloud-init user data, verbatim
    ssh_keys: tuple[str, ...] = ()  # OpenSSH public keys for the image's default user
    hypervisor: str = ""
    adopted: str = ""
    container: Container | None = None
    overcommit: Mapping[str, float] = field(default_factory=dict)
    cpu_baseline: str | None = None
    cells: tuple[Cell, ...] = ()
    devices: tuple[GpuPart, ...] = ()

    @property
    def binding(self) -> str:
        """CPU, cells and GPUs as one text, equal for equal ones and empty where nothing is asked: to be kept on the backend's object."""
        parts = {
            "cpu": self.cpu_baseline or "",
            "cells": ",".join(str(cell.number) for cell in self.cells),
            "gpus": ",".join(f"{part.id}={part.milli}" for part in self.devices),
        }
        return " ".join(f"{name}:{value}" for name, value in parts.items() if value)

    @property
    def boots_from(self) -> Image:
        """The image, for drivers of machines; raises ValueError where there is none: a container, which no such driver says that its hosts
        run, or what was adopted and is not rebuilt without one."""
        if self.image is None:
            raise ValueError(f"{self.instance_id} is a {self.kind} and boots from no image")
        return self.image


@dataclass(frozen=True, slots=True)
class Observation:
    """What the backend says of one instance.

    `generation` is the last one whose whole spec held (None where the object carries none yet). `addresses` are guest addresses without
    prefix length, IPv4 first; empty while unknown. `told`: time alone changes nothing of this, and whoever watches (`Events`) is told of
    anything else. `leaving`: it was told to end on `host`, is never started there again, and only that silent host's word that it has
    ended is missing (`Releases`).
    """

    instance_id: str
    condition: Condition
    generation: int | None = None
    host: str | None = None
    reason: Reason | None = None
    addresses: tuple[str, ...] = ()
    told: bool = False
    leaving: bool = False


class Health(StrEnum):
    """Whether a host that the backend knows can be used."""

    READY = "ready"
    SILENT = "silent"  # the backend lost sight of it: what it runs may still run
    FENCED = "fenced"  # it is certain that it runs nothing of ours


@dataclass(frozen=True, slots=True)
class HostInventory:
    """What one host has, before overcommit and reserve.

    `machine` tells the machine itself apart from others, whatever address it is reached by; empty where the backend can't say. `notes` are
    things an operator should know (for instance that KVM does not work and guests are emulated). `closed`: why the backend's own people
    want nothing new there. `zone`: where the backend says that it is; empty: as its pool. `cpu_baselines`: the levels of
    `InstanceSpec.cpu_baseline` that a guest can be given. `cells`: none where the backend can't say, or can't bind guests to them.
    `devices`: which GPUs the `gpus` are; where the backend gives them out itself none, or as many as there are for their model's sake.
    `instances`: how many it takes at most, however small they are; None: as many as fit.
    """

    name: str
    arch: str
    vcpus: int  # hardware threads
    memory_mib: int
    disk_gib: int
    gpus: int = 0
    traits: frozenset[str] = frozenset()
    kinds: frozenset[str] = frozenset({"vm"})
    notes: tuple[Reason, ...] = ()
    machine: str = ""
    zone: str = ""
    health: Health = Health.READY
    closed: Reason | None = None
    instances: int | None = None
    power: HostPower = HostPower.UNKNOWN
    cpu_baselines: frozenset[str] = frozenset()
    cells: tuple[Cell, ...] = ()
    devices: tuple[Gpu, ...] = ()


@dataclass(frozen=True, slots=True)
class Inventory:
    """The hosts behind one endpoint. `complete`: one that it does not name runs nothing any more, and never will again. `version`: of the
    endpoint's journal (`drivers.journal`), where it has one, that they were told from.
    """

    hosts: tuple[HostInventory, ...]
    complete: bool = False
    version: int = 0


class Driver(Protocol):
    """One open connection to one endpoint. All methods may raise `drivers.errors`; all are safe to call from several threads at once."""

    def inventory(self) -> Inventory:
        """The hosts behind this endpoint and what each has."""
        ...

    def observe(self, instance_id: str) -> Observation:
        """One instance, wherever behind this endpoint it is."""
        ...

    def observe_all(self) -> Iterable[Observation]:
        """Everything on the endpoint that bears our owner mark, known to the controller or not."""
        ...

    def ensure(self, spec: InstanceSpec) -> None:
        """Bring one instance towards the spec. May return before it holds; `observe` says BUSY, or an older generation, until it does.

        A container that is found on another host than the spec's is taken away there first, and only then made anew: it lives in one place
        at every moment. Machines are never named another host while theirs may still run them.
        """
        ...

    def remove(self, instance_id: str) -> None:
        """Make one instance, its disks and its leftovers absent. Absent already: nothing happens."""
        ...

    def close(self) -> None:
        """Let go of the connection."""
        ...


@runtime_checkable
class Looks(Protocol):
    """What hosts there are and what runs on them come of the same answers, so that who wants both asks once."""

    def look(self, adopted: Collection[str] = ()) -> tuple[Inventory, Iterable[Observation]]:
        """As `inventory` and `observe_all`; `adopted` as of `drivers.adopting.Adopts.inventory_with`."""
        ...


@runtime_checkable
class Prepare(Protocol):
    """The endpoint needs something made once before it can hold instances (storage pools, networks)."""

    def prepare(self) -> None:
        """Make what is missing; idempotent; called at enrolment and after each reconnect."""
        ...


@runtime_checkable
class Proves(Protocol):
    """What a backend says of its hosts isn't all that there is to know before they join."""

    def prove(self) -> None:
        """Have a guest of a moment run on each host, and end: seconds, or a minute where it is emulated within emulation.

        Raises NoGuestRuns where none does.
        """
        ...


@runtime_checkable
class ConsoleLog(Protocol):
    """The instance's serial console output is kept."""

    def console_log(self, instance_id: str, max_bytes: int) -> bytes:
        """The last `max_bytes` of it; empty while there is none."""
        ...


@runtime_checkable
class Events(Protocol):
    """The backend says when something changed."""

    def watch(self, wake: Callable[[str], None]) -> None:
        """Call `wake(instance_id)` from any thread, until closed; with "" where hosts changed.

        A hint only: losing one costs time, never truth.
        """
        ...


@runtime_checkable
class Releases(Protocol):
    """What is on a host that the backend lost sight of need not wait for it, where somebody else knows that its machine is off."""

    def release(self, instance_id: str, host: str) -> None:
        """The host was seen to be off after the instance was observed to be `leaving` it: what the backend still has of it there goes.

        An instance that is not leaving that host, or whose host is in sight, is left as it is.
        """
        ...


@runtime_checkable
class PowerControl(Protocol):
    """Hosts behind this endpoint can be switched on and off whatever runs on them, by their management controllers (BMCs): what fencing
    needs."""

    def switch_power(self, host: str, wanted: HostPower) -> HostPower:
        """Have it on, or off by force (its power is cut); so already: nothing happens. The power as it was read afterwards: whether the
        command took effect is seen by calling again, or by `inventory`.

        Raises MachineAtWork while something of ours works on it, MachineTaken where it would be switched on and belongs to an instance,
        whose spec says when that is; WrongMachine where another is in its place, PowerRefused.
        """
        ...


OpenDriver = Callable[[str, str, Mapping[str, str]], Driver]
"""`open(uri, owner, options)`: `owner` marks this cloud's objects in the backend; raises HostUnreachable or InvalidSpec.

Of the options `credentials` is secret: the controller keeps it sealed and hands it over here alone.
"""
