"""What is on record of one machine, and what follows from it: pure. The document of its journal in, values and decisions out.

A machine is free, or somebody's (`Tenant`), or in quarantine. At most one run of a playbook works on it (`Work`): who begins one writes it
into the record first, which only one controller can, and starts it then. A run that nobody confirms any more has ended with its controller
(`drivers.bare_metal.runs` sees to that within `LEASE_S`), and whoever comes next begins the same step anew: every step can be repeated from
its beginning. Decisions never look at why they are asked, so that a first try, a retry, and a controller's restart are one path.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, replace
from enum import StrEnum
from typing import Any, Final

from drivers.base import Condition, HostPower, InstanceSpec, Observation, Power, Reason
from drivers.errors import DiskMissing, InvalidSpec, MachineAtWork, MachineQuarantined, MachineTaken

LEASE_S: Final = 20.0
"""A run that was not confirmed for so long is no longer running anywhere."""
WIPES: Final = 3
"""So often a wipe is begun that fails for another reason than the disk, before the machine goes into quarantine."""
CANCELLED: Final = Reason("run_cancelled", {"task": ""})
WRITTEN_OFF: Final = "machine_written_off"
"""Why a machine is in quarantine whose BMC was given up: out of that it comes by a wipe alone."""
CUTS: Final = 5
"""So often a wipe is begun that is cut off while its controller is there (no memory for it, no disk), before it goes there, too."""


class Step(StrEnum):
    """What a run does to a machine; each is the playbook of that name."""

    INSPECT = "inspect"
    PROVISION = "provision"
    HYPERVISOR = "hypervisor"
    PATCH = "patch_host"
    WIPE = "wipe"


class Stage(StrEnum):
    """How far a tenant's machine is."""

    PROVISIONING = "provisioning"
    INSTALLED = "installed"
    FAILED = "failed"
    WIPING = "wiping"  # given back, and not clean yet


@dataclass(frozen=True, slots=True)
class Tenant:
    """Whose the machine is. `generation`, `build`, `reboots`: the last that hold, or of the try that failed. `reason`: why its last step
    failed. `tries`: wipes that failed; `cuts`: that were cut off. `hypervisor`: the pool that the system is to join as one; `endpoint`: as
    what it has. `cut_at`: the generation that held when its power was cut from outside, which switches it on no more.
    """

    instance_id: str
    project_id: str
    stage: Stage
    generation: int
    build: int
    reboots: int
    reason: Reason | None = None
    address: str = ""
    host_key: str = ""
    disk: str = ""
    tries: int = 0
    cuts: int = 0
    hypervisor: str = ""
    endpoint: str = ""
    cut_at: int = 0

    @property
    def ready(self) -> bool:
        """Whether the machine is all that was asked for, its power apart."""
        return self.stage is Stage.INSTALLED and (not self.hypervisor or bool(self.endpoint))

    @property
    def is_hypervisor(self) -> bool:
        """Whether it is one by our doing."""
        return self.ready and bool(self.endpoint)


@dataclass(frozen=True, slots=True)
class Left:
    """Who left the machine without its disks being cleared: whoever clears them owes him the certificates."""

    instance_id: str
    project_id: str


@dataclass(frozen=True, slots=True)
class Work:
    """The run that is on record. `cancelled`: its operators want it to end."""

    run_id: str
    step: Step
    cancelled: bool = False


@dataclass(frozen=True, slots=True)
class Record:
    """All of it. `inspection`: what the machine said of itself. `served`: how often what its operators asked for was done, by its name.
    `left`: who had a machine that is in quarantine."""

    inspection: Mapping[str, Any] | None = None
    tenant: Tenant | None = None
    work: Work | None = None
    quarantine: Reason | None = None
    served: Mapping[str, int] = field(default_factory=dict)
    left: Left | None = None

    @classmethod
    def of(cls, document: Mapping[str, Any]) -> Record:
        """From its document, which `document` made."""
        tenant, work, left = (document.get(name) for name in ("tenant", "work", "left"))
        return cls(
            document.get("inspection"),
            Tenant(**{**tenant, "stage": Stage(tenant["stage"]), "reason": _reason(tenant["reason"])}) if tenant else None,
            Work(work["run_id"], Step(work["step"]), work.get("cancelled", False)) if work else None,
            _reason(document.get("quarantine")),
            document.get("served", {}),
            Left(**left) if left else None,
        )

    @property
    def uncleared(self) -> Left | None:
        """Whose data is on its disks, for all that is known."""
        return Left(self.tenant.instance_id, self.tenant.project_id) if self.tenant else self.left

    @property
    def document(self) -> dict[str, Any]:
        """As it is kept."""
        return asdict(self)


