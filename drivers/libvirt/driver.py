"""The libvirt driver: one connection to one libvirtd, one host behind it.

It does through libvirt's API alone what `drivers.base` asks: no shell, no agent of ours on the host, no reading of the host's files; so
any URI that libvirt understands will do. What a domain bears (`drivers.libvirt.domain.Mark`) and what the pool holds is all that is known
of an instance.

Invariants: what boots has been verified (`base_image`); a domain with the right uuid but another owner is never touched; `remove` finds
leftovers by instance id even when the domain is gone. In one process, calls for one instance follow each other, across connections too;
two processes that act at once collide in libvirt, and the loser is told to come again.

While an asked-for shutdown is under way the guest is seen RUNNING, with its older generation: libvirt does not know who was asked.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from typing import Any, Final
from weakref import WeakValueDictionary

import libvirt

from drivers.base import CANONICAL_UUID, Condition, Driver, InstanceSpec, Inventory, Observation, Reason
from drivers.errors import InvalidSpec, NoGuestRuns
from drivers.libvirt import facts, host, probe, volumes
from drivers.libvirt.connection import Connection
from drivers.libvirt.domain import Machine, Mark, mac_address, machine_for
from drivers.libvirt.ensuring import Work, carry_out, mark_of, power_off, refuse
from drivers.libvirt.options import Options, parse

UNDEFINE: Final = (
    libvirt.VIR_DOMAIN_UNDEFINE_MANAGED_SAVE
    | libvirt.VIR_DOMAIN_UNDEFINE_SNAPSHOTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_CHECKPOINTS_METADATA
    | libvirt.VIR_DOMAIN_UNDEFINE_NVRAM
)
NO_FLAGS: Final = frozenset({libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED, libvirt.VIR_ERR_NO_SUPPORT})

FindPool = Callable[[libvirt.virConnect, Options], libvirt.virStoragePool | None]
"""Where the instances' volumes are kept."""

_LOCKS: Final[WeakValueDictionary[str, Any]] = WeakValueDictionary()
_LOCKS_LOCK: Final = threading.Lock()


