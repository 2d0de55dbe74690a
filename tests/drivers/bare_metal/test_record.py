"""What follows from a machine's record, for every state that it can be in."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pytest

from drivers.bare_metal.record import (
    CANCELLED,
    CUTS,
    LEASE_S,
    WIPES,
    Do,
    Left,
    Record,
    Stage,
    Step,
    Tenant,
    Work,
    begun,
    claimed,
    ended,
    given_back,
    may_switch,
    observed,
    powered,
    to_ensure,
    to_remove,
    to_tend,
    unwanted,
    written_off,
)
from drivers.bare_metal.standing import State, closed, state
from drivers.base import Condition, HostPower, InstanceSpec, Observation, Power, Reason
from drivers.errors import DiskMissing, InvalidSpec, MachineAtWork, MachineQuarantined, MachineTaken

MINE, OTHERS, RUN = "mine", "others", "run-1"
WHY = Reason("wipe_failed", {"detail": "sda: input/output error"})
SPEC = InstanceSpec(MINE, "project", "db-1", "bare_metal", "m1", 4, 1024, 8, 0, "x86_64", None, Power.RUNNING, generation=3, build=2)


LEFT = Left(MINE, "project")


def tenant(stage: Stage, instance: str = MINE, build: int = 2) -> Tenant:
    return Tenant(instance, "project", stage, 2, build, 0, WHY if stage is Stage.FAILED else None, address="10.0.0.5")


TO_BE = replace(tenant(Stage.INSTALLED), hypervisor="general")
HYPERVISORS = (TO_BE, replace(TO_BE, reason=WHY), replace(TO_BE, endpoint="kvm-01"), replace(TO_BE, stage=Stage.WIPING, endpoint="kvm-01"))


def records() -> Iterator[Record]:
    tenants = [None, *(tenant(stage, who) for stage in Stage for who in (MINE, OTHERS)), tenant(Stage.INSTALLED, build=1), *HYPERVISORS]
    works = [None, *(Work(RUN, step) for step in Step)]
    for whose, work, quarantine, inspection in itertools.product(tenants, works, (None, WHY), (None, {"cpus": 4})):
        yield Record(inspection, whose, work, quarantine, {"inspect": 1}, LEFT if quarantine and whose is None else None)


RECORDS = list(records())
AGES = (0.0, LEASE_S - 1, LEASE_S, float("inf"))


@pytest.mark.parametrize("record", RECORDS)
def test_a_record_is_the_same_when_it_is_read_again(record: Record) -> None:
    assert Record.of(json.loads(json.dumps(record.document))) == record


def test_an_empty_document_is_a_machine_of_which_nothing_is_known() -> None:
    assert Record.of({}) == Record()
    assert state(Record()) is State.UNINSPECTED


@pytest.mark.parametrize("age_s", AGES)
def test_what_ensure_comes_to(age_s: float) -> None:
    for record in RECORDS:
        for built in (False, True):
            _check_ensure(record, replace(SPEC, built=built), age_s)


def test_what_was_asked_before_what_holds_is_refused() -> None:
    for stage in (Stage.PROVISIONING, Stage.INSTALLED, Stage.FAILED):
        with pytest.raises(InvalidSpec, match="stale generation: 1 after 2"):
            to_ensure(Record(tenant=tenant(stage)), replace(SPEC, generation=1), float("inf"))


def _check_ensure(record: Record, spec: InstanceSpec, age_s: float) -> None:
    whose = record.tenant
    if whose is not None and (whose.instance_id == OTHERS or whose.stage is Stage.WIPING):
        with pytest.raises(MachineTaken):
            to_ensure(record, spec, age_s)
    elif whose is None and spec.built:
        with pytest.raises(DiskMissing):
            to_ensure(record, spec, age_s)
    elif record.quarantine is not None:
        with pytest.raises(MachineQuarantined) as raised:
            to_ensure(record, spec, age_s)
        assert raised.value.reason.params["why"] == "wipe_failed"
    elif record.work is not None and age_s < LEASE_S:
        assert to_ensure(record, spec, age_s) is Do.NOTHING
    elif whose is not None and whose.stage is Stage.INSTALLED and whose.build == spec.build:
        assert to_ensure(record, spec, age_s) is (Do.HYPERVISOR if whose.hypervisor and not whose.endpoint else Do.POWER)
    else:
        assert to_ensure(record, spec, age_s) is Do.PROVISION


@pytest.mark.parametrize("age_s", AGES)
def test_what_remove_comes_to(age_s: float) -> None:
    for record in RECORDS:
        do = to_remove(record, MINE, age_s)
        if record.tenant is None or record.tenant.instance_id != MINE:
            assert do is Do.NOTHING
        elif record.work is None or age_s >= LEASE_S:
            assert do is Do.WIPE
        else:
            assert do is (Do.NOTHING if record.tenant.stage is Stage.WIPING else Do.GIVE_BACK)


def idle(record: Record, power: HostPower) -> Observation:
    """How the instance looks while no run works on its machine."""
    return observed(record, MINE, power, {}, at_work=False)


def test_an_instance_is_absent_only_where_the_machine_is_not_its() -> None:
    for record in RECORDS:
        for power in HostPower:
            seen = [observed(record, MINE, power, {"task": "Write", "percent": 7}, at_work=at_work) for at_work in (True, False)]
            absent = record.tenant is None or record.tenant.instance_id != MINE
            assert [one.condition is Condition.ABSENT for one in seen] == [absent, absent]


def test_how_an_instance_looks() -> None:
    running = Record(tenant=tenant(Stage.INSTALLED))
    assert idle(running, HostPower.ON).condition is Condition.RUNNING
    assert idle(running, HostPower.ON).addresses == ("10.0.0.5",)
    assert idle(running, HostPower.OFF).condition is Condition.STOPPED
    assert idle(running, HostPower.UNKNOWN).condition is Condition.BUSY
    failed = idle(Record(tenant=tenant(Stage.FAILED)), HostPower.ON)
    assert (failed.condition, failed.reason, failed.generation) == (Condition.FAILED, WHY, 2)


@pytest.mark.parametrize(
    ("progress", "task", "far"),
    [
        ({}, "…", ""),
        ({"task": "Switch on"}, "Switch on", ""),
        ({"task": "Wipe", "percent": 7}, "Wipe", ", 7 %"),
        ({"task": "Write", "percent": 42, "mb_s": 118}, "Write", ", 42 %, 118 MB/s"),
    ],
)
def test_how_far_a_build_is_is_told(progress: dict[str, Any], task: str, far: str) -> None:
    writing = observed(
        Record(tenant=tenant(Stage.PROVISIONING), work=Work(RUN, Step.PROVISION)), MINE, HostPower.ON, progress, at_work=True
    )
    assert (writing.condition, writing.told) == (Condition.BUSY, True)
    assert writing.reason is not None
    assert (writing.reason.code, writing.reason.params["task"], writing.reason.params["far"]) == ("machine_provision", task, far)


@pytest.mark.parametrize("stage", [Stage.PROVISIONING, Stage.WIPING])
def test_what_was_cut_off_looks_as_if_something_were_to_be_done(stage: Stage) -> None:
    step = Step.WIPE if stage is Stage.WIPING else Step.PROVISION
    for work in (None, Work(RUN, step)):  # written down as cut off, or ended with its controller
        seen = idle(Record(tenant=tenant(stage), work=work), HostPower.ON)
        assert (seen.condition, seen.generation, seen.reason, seen.told) == (Condition.STOPPED, None, None, False)


@pytest.mark.parametrize(("power", "wanted", "reboots", "holds"), [
    (HostPower.ON, Power.RUNNING, 0, True),
    (HostPower.ON, Power.RUNNING, 1, False),
    (HostPower.OFF, Power.RUNNING, 0, False),
    (HostPower.OFF, Power.RUNNING, 1, False),
    (HostPower.ON, Power.STOPPED, 0, False),
    (HostPower.OFF, Power.STOPPED, 0, True),
    (HostPower.OFF, Power.STOPPED, 1, True),
    (HostPower.UNKNOWN, Power.RUNNING, 0, False),
    (HostPower.UNKNOWN, Power.STOPPED, 0, False),
])  # fmt: skip
def test_when_the_power_is_as_asked_for(power: HostPower, wanted: Power, reboots: int, holds: bool) -> None:
    assert powered(tenant(Stage.INSTALLED), replace(SPEC, power=wanted, reboots=reboots), power) is holds


@pytest.mark.parametrize("wanted", [HostPower.ON, HostPower.OFF])
def test_whose_power_may_be_switched_from_outside(wanted: HostPower) -> None:
    for record in RECORDS:
        whose = record.tenant
        if record.work is not None or (whose is not None and whose.stage is not Stage.INSTALLED):
            with pytest.raises(MachineAtWork):
                may_switch(record, wanted, "m1")
        elif whose is not None and wanted is HostPower.ON:
            with pytest.raises(MachineTaken):
                may_switch(record, wanted, "m1")
        else:
            may_switch(record, wanted, "m1")


def test_the_end_of_another_run_changes_nothing() -> None:
    for record in RECORDS:
        assert ended(record, "run-2", WHY, {}, whole=False) is record
        assert ended(record, "run-2", None, {"cpus": 9}, whole=True) is record


def test_every_end_of_a_run_leaves_the_machine_without_work_and_never_loses_whose_it_is() -> None:
    for record in (one for one in RECORDS if one.work is not None):
        for reason, whole in ((None, True), (None, False), (WHY, False), (Reason("bmc_unreachable"), False)):
            after = ended(record, RUN, reason, {"address": "10.0.0.9"}, whole=whole)
            assert after.work is None
            assert record.work is not None
            if record.work.step in (Step.INSPECT, Step.PATCH):
                assert after.tenant == record.tenant, "nothing that an instance sees"
            if record.work.step is not Step.WIPE:
                assert (after.tenant is None) == (record.tenant is None)
                assert after.quarantine == record.quarantine
            if after.tenant is None and record.tenant is not None:
                assert whole or after.quarantine is not None, "a machine that is not clean is free"


@pytest.mark.parametrize("step", [Step.INSPECT, Step.WIPE, Step.PATCH])
def test_what_operators_asked_for_is_due_again_where_its_run_was_cut_off_and_not_where_it_failed(step: Step) -> None:
    asked, whose = {step.value: 1}, replace(tenant(Stage.INSTALLED), hypervisor="east", endpoint="kvm-1")
    due, served = to_tend(Record(tenant=whose if step is Step.PATCH else None), asked, float("inf"))
    assert due is step
    run = begun(served, Work(RUN, step))
    assert to_tend(ended(run, RUN, None, {}, whole=False), asked, float("inf"))[0] is step
    assert to_tend(ended(run, RUN, WHY, {}, whole=False), asked, float("inf"))[0] is None
    assert to_tend(ended(run, RUN, None, {}, whole=True), asked, float("inf"))[0] is None


def test_a_machine_that_was_given_back_while_it_was_set_up_is_wiped() -> None:
    record = begun(Record(), Work(RUN, Step.PROVISION), claimed(SPEC))
    assert to_remove(record, MINE, 0.0) is Do.GIVE_BACK
    leaving = replace(record, tenant=given_back(claimed(SPEC)))
    assert to_remove(leaving, MINE, 0.0) is Do.NOTHING
    after = ended(leaving, RUN, None, {"address": "10.0.0.9"}, whole=True)
    assert to_remove(after, MINE, 0.0) is Do.WIPE


def test_what_a_run_of_provision_leaves() -> None:
    record = begun(Record(), Work(RUN, Step.PROVISION), claimed(SPEC))
    good = ended(record, RUN, None, {"address": "10.0.0.9", "host_key": "ssh-ed25519 AA", "disk": "sda"}, whole=True).tenant
    assert good is not None
    assert (good.stage, good.address, good.host_key, good.disk, good.generation) == (
        Stage.INSTALLED,
        "10.0.0.9",
        "ssh-ed25519 AA",
        "sda",
        3,
    )
    bad = ended(record, RUN, WHY, {}, whole=False).tenant
    assert bad is not None
    assert (bad.stage, bad.reason) == (Stage.FAILED, WHY)
    cut = ended(record, RUN, None, {}, whole=False)
    assert to_ensure(cut, SPEC, 0.0) is Do.PROVISION


def test_a_disk_that_can_not_be_cleared_is_quarantine_at_once_and_other_trouble_only_after_several_tries() -> None:
    record = Record({"cpus": 4}, tenant(Stage.WIPING), Work(RUN, Step.WIPE))
    assert ended(record, RUN, WHY, {}, whole=False) == Record({"cpus": 4}, quarantine=WHY, left=LEFT)
    late = Reason("deadline_passed", {"seconds": 86400})
    assert ended(record, RUN, late, {}, whole=False).quarantine == late, "another wipe would take as long"
    silent = Reason("bmc_unreachable")
    for number in range(1, WIPES):
        record = replace(ended(record, RUN, silent, {}, whole=False), work=Work(RUN, Step.WIPE))
        assert record.tenant is not None
        assert (record.tenant.tries, record.quarantine) == (number, None)
    assert ended(record, RUN, silent, {}, whole=False) == Record({"cpus": 4}, quarantine=silent, left=LEFT)


def test_a_wipe_that_is_always_cut_off_is_begun_anew_and_not_without_end() -> None:
    record = Record({"cpus": 4}, tenant(Stage.WIPING), Work(RUN, Step.WIPE))
    for number in range(1, CUTS):
        cut = ended(record, RUN, None, {}, whole=False)
        assert cut.tenant == replace(tenant(Stage.WIPING), cuts=number)
        assert to_remove(cut, MINE, 0.0) is Do.WIPE
        record = begun(cut, Work(RUN, Step.WIPE))
    assert ended(record, RUN, None, {}, whole=True) == Record({"cpus": 4})
    given_up = ended(record, RUN, None, {}, whole=False)
    assert given_up == Record({"cpus": 4}, quarantine=Reason("wipe_interrupted", {"times": CUTS}), left=LEFT)
    assert state(given_up) is State.QUARANTINED


@pytest.mark.parametrize("work", [None, Work("run-1", Step.WIPE), Work("run-1", Step.HYPERVISOR)])
@pytest.mark.parametrize("stage", Stage)
def test_a_machine_that_was_written_off_is_in_quarantine_until_it_is_wiped(stage: Stage, work: Work | None) -> None:
    tenant = Tenant("i-1", "p-1", stage, 3, 1, 0)
    given_up = written_off(Record({"cpus": 4}, tenant, work), "ops", "burnt")
    assert Record.of(given_up.document) == given_up
    assert (given_up.tenant, given_up.work, given_up.left) == (None, None, Left("i-1", "p-1"))
    assert observed(given_up, "i-1", HostPower.UNKNOWN, {}, at_work=False).condition is Condition.ABSENT
    _, trusted = to_tend(given_up, {"trust": 1}, 0.0)
    assert trusted == replace(given_up, served={"trust": 1}), "it can't be trusted as it is"
    step, wiping = to_tend(given_up, {"wipe": 1}, 0.0)
    assert step is Step.WIPE
    at_work = begun(wiping, Work("run-2", Step.WIPE))
    failed = ended(at_work, "run-2", Reason("wipe_failed", {}), {}, whole=False)
    assert failed.quarantine == given_up.quarantine, "nor once a wipe has failed"
    cleared = ended(at_work, "run-2", None, {}, whole=True)
    assert (cleared.quarantine, cleared.left) == (None, None)


def test_a_machine_in_quarantine_is_given_to_nobody_until_it_is_clean_or_trusted() -> None:
    held = Record({"cpus": 4}, quarantine=WHY, left=LEFT)
    why = closed(held, depot=True)
    assert why is not None
    assert (why.code, why.params["why"]) == ("machine_quarantined", "wipe_failed")
    _, trusted = to_tend(held, {"trust": 1}, 0.0)
    assert trusted == Record({"cpus": 4}, served={"trust": 1})
    step, served = to_tend(held, {"wipe": 1}, 0.0)
    assert step is Step.WIPE
    clean = ended(begun(served, Work(RUN, Step.WIPE)), RUN, None, {"disks": []}, whole=True)
    assert (clean.quarantine, clean.left, closed(clean, depot=True)) == (None, None, None)
    again = ended(begun(served, Work(RUN, Step.WIPE)), RUN, WHY, {}, whole=False)
    assert (again.quarantine, again.left) == (WHY, LEFT), "who had it is owed the certificates as long as it isn't clean"


@pytest.mark.parametrize("step", list(Step))
@pytest.mark.parametrize("whose", [None, tenant(Stage.PROVISIONING), TO_BE, HYPERVISORS[2], tenant(Stage.WIPING)])
@pytest.mark.parametrize("reason", [None, CANCELLED])
def test_a_run_that_was_cancelled_is_not_begun_again_by_itself(step: Step, whose: Tenant | None, reason: Reason | None) -> None:
    record = Record({"cpus": 4}, whose, Work(RUN, step, cancelled=True), served={step.value: 1})
    assert Record.of(record.document) == record
    assert unwanted(record, step)
    for over in (ended(record, RUN, reason, {}, whole=False), to_tend(record, {step.value: 1}, LEASE_S)[1]):
        assert over.work is None
        assert to_tend(over, {step.value: 1}, 0.0) == (None, over)
        if step is Step.WIPE:
            assert (over.tenant, over.quarantine) == (None, CANCELLED), "nothing says that it is clean"
        elif whose is not None and whose.stage is not Stage.WIPING and step in (Step.PROVISION, Step.HYPERVISOR):
            assert over.tenant is not None
            assert over.tenant.reason == CANCELLED
    if whose is not None:
        assert to_ensure(record, SPEC, LEASE_S) is Do.NOTHING if whose.stage is not Stage.WIPING else True
        assert to_remove(record, MINE, LEASE_S) is Do.NOTHING, "it is ended first"
    finished = ended(record, RUN, None, {"address": "10.0.0.9", "endpoint": "kvm-01"}, whole=True)
    assert finished == ended(replace(record, work=Work(RUN, step)), RUN, None, {"address": "10.0.0.9", "endpoint": "kvm-01"}, whole=True)


def test_what_its_operators_ask_for_is_served_once_and_never_while_it_is_somebodys_or_at_work() -> None:
    for record, age_s in itertools.product(RECORDS, AGES):
        step, served = to_tend(record, {"inspect": 2, "wipe": 0}, age_s)
        if record.tenant is not None and record.tenant.is_hypervisor and record.work == Work(RUN, Step.PATCH) and age_s >= LEASE_S:
            assert (step, served) == (Step.PATCH, record), "what was cut off is begun again"
        elif record.tenant is not None or (record.work is not None and age_s < LEASE_S):
            assert (step, served) == (None, record)
        elif record.work is not None:
            assert (step, served) == (record.work.step, record), "what was cut off is begun again"
        else:
            assert step is Step.INSPECT
            assert to_tend(served, {"inspect": 2, "wipe": 0}, age_s) == (None, served)


def test_a_hypervisor_alone_is_patched_once_for_each_time_that_it_is_asked_for() -> None:
    for record, age_s in itertools.product(RECORDS, AGES):
        step, served = to_tend(record, {"patch_host": 2}, age_s)
        hypervisor = record.tenant is not None and record.tenant.is_hypervisor
        if hypervisor and (record.work is None or (record.work.step is Step.PATCH and age_s >= LEASE_S)):
            assert step is Step.PATCH
        else:
            assert step is not Step.PATCH or record.tenant is None, "whoever it is, it is no hypervisor"
        if hypervisor and record.work is None:
            assert to_tend(served, {"patch_host": 2}, age_s) == (None, served)


def test_a_system_becomes_a_hypervisor_after_it_was_set_up_and_is_not_set_up_anew_where_that_fails() -> None:
    wanted = replace(SPEC, hypervisor="general")
    record = ended(begun(Record(), Work(RUN, Step.PROVISION), claimed(wanted)), RUN, None, {"address": "10.0.0.9"}, whole=True)
    assert record.tenant is not None
    assert state(record) is State.PROVISIONING
    assert idle(record, HostPower.ON).condition is Condition.STOPPED, "more is to be done"
    assert to_ensure(record, wanted, 0.0) is Do.HYPERVISOR
    at_work = begun(record, Work(RUN, Step.HYPERVISOR), record.tenant)
    seen = observed(at_work, MINE, HostPower.ON, {"task": "Install libvirt and QEMU"}, at_work=True)
    assert (seen.condition, seen.reason.code if seen.reason else "") == (Condition.BUSY, "machine_hypervisor")
    bad = ended(at_work, RUN, WHY, {}, whole=False)
    assert (idle(bad, HostPower.ON).condition, idle(bad, HostPower.ON).reason) == (Condition.FAILED, WHY)
    assert to_ensure(bad, wanted, 0.0) is Do.HYPERVISOR
    cut = ended(at_work, RUN, None, {}, whole=False)
    assert (cut.tenant, to_ensure(cut, wanted, 0.0)) == (record.tenant, Do.HYPERVISOR)
    assert to_ensure(record, replace(wanted, power=Power.STOPPED), 0.0) is Do.POWER, "it is not wanted to run at all"
    stopped = idle(record, HostPower.OFF)
    assert (stopped.condition, stopped.generation) == (Condition.STOPPED, SPEC.generation)
    good = ended(at_work, RUN, None, {"endpoint": "kvm-01"}, whole=True)
    assert good.tenant is not None
    assert (good.tenant.is_hypervisor, good.tenant.address, state(good)) == (True, "10.0.0.9", State.OCCUPIED)
    assert idle(good, HostPower.ON).condition is Condition.RUNNING
    assert to_ensure(good, wanted, 0.0) is Do.POWER
    assert to_ensure(good, replace(wanted, build=3), 0.0) is Do.PROVISION


@pytest.mark.parametrize(("record", "code"), [
    (Record(), "machine_uninspected"),
    (Record({"cpus": 4}), None),
    (Record({"cpus": 4}, work=Work(RUN, Step.WIPE)), "machine_wiping"),
    (Record({"cpus": 4}, tenant(Stage.WIPING), Work(RUN, Step.WIPE)), None),  # its allocation keeps others off
])  # fmt: skip
def test_why_nobody_is_given_a_machine(record: Record, code: str | None) -> None:
    why = closed(record, depot=True)
    assert (why.code if why else None) == code
    without = closed(record, depot=False)
    assert without is not None
    assert without.code == "machine_only_seen"


@pytest.mark.parametrize(("record", "named"), [
    (Record({"cpus": 4}), State.FREE),
    (Record(work=Work(RUN, Step.INSPECT)), State.INSPECTING),
    (Record(work=Work(RUN, Step.WIPE)), State.WIPING),
    (Record({"cpus": 4}, quarantine=WHY), State.QUARANTINED),
    (Record({"cpus": 4}, tenant(Stage.PROVISIONING)), State.PROVISIONING),
    (Record({"cpus": 4}, tenant(Stage.FAILED)), State.PROVISIONING),
    (Record({"cpus": 4}, tenant(Stage.INSTALLED)), State.OCCUPIED),
    (Record({"cpus": 4}, tenant(Stage.WIPING)), State.WIPING),
])  # fmt: skip
def test_a_machine_in_one_word(record: Record, named: State) -> None:
    assert state(record) is named
