"""A real region whose parts fail: hypervisors, nova, the way to it, builds; and what an unclear answer leaves behind."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import asdict, replace
from pathlib import Path

import pytest

from drivers.base import Condition, Health
from drivers.errors import HostUnreachable, Transient
from drivers.openstack.driver import OpenStackDriver
from tests.drivers.contract import Backend, converge, eventually, settle
from tests.drivers.openstack.backend import Behind, connect, options_for, uri
from tests.drivers.openstack.conftest import MakeSpec
from tests.lab.openstack.gate import Fault
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import ADMIN

pytestmark = [pytest.mark.real, pytest.mark.slow]
ROOT = Path(__file__).parents[3]
POST = {"service": "nova-api", "method": "POST", "path": "/servers$"}


@pytest.fixture
def gate(region: Region) -> Iterator[Callable[..., None]]:
    """Faults on the way to the region; none are left."""
    yield region.gate.expect
    region.gate.expect()


# -- unclear answers ---------------------------------------------------------------------------------------------------------------------


def test_a_create_whose_answer_is_lost_is_found_and_not_repeated(
    driver: OpenStackDriver, behind: Behind, make_spec: MakeSpec, patient: Backend, gate: Callable[..., None]
) -> None:
    spec = make_spec()
    gate(Fault(**POST, act="cut"))
    driver.ensure(spec)
    seen = converge(patient, driver, spec)
    assert seen.generation == 1
    assert behind.actions(spec.instance_id) == ["create"]


def test_a_create_that_is_lost_on_its_way_is_told_and_made_by_the_next(
    driver: OpenStackDriver, behind: Behind, make_spec: MakeSpec, patient: Backend, gate: Callable[..., None]
) -> None:
    spec = make_spec()
    gate(Fault(**POST, act="drop"))
    with pytest.raises(HostUnreachable):
        driver.ensure(spec)
    assert driver.observe(spec.instance_id).condition is Condition.ABSENT
    converge(patient, driver, spec)
    assert behind.actions(spec.instance_id) == ["create"]


def test_a_create_that_arrives_after_it_was_given_up_is_found(
    driver: OpenStackDriver, behind: Behind, make_spec: MakeSpec, patient: Backend, gate: Callable[..., None]
) -> None:
    """Two arrive: the one that was late, and the one that was asked for meanwhile."""
    spec = make_spec()
    gate(Fault(**POST, delay_s=7))
    with pytest.raises(HostUnreachable):
        driver.ensure(spec)
    converge(patient, driver, spec)
    eventually(patient, "both", lambda: len(behind.servers(spec.instance_id)) == 2)
    seen = driver.observe(spec.instance_id)
    assert seen.generation is None
    converge(patient, driver, spec)
    eventually(patient, "one", lambda: len(behind.servers(spec.instance_id)) == 1)


@pytest.mark.parametrize("action", ["cut", "drop"])
def test_no_lost_answer_on_the_way_of_a_change_does_harm(
    driver: OpenStackDriver, behind: Behind, make_spec: MakeSpec, patient: Backend, gate: Callable[..., None], action: str
) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    reboot = replace(spec, generation=2, reboots=1)
    gate(*(Fault("nova-api", "POST", path, action) for path in ("/action$", "/metadata$")))
    converge(patient, driver, reboot)
    assert behind.actions(spec.instance_id) == ["create", "stop", "start"]


def test_a_region_that_is_busy_is_asked_again_for_a_read_as_it_says(driver: OpenStackDriver, gate: Callable[..., None]) -> None:
    gate(Fault("nova-api", "GET", "/servers/detail", status=429, retry_after_s=1))
    began = time.monotonic()
    assert list(driver.observe_all()) == []
    assert time.monotonic() - began >= 1
    gate(Fault("nova-api", "GET", "/servers/detail", status=503, times=99))
    with pytest.raises(Transient):
        driver.observe_all()


def test_a_write_is_never_repeated_by_itself(
    region: Region, driver: OpenStackDriver, make_spec: MakeSpec, gate: Callable[..., None]
) -> None:
    spec = make_spec()
    gate(Fault(**POST, status=503, retry_after_s=0, times=99))
    before = len(region.gate.requests())
    with pytest.raises(Transient):
        driver.ensure(spec)
    sent = [one for one in region.gate.requests()[before:] if one["method"] == "POST" and one["path"].endswith("/servers")]
    assert len(sent) == 1


def test_processes_that_ensure_the_same_at_once_and_are_killed_leave_one_server_of_each(
    region: Region, driver: OpenStackDriver, owner: str, behind: Behind, make_spec: MakeSpec, patient: Backend, tmp_path: Path
) -> None:
    specs = [make_spec() for _ in range(3)]
    gone = make_spec()
    converge(patient, driver, gone)
    task = {"uri": uri(region), "owner": owner, "options": options_for(ADMIN)}
    task |= {"there": [asdict(spec) for spec in specs], "gone": [gone.instance_id]}
    (tmp_path / "task").write_text(json.dumps(task))
    for _ in range(2):
        hammers = [
            subprocess.Popen([sys.executable, "-m", "tests.drivers.openstack.hammer", tmp_path / "task"], cwd=ROOT, stdout=subprocess.PIPE)
            for _ in range(3)
        ]
        for hammer in hammers:
            assert hammer.stdout is not None
            assert hammer.stdout.readline() == b"through\n"
        for hammer in hammers:
            hammer.kill()
            hammer.communicate()
    for spec in specs:
        converge(patient, driver, spec)
    eventually(patient, "one of each", lambda: all(len(behind.servers(spec.instance_id)) == 1 for spec in specs))
    assert sorted(seen.instance_id for seen in driver.observe_all()) == sorted(spec.instance_id for spec in specs)


@pytest.mark.parametrize("sees", ["hosts", "opaque"])
def test_a_create_that_nova_took_and_lost_within_itself_is_made_anew(
    region: Region, owner: str, behind: Behind, make_spec: MakeSpec, patient: Backend, sees: str
) -> None:
    """Its API has said yes, and what it told its conductor is gone with the message queue: nova itself never comes back to it."""
    driver = connect(owner, sees=sees, stuck_s="20")
    spec = make_spec(host=driver.inventory().hosts[0].name)
    region.kill("nova-conductor")
    try:
        driver.ensure(spec)
        (lost,) = behind.servers(spec.instance_id)
        assert region.lose("conductor", "schedule_and_build_instances") == 1
    finally:
        region.start("nova-conductor")
        region.await_reports()
    driver.ensure(spec)
    assert [one["id"] for one in behind.servers(spec.instance_id)] == [lost["id"]], "it may only be slow"
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.reason) == (Condition.BUSY, None)
    eventually(patient, "named", lambda: driver.observe(spec.instance_id).reason is not None)
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.reason and seen.reason.code) == (Condition.BUSY, "server_stuck")
    assert converge(patient, driver, spec).generation == 1
    assert lost["id"] != behind.server(spec.instance_id)["id"]
    driver.close()


# -- silence -----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("component", ["nova-api", "keystone"])
def test_every_call_to_a_region_that_hangs_ends_in_time(region: Region, owner: str, make_spec: MakeSpec, component: str) -> None:
    driver = connect(owner, timeout_s="1", call_s="3")
    with region.being_frozen(component):
        region.expire_tokens() if component == "keystone" else None
        for ask in (
            driver.inventory,
            driver.observe_all,
            lambda: driver.ensure(make_spec()),
            lambda: driver.observe(str(uuid.uuid4())),
        ):
            began = time.monotonic()
            with pytest.raises(Transient):
                ask()
            assert time.monotonic() - began < 8
    driver.close()


@pytest.mark.parametrize("act", ["drip", "drip body"])
@pytest.mark.parametrize("service", ["nova-api", "keystone"])
def test_an_answer_that_comes_a_byte_at_a_time_is_not_waited_for(
    region: Region, owner: str, gate: Callable[..., None], act: str, service: str
) -> None:
    """Each byte comes well within what a wait may take; the whole would take minutes."""
    driver = connect(owner, timeout_s="1", call_s="3")
    if service == "keystone":
        region.expire_tokens()
    gate(Fault(service, "GET" if service == "nova-api" else "POST", act=act, times=99))
    began = time.monotonic()
    with pytest.raises(Transient):
        driver.observe(str(uuid.uuid4()))
    assert time.monotonic() - began < 8
    gate()
    assert driver.observe(str(uuid.uuid4())).condition is Condition.ABSENT
    driver.close()


def test_a_region_that_is_down_is_unreachable_and_comes_back(
    region: Region, driver: OpenStackDriver, make_spec: MakeSpec, patient: Backend
) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    with region.being_down("nova-api"), pytest.raises(Transient):
        driver.observe(spec.instance_id)
    assert settle(patient, driver, spec.instance_id, Condition.RUNNING).generation == 1


# -- hypervisors -------------------------------------------------------------------------------------------------------------------------


def test_what_a_dead_hypervisor_runs_is_unknown_and_stays(
    region: Region, driver: OpenStackDriver, behind: Behind, make_spec: MakeSpec, patient: Backend
) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    region.kill(spec.host)
    try:
        eventually(patient, "silence", lambda: driver.observe(spec.instance_id).condition is Condition.BUSY)
        seen = driver.observe(spec.instance_id)
        assert seen.reason is not None
        assert seen.reason.code == "host_silent"
        assert list(driver.observe_all()) == [seen]
        assert {host.name: host.health for host in driver.inventory().hosts}[spec.host] is Health.SILENT
        for ask in (lambda: driver.remove(spec.instance_id), lambda: driver.ensure(replace(spec, generation=2, build=2))):
            with pytest.raises(HostUnreachable):
                ask()
        assert behind.actions(spec.instance_id) == ["create"]
    finally:
        region.start(spec.host)
    assert settle(patient, driver, spec.instance_id, Condition.RUNNING).generation == 1


def test_a_guest_that_vanished_is_unknown(driver: OpenStackDriver, behind: Behind, make_spec: MakeSpec, patient: Backend) -> None:
    spec = make_spec()
    converge(patient, driver, spec)
    behind.compute(spec.instance_id).lose(behind.server(spec.instance_id)["id"])
    seen = settle(patient, driver, spec.instance_id, Condition.BUSY)
    assert seen.reason is not None
    assert seen.reason.code == "power_contradicts"
    converge(patient, driver, replace(spec, generation=2))


@pytest.mark.parametrize("fault", ["error", "abort"])
def test_a_build_that_fails_is_said_and_tried_again_when_asked_for(
    region: Region, driver: OpenStackDriver, behind: Behind, make_spec: MakeSpec, patient: Backend, fault: str
) -> None:
    spec = make_spec()
    region.computes[0].configure(fault=fault)
    try:
        driver.ensure(spec)
        seen = settle(patient, driver, spec.instance_id, Condition.FAILED)
    finally:
        region.computes[0].configure(fault=None)
    assert seen.reason is not None
    assert seen.reason.code in ("build_failed", "no_valid_host")
    assert seen.generation == 1
    driver.ensure(spec)
    assert len(behind.servers(spec.instance_id)) == 1, "not for the spec that failed"
    converge(patient, driver, replace(spec, generation=2))
    assert len(behind.servers(spec.instance_id)) == 1


def test_a_slow_build_may_be_told_to_go(region: Region, driver: OpenStackDriver, make_spec: MakeSpec, patient: Backend) -> None:
    spec = make_spec()
    region.computes[0].configure(fault="slow")
    try:
        driver.ensure(spec)
        settle(patient, driver, spec.instance_id, Condition.BUSY)
        driver.remove(spec.instance_id)
        settle(patient, driver, spec.instance_id, Condition.ABSENT)
    finally:
        region.computes[0].configure(fault=None)