class LibvirtDriver:
    """Implements Driver, Prepare, Proves, ConsoleLog and Events. Open one with `open_libvirt`."""

    def __init__(self, uri: str, owner: str, options: Options, find_pool: FindPool = host.find_pool) -> None:
        self._owner, self._options, self._find_pool = owner, options, find_pool
        self._watching: list[Callable[[str], None]] = []
        self._virt_lock = threading.Lock()
        self._identity: tuple[int, str, str] | None = None  # with the epoch it was found in, as below
        self._virt: tuple[int, str, tuple[Reason, ...]] | None = None
        self._connection = Connection(uri, self._listen, options.certificates)

    def connect(self) -> None:
        """Find out whether anybody answers."""
        with self._connection.use() as connection:
            self._who(connection)

    def prepare(self) -> None:
        with self._connection.use() as connection:
            host.prepare(connection, self._options)

    def prove(self) -> None:
        with self._connection.use() as connection:
            virt_type, _ = self._virtualization(connection)
            if virt_type == "kvm" and self._options.virt_type == "auto":
                return  # one ran, to find that out
            why = probe.why_not(connection, self._who(connection)[1], virt_type) if virt_type in probe.WITHIN_S else None
            if why is not None:
                raise NoGuestRuns(detail=f"{virt_type}: {why}")

    def inventory(self) -> Inventory:
        with self._connection.use() as connection:
            virt, notes = self._virtualization(connection)
            return Inventory(
                (facts.inventory(connection, self._who(connection)[0], self._find_pool(connection, self._options), virt, notes),)
            )

    def observe(self, instance_id: str) -> Observation:
        with self._connection.use() as connection:
            domain, mark = self._ours(connection, instance_id)
            absent = Observation(instance_id, Condition.ABSENT)
            if domain is None or mark is None:
                return absent
            leases = facts.leases(connection, self._options.network)
            seen = _seen(domain, mark, self._who(connection)[0], leases) or absent
            if seen.condition is Condition.RUNNING and not seen.addresses:
                seen = replace(seen, addresses=facts.asked(domain))
            return seen

    def observe_all(self) -> list[Observation]:
        with self._connection.use() as connection:
            return list(self._each(connection))

    def ensure(self, spec: InstanceSpec) -> None:
        with self._connection.use() as connection:
            refuse(spec, *self._who(connection))
            with _lock(f"instance {spec.instance_id}"):
                carry_out(self._work(connection, spec))

    def remove(self, instance_id: str) -> None:
        """Another owner's domain of that id is left alone, and so are its volumes."""
        if not CANONICAL_UUID.fullmatch(instance_id):  # the volumes to delete are found by this prefix
            raise InvalidSpec(detail=f"{instance_id!r} is not a UUID in canonical form")
        with _lock(f"instance {instance_id}"), self._connection.use() as connection:
            domain = _lookup(connection, instance_id)
            if domain is not None:
                mark = mark_of(domain)
                if mark is None or mark.owner != self._owner:
                    return
                _undefine(domain)
            pool = self._find_pool(connection, self._options)
            if pool is not None:
                pool = host.ready(pool)
                with suppress(libvirt.libvirtError):  # refused while a volume is being made; then the next removal sees more
                    pool.refresh(0)  # what the log daemon has rotated away becomes a volume
                volumes.tidy(pool, instance_id)

    def console_log(self, instance_id: str, max_bytes: int) -> bytes:
        with self._connection.use() as connection:
            domain, _ = self._ours(connection, instance_id)
            if domain is None:
                return b""
            pool = host.ready(self._find_pool(connection, self._options))
            return volumes.tail(pool, volumes.log_name(instance_id), max_bytes)

    def watch(self, wake: Callable[[str], None]) -> None:
        """Returns at once; `wake` is called from the event loop's thread and must not block it."""
        self._watching.append(wake)

    def close(self) -> None:
        self._watching.clear()
        self._connection.close()

    # -- within one connection ---------------------------------------------------------------------------------------------------------

    def _who(self, connection: libvirt.virConnect) -> tuple[str, str]:
        """The host's name and architecture. Asked again after a connection broke: libvirtd asks the DNS each time."""
        known, epoch = self._identity, self._connection.epoch
        if known is None or known[0] != epoch:
            known = (epoch, str(connection.getHostname()), str(connection.getInfo()[0]))
            self._identity = known
        return known[1:]

    def _listen(self, connection: libvirt.virConnect) -> int:
        return int(connection.domainEventRegisterAny(None, libvirt.VIR_DOMAIN_EVENT_ID_LIFECYCLE, self._on_lifecycle, None))

    def _on_lifecycle(self, _connection: object, domain: libvirt.virDomain, _event: int, _detail: int, _opaque: object) -> None:
        for wake in tuple(self._watching):
            wake(domain.UUIDString())

    def _ours(self, connection: libvirt.virConnect, instance_id: str) -> tuple[libvirt.virDomain | None, Mark | None]:
        domain = _lookup(connection, instance_id)
        mark = None if domain is None else mark_of(domain)
        return (domain, mark) if mark is not None and mark.owner == self._owner else (None, None)

    def _each(self, connection: libvirt.virConnect) -> Iterator[Observation]:
        name, _ = self._who(connection)
        leases = facts.leases(connection, self._options.network)
        for domain in connection.listAllDomains():
            mark = mark_of(domain)
            seen = _seen(domain, mark, name, leases) if mark is not None and mark.owner == self._owner else None
            if seen is not None:
                yield seen

    def _work(self, connection: libvirt.virConnect, spec: InstanceSpec) -> Work:
        domain = _lookup(connection, spec.instance_id)
        mark = None if domain is None else mark_of(domain)
        if domain is not None and (mark is None or mark.owner != self._owner):
            raise InvalidSpec(detail=f"instance {spec.instance_id} belongs to another owner")
        return Work(
            spec=spec,
            owner=self._owner,
            connection=connection,
            pool=host.ready(self._find_pool(connection, self._options)),
            network=self._options.network,
            machine=lambda: self._machine(connection, spec.arch),
            copying=_lock(f"image {connection.getURI()} {self._options.pool} {spec.boots_from.sha256}"),
            domain=domain,
            mark=mark,
        )

    def _machine(self, connection: libvirt.virConnect, arch: str) -> Machine:
        return machine_for(self._virtualization(connection)[0], arch)

    def _virtualization(self, connection: libvirt.virConnect) -> tuple[str, tuple[Reason, ...]]:
        """What guests run on, and what an operator should know of it. Found out anew after a connection broke: it takes seconds."""
        with self._virt_lock:
            epoch = self._connection.epoch
            if self._virt is None or self._virt[0] != epoch:
                self._virt = (epoch, *self._find_virtualization(connection))
            return self._virt[1:]

    def _find_virtualization(self, connection: libvirt.virConnect) -> tuple[str, tuple[Reason, ...]]:
        if connection.getType() == "TEST":
            return "test", ()
        if self._options.virt_type != "auto":
            return self._options.virt_type, ()
        why = probe.why_not(connection, self._who(connection)[1])
        return ("kvm", ()) if why is None else ("qemu", (Reason("kvm_unavailable", {"detail": why}),))


def open_libvirt(uri: str, owner: str, options: Mapping[str, str]) -> Driver:
    """Connect to one libvirtd. Raises HostUnreachable, or InvalidSpec for a URI or an option that can't be."""
    driver = LibvirtDriver(uri, owner, parse(options))
    driver.connect()
    return driver


def _lock(name: str) -> Any:
    """The process's lock of that name; gone when nobody holds it."""
    with _LOCKS_LOCK:
        return _LOCKS.setdefault(name, threading.Lock())


def _lookup(connection: libvirt.virConnect, instance_id: str) -> libvirt.virDomain | None:
    if not CANONICAL_UUID.fullmatch(instance_id):
        return None
    try:
        return connection.lookupByUUIDString(instance_id)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise


def _seen(domain: libvirt.virDomain, mark: Mark, host_name: str, leases: Mapping[str, tuple[str, ...]]) -> Observation | None:
    """What is seen of one domain; None if it has gone meanwhile."""
    try:
        condition, reason = facts.judged(domain, *domain.state())
        generation = mark.generation if domain.isPersistent() else None  # undefined while it runs: the spec doesn't hold
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:
            return None
        raise
    instance_id = str(domain.UUIDString())
    addresses = leases.get(mac_address(instance_id), ()) if condition is Condition.RUNNING else ()
    return Observation(instance_id, condition, generation, host_name, reason, addresses)


def _undefine(domain: libvirt.virDomain) -> None:
    """Power it off and forget it."""
    try:
        power_off(domain)
        domain.undefineFlags(UNDEFINE)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_DOMAIN:  # a transient one, gone with its power
            return
        if error.get_error_code() not in NO_FLAGS:
            raise
        domain.undefine()  # the test driver knows no flags