def _reason(kept: Mapping[str, Any] | None) -> Reason | None:
    return Reason(kept["code"], kept["params"]) if kept else None


def busy(record: Record, age_s: float) -> bool:
    """Whether a run works on the machine, here or elsewhere."""
    return record.work is not None and age_s < LEASE_S


def unwanted(record: Record, step: Step) -> bool:
    """Whether nobody wants what the run on record does any more: it was cancelled, or who it is for has left."""
    left = record.tenant is not None and record.tenant.stage is Stage.WIPING and step is not Step.WIPE
    return left or to_be_closed(record)


def cut_off(work: Work) -> Mapping[str, Any]:
    """A run that ended with its controller, which could not write that down: what `Journal.keep_run` takes."""
    state = "cancelled" if work.cancelled else "interrupted"
    return {"id": work.run_id, "step": work.step.value, "playbook": f"{work.step}.yml", "state": state}


# -- an instance -----------------------------------------------------------------------------------------------------------------


class Do(StrEnum):
    """What `ensure` or `remove` comes to."""

    NOTHING = "nothing"
    PROVISION = "provision"
    HYPERVISOR = "hypervisor"  # make one of the system that is installed
    WIPE = "wipe"
    POWER = "power"  # bring it to the power state asked for; then the spec holds
    GIVE_BACK = "give_back"  # record that it is given back, so that whoever works on it stops


def to_ensure(record: Record, spec: InstanceSpec, age_s: float) -> Do:
    """What brings the machine towards the spec.

    Raises MachineQuarantined, MachineTaken while it is another's (or not clean yet), InvalidSpec for a generation older than the one on
    record, and DiskMissing where it was built before and the record knows nothing of it: nobody's data is ever written over because a
    record was lost.
    """
    tenant = record.tenant
    if tenant is not None and (tenant.instance_id != spec.instance_id or tenant.stage is Stage.WIPING):
        raise MachineTaken(host=spec.host)
    if tenant is not None and spec.generation < tenant.generation:
        raise InvalidSpec(detail=f"stale generation: {spec.generation} after {tenant.generation}")
    if tenant is None and spec.built:
        raise DiskMissing(detail=f"nothing on record says that {spec.host} holds it; look at the machine before it is given away")
    if record.quarantine is not None:
        raise MachineQuarantined(**quarantined(record.quarantine).params)
    if busy(record, age_s) or to_be_closed(record):
        return Do.NOTHING
    if tenant is None or tenant.stage is not Stage.INSTALLED or tenant.build != spec.build:
        return Do.PROVISION
    return Do.POWER if tenant.ready or spec.power is Power.STOPPED else Do.HYPERVISOR


def to_be_closed(record: Record) -> bool:
    """Whether the run on record was cancelled, so that it isn't begun again where its controller is gone (`to_tend`)."""
    return record.work is not None and record.work.cancelled


def to_remove(record: Record, instance_id: str, age_s: float) -> Do:
    """What makes the instance absent and the machine clean."""
    if record.tenant is None or record.tenant.instance_id != instance_id:
        return Do.NOTHING
    if not busy(record, age_s):
        return Do.NOTHING if to_be_closed(record) else Do.WIPE
    return Do.NOTHING if record.tenant.stage is Stage.WIPING else Do.GIVE_BACK


