"""A fake backend as its surroundings see it: what tests may do to it behind a driver's back, and what they may ask of it afterwards.

`world(uri)` gives the one world that an address names: in this process's memory (`fake:NAME`), or in a directory that other processes
open too (`fake:///path`). The first to open it settles its shape; later ones name it with the same options or with none.

Shared by all who open a directory: instances, history, violations, silence. Of this process alone: `fail_next`, `lie`, `calls`, `set`,
`describe`, `foreign`, `leaving`, `stuck`, `wires`.
Faults sit here and not in the driver, so that every connection to one world meets them, as they would a real backend's.
"""

from __future__ import annotations

import json
import os
import random
import threading
import time
from collections import Counter, deque
from collections.abc import Callable, Iterator, Mapping, Set
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from drivers.base import Cell, Gpu, Health, HostInventory, HostPower, Observation
from drivers.errors import HostUnreachable, InvalidSpec, Transient
from drivers.fake.audit import Audit, Claim, Violation
from drivers.fake.foreign import populace
from drivers.fake.lifecycle import Act, Record, cut_power, power_on, settle
from drivers.fake.settings import Knobs, read_address, read_knobs
from drivers.fake.stores import DirectoryStore, MemoryStore, Store

REMEMBERED_CALLS = 100_000  # the log keeps the newest; `counts` keeps them all
VERBS = frozenset(
    {"open", "prepare", "inventory", "observe", "observe_all", "ensure", "remove", "release", "console_log", "watch", "switch_power"}
    | {"foreign", "foreigner", "disown"}
)

Clock = Callable[[], float]
Wake = Callable[[str], None]


@dataclass(slots=True)
class _Fault:
    verb: str
    error: BaseException | Callable[[], BaseException]
    after: bool
    times: int
    instance_id: str | None


