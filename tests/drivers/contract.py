"""What every driver must do, whatever it drives: one suite, run against each backend in the table of `test_contract.py`.

A backend enters as a `Backend`: how to connect, how to make a spec that fits it, how to meddle behind the driver's back, and which optional
things it has. A case that needs something a backend lacks is skipped, and says so. Cases look at the world the way the controller does:
they repeat `ensure` until `observe` shows what was asked (`converge`), so a driver may do everything in one call or bit by bit.
"""

from __future__ import annotations

import hashlib
import os
import threading
import time
import uuid
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from drivers.base import Condition, Driver, Image, InstanceSpec, Observation, Power, Prepare
from drivers.errors import ImageCorrupt, ImageNotFound, InvalidSpec, Permanent, Transient

OWNER = "contract-suite"
OTHER_OWNER = "contract-suite-other"


POWERS = {
    "guest": "a guest really starts and writes to its console",
    "polite_stop": "a guest can be asked to stop",
    "addresses": "it knows guests' addresses",
    "refuses_stale": "a generation older than the newest is refused",
    "several": "a host holds more than one instance",
    "resize": "an instance can be given another size",
    "unstarted": "an instance can be made without ever being on",
    "marks": "what is there bears its owner's mark and its id, so that others see whose it is, and its absence is the backend's to tell",
    "notices": "it tells of what others do",
    "goes_alone": "an instance that was told to go while it was being made needs no second word, as the controller would give",
    "reads_first": "images are checked before `ensure` returns; else what is made of them fails later",
}
USUAL = frozenset(POWERS) - {"guest", "addresses"}
"""What most backends can."""


@dataclass(frozen=True, slots=True)
class Backend:
    """One real or fake backend under test. What is None, or not in `can`, it hasn't got."""

    open: Callable[[str], Driver]  # owner -> a new connection
    make_spec: Callable[..., InstanceSpec]  # a fresh running instance that fits here, with fields overridden by keyword
    kill: Callable[[str], None]  # power off abruptly, behind the driver's back
    undefine: Callable[[str], None] | None = None  # delete, behind the driver's back
    boots: Callable[[str], int] | None = None  # how often an instance was switched on since it was made
    size: Callable[[str], tuple[int, int, int]] | None = None  # vcpus, memory_mib, disk_gib as the backend has them
    cut: Callable[[], AbstractContextManager[None]] | None = None  # the backend does not answer meanwhile
    clear: Callable[[], None] | None = None  # all as it was before, by other means than the driver's, which take too long for each case
    told_id: Callable[[str], str] = str  # what a guest is told that it is, by the id of its instance
    can: frozenset[str] = frozenset()  # of `POWERS`
    timeout_s: float = 10.0  # for one instance to get where it should be
    pause_s: float = 0.01  # between two looks


def clear(backend: Backend) -> None:
    """Remove everything that the suite's owners have there."""
    if backend.clear is not None:
        backend.clear()
        return
    for owner in (OWNER, OTHER_OWNER):
        driver = backend.open(owner)
        for seen in list(driver.observe_all()):
            driver.remove(seen.instance_id)
        eventually(backend, f"nothing left of {owner}", lambda driver=driver: not list(driver.observe_all()))  # type: ignore[misc]
        driver.close()


def converge(backend: Backend, driver: Driver, spec: InstanceSpec) -> Observation:
    """Do what the controller does, until the whole spec holds."""
    wanted = Condition(spec.power.value)
    deadline = time.monotonic() + backend.timeout_s
    while True:
        try:
            driver.ensure(spec)
            seen = driver.observe(spec.instance_id)
        except Transient as error:
            seen = Observation(spec.instance_id, Condition.BUSY, reason=error.reason)
        if seen.condition is wanted and seen.generation == spec.generation:
            return seen
        assert time.monotonic() < deadline, f"not {wanted} at generation {spec.generation} after {backend.timeout_s} s: {seen}"
        time.sleep(backend.pause_s)


def settle(backend: Backend, driver: Driver, instance_id: str, *conditions: Condition) -> Observation:
    """Only look, until one of these conditions shows."""
    deadline = time.monotonic() + backend.timeout_s
    while (seen := driver.observe(instance_id)).condition not in conditions:
        assert time.monotonic() < deadline, f"none of {conditions} after {backend.timeout_s} s: {seen}"
        time.sleep(backend.pause_s)
    return seen


def eventually(backend: Backend, what: str, true: Callable[[], bool]) -> None:
    """Wait for something that comes by itself."""
    deadline = time.monotonic() + backend.timeout_s
    while not true():
        assert time.monotonic() < deadline, f"{what}: not within {backend.timeout_s} s"
        time.sleep(backend.pause_s)


