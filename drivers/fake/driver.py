"""The fake driver: a backend that ships with the product, for scale (10,000 hosts on one machine) and for faults on demand.

`open_fake(uri, owner, options)` connects to the world that the address names (`drivers.fake.settings` lists its options,
`drivers.fake.world` what tests may do to it). Nothing is remembered in a connection: all opens of one address see one truth. It means
what the docstrings of `drivers.base` say, and is strict, so that a controller's errors show early:

* a generation older than the newest accepted is refused: InvalidSpec "stale generation";
* an instance asked for on a second host while it lives on the first is refused, and recorded in `world.violations`, as are a changed spec
  under an unchanged generation, and a host asked to hold more than its inventory times its overcommit factor;
* a host of which the backend lost sight (`describe(host, health=Health.SILENT)`) takes nothing; a container there is told to end, and goes
  when the host is back or when it is released; one released while it lives is recorded;
* another owner's instance can't be ensured (InvalidSpec), seen (ABSENT) or removed (nothing happens);
* the image's file is read and its SHA-256 compared whenever an instance would be built (`verify=0` turns that off).

Where one of several hosts is silent, `observe_all` yields what can be seen and then raises HostUnreachable, and `inventory` notes it at the
host: silence is never reported as absence. It sleeps only if told to (`latency_s`); it is no proof that any real driver works.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Collection, Iterator, Mapping
from dataclasses import replace
from pathlib import Path

from drivers.adopting import Foreign
from drivers.base import Condition, Driver, HostInventory, HostPower, Image, InstanceSpec, Inventory, Observation, Reason
from drivers.errors import HostUnreachable, ImageCorrupt, ImageNotFound, InvalidSpec, WrongMachine
from drivers.fake import foreign
from drivers.fake.audit import WHOLE
from drivers.fake.lifecycle import Act, Record, advance, console, cut_power, needs_image, refuse, settle, view, violations
from drivers.fake.world import World, gone, world


class FakeDriver:
    """One connection to one fake world. Implements Driver, Prepare, Adopts, Releases, PowerControl, ConsoleLog and Events."""

    def __init__(self, backend: World, owner: str) -> None:
        self._world = backend
        self._owner = owner
        self._watching: list[Callable[[str], None]] = []
        self._closed = False

    def prepare(self) -> None:
        """Nothing is missing, ever."""
        self._finish(self._begin("prepare", None))

    def inventory(self) -> Inventory:
        return self.inventory_with(())

    def inventory_with(self, adopted: Collection[str]) -> Inventory:
        late = self._begin("inventory", None)
        silent = self._world.store.silent()
        note = (Reason("host_unreachable", {"detail": "does not answer"}),)
        hosts = [replace(host, **self._world.described.get(name, {})) for name, host in self._world.hosts.items()]
        hosts = list(foreign.less(hosts, tuple(self._world.foreign.values()), adopted))
        found = Inventory(tuple(replace(host, notes=note) if host.name in silent else host for host in hosts))
        self._finish(late)
        return found

    def observe(self, instance_id: str) -> Observation:
        late = self._begin("observe", instance_id)
        record = self._ours(instance_id)
        if record is not None:
            self._world.reach(record.host)
        self._finish(late)
        if instance_id in self._world.lies:
            return self._world.lies[instance_id]
        return Observation(instance_id, Condition.ABSENT) if record is None else self._view(record, self._world.clock())

    def observe_all(self) -> Iterator[Observation]:
        late = self._begin("observe_all", None)
        return self._listed(late)

    def _listed(self, late: BaseException | None) -> Iterator[Observation]:
        silent = self._world.store.silent()
        now = self._world.clock()
        lies = dict(self._world.lies)
        unseen = ""
        for record in self._world.store.scan():
            if record.owner != self._owner:
                continue
            if record.host in silent:
                unseen = record.host
            elif record.instance_id not in lies:
                yield self._view(record, now)
        yield from (lie for lie in lies.values() if lie.condition is not Condition.ABSENT)
        self._finish(late)
        if unseen:
            raise HostUnreachable(detail=f"{unseen} does not answer")

    def ensure(self, spec: InstanceSpec) -> None:
        late = self._begin("ensure", spec.instance_id)
        backend = self._world
        self._check_host(spec)
        before = backend.store.get(spec.instance_id)
        if backend.knobs.verify and spec.image and needs_image(before, spec):
            verify_image(spec.image)  # outside the lock: it reads a whole file
        with backend.store.hold(spec.instance_id):
            before = backend.store.get(spec.instance_id)
            now = backend.clock()
            if before is None and spec.adopted:
                before, acts = foreign.marked(backend.foreign.get(spec.adopted), spec, self._owner, now)
                backend.store.put(before, acts)
                del backend.foreign[spec.adopted]
            if before is not None and spec.container and before.host != spec.host:  # taken away there, then made here
                if backend.out_of_sight(before.host):
                    backend.leaving.add(spec.instance_id)
                    self._finish(late)
                    return
                before, acts = cut_power(before, now)
                backend.store.put(before, acts)
                backend.leaving.discard(spec.instance_id)
            if before is not None:
                backend.store.note(violations(before, spec, self._owner, now))
            refuse(before, spec, self._owner, now)  # from here on it is on this host, or dead: a fenced host's need not answer
            after, acts = advance(before, spec, self._owner, now, backend.knobs)
            if after is not before:
                backend.store.put(after, acts)
        if after is not before:
            backend.wake(after)
        self._finish(late)

    def foreign(self, after: str, most: int) -> tuple[tuple[Foreign, ...], str]:
        late = self._begin("foreign", None)
        ids = [id_ for id_ in sorted(self._world.foreign) if id_ > after]
        found = tuple(foreign.told(self._world.foreign[id_], self._world.clock()) for id_ in ids[:most])
        self._finish(late)
        return found, ids[most - 1] if len(ids) > most else ""

    def foreigner(self, id_: str) -> Foreign | None:
        late = self._begin("foreigner", None)
        record = self._world.foreign.get(id_)
        self._finish(late)
        return None if record is None else foreign.told(record, self._world.clock())

    def disown(self, instance_id: str, adopted: str) -> None:
        late = self._begin("disown", instance_id)
        backend = self._world
        with backend.store.hold(instance_id):
            record = self._ours(instance_id)
            if record is not None:
                backend.reach(record.host)
                backend.foreign[adopted], acts = foreign.unmarked(record, adopted, backend.clock())
                backend.store.drop(instance_id, acts)
        self._finish(late)

    def remove(self, instance_id: str) -> None:
        late = self._begin("remove", instance_id)
        backend = self._world
        with backend.store.hold(instance_id):
            record = self._ours(instance_id)
            if record is not None:
                backend.reach(record.host)
                if backend.out_of_sight(record.host):
                    backend.leaving.add(instance_id)
                    self._finish(late)
                    return
                backend.store.drop(instance_id, gone(record, backend.clock()))
                backend.leaving.discard(instance_id)
        backend.wake(record)
        self._finish(late)

    def release(self, instance_id: str, host: str) -> None:
        late = self._begin("release", instance_id)
        backend = self._world
        with backend.store.hold(instance_id):
            record = self._ours(instance_id)
            if record is not None and record.host == host and self._leaving(record):
                now = backend.clock()
                if settle(record, now).live:
                    backend.store.note([Act(now, instance_id, "released_alive", host)])
                backend.store.drop(instance_id, gone(record, now))
                backend.leaving.discard(instance_id)
        self._finish(late)

    def _leaving(self, record: Record) -> bool:
        return record.instance_id in self._world.leaving and self._world.out_of_sight(record.host)

    def _view(self, record: Record, now: float) -> Observation:
        seen = view(record, now)
        if not self._leaving(record):
            return seen
        return replace(seen, condition=Condition.BUSY, reason=Reason("host_silent", {"node": record.host}), leaving=True)

    def switch_power(self, host: str, wanted: HostPower) -> HostPower:
        late = self._begin("switch_power", None)
        if host not in self._world.hosts:
            raise WrongMachine(expected=host, seen="-")
        seen = self._world.switch(host, wanted)
        self._finish(late)
        return seen

    def console_log(self, instance_id: str, max_bytes: int) -> bytes:
        late = self._begin("console_log", instance_id)
        record = self._ours(instance_id)
        if record is not None:
            self._world.reach(record.host)
        self._finish(late)
        text = b"" if record is None else console(record, self._world.clock())
        return text[-max_bytes:] if max_bytes > 0 else b""

    def watch(self, wake: Callable[[str], None]) -> None:
        """Returns at once; `wake` is called from the thread that changes something."""
        late = self._begin("watch", None)
        self._watching.append(wake)
        self._world.listen(self._owner, wake)
        self._finish(late)

    def close(self) -> None:
        self._closed = True
        self._world.unlisten(self._watching)

    def _begin(self, verb: str, instance_id: str | None) -> BaseException | None:
        if self._closed:
            raise HostUnreachable(detail="this connection is closed")
        return self._world.enter(verb, instance_id)

    def _finish(self, late: BaseException | None) -> None:
        if late is not None:
            raise late

    def _ours(self, instance_id: str) -> Record | None:
        record = self._world.store.get(instance_id)
        return record if record is not None and record.owner == self._owner else None

    def _check_host(self, spec: InstanceSpec) -> None:
        host = self._world.hosts.get(spec.host)
        if host is None:
            raise InvalidSpec(detail=f"no host {spec.host!r} behind this endpoint")
        if spec.arch != host.arch or spec.kind not in host.kinds:
            raise InvalidSpec(
                detail=f"{host.name} is {host.arch} for {', '.join(sorted(host.kinds))}: no place for {spec.arch} {spec.kind}"
            )
        _check_binding(host, spec)
        self._world.reach(spec.host)
        if self._world.out_of_sight(spec.host):
            raise HostUnreachable(detail=f"nothing is seen of {spec.host}")


def _check_binding(host: HostInventory, spec: InstanceSpec) -> None:
    gpus = {gpu.id: gpu for gpu in host.devices}
    for part in spec.devices:
        if part.id not in gpus or not (0 < part.milli <= WHOLE) or (part.milli < WHOLE and not gpus[part.id].shared):
            raise InvalidSpec(detail=f"{host.name} can't give {part.milli} thousandths of a GPU {part.id}")
    if spec.devices and len(spec.devices) != spec.gpus:
        raise InvalidSpec(detail=f"{len(spec.devices)} devices for {spec.gpus} GPUs")
    if not set(spec.cells) <= set(host.cells):
        raise InvalidSpec(detail=f"{host.name} has no such NUMA cells: {spec.cells}")
    if spec.cpu_baseline and spec.cpu_baseline not in host.cpu_baselines:
        raise InvalidSpec(detail=f"{host.name} does not promise {spec.cpu_baseline}")


def verify_image(image: Image) -> None:
    """Raises ImageNotFound or ImageCorrupt unless the file is there and has the digest on record."""
    try:
        with Path(image.path).open("rb") as file:
            actual = hashlib.file_digest(file, "sha256").hexdigest()
    except OSError as error:
        raise ImageNotFound(image=image.id) from error
    if actual != image.sha256:
        raise ImageCorrupt(image=image.id, algorithm="sha256", expected=image.sha256, actual=actual, where="store")


def open_fake(uri: str, owner: str, options: Mapping[str, str]) -> Driver:
    """Connect to the fake world at `uri`; raises InvalidSpec for a bad address, HostUnreachable while the whole world is silent."""
    backend = world(uri, options)
    late = backend.enter("open", None)
    if late is not None:
        raise late
    return FakeDriver(backend, owner)