def observed(record: Record, instance_id: str, power: HostPower, progress: Mapping[str, Any], *, at_work: bool) -> Observation:
    """How the instance is. `power` counts where the system is installed alone. `at_work`: whether the run on record is (`busy`); of one
    that ended with its controller nobody tells any more, so that what it was for is due at once.
    """
    tenant = record.tenant
    if tenant is None or tenant.instance_id != instance_id:
        return Observation(instance_id, Condition.ABSENT)
    if tenant.reason is not None:
        return Observation(instance_id, Condition.FAILED, tenant.generation, reason=tenant.reason)
    if not tenant.ready and record.work is not None and at_work:
        return Observation(instance_id, Condition.BUSY, reason=under_way(record.work, progress), told=True)
    if not tenant.ready:  # the next step is to be begun, or one that was cut off anew; but for one whose system is there, and off
        off = tenant.stage is Stage.INSTALLED and power is HostPower.OFF
        return Observation(instance_id, Condition.STOPPED, tenant.generation if off else None)
    conditions = {HostPower.ON: Condition.RUNNING, HostPower.OFF: Condition.STOPPED}
    addresses = (tenant.address,) if tenant.address else ()
    return Observation(instance_id, conditions.get(power, Condition.BUSY), tenant.generation, addresses=addresses)


def under_way(work: Work, progress: Mapping[str, Any]) -> Reason:
    """What a run is about, as far as it is; `far` are its numbers in all languages, where there are any."""
    numbers = {name: value for name in ("percent", "mb_s") if isinstance(value := progress.get(name), int)}
    units = {"percent": "%", "mb_s": "MB/s"}
    far = "".join(f", {value} {units[name]}" for name, value in numbers.items())
    return Reason(f"machine_{work.step}", {"task": str(progress.get("task") or "…"), "far": far, **numbers})


def powered(tenant: Tenant, spec: InstanceSpec, power: HostPower) -> bool:
    """Whether the machine's power is as the spec asks, and no reboot is due."""
    on = power is HostPower.ON
    return on is (spec.power is Power.RUNNING) and power is not HostPower.UNKNOWN and (spec.reboots <= tenant.reboots or not on)


def may_switch(record: Record, wanted: HostPower, host: str) -> None:
    """Whether the machine's power may be switched from outside, whoever's it is. Raises MachineAtWork, MachineTaken."""
    tenant = record.tenant
    if record.work is not None or (tenant is not None and tenant.stage is not Stage.INSTALLED):
        raise MachineAtWork(host=host)
    if tenant is not None and wanted is HostPower.ON:
        raise MachineTaken(host=host)


# -- what changes the record -----------------------------------------------------------------------------------------------------


def begun(record: Record, work: Work, tenant: Tenant | None = None) -> Record:
    """A run begins: for that tenant, where it is about one."""
    return replace(record, work=work, tenant=tenant or record.tenant)


def claimed(spec: InstanceSpec) -> Tenant:
    """The tenant that a run of `provision` is for."""
    counters = (spec.generation, spec.build, spec.reboots)
    return Tenant(spec.instance_id, spec.project_id, Stage.PROVISIONING, *counters, hypervisor=spec.hypervisor)


def given_back(tenant: Tenant) -> Tenant:
    """The tenant who leaves."""
    return replace(tenant, stage=Stage.WIPING, reason=None)


def written_off(record: Record, by: str, said: str) -> Record:
    """Its operators gave the machine up with its disks as they are, since it can't be reached: who had it is rid of it, and is owed the
    certificates should it ever be cleared. A run on record is none any more."""
    return replace(record, tenant=None, work=None, quarantine=Reason(WRITTEN_OFF, {"by": by, "said": said}), left=record.uncleared)


def only_a_wipe_helps(record: Record) -> bool:
    """Whether nobody may trust the machine as it is."""
    return record.quarantine is not None and record.quarantine.code == WRITTEN_OFF


def ended(record: Record, run_id: str, reason: Reason | None, result: Mapping[str, Any], *, whole: bool) -> Record:
    """A run came to its end: `whole`: it did what it should; else `reason` tells why not, and None that it was cut off.

    The record is unchanged where the run isn't the one on it. One that was cancelled is not begun again, however it ended.
    """
    work = record.work
    if work is None or work.run_id != run_id:
        return record
    if work.cancelled and not whole:
        reason = reason or CANCELLED
    idle = replace(record, work=None)
    asked = record.tenant is None or work.step is Step.PATCH
    if asked and reason is None and not whole:  # cut off: what its operators asked for is due again
        return replace(idle, served={**idle.served, work.step.value: max(idle.served.get(work.step.value, 0) - 1, 0)})
    if work.step is Step.INSPECT:
        return replace(idle, inspection=result) if whole else idle
    if work.step is Step.WIPE:
        return _wiped(idle, reason, whole)
    return idle if work.step is Step.PATCH else _set_up(idle, work.step, reason, result, whole)


