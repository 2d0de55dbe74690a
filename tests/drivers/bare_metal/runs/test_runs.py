"""Runs as the driver sees them: tiny playbooks on this machine, by the real ansible-runner and ansible-core."""

from __future__ import annotations

import os
import time
from contextlib import suppress
from pathlib import Path

import pytest

from drivers.bare_metal.runs import folder
from drivers.bare_metal.runs.order import State, TaskState
from drivers.base import Reason
from drivers.errors import InvalidSpec
from tests.drivers.bare_metal.runs.scene import SECRET, Scene, done, ended, holds, make, order, processes, under_way

HELD = {"name": "hold", "ansible.builtin.command": "sleep 3599"}


@pytest.fixture
def scene(tmp_path: Path) -> Scene:
    return make(tmp_path)


def said_by_processes() -> bytes:
    """All command lines and environments on this machine."""
    said = b""
    for path in Path("/proc").iterdir():
        if path.name.isdecimal():
            with suppress(OSError):
                said += (path / "cmdline").read_bytes() + (path / "environ").read_bytes()
    return said


def test_a_run_is_seen_task_by_task_and_what_is_kept_of_it_holds_no_secret(scene: Scene) -> None:
    go = scene.base / "go"
    playbook = scene.play(
        "story.yml",
        {"name": "say what it must not", "ansible.builtin.debug": {"msg": "{{ password }} for {{ user_data }}"}},
        {"name": "not needed", "ansible.builtin.debug": {}, "when": False},
        {"name": "may fail", "odd": {"fail": {"msg": "no {{ password }}"}}, "ignore_errors": True},
        {"name": "wait", "ansible.builtin.wait_for": {"path": str(go), "sleep": 1, "timeout": 30}},
        {
            "name": "leave a result",
            "ansible.builtin.copy": {"content": "{{ {'took': 3, 'said': password} | to_json }}", "dest": "{{ result_file }}"},
        },
    )
    news: list[str] = []
    os.environ["ANSIBLE_STDOUT_CALLBACK"] = "nonsense"  # of the user's who started the controller: ignored
    try:
        with scene.workshop(on_change=news.append) as workshop:
            given = order("story", playbook, variables={"user_data": "{{ 6 * 7 }} ü"}, secrets={"password": SECRET}, who="ops")
            assert workshop.start(given).state in (State.WAITING, State.RUNNING)
            holds(under_way(scene, "story", "wait"))
            private = scene.private("story")
            assert private is not None
            assert private.stat().st_mode & 0o777 == 0o700
            assert folder.MARK.encode() in said_by_processes()
            assert SECRET.encode() not in said_by_processes() + scene.kept("story")
            assert [path for path in private.rglob("*") if path.is_file() and path.stat().st_mode & 0o077] == []
            go.touch()
            view = ended(workshop, "story")
            assert workshop.start(given) == view, "it was made again"
    finally:
        del os.environ["ANSIBLE_STDOUT_CALLBACK"]
    assert [(task.name, task.state, task.ignored) for task in view.tasks] == [
        ("say what it must not", TaskState.OK, False),
        ("not needed", TaskState.SKIPPED, False),
        ("may fail", TaskState.FAILED, True),
        ("wait", TaskState.OK, False),
        ("leave a result", TaskState.CHANGED, False),
    ]
    assert view.tasks[2].detail == "no ***"
    assert (view.state, view.reason, view.result, view.who) == (State.DONE, None, {"took": 3, "said": "***"}, "ops")
    assert view.digest == folder.digest(scene.playbooks)
    assert view.started is not None
    assert view.ended is not None
    assert view.started < view.tasks[0].started < view.ended <= time.time()
    kept = scene.kept("story")
    assert b"*** for {{ 6 * 7 }}" in kept, "a department's text was taken for a template, or the output is gone"
    assert SECRET.encode() not in kept
    assert sorted(path.name for path in (scene.runs / "story").iterdir()) == ["lock", "run.json", "stdout"]
    assert not private.exists()
    assert set(news) == {"story"}
    assert len(news) > 5


