"""The second half of the driver contract (`tests/drivers/contract.py` says what it is): an instance's changes and its end, who may touch
it, what happens behind the driver's back, and its console."""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace

import pytest

from drivers.base import Condition, ConsoleLog, Driver, Events, Power, Releases
from drivers.errors import DriverError, HostUnreachable, Permanent
from tests.drivers.contract import OTHER_OWNER, OWNER, Backend, boots_are, converge, eventually, ids, later, need, settle

# -- changing ----------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("force", [False, True], ids=["politely", "by force"])
def test_a_running_instance_stops_and_starts_again(backend: Backend, driver: Driver, force: bool) -> None:
    if not force:
        need(backend, "polite_stop")
    spec = backend.make_spec()
    converge(backend, driver, spec)
    boots_are(backend, spec.instance_id, 1)
    stop = later(spec, backend, power=Power.STOPPED, force=force)
    converge(backend, driver, stop)
    boots_are(backend, spec.instance_id, 1)
    converge(backend, driver, later(stop, backend, power=Power.RUNNING))
    boots_are(backend, spec.instance_id, 2)


@pytest.mark.parametrize("force", [False, True], ids=["politely", "by force"])
def test_a_reboot_asked_once_happens_once(backend: Backend, driver: Driver, force: bool) -> None:
    if not force:
        need(backend, "polite_stop")
    spec = backend.make_spec()
    converge(backend, driver, spec)
    boots_are(backend, spec.instance_id, 1)
    reboot = later(spec, backend, reboots=spec.reboots + 1, force=force)
    converge(backend, driver, reboot)
    boots_are(backend, spec.instance_id, 2)
    driver.ensure(reboot)
    converge(backend, driver, later(reboot, backend))
    boots_are(backend, spec.instance_id, 2)


def test_a_reboot_asked_of_a_stopped_instance_is_done_by_starting_it(backend: Backend, driver: Driver) -> None:
    need(backend, "unstarted")
    spec = backend.make_spec(power=Power.STOPPED)
    converge(backend, driver, spec)
    start = later(spec, backend, power=Power.RUNNING, reboots=spec.reboots + 1)
    converge(backend, driver, start)
    driver.ensure(start)
    boots_are(backend, spec.instance_id, 1)


def test_resize_gives_the_new_size_and_keeps_it_running(backend: Backend, driver: Driver) -> None:
    need(backend, "resize")
    spec = backend.make_spec()
    converge(backend, driver, spec)
    boots_are(backend, spec.instance_id, 1)
    larger = later(spec, backend, vcpus=spec.vcpus + 1, memory_mib=spec.memory_mib * 2, disk_gib=spec.disk_gib + 1)
    seen = converge(backend, driver, larger)
    assert seen.condition is Condition.RUNNING
    if backend.size is not None:
        assert backend.size(spec.instance_id) == (larger.vcpus, larger.memory_mib, larger.disk_gib)


def test_a_stopped_instance_is_resized_without_being_started(backend: Backend, driver: Driver) -> None:
    need(backend, "resize")
    spec = backend.make_spec(power=Power.STOPPED)
    converge(backend, driver, spec)
    larger = later(spec, backend, vcpus=spec.vcpus + 1, disk_gib=spec.disk_gib + 1)
    converge(backend, driver, larger)
    boots_are(backend, spec.instance_id, 0 if "unstarted" in backend.can else 1)
    if backend.size is not None:
        assert backend.size(spec.instance_id) == (larger.vcpus, larger.memory_mib, larger.disk_gib)


def test_rebuild_keeps_the_identity_and_comes_up_again(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec()
    converge(backend, driver, spec)
    boots_are(backend, spec.instance_id, 1)
    rebuilt = later(spec, backend, build=spec.build + 1)
    converge(backend, driver, rebuilt)
    driver.ensure(rebuilt)
    assert ids(driver) == [spec.instance_id]
    boots_are(backend, spec.instance_id, 2)


def test_a_generation_older_than_the_stamped_one_is_refused(backend: Backend, driver: Driver) -> None:
    need(backend, "refuses_stale")
    spec = backend.make_spec(generation=5)
    converge(backend, driver, spec)
    with pytest.raises(Permanent):
        driver.ensure(replace(spec, generation=4, power=Power.STOPPED, force=True))
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.RUNNING, 5)


# -- removing ----------------------------------------------------------------------------------------------------------------------------