class World:
    """One fake backend. Made by `world` only."""

    def __init__(self, given: Mapping[str, str], knobs: Knobs, store: Store, clock: Clock) -> None:
        self.given = given
        self.knobs = knobs
        self.store = store
        self.clock = clock
        self.hosts: dict[str, HostInventory] = {host.name: host for host in _hosts(knobs)}
        self.calls: deque[tuple[str, str | None]] = deque(maxlen=REMEMBERED_CALLS)
        self.counts: Counter[str] = Counter()
        self.lies: dict[str, Observation] = {}
        self.described: dict[str, dict[str, Any]] = {}
        self.foreign: dict[str, Record] = {}  # what isn't ours, by its own id
        self.leaving: set[str] = set()  # instances told to end on hosts that are out of sight
        self.stuck: set[str] = set()  # hosts that take power commands and carry none out
        self.wires: dict[str, Callable[[HostPower], None]] = {}  # what else follows the power of a host: the host in another world
        self._faults: list[_Fault] = []
        self._listeners: list[tuple[str, Wake]] = []
        self._dice = random.Random(knobs.seed)  # noqa: S311  # failures that a seed repeats
        self._lock = threading.Lock()

    # -- what happened -------------------------------------------------------------------------------------------------------------

    @property
    def violations(self) -> list[Violation]:
        """What no correct controller would have asked; a good test ends with `assert world.violations == []`."""
        return list(self.store.audit().violations)

    def history(self, instance_id: str) -> tuple[tuple[float, str, str], ...]:
        """(time, what, host) of everything that happened to an instance, oldest first; also of one that is gone."""
        return self.store.audit().history(instance_id)

    def boots(self, instance_id: str) -> int:
        """How often it was switched on, whoever did it."""
        return sum(what == "boot" for _, what, _ in self.history(instance_id))

    def used(self, host: str) -> Claim:
        """vcpus, memory_mib, disk_gib, gpus that all instances on a host hold together."""
        return self.store.audit().used(host)

    def records(self) -> dict[str, Record]:
        """All instances of all owners, as they are now."""
        now = self.clock()
        return {record.instance_id: settle(record, now) for record in self.store.scan()}

    # -- faults --------------------------------------------------------------------------------------------------------------------

    def set(self, **knobs: object) -> None:
        """Turn knobs of a running world: `set(build_s=3.0, fail=0.1)`. The hosts stay as they are."""
        self.knobs = replace(self.knobs, **knobs)  # type: ignore[arg-type]

    def fail_next(
        self,
        verb: str,
        error: BaseException | Callable[[], BaseException],
        *,
        after: bool = False,
        times: int = 1,
        instance_id: str | None = None,
    ) -> None:
        """Make the next `times` calls of a verb raise, before or `after` their effect took place; of one instance, or of any."""
        if verb not in VERBS:
            raise ValueError(f"no such verb: {verb}")
        with self._lock:
            self._faults.append(_Fault(verb, error, after, times, instance_id))

    def silence(self, *hosts: str) -> None:
        """These hosts stop answering; none named: all do, and the endpoint with them. What runs there goes on running."""
        self.store.silence(self._named(hosts), True)

    def unsilence(self, *hosts: str) -> None:
        """They answer again; none named: all do."""
        self.store.silence(self._named(hosts), False)

    def lie(self, instance_id: str, observation: Observation | None) -> None:
        """Let `observe` and `observe_all` say this instead of the truth, until told otherwise with None."""
        if observation is None:
            self.lies.pop(instance_id, None)
        else:
            self.lies[instance_id] = observation

    def describe(self, host: str, **fields: object) -> None:
        """Let the inventory say this of a host, in fields of `HostInventory`, from now on; for this process alone."""
        self.described[host] = {**self.described.get(host, {}), **fields}

    # -- what others do behind the controller's back -------------------------------------------------------------------------------

    def destroy(self, instance_id: str) -> None:
        """Somebody pulls the plug."""
        self._meddle(instance_id, cut_power)

    def start(self, instance_id: str) -> None:
        """Somebody switches it on."""
        self._meddle(instance_id, power_on)

    def undefine(self, instance_id: str) -> None:
        """Somebody deletes it, disk and all."""
        with self.store.hold(instance_id):
            record = self.store.get(instance_id)
            if record is not None:
                self.store.drop(instance_id, gone(record, self.clock()))
        self.wake(record)

    def fence(self, host: str) -> None:
        """The host loses power: certainly nothing runs there any more, and the backend says so. It stays silent if it was."""
        self.describe(host, health=Health.FENCED)
        self.lose_power(host)

    def lose_power(self, host: str) -> None:
        """The host is off, and nobody is told."""
        for record in list(self.store.scan()):
            if record.host == host:
                self.destroy(record.instance_id)

    # -- for the driver ------------------------------------------------------------------------------------------------------------

    def enter(self, verb: str, instance_id: str | None) -> BaseException | None:
        """Begin a call: log it, be slow, fail. Returns what the call must raise once its effect took place."""
        with self._lock:
            self.calls.append((verb, instance_id))
            self.counts[verb] += 1
            fault = self._fault(verb, instance_id) if self._faults else None
            knobs = self.knobs
            if fault is None and knobs.fail > 0 and self._dice.random() < knobs.fail:
                fault = Transient(detail="failure asked for by the option `fail`"), self._dice.random() < 0.5
        if knobs.latency_s > 0:
            time.sleep(knobs.latency_s)
        silent = self.store.silent()
        if silent and silent >= self.hosts.keys():
            raise HostUnreachable(detail="the fake endpoint does not answer")
        if fault is None:
            return None
        error, after = fault
        if not after:
            raise error
        return error

    def reach(self, host: str) -> None:
        """Raises HostUnreachable where one host is silent."""
        if host in self.store.silent():
            raise HostUnreachable(detail=f"{host} does not answer")

    def out_of_sight(self, host: str) -> bool:
        """Whether the backend lost sight of a host: containers there end when it is back, or are released."""
        return self.described.get(host, {}).get("health") is Health.SILENT

    def switch(self, host: str, wanted: HostPower) -> HostPower:
        """A host's power command; the power afterwards."""
        power = HostPower(self.described.get(host, {}).get("power", self.hosts[host].power))
        if power is wanted or host in self.stuck:
            return power
        self.describe(host, power=wanted)
        if wanted is HostPower.OFF:
            self.lose_power(host)
        if host in self.wires:
            self.wires[host](wanted)
        return wanted

    def listen(self, owner: str, wake: Wake) -> None:
        """Call `wake` for each change of this owner's instances."""
        with self._lock:
            self._listeners = [*self._listeners, (owner, wake)]

    def unlisten(self, wakes: list[Wake]) -> None:
        """Never again."""
        with self._lock:
            self._listeners = [(owner, wake) for owner, wake in self._listeners if wake not in wakes]

    def wake(self, record: Record | None) -> None:
        """Tell those who listen. Changes that only time brings are not told: a hint may be lost."""
        if record is not None:
            for owner, wake in self._listeners:
                if owner == record.owner:
                    wake(record.instance_id)

    def _meddle(self, instance_id: str, act: Callable[[Record, float], tuple[Record, list[Act]]]) -> None:
        with self.store.hold(instance_id):
            record = self.store.get(instance_id)
            if record is not None:
                record, acts = act(record, self.clock())
                self.store.put(record, acts)
        self.wake(record)

    def _named(self, hosts: tuple[str, ...]) -> Set[str]:
        unknown = [host for host in hosts if host not in self.hosts]
        if unknown:
            raise ValueError(f"no such host: {unknown}")
        return frozenset(hosts or self.hosts)

    def _fault(self, verb: str, instance_id: str | None) -> tuple[BaseException, bool] | None:
        for fault in self._faults:
            if fault.verb == verb and fault.instance_id in {None, instance_id}:
                fault.times -= 1
                if fault.times <= 0:
                    self._faults.remove(fault)
                return (fault.error if isinstance(fault.error, BaseException) else fault.error()), fault.after
        return None