_AT_ONCE: Final = ("wipe_failed", "write_error", "deadline_passed", CANCELLED.code)
"""Why no other wipe is tried unasked."""


def _wiped(record: Record, reason: Reason | None, whole: bool) -> Record:
    if whole:
        return replace(record, tenant=None, quarantine=None, left=None)
    if reason is None:
        return _cut_short(record)
    tries = record.tenant.tries + 1 if record.tenant else WIPES
    if record.tenant is None or tries >= WIPES or reason.code in _AT_ONCE:
        return _held(record, reason)
    return replace(record, tenant=replace(record.tenant, tries=tries))


def _held(record: Record, why: Reason) -> Record:
    kept = record.quarantine if only_a_wipe_helps(record) else why
    return replace(record, tenant=None, quarantine=kept, left=record.uncleared)


def _cut_short(record: Record) -> Record:
    """A wipe was cut off, and is begun anew by whoever comes next; not without end."""
    if record.tenant is None:
        return record
    cuts = record.tenant.cuts + 1
    if cuts >= CUTS:
        return _held(record, Reason("wipe_interrupted", {"times": cuts}))
    return replace(record, tenant=replace(record.tenant, cuts=cuts))


def _set_up(record: Record, step: Step, reason: Reason | None, result: Mapping[str, Any], whole: bool) -> Record:
    tenant = record.tenant
    if tenant is None or tenant.stage is Stage.WIPING:  # given back meanwhile
        return record
    if whole:
        learned = ("endpoint",) if step is Step.HYPERVISOR else ("address", "host_key", "disk")
        told: dict[str, Any] = {name: str(result.get(name, "")) for name in learned}
        return replace(record, tenant=replace(tenant, stage=Stage.INSTALLED, reason=None, **told))
    stage = Stage.FAILED if step is Step.PROVISION else tenant.stage
    return record if reason is None else replace(record, tenant=replace(tenant, stage=stage, reason=reason))


# -- the machine itself ----------------------------------------------------------------------------------------------------------


_OF_NOBODYS: Final = (Step.INSPECT, Step.WIPE)
_OF_HYPERVISORS: Final = (Step.PATCH,)
"""Steps that operators ask for, by what the machine is."""


def to_tend(record: Record, asked: Mapping[str, int], age_s: float) -> tuple[Step | None, Record]:
    """What its operators asked for and was not done yet: the step to begin, if any, and the record that says that they were served.

    A machine that is somebody's is left alone, but for patching a hypervisor; what was asked then is served when it is free. A run that was
    cancelled, and whose controller is gone, ends here.
    """
    due = {name for name, times in asked.items() if times > record.served.get(name, 0)}
    if record.work is not None and record.work.cancelled and not busy(record, age_s):
        return None, ended(record, record.work.run_id, None, {}, whole=False)
    mine = _OF_HYPERVISORS if record.tenant is not None else _OF_NOBODYS
    if busy(record, age_s) or (record.tenant is not None and not record.tenant.is_hypervisor):
        return None, record
    if record.work is not None:  # cut off, with its controller
        return (record.work.step if record.tenant is None or record.work.step in mine else None), record
    if "trust" in due and record.tenant is None:
        trusted = record if only_a_wipe_helps(record) else replace(record, quarantine=None, left=None)
        return None, replace(trusted, served={**record.served, "trust": asked["trust"]})
    for step in mine:
        if step in due:
            return step, replace(record, served={**record.served, step.value: asked[step]})
    return None, record


def quarantined(cause: Reason) -> Reason:
    """That it could not be cleared, and why."""
    return Reason("machine_quarantined", {**cause.params, "why": cause.code})