def need(backend: Backend, *powers: str) -> None:
    assert set(powers) <= set(POWERS)
    missing = [power for power in powers if power not in backend.can]
    if missing:
        pytest.skip(f"this backend has no {', '.join(missing)}")


def boots_are(backend: Backend, instance_id: str, count: int) -> None:
    """Where boots can be counted there were, and there stay, exactly so many."""
    boots = backend.boots
    if boots is not None:
        eventually(backend, f"{count} boots of {instance_id}", lambda: boots(instance_id) >= count)
        assert boots(instance_id) == count


def later(spec: InstanceSpec, backend: Backend, **changes: object) -> InstanceSpec:
    """The next generation of a spec. Where guests can't be asked politely, by force."""
    changes = {"generation": spec.generation + 1, "force": "polite_stop" not in backend.can, **changes}
    return replace(spec, **changes)  # type: ignore[arg-type]


def ids(driver: Driver) -> list[str]:
    return sorted(seen.instance_id for seen in driver.observe_all())


# -- looking -----------------------------------------------------------------------------------------------------------------------------


def test_inventory_names_each_host_once_and_gives_it_something(backend: Backend, driver: Driver) -> None:
    hosts = driver.inventory().hosts
    assert hosts
    assert len({host.name for host in hosts}) == len(hosts)
    for host in hosts:
        assert host.name
        assert host.arch
        assert host.kinds
        assert min(host.vcpus, host.memory_mib, host.disk_gib) > 0, host
        assert host.gpus >= 0
    spec = backend.make_spec()
    assert [host.name for host in hosts if host.name == spec.host and host.arch == spec.arch and spec.kind in host.kinds] == [spec.host]
    assert {host.name for host in driver.inventory().hosts} == {host.name for host in hosts}


def test_an_instance_that_never_was_is_absent(driver: Driver) -> None:
    unknown = str(uuid.uuid4())
    assert driver.observe(unknown) == Observation(unknown, Condition.ABSENT)


def test_preparing_twice_does_no_harm(driver: Driver) -> None:
    if not isinstance(driver, Prepare):
        pytest.skip("this driver prepares nothing")
    driver.prepare()
    driver.prepare()


def test_observe_all_lists_exactly_what_is_there_and_says_the_same_as_observe(backend: Backend, driver: Driver) -> None:
    need(backend, "several")
    specs = [backend.make_spec(name=f"listed-{i}", power=Power.STOPPED) for i in range(3)]
    for spec in specs:
        converge(backend, driver, spec)
    driver.remove(specs[1].instance_id)
    settle(backend, driver, specs[1].instance_id, Condition.ABSENT)
    assert ids(driver) == sorted([specs[0].instance_id, specs[2].instance_id])
    for seen in driver.observe_all():
        assert seen == driver.observe(seen.instance_id)


# -- making ------------------------------------------------------------------------------------------------------------------------------


