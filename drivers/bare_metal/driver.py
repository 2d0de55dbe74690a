"""The bare-metal driver: a machine behind a BMC is an endpoint with one host, which holds one instance of the kind `bare_metal`.

What takes minutes is a run of a playbook (`foreman`, `runs`); the driver begins it and looks. What is whose is in the machine's journal, as
a BMC bears no marks (`record`). A run works on the machine alone: while one does, nobody else asks its BMC for anything.

A look costs one request, which says whether the machine is on and which machine it is: so OFF is said of this very machine, at this very
look, and others may go by it. The rest of what the BMC says is read again when either has changed, as that is when somebody may have opened
the machine, or put another in its place. A password that was refused is left alone for a while, as BMCs lock accounts that fail often; new
credentials open a new connection, which tries them at once.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial
from typing import Final

from drivers.bare_metal.address import parse
from drivers.bare_metal.bmc import OFF, Bmc, open_bmc
from drivers.bare_metal.foreman import Foreman, Job, foreman_at
from drivers.bare_metal.host import host_of, identified
from drivers.bare_metal.machine import Act, Machine
from drivers.bare_metal.orders import WITHIN_S, order_for, order_within, refuse
from drivers.bare_metal.record import (
    Do,
    Record,
    Stage,
    Step,
    Tenant,
    Work,
    begun,
    busy,
    claimed,
    cut_off,
    given_back,
    may_switch,
    observed,
    powered,
    to_be_closed,
    to_ensure,
    to_remove,
    to_tend,
)
from drivers.bare_metal.runs.order import Order
from drivers.bare_metal.standing import closed
from drivers.base import Driver, HostInventory, HostPower, InstanceSpec, Inventory, Observation, Power
from drivers.errors import NotSupported, PasswordRefused, WrongMachine
from drivers.journal import Entry, Journal, Workplace

LEFT_ALONE_S: Final = 300.0
TURN_S: Final = 86_400.0
"""For so long a run may wait for its turn, and its ticket for the API holds all the same."""


class BareMetalDriver:
    """Implements Driver, Events, PowerControl, `journal.Journaled` and `journal.Tends`. Open one with `open_bare_metal`."""

    def __init__(self, bmc: Bmc, uri: str, options: Mapping[str, str]) -> None:
        self._bmc, self._uri, self._options = bmc, uri, options
        self._known: Machine | None = None
        self._refused: tuple[float, PasswordRefused] | None = None
        self._journal: Journal | None = None
        self._workplace: Workplace | None = None
        self._wake: Callable[[str], None] = lambda _: None

    def keep(self, journal: Journal, workplace: Workplace) -> None:
        self._journal, self._workplace = journal, workplace

    def watch(self, wake: Callable[[str], None]) -> None:
        self._wake = wake

    def inventory(self) -> Inventory:
        entry, record = self._read()
        busy_one = self._known if self._busy(record, entry) else None
        host = self._host(self._look(), record) if busy_one is None else self._host_at_work(busy_one, record)
        return Inventory((host,), version=entry.version)

    def observe(self, instance_id: str) -> Observation:
        return self._seen(*self._read(), instance_id)

    def observe_all(self) -> tuple[Observation, ...]:
        entry, record = self._read()
        return (self._seen(entry, record, record.tenant.instance_id),) if record.tenant is not None else ()

    def _seen(self, entry: Entry, record: Record, instance_id: str) -> Observation:
        """A system that is being patched goes on: its power is asked for, as of any that is ready."""
        tenant = record.tenant
        installed = tenant is not None and tenant.stage is Stage.INSTALLED and tenant.instance_id == instance_id
        power = self._bmc.power() if installed else HostPower.UNKNOWN
        return observed(record, instance_id, power, entry.progress, at_work=self._busy(record, entry))

    def ensure(self, spec: InstanceSpec) -> None:
        entry, record = self._read()
        if self._closes(entry, record):
            return
        do = to_ensure(record, spec, self._age(record, entry))
        if do is Do.PROVISION:
            self._begin(Step.PROVISION, entry, record, claimed(spec), spec)
        elif do is Do.HYPERVISOR and record.tenant is not None:
            if self._bmc.power() is HostPower.ON:
                tried = replace(record.tenant, reason=None, generation=spec.generation)
                self._begin(Step.HYPERVISOR, entry, record, tried, spec)
            else:
                self._power(entry, record, record.tenant, spec)
        elif do is Do.POWER and record.tenant is not None:
            self._power(entry, record, record.tenant, spec)

    def remove(self, instance_id: str) -> None:
        entry, record = self._read()
        if self._closes(entry, record):
            return
        do = to_remove(record, instance_id, self._age(record, entry))
        if do is Do.NOTHING or record.tenant is None:
            return
        if do is Do.WIPE:
            self._begin(Step.WIPE, entry, record, given_back(record.tenant))
        else:
            self._write(entry, replace(record, tenant=given_back(record.tenant)))

    def tend(self) -> None:
        entry, record = self._read()
        step, served = to_tend(record, entry.asked, self._age(record, entry))
        if step is not None and self._depot:
            self._begin(step, entry, served)
        elif served is not record and self._write(entry, served) and record.work is not None:
            self._journal_of().keep_run(cut_off(record.work))

    def switch_power(self, host: str, wanted: HostPower) -> HostPower:
        entry, record = self._read()
        may_switch(record, wanted, host)
        machine = self._look()
        found = self._host(machine, record).name
        if found != host:
            raise WrongMachine(expected=host, seen=found)
        if machine.power is wanted:
            return wanted
        tenant = record.tenant
        if tenant is not None and not self._write(entry, replace(record, tenant=replace(tenant, cut_at=tenant.generation))):
            return machine.power  # somebody was quicker: it is looked at again
        self._bmc.switch(Act.ON if wanted is HostPower.ON else Act.OFF)
        return self._bmc.power()

    def close(self) -> None:
        self._bmc.close()

    # -- the machine ---------------------------------------------------------------------------------------------------------------

    def _host(self, machine: Machine, record: Record) -> HostInventory:
        return host_of(machine, record, depot=self._depot, otherwise=f"bmc-{parse(self._uri).host}")

    def _host_at_work(self, machine: Machine, record: Record) -> HostInventory:
        """While a run switches it."""
        return self._host(replace(machine, power=HostPower.UNKNOWN), record)

    def _look(self) -> Machine:
        if self._refused is not None and time.monotonic() - self._refused[0] < LEFT_ALONE_S:
            raise PasswordRefused(**self._refused[1].reason.params)
        try:
            seen, known = self._bmc.glance(), self._known
            if known is None or (known.power, known.uuid) != seen:
                known = self._known = self._bmc.machine()
        except PasswordRefused as error:
            self._refused = time.monotonic(), error
            raise
        return known

    def _power(self, entry: Entry, record: Record, tenant: Tenant, spec: InstanceSpec) -> None:
        """Bring it to the power state asked for, and write down that the spec holds. A reboot that is due is off, then on.

        What asks late for it to run, from before its power was cut from outside (`switch_power`), is not heard: neither a spec of then, nor
        one whose look at the record was before.
        """
        power = self._bmc.power()
        if powered(tenant, spec, power):
            held = replace(tenant, generation=spec.generation, reboots=spec.reboots)
            if held != tenant:
                self._write(entry, replace(record, tenant=held))
        elif power is HostPower.ON:
            self._bmc.switch(OFF[spec.force])
        elif power is HostPower.OFF and spec.power is Power.RUNNING and spec.generation > tenant.cut_at:
            on = replace(record, tenant=replace(tenant, reboots=spec.reboots))
            if self._write(entry, on):
                self._bmc.switch(Act.ON)

    # -- runs ----------------------------------------------------------------------------------------------------------------------

    def _begin(self, step: Step, entry: Entry, record: Record, tenant: Tenant | None = None, spec: InstanceSpec | None = None) -> None:
        """Put the run on record, which only one controller can, and start it."""
        journal, foreman = self._journal_of(), self._foreman()
        work, whose = Work(journal.new_id(), step), tenant or record.tenant
        seen = self._look()
        if spec is not None and step is Step.PROVISION:
            refuse(spec, self._host(seen, record).name)
        machine = identified(seen, record)
        if step in WITHIN_S and whose is not None:
            order = self._order_within(work, machine, whose, spec)
        else:
            ours = journal.login_key().public if spec is not None and spec.hypervisor else ""
            given = ({"wipe": entry.wipe} if entry.wipe else {}) | dict(self._options)
            order = order_for(work, self._uri, given, machine, foreman.depot_folder, self._workplace_of().depot_url, spec, ours)
        if not self._write(entry, begun(record, work, tenant)):
            return
        if record.work is not None:
            journal.keep_run(cut_off(record.work))
            foreman.clear(record.work.run_id)
        about = (whose or record.left) if step is Step.WIPE else whose
        instance, project = (about.instance_id, about.project_id) if about else (None, None)
        host, tell = partial(self._host_at_work, seen), partial(self._tell, whose.instance_id if whose else "")
        foreman.begin(Job(work.run_id, step, journal, host, tell, instance, project), order)

    def _order_within(self, work: Work, machine: Machine, tenant: Tenant, spec: InstanceSpec | None) -> Order:
        """For a hypervisor that is to be, known by its instance's name, or one that is, by its endpoint's."""
        journal, lasts_s = self._journal_of(), WITHIN_S[work.step] + TURN_S
        if spec is None:
            ticket = journal.open_ticket(work.run_id, lasts_s, asked=work.step)
        else:
            ticket = journal.open_ticket(work.run_id, lasts_s, instance_id=tenant.instance_id)
        name = tenant.endpoint or (spec.name if spec else "")
        return order_within(work, machine, tenant, name, self._workplace_of(), journal.login_key(), ticket)

    def _tell(self, instance_id: str) -> None:
        if instance_id:
            self._wake(instance_id)
        self._wake("")

    def _busy(self, record: Record, entry: Entry) -> bool:
        return busy(record, self._age(record, entry))

    def _age(self, record: Record, entry: Entry) -> float:
        """How long ago the run on record was confirmed; very long, where this controller knows that it has ended."""
        over = record.work is not None and self._depot and self._foreman().over(record.work.run_id)
        return float("inf") if over else entry.age_s

    # -- what it was given ---------------------------------------------------------------------------------------------------------

    @property
    def _depot(self) -> bool:
        return self._workplace is not None and bool(self._workplace.depot_url)

    def _foreman(self) -> Foreman:
        return foreman_at(self._workplace_of())

    def _workplace_of(self) -> Workplace:
        if self._workplace is None or not self._depot:
            raise NotSupported(detail="no address is set at which machines fetch what they start from (depot_listen)")
        return self._workplace

    def _journal_of(self) -> Journal:
        if self._journal is None:
            raise NotSupported(detail="this controller keeps no journals")
        return self._journal

    def _read(self) -> tuple[Entry, Record]:
        entry = self._journal.read() if self._journal else Entry()
        return entry, Record.of(entry.document)

    def _closes(self, entry: Entry, record: Record) -> bool:
        """A run that was cancelled, and whose controller is gone, ends; what follows from that is seen first, and nothing else done."""
        due = to_be_closed(record) and not self._busy(record, entry)
        if due:
            self.tend()
        return due

    def _write(self, entry: Entry, record: Record) -> bool:
        """Whether nobody was quicker; else nothing is done, and it is looked at again."""
        return self._journal_of().write(record.document, entry.version, closed(record, depot=self._depot))


def open_bare_metal(uri: str, owner: str, options: Mapping[str, str]) -> Driver:  # noqa: ARG001  # marks are in the journal, which is the owner's
    """Connect to one machine's BMC. Raises InvalidSpec, and what looking at the machine raises."""
    return BareMetalDriver(open_bmc(uri, options), uri, options)