def test_a_module_says_by_a_reason_why_it_failed(scene: Scene) -> None:
    reason = {"code": "wrong_machine", "params": {"expected": "a", "seen": SECRET, "tries": 3}}
    leave = {"ansible.builtin.copy": {"content": '{"disks": [1]}', "dest": "{{ result_file }}"}}
    look = {"name": "look", "odd": {"fail": {"msg": "it is another machine", "reason": reason}}}
    playbook = scene.play("why.yml", leave, look)
    with scene.workshop() as workshop:
        view = done(workshop, order("why", playbook, secrets={"password": SECRET}))
    assert (view.state, view.reason) == (State.FAILED, Reason("wrong_machine", {"expected": "a", "seen": "***", "tries": 3}))
    assert view.tasks[-1].detail == "it is another machine"
    assert view.result == {"disks": [1]}, "what a playbook left counts, too, when it failed"


def test_a_run_that_is_cancelled_leaves_no_process(scene: Scene) -> None:
    with scene.workshop() as workshop:
        workshop.start(order("held", scene.play("hold.yml", HELD)))
        holds(under_way(scene, "held", "hold"))
        holds(lambda: processes("sleep", "3599"))
        private = scene.private("held")
        assert private is not None
        began = time.monotonic()
        workshop.cancel("held")
        view = ended(workshop, "held")
        assert time.monotonic() - began < 5
        assert not processes("sleep", "3599")
        assert not processes(str(private))
        workshop.cancel("held")  # nothing happens
    assert (view.state, view.reason) == (State.CANCELLED, Reason("run_cancelled", {"task": "hold"}))


def test_others_wait_for_their_turn_in_order_and_may_be_cancelled_before_it(scene: Scene) -> None:
    hold = scene.play("hold.yml", HELD)
    with scene.workshop(limit=1) as workshop:
        workshop.start(order("first", hold))
        for name in ("second", "third", "fourth"):
            workshop.start(order(name, Path("missing.yml")))
        holds(lambda: (seen := workshop.look("first")) is not None and seen.state is State.RUNNING)
        for name in ("second", "third", "fourth"):
            view = workshop.look(name)
            assert view is not None
            assert view.state is State.WAITING
        assert not workshop.forget("fourth")
        workshop.cancel("third")
        cancelled = ended(workshop, "third")
        assert (cancelled.state, cancelled.started) == (State.CANCELLED, None)
        workshop.cancel("first")
        second, fourth = ended(workshop, "second"), ended(workshop, "fourth")
        for view in (second, fourth):
            assert view.state is State.FAILED
            assert view.reason == Reason("playbook_unusable", {"playbook": "missing.yml", "detail": "there is no such playbook"})
        assert (second.ended or 0) <= (fourth.started or 0), "more than one at once"
        assert workshop.forget("third")
        assert workshop.look("third") is None
        assert not (scene.runs / "third").exists()
        with pytest.raises(InvalidSpec):
            workshop.start(order("../up", hold))
        assert workshop.look("never") is None


def test_a_second_workshop_with_the_same_folder_leaves_the_firsts_runs_alone(scene: Scene) -> None:
    with scene.workshop() as first, scene.workshop() as second:
        given = order("one", scene.play("hold.yml", HELD))
        first.start(given)
        holds(lambda: (seen := second.look("one")) is not None and seen.state is State.RUNNING)
        assert second.sweep() == ()
        assert second.start(given).state is State.RUNNING
        second.cancel("one")  # another's: nothing happens
        assert not second.forget("one")
        first.cancel("one")
        assert ended(second, "one") == ended(first, "one")


def test_closing_ends_runs_and_forgets_those_that_wait(scene: Scene) -> None:
    hold = scene.play("hold.yml", HELD)
    with scene.workshop(limit=1) as workshop:
        workshop.start(order("one", hold))
        workshop.start(order("two", hold))
        holds(lambda: scene.private("one"))
        workshop.close()
        with pytest.raises(RuntimeError):
            workshop.start(order("three", hold))
    with scene.workshop() as workshop:
        view = workshop.look("one")
        assert view is not None
        assert (view.state, view.reason and view.reason.code) == (State.INTERRUPTED, "run_interrupted")
        assert workshop.look("two") is None
        assert workshop.sweep() == (), "it was settled when the workshop was closed"
    assert not processes("sleep", "3599")
