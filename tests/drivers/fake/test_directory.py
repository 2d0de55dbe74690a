"""A world in a directory: shared by processes, and none the worse for one that is killed."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from drivers.base import Condition, InstanceSpec
from drivers.errors import HostUnreachable, InvalidSpec
from drivers.fake.driver import open_fake
from drivers.fake.world import forget, world

Spec = Callable[..., InstanceSpec]

ENSURE_FOR_EVER = """
import itertools, sys
from dataclasses import replace
from drivers.base import Image, InstanceSpec, Power
from drivers.fake.driver import open_fake
driver = open_fake(sys.argv[1], "us", {"verify": "0"})
image = Image("i", "", "raw", 1, 1, "", "")
for turn in itertools.count():
    for i in range(20):
        instance_id = f"00000000-0000-4000-8000-{i:012}"
        if turn % 3 == 2:
            driver.remove(instance_id)
        else:
            try:
                driver.ensure(InstanceSpec(instance_id, "p", f"n-{i}", "vm", "host-0001", 1, 512, 1, 0, "x86_64", image,
                                           Power.RUNNING, int(sys.argv[2]) + turn, reboots=turn))
            except Exception as error:
                if "stale" not in str(error):
                    raise
    print(turn, flush=True)
"""


@pytest.fixture
def uri(tmp_path: Path) -> Iterator[str]:
    address = f"fake://{tmp_path}/world"
    yield address
    forget(address)


def run(uri: str, generation: int) -> subprocess.Popen[str]:
    return subprocess.Popen([sys.executable, "-c", ENSURE_FOR_EVER, uri, str(generation)], stdout=subprocess.PIPE, text=True)


def test_processes_killed_in_the_middle_leave_a_world_that_is_whole(uri: str) -> None:
    there = world(uri, {"verify": "0"})
    for generation in (1, 1_000_000, 2_000_000):
        processes = [run(uri, generation) for _ in range(2)]
        for process in processes:
            assert process.stdout is not None
            process.stdout.readline()
        time.sleep(0.15)
        for process in processes:
            process.send_signal(signal.SIGKILL)
            process.communicate()
            assert process.returncode == -signal.SIGKILL, "it ended by itself"
    driver = open_fake(uri, "us", {})
    for seen in driver.observe_all():
        assert seen.condition is Condition.RUNNING
    for instance_id in list(there.records()):
        driver.remove(instance_id)
    assert list(driver.observe_all()) == []
    assert there.violations == []


DIE_WHILE_FREEING = """
import os, signal, sys
from pathlib import Path
from drivers.base import Image, InstanceSpec, Power
from drivers.fake.driver import open_fake
driver = open_fake(sys.argv[1], "us", {"verify": "0", "hosts": "1", "vcpus": "4", "overcommit_vcpus": "1.0"})
spec = InstanceSpec(sys.argv[2], "p", "n", "vm", "host-0001", int(sys.argv[3]), 512, 1, 0, "x86_64", Image("i", "", "raw", 1, 1, "", ""),
                    Power.STOPPED, int(sys.argv[4]))

def dying(deed):
    def deed_and_die(*args, **more):
        deed(*args, **more)
        os.kill(os.getpid(), signal.SIGKILL)
    return deed_and_die

if sys.argv[5]:
    setattr(Path, sys.argv[5], dying(getattr(Path, sys.argv[5])))
driver.remove(spec.instance_id) if sys.argv[5] == "unlink" else driver.ensure(spec)
"""


@pytest.mark.parametrize(("dies_at", "left"), [("unlink", 4), ("replace", 3)])
def test_room_is_free_where_a_process_died_just_after_freeing_it(uri: str, dies_at: str, left: int) -> None:
    def act(number: int, vcpus: int, generation: int, dies_at: str) -> int:
        instance_id = f"00000000-0000-4000-8000-{number:012}"
        arguments = (uri, instance_id, str(vcpus), str(generation), dies_at)
        return subprocess.run([sys.executable, "-c", DIE_WHILE_FREEING, *arguments], check=False).returncode

    assert act(1, 4, 1, "") == 0
    assert act(1, 1, 2, dies_at) == -signal.SIGKILL
    assert act(2, left, 1, "") == 0
    assert world(uri).violations == []
    assert act(3, 1, 1, "") == 0
    assert [found.detail for found in world(uri).violations] == ["vcpus: 5 of 4"], "what is too much is still told"


def test_what_one_process_makes_another_sees_boots_and_violations_too(uri: str, make_spec: Spec, tmp_path: Path) -> None:
    spec = make_spec()
    open_fake(uri, "us", {"hosts": "2", "overcommit_vcpus": "0.01"}).ensure(spec)
    code = (
        "import sys, json; from drivers.fake.world import world; there = world(sys.argv[1]); there.destroy(sys.argv[2]); "
        "there.start(sys.argv[2]); there.silence('host-0002'); "
        "print(json.dumps([len(there.hosts), there.boots(sys.argv[2]), [v.kind for v in there.violations]]))"
    )
    told = subprocess.run([sys.executable, "-c", code, uri, spec.instance_id], check=True, capture_output=True, text=True)
    assert json.loads(told.stdout) == [2, 2, ["over_capacity"]]
    there = world(uri)
    assert [what for _, what, _ in there.history(spec.instance_id)] == ["define", "boot", "stop", "boot"]
    driver = open_fake(uri, "us", {})
    assert driver.observe(spec.instance_id).condition is Condition.RUNNING
    with pytest.raises(HostUnreachable):
        driver.ensure(make_spec(host="host-0002"))


def test_a_directory_is_found_again_with_the_shape_it_was_made_with(uri: str, make_spec: Spec) -> None:
    spec = make_spec()
    open_fake(uri, "us", {"hosts": "5"}).ensure(spec)
    forget(uri)
    assert len(world(uri).hosts) == 5
    assert world(uri).boots(spec.instance_id) == 1
    assert open_fake(uri, "us", {}).observe(spec.instance_id).generation == spec.generation
    forget(uri)
    with pytest.raises(InvalidSpec, match="other options"):
        world(uri, {"hosts": "6"})


def test_an_instance_id_never_leads_out_of_the_directory(uri: str) -> None:
    driver = open_fake(uri, "us", {})
    for instance_id in ("../../../etc/passwd", "../world", "/etc/passwd", "a\0b"):
        assert driver.observe(instance_id).condition is Condition.ABSENT
        driver.remove(instance_id)


def test_a_silenced_host_stays_silent_for_a_process_that_comes_later(uri: str) -> None:
    world(uri, {"hosts": "2"}).silence()
    forget(uri)
    with pytest.raises(HostUnreachable):
        open_fake(uri, "us", {})
    world(uri).unsilence()
    assert len(open_fake(uri, "us", {}).inventory().hosts) == 2