def gone(record: Record, now: float) -> list[Act]:
    """The acts of an instance's end."""
    _, acts = cut_power(record, now)
    return [*acts, Act(now, record.instance_id, "gone", record.host)]


_WORLDS: dict[str, World] = {}
_WORLDS_LOCK = threading.Lock()


def world(uri: str, options: Mapping[str, str] | None = None, clock: Clock | None = None) -> World:
    """The world that an address names, made if there is none. `clock` counts for who makes it: by default `time.monotonic` in memory,
    `time.time` in a directory, where processes must agree. Raises InvalidSpec for a bad address, or one that differs from the world's.
    """
    address = read_address(uri, options or {})
    with _WORLDS_LOCK:
        found = _WORLDS.get(address.name)
        if found is None:
            given = address.given if address.directory is None else _settled_shape(Path(address.directory), address.given)
            knobs = read_knobs(given)
            ceiling = (
                knobs.vcpus * knobs.overcommit_vcpus,
                knobs.memory_mib * knobs.overcommit_memory_mib,
                knobs.disk_gib * knobs.overcommit_disk_gib,
                float(knobs.gpus),
            )
            audit = Audit(ceiling)
            store: Store = MemoryStore(audit) if address.directory is None else DirectoryStore(Path(address.directory), audit)
            found = World(given, knobs, store, clock or (time.monotonic if address.directory is None else time.time))
            found.foreign = {one.instance_id: one for one in populace(address.name, list(found.hosts), knobs.foreign)}
            _WORLDS[address.name] = found
    if address.given and address.given != found.given:
        raise InvalidSpec(detail=f"{uri!r}: this fake world was made with other options: {dict(found.given)}")
    return found


def forget(uri: str) -> None:
    """Let this process forget a world; one in memory is gone with that, one in a directory is found again."""
    with _WORLDS_LOCK:
        _WORLDS.pop(read_address(uri, {}).name, None)


def _settled_shape(root: Path, given: Mapping[str, str]) -> Mapping[str, str]:
    """The options that the first process to open this directory wrote down; ours, if we are the first."""
    root.mkdir(parents=True, exist_ok=True)
    settled = root / "world.json"
    mine = root / f"world.json.{os.getpid()}-{threading.get_ident()}.tmp"
    mine.write_text(json.dumps(dict(given)))
    try:
        os.link(mine, settled)  # whole or not at all, and only for the first
    except FileExistsError:
        shape: dict[str, str] = json.loads(settled.read_text())
        return shape
    finally:
        mine.unlink()
    return given


def _hosts(knobs: Knobs) -> Iterator[HostInventory]:
    traits, kinds = frozenset(knobs.traits), frozenset(knobs.kinds)
    for i in range(knobs.hosts):
        arch = knobs.arch[i % len(knobs.arch)]
        power = HostPower.OFF if i >= knobs.hosts - knobs.off else HostPower.ON
        host = HostInventory(
            f"host-{i + 1:04}", arch, knobs.vcpus, knobs.memory_mib, knobs.disk_gib, knobs.gpus, traits, kinds, power=power
        )
        if i == 0:
            host = replace(host, machine=knobs.machine)
        yield replace(host, cpu_baselines=frozenset(knobs.cpu_baselines), cells=tuple(_cells(knobs)), devices=tuple(_gpus(knobs)))


def _cells(knobs: Knobs) -> Iterator[Cell]:
    for number in range(knobs.cells):
        first, last = (knobs.vcpus * at // knobs.cells for at in (number, number + 1))
        yield Cell(number, tuple(range(first, last)), knobs.memory_mib // knobs.cells)


def _gpus(knobs: Knobs) -> Iterator[Gpu]:
    for number in range(knobs.gpus):
        yield Gpu(f"gpu-{number}", knobs.gpu_model, knobs.gpu_shared)