def test_remove_makes_it_absent_and_may_be_repeated(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec()
    converge(backend, driver, spec)
    for _ in range(2):
        driver.remove(spec.instance_id)
        settle(backend, driver, spec.instance_id, Condition.ABSENT)
    assert ids(driver) == []


def test_removing_what_never_was_does_nothing(driver: Driver) -> None:
    driver.remove(str(uuid.uuid4()))
    assert ids(driver) == []


def test_remove_right_after_ensure_leaves_nothing(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec()
    driver.ensure(spec)
    driver.remove(spec.instance_id)
    if "goes_alone" not in backend.can:
        eventually(backend, "its end", lambda: _told_again(driver, spec.instance_id))
    settle(backend, driver, spec.instance_id, Condition.ABSENT)
    time.sleep(20 * backend.pause_s)
    assert driver.observe(spec.instance_id).condition is Condition.ABSENT


def _told_again(driver: Driver, instance_id: str) -> bool:
    driver.remove(instance_id)
    return driver.observe(instance_id).condition is Condition.ABSENT


def test_what_was_removed_may_be_made_again(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec(generation=3, power=Power.STOPPED)
    converge(backend, driver, spec)
    driver.remove(spec.instance_id)
    settle(backend, driver, spec.instance_id, Condition.ABSENT)
    converge(backend, driver, replace(spec, generation=1))


# -- owners and connections --------------------------------------------------------------------------------------------------------------


def test_two_owners_do_not_see_or_touch_each_others_instances(backend: Backend, driver: Driver) -> None:
    need(backend, "marks")
    spec = backend.make_spec()
    converge(backend, driver, spec)
    other = backend.open(OTHER_OWNER)
    try:
        assert other.observe(spec.instance_id).condition is Condition.ABSENT
        assert ids(other) == []
        with pytest.raises(Permanent):
            other.ensure(replace(spec, generation=9, power=Power.STOPPED, force=True))
        with suppress(Permanent):  # to refuse is as good as to do nothing
            other.remove(spec.instance_id)
        if isinstance(other, ConsoleLog):
            assert other.console_log(spec.instance_id, 100) == b""
    finally:
        other.close()
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.RUNNING, spec.generation)


def test_a_new_connection_sees_the_same_truth(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec(generation=4)
    before = converge(backend, driver, spec)
    boots_are(backend, spec.instance_id, 1)
    driver.close()
    again = backend.open(OWNER)
    try:
        seen = again.observe(spec.instance_id)
        assert (seen.condition, seen.generation, seen.host) == (before.condition, before.generation, before.host)
        assert ids(again) == [spec.instance_id]
        again.ensure(spec)
        boots_are(backend, spec.instance_id, 1)
    finally:
        again.close()


def test_releasing_takes_nothing_away_that_is_not_leaving_a_host_out_of_sight(backend: Backend, driver: Driver) -> None:
    if not isinstance(driver, Releases):
        pytest.skip("this backend's hosts can't be lost while it answers")
    spec = backend.make_spec()
    assert not converge(backend, driver, spec).leaving
    for id_, host in ((spec.instance_id, spec.host), (spec.instance_id, "another"), (str(uuid.uuid4()), spec.host)):
        driver.release(id_, host)
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.RUNNING, spec.generation)
    boots_are(backend, spec.instance_id, 1)


# -- what others do ----------------------------------------------------------------------------------------------------------------------


def test_an_instance_killed_behind_our_back_is_seen_off_and_comes_back(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec()
    converge(backend, driver, spec)
    boots_are(backend, spec.instance_id, 1)
    backend.kill(spec.instance_id)
    settle(backend, driver, spec.instance_id, Condition.STOPPED, Condition.ABSENT)
    converge(backend, driver, spec)
    boots_are(backend, spec.instance_id, 2)


def test_an_instance_deleted_behind_our_back_is_absent_and_comes_back(backend: Backend, driver: Driver) -> None:
    if backend.undefine is None:
        pytest.skip("nothing can be deleted behind this driver's back in a way that it could see")
    spec = backend.make_spec()
    converge(backend, driver, spec)
    backend.undefine(spec.instance_id)
    assert driver.observe(spec.instance_id).condition is Condition.ABSENT
    assert ids(driver) == []
    converge(backend, driver, spec)


def test_a_change_behind_our_back_wakes_whoever_watches(backend: Backend, driver: Driver) -> None:
    if not isinstance(driver, Events):
        pytest.skip("this driver has no events")
    need(backend, "notices")
    spec = backend.make_spec()
    converge(backend, driver, spec)
    woken: list[str] = []
    threading.Thread(target=driver.watch, args=(woken.append,), daemon=True).start()  # it may return at once or when closed
    time.sleep(5 * backend.pause_s)
    backend.kill(spec.instance_id)
    eventually(backend, "a wake-up", lambda: spec.instance_id in woken)


def test_a_backend_that_does_not_answer_is_unreachable_and_nothing_is_absent(backend: Backend, driver: Driver) -> None:
    if backend.cut is None:
        pytest.skip("this backend can't be cut off")
    spec = backend.make_spec()
    converge(backend, driver, spec)
    asks: list[Callable[[], object]] = [
        lambda: driver.observe(spec.instance_id),
        lambda: ids(driver),
        driver.inventory,
        lambda: driver.ensure(spec),
        lambda: driver.remove(spec.instance_id),
        lambda: backend.open(OWNER),
    ]
    if "marks" in backend.can:
        asks.append(lambda: driver.observe(str(uuid.uuid4())))
    with backend.cut():
        for ask in asks:
            with pytest.raises(HostUnreachable):
                ask()
    seen = driver.observe(spec.instance_id)
    assert (seen.condition, seen.generation) == (Condition.RUNNING, spec.generation)


# -- console -----------------------------------------------------------------------------------------------------------------------------


def test_the_console_shows_that_the_guest_came_up_with_its_own_name(backend: Backend, driver: Driver) -> None:
    need(backend, "guest")
    assert isinstance(driver, ConsoleLog)
    spec = backend.make_spec(name="console-guest")
    assert driver.console_log(spec.instance_id, 1000) == b""
    converge(backend, driver, spec)
    line = f"chutian-guest: hostname=console-guest instance-id={backend.told_id(spec.instance_id)}".encode()
    eventually(backend, "the guest's line on the console", lambda: line in driver.console_log(spec.instance_id, 1 << 20))
    whole = driver.console_log(spec.instance_id, 1 << 20)
    assert len(driver.console_log(spec.instance_id, 10)) == 10
    assert len(whole) <= 1 << 20


def test_every_error_carries_a_reason_with_a_code(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec(host="no-such-host")
    with pytest.raises(DriverError) as caught:
        driver.ensure(spec)
    assert caught.value.reason.code == caught.value.code
    assert all(isinstance(value, str | int) for value in caught.value.reason.params.values())