def test_ensure_starts_an_instance_and_stamps_its_generation(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec(generation=7)
    seen = converge(backend, driver, spec)
    assert (seen.instance_id, seen.condition, seen.generation, seen.host) == (spec.instance_id, Condition.RUNNING, 7, spec.host)
    boots_are(backend, spec.instance_id, 1)


def test_ensure_again_changes_nothing(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec()
    converge(backend, driver, spec)
    for again in (spec, spec, replace(spec, force=True)):
        driver.ensure(again)
        seen = driver.observe(spec.instance_id)
        assert (seen.condition, seen.generation) == (Condition.RUNNING, spec.generation)
    assert ids(driver) == [spec.instance_id]
    boots_are(backend, spec.instance_id, 1)


def test_two_threads_that_ensure_one_instance_at_once_make_one(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec()
    together = threading.Barrier(2)
    bugs: list[BaseException] = []

    def ensure() -> None:
        mine = backend.open(OWNER)
        together.wait()
        try:
            mine.ensure(spec)
        except Transient:
            pass  # one of them may be told to come again
        except Exception as bug:  # noqa: BLE001  # shown below, in the thread that pytest sees
            bugs.append(bug)
        finally:
            mine.close()

    threads = [threading.Thread(target=ensure) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert bugs == []
    converge(backend, driver, spec)
    assert ids(driver) == [spec.instance_id]
    boots_are(backend, spec.instance_id, 1)


def test_an_instance_may_be_made_stopped_and_started_later(backend: Backend, driver: Driver) -> None:
    need(backend, "unstarted")
    spec = backend.make_spec(power=Power.STOPPED)
    assert converge(backend, driver, spec).addresses == ()
    boots_are(backend, spec.instance_id, 0)
    converge(backend, driver, later(spec, backend, power=Power.RUNNING))
    boots_are(backend, spec.instance_id, 1)


def test_a_running_guest_gets_an_address(backend: Backend, driver: Driver) -> None:
    need(backend, "addresses")
    spec = backend.make_spec()
    converge(backend, driver, spec)
    eventually(backend, "an address", lambda: bool(driver.observe(spec.instance_id).addresses))


@pytest.mark.parametrize(
    "name",
    ["a'b", 'x"/><devices/>', "$(reboot)", "-rf", "../../escape", "two\nlines", "UPPER", "楚天", "", "a" * 64, "nul\0byte"],
)
def test_a_name_that_is_no_hostname_is_refused_or_carried_safely(backend: Backend, driver: Driver, name: str) -> None:
    spec = backend.make_spec(name=name, power=Power.STOPPED)
    try:
        driver.ensure(spec)
    except InvalidSpec:
        assert driver.observe(spec.instance_id).condition is Condition.ABSENT
    else:
        converge(backend, driver, spec)
        assert ids(driver) == [spec.instance_id]


@pytest.mark.parametrize(
    "user_data",
    [
        "]]></domain><!--",
        "#cloud-config\nruncmd: ['echo \"$(id)\" `id` \\'']\n",
        "\u202e楚天\r\n\t",
        "x" * 60_000,
        "#!/bin/sh\n" + "\\" * 999,
    ],
    ids=["xml", "shell", "unicode", "long", "backslashes"],
)
def test_hostile_user_data_is_carried_as_it_is(backend: Backend, driver: Driver, user_data: str) -> None:
    spec = backend.make_spec(user_data=user_data, ssh_keys=("ssh-ed25519 AAAAC3NzaC1lZDI1NTE5 '<张三>&\"@host",), power=Power.STOPPED)
    converge(backend, driver, spec)
    assert ids(driver) == [spec.instance_id]


def test_an_instance_id_that_is_no_uuid_is_refused(backend: Backend, driver: Driver) -> None:
    for instance_id in ("../../etc/passwd", "x", "", "6BA7B810-9DAD-11D1-80B4-00C04FD430C8; rm"):
        with pytest.raises(Permanent):
            driver.ensure(backend.make_spec(instance_id=instance_id))
    assert ids(driver) == []


def test_a_host_that_is_not_there_is_refused(backend: Backend, driver: Driver) -> None:
    spec = backend.make_spec(host="no-such-host")
    with pytest.raises(Permanent):
        driver.ensure(spec)
    assert driver.observe(spec.instance_id).condition is Condition.ABSENT


# -- images ------------------------------------------------------------------------------------------------------------------------------


def fresh_image(image: Image | None, folder: Path) -> Image:
    """The same image with a few bytes more, so that no backend has seen it before."""
    if image is None:
        pytest.skip("this backend boots from no image of ours")
    content = Path(image.path).read_bytes() + os.urandom(512)
    path = folder / f"image-{uuid.uuid4()}"
    path.write_bytes(content)
    sha256, sm3 = hashlib.sha256(content).hexdigest(), hashlib.new("sm3", content).hexdigest()
    return replace(image, id=str(uuid.uuid4()), path=str(path), size_bytes=len(content), sha256=sha256, sm3=sm3)


def test_an_image_whose_bytes_are_missing_is_not_found(backend: Backend, driver: Driver, tmp_path: Path) -> None:
    spec = backend.make_spec()
    image = fresh_image(spec.image, tmp_path)
    Path(image.path).unlink()
    with pytest.raises(ImageNotFound):
        driver.ensure(replace(spec, image=image))
    assert driver.observe(spec.instance_id).condition is not Condition.RUNNING


def test_an_image_with_one_flipped_bit_never_boots(backend: Backend, driver: Driver, tmp_path: Path) -> None:
    need(backend, "reads_first")
    spec = backend.make_spec()
    image = fresh_image(spec.image, tmp_path)
    content = bytearray(Path(image.path).read_bytes())
    content[len(content) // 2] ^= 1
    Path(image.path).write_bytes(content)
    for _ in range(2):
        with pytest.raises(ImageCorrupt) as caught:
            driver.ensure(replace(spec, image=image))
        assert caught.value.reason.params["image"] == image.id
        assert driver.observe(spec.instance_id).condition is not Condition.RUNNING


def test_a_rebuild_from_a_corrupt_image_is_refused_and_good_bytes_mend_it(backend: Backend, driver: Driver, tmp_path: Path) -> None:
    need(backend, "reads_first")
    spec = backend.make_spec()
    converge(backend, driver, spec)
    image = fresh_image(spec.image, tmp_path)
    good = Path(image.path).read_bytes()
    Path(image.path).write_bytes(bytes([good[0] ^ 1]) + good[1:])
    rebuild = later(spec, backend, build=spec.build + 1, image=image, force=True)
    with pytest.raises(ImageCorrupt):
        driver.ensure(rebuild)
    assert driver.observe(spec.instance_id).generation == spec.generation
    Path(image.path).write_bytes(good)
    converge(backend, driver, rebuild)
