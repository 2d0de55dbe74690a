"""What happens to runs when something is killed, frozen, full, broken or hostile; all of it real, and each a run of Ansible or two."""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from drivers.bare_metal.runs import folder, supervise
from drivers.bare_metal.runs.order import RunView, State, TaskState
from drivers.bare_metal.runs.workshop import LATE_S
from drivers.base import Reason
from tests.drivers.bare_metal.runs.scene import SECRET, Scene, done, ended, holds, interrupted, make, order, processes, under_way

pytestmark = [pytest.mark.real, pytest.mark.slow]

HEARTBEAT_S = 3.0
HOLD = {"name": "hold", "ansible.builtin.command": "sleep 3598"}
SCATTER = {  # a process that has left its session, its parent and its environment
    "name": "scatter",
    "ansible.builtin.shell": "setsid env -i sleep 3597 >/dev/null 2>&1 & exec sleep 3596",
}


@pytest.fixture
def scene(tmp_path: Path) -> Iterator[Scene]:
    yield make(tmp_path)
    assert not processes("sleep", "359")
    holds(gone(str(tmp_path)), within_s=2)  # its last word is said before its process is gone


def supervisor(scene: Scene, run_id: str) -> int:
    return int(holds(lambda: processes("drivers.bare_metal.runs.supervise", str(scene.runs / run_id)))[0])


def playing(scene: Scene, run_id: str) -> list[int]:
    """Ansible's own processes in that run, and in no other on this machine."""
    return processes("ansible-playbook", str(scene.private(run_id)))


def gone(*words: str) -> Callable[[], bool]:
    return lambda: not processes(*words)


def test_at_its_deadline_a_run_ends_with_all_that_it_started(scene: Scene) -> None:
    with scene.workshop() as workshop:
        began = time.monotonic()
        view = done(workshop, order("late", scene.play("late.yml", SCATTER), deadline_s=4))
        assert 4 <= time.monotonic() - began < 8
        assert not processes("sleep", "359")
    assert (view.state, view.reason) == (State.FAILED, Reason("deadline_passed", {"seconds": 4, "task": "scatter"}))
    assert view.tasks[-1].state is TaskState.RUNNING, "the task that was cut short is seen as such"


PHASES: Mapping[str, Callable[[Scene], Any]] = {
    "as soon as it has a folder": lambda scene: scene.private("one"),
    "as Ansible begins": lambda scene: processes("ansible-playbook", str(scene.private("one"))),
    "within a task": lambda _: processes("sleep", "3598"),
    "between two tasks": lambda scene: (seen := folder.look(scene.runs / "one")) and seen.tasks and seen.tasks[0].seconds is not None,
}


@pytest.mark.parametrize("phase", PHASES)
def test_a_run_ends_with_its_controller(scene: Scene, phase: str) -> None:
    playbook = scene.play("two.yml", {"name": "first", "ansible.builtin.command": "true"}, HOLD)
    with scene.controller(("one", str(playbook), 60.0)) as controller:
        holds(lambda: PHASES[phase](scene), every_s=0.002)
        private = scene.private("one")
        controller.kill()
        controller.wait()
        killed = time.monotonic()
        holds(gone(str(scene.runs / "one")), within_s=5)
        assert not processes("sleep", "3598")
        assert time.monotonic() - killed < 3
    with scene.workshop() as workshop:
        workshop.sweep()
        view = ended(workshop, "one", within_s=5)  # who was killed while it began a process leaves one that has not looked around yet
        assert interrupted(view)
        assert private is not None
        assert not private.exists()
        again = workshop.start(order("one", playbook))
        assert again == view, "a new try wants a new id"


def test_a_run_ends_when_its_controller_is_frozen(scene: Scene) -> None:
    with scene.controller(("one", str(scene.play("hold.yml", HOLD)), 60.0), heartbeat_s=HEARTBEAT_S) as controller:
        holds(under_way(scene, "one", "hold"))
        controller.send_signal(signal.SIGSTOP)
        frozen = time.monotonic()
        view = holds(lambda: (seen := folder.look(scene.runs / "one")) and seen.state.ended and seen, within_s=HEARTBEAT_S + 5)
        assert HEARTBEAT_S - 1 < time.monotonic() - frozen < HEARTBEAT_S + 2
        assert not processes("sleep", "3598")
    assert interrupted(view)


def test_a_run_ends_when_its_controller_may_not_go_on(scene: Scene) -> None:
    mine = {"one": True}
    with scene.workshop(may_go_on=lambda run_id: mine[run_id], heartbeat_s=HEARTBEAT_S) as workshop:
        workshop.start(order("one", scene.play("hold.yml", HOLD)))
        holds(under_way(scene, "one", "hold"))
        time.sleep(HEARTBEAT_S + 1)
        assert under_way(scene, "one", "hold")()
        mine["one"] = False
        assert interrupted(ended(workshop, "one", within_s=HEARTBEAT_S + 5))
        assert not processes("sleep", "3598")


def test_a_run_whose_own_process_is_killed_is_interrupted_and_leaves_nothing(scene: Scene) -> None:
    with scene.workshop() as workshop:
        workshop.start(order("one", scene.play("hold.yml", HOLD), secrets={"password": SECRET}))
        holds(lambda: processes("sleep", "3598"))
        private = scene.private("one")
        os.kill(supervisor(scene, "one"), signal.SIGKILL)
        view = ended(workshop, "one", within_s=5)
        assert not processes("sleep", "3598")
        assert private is not None
        assert not private.exists()
    assert (view.state, view.reason and view.reason.code) == (State.INTERRUPTED, "run_interrupted")


def test_a_run_whose_own_process_hangs_ends_soon_after_its_deadline_or_when_the_workshop_is_closed(scene: Scene) -> None:
    with scene.workshop() as workshop:
        hold = scene.play("hold.yml", HOLD)
        for run_id, deadline_s in (("one", 3.0), ("two", 600.0)):
            workshop.start(order(run_id, hold, deadline_s=deadline_s))
            os.kill(supervisor(scene, run_id), signal.SIGSTOP)
        assert interrupted(ended(workshop, "one", within_s=3 + LATE_S + 5))
        workshop.close()
        assert interrupted(workshop.look("two"))


def test_a_run_that_is_killed_together_with_its_controller_leaves_no_process(scene: Scene) -> None:
    with scene.controller(("one", str(scene.play("hold.yml", HOLD)), 60.0)) as controller:
        holds(lambda: processes("sleep", "3598"))
        private = scene.private("one")
        pid = supervisor(scene, "one")
        controller.send_signal(signal.SIGSTOP)  # it can do nothing between the two
        os.kill(pid, signal.SIGKILL)
        controller.kill()
        holds(gone("sleep", "3598"), within_s=5)
    with scene.workshop() as workshop:
        assert workshop.sweep() == ("one",)
        assert interrupted(workshop.look("one"))
        assert private is not None
        assert not private.exists()


@pytest.mark.parametrize("words", [("ansible-playbook",), ("sleep", "3598")], ids=["Ansible", "what a module runs"])
def test_what_is_killed_within_a_run_ends_it(scene: Scene, words: tuple[str, ...]) -> None:
    with scene.workshop() as workshop:
        workshop.start(order("one", scene.play("hold.yml", HOLD)))
        holds(lambda: processes("sleep", "3598"))
        for process in playing(scene, "one") if words == ("ansible-playbook",) else processes(*words):
            os.kill(process, signal.SIGKILL)
        view = ended(workshop, "one", within_s=10)
        assert not processes("sleep", "3598")
    if words == ("sleep", "3598"):
        assert (view.state, view.reason and view.reason.code) == (State.FAILED, "playbook_task_failed")
    else:
        assert interrupted(view)


def test_a_worker_of_ansible_that_is_killed_ends_the_run(scene: Scene) -> None:
    with scene.workshop() as workshop:
        workshop.start(order("one", scene.play("hold.yml", HOLD)))
        holds(lambda: processes("sleep", "3598"))
        main, *workers = sorted(playing(scene, "one"))
        for worker in workers:
            os.kill(worker, signal.SIGKILL)
        assert workers, "Ansible works otherwise by now: this test looks at nothing"
        assert main
        view = ended(workshop, "one", within_s=20)
        assert view.state in (State.FAILED, State.INTERRUPTED)
        assert not processes("sleep", "3598")


NO_SSH = {"ansible_connection": "ssh", "ansible_host": "127.0.0.1", "ansible_port": 9}
LEAVE = "ansible.builtin.copy"
BROKEN: Mapping[str, tuple[Mapping[str, Any], str, str]] = {
    "a traceback": ({"odd": {"crash": True}}, "playbook_task_failed", "this module has a bug"),
    "no such module": ({"nosuchmodule": {}}, "playbook_unusable", "nosuchmodule"),
    "no JSON": ({LEAVE: {"content": "{half", "dest": "{{ result_file }}"}}, "result_unreadable", "result_file: "),
    "a list": ({LEAVE: {"content": "[1]", "dest": "{{ result_file }}"}}, "result_unreadable", "no JSON object"),
    "a giant": ({"ansible.builtin.command": "truncate -s 2M {{ result_file }}"}, "result_unreadable", "more than 1048576 bytes"),
    "no reason": ({"odd": {"fail": {"msg": "so", "reason": {"code": "Ünsinn", "params": [1]}}}}, "playbook_task_failed", "so"),
    "a loop": ({"odd": {"fail": {"msg": "turn {{ item }}"}}, "loop": [7, 8]}, "playbook_task_failed", "turn 7"),
    "no ssh": ({"ansible.builtin.ping": {}, "vars": NO_SSH}, "ssh_unreachable", "Connection refused"),
}


@pytest.mark.parametrize("what", BROKEN)
def test_what_is_broken_has_a_name_and_says_what(scene: Scene, what: str) -> None:
    task, code, said = BROKEN[what]
    with scene.workshop() as workshop:
        view = done(workshop, order("one", scene.play("broken.yml", task)))
    assert view.state is State.FAILED
    assert view.reason is not None
    assert (view.reason.code, said in str(view.reason.params["detail"])) == (code, True), view.reason


def test_what_a_playbook_recovers_from_and_what_fails_while_it_clears_up_is_not_why(scene: Scene) -> None:
    def fails(name: str) -> Mapping[str, Any]:
        return {"name": name, "odd": {"fail": {"msg": name, "reason": {"code": name}}}}

    fine = {"name": "fine", "ansible.builtin.debug": {}}
    playbook = scene.play(
        "why.yml", {"block": [fails("first")], "rescue": [fine]}, {"block": [fails("second")], "always": [fails("third")]}
    )
    with scene.workshop() as workshop:
        view = done(workshop, order("one", playbook))
    assert [task.name for task in view.tasks] == ["first", "fine", "second", "third"]
    assert (view.state, view.reason) == (State.FAILED, Reason("second"))


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("- hosts: [", "parsing failed"),
        ("[]", ""),
        ('[{"hosts": "others", "tasks": [{"ansible.builtin.ping": {}}]}]', "no task for this machine"),
    ],
)
def test_a_playbook_that_does_nothing_has_not_succeeded(scene: Scene, text: str, said: str) -> None:
    (scene.playbooks / "nothing.yml").write_text(text)
    with scene.workshop() as workshop:
        view = done(workshop, order("one", Path("nothing.yml")))
    assert view.state is State.FAILED
    assert view.reason is not None
    assert view.reason.code == "playbook_unusable"
    assert said.lower() in str(view.reason.params["detail"]).lower(), view.reason


def test_an_event_that_is_printed_is_no_event(scene: Scene) -> None:
    data = {"task": "forged", "task_uuid": "x"}
    fake = {"uuid": "0", "event": "playbook_on_task_start", "event_data": data, "created": "2026-01-01T00:00:00", "job_id": 7}
    coded = base64.b64encode(json.dumps(fake).encode()).decode()
    forged = f"\x1b[K{coded}\x1b[{len(coded)}D\x1b[Ksomething\x1b[K{coded}\x1b[{len(coded)}D\x1b[K"
    go = scene.base / "go"
    playbook = scene.play(
        "forge.yml",
        {"name": "warn", "odd": {"warn": forged}},
        {"name": "say", "ansible.builtin.debug": {"msg": "{{ forged }}"}},
        {"name": "wait", "ansible.builtin.wait_for": {"path": str(go), "timeout": 30}},
    )
    with scene.workshop() as workshop:
        workshop.start(order("one", playbook, variables={"forged": forged}))
        holds(under_way(scene, "one", "wait"))
        Path(f"/proc/{min(playing(scene, 'one'))}/fd/1").write_text(forged)  # as Ansible's own print
        go.touch()
        view = ended(workshop, "one")
    assert [task.name for task in view.tasks] == ["warn", "say", "wait"]
    assert view.state is State.DONE
    assert b"something" in scene.kept("one"), "nobody printed it: this test looks at nothing"
    assert b"\x1b" not in scene.kept("one")


def test_huge_output_is_bounded(scene: Scene) -> None:
    playbook = scene.play(
        "huge.yml", {"name": "huge", "odd": {"size": 30 << 20}}, {"name": "more", "odd": {"fail": {"msg": "y" * 5_000_000}}}
    )
    with scene.workshop() as workshop:
        workshop.start(order("one", playbook))
        most = 0

        def watched() -> RunView | None:
            nonlocal most
            for line in (Path("/proc") / str(pid) / "status").read_text().splitlines() if Path(f"/proc/{pid}/status").exists() else ():
                most = max(most, int(line.split()[1])) if line.startswith("VmHWM") else most
            view = workshop.look("one")
            return view if view is not None and view.state.ended else None

        pid = supervisor(scene, "one")
        view = holds(watched, within_s=60)
    assert view.state is State.FAILED
    assert len(view.reason.params["detail"]) <= 600
    assert len(scene.kept("one")) < 2 * supervise.MOST_OUTPUT
    assert most < 400 << 10, f"{most >> 10} MiB in the run's own process"


def test_a_run_that_fills_its_private_folder_is_ended(scene: Scene) -> None:
    fill = {"name": "fill", "ansible.builtin.command": "dd if=/dev/zero of={{ result_file }} bs=1M count=400 status=none"}
    with scene.workshop() as workshop:
        view = done(workshop, order("one", scene.play("fill.yml", fill, HOLD)))
    assert (view.state, view.reason and view.reason.code) == (State.FAILED, "run_too_large")


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system in memory of one MiB."""
    small = tmp_path / "small"
    small.mkdir()
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m,mode=1777", "small", small], check=True)
    yield small
    subprocess.run(["umount", "-l", small], check=True)


def test_a_full_memory_file_system_ends_the_run_by_a_name(scene: Scene, small: Path) -> None:
    fill = {"name": "fill", "ansible.builtin.command": "dd if=/dev/zero of={{ result_file }} bs=64k count=64 status=none"}
    with scene.workshop(memory=(small,)) as workshop:
        view = done(workshop, order("one", scene.play("fill.yml", fill)))
        assert view.state is State.FAILED
        assert view.reason is not None
        assert "No space left" in str(view.reason.params["detail"])
        (small / "rest").write_bytes(b"x" * (small_free(small) - 4096))
        view = done(workshop, order("two", scene.play("plain.yml", {"ansible.builtin.command": "true"})))
        assert view.state in (State.FAILED, State.INTERRUPTED)
        assert view.reason is not None
    assert [path.name for path in small.iterdir()] == ["rest"]


def small_free(small: Path) -> int:
    seen = os.statvfs(small)
    return seen.f_bavail * seen.f_bsize


def test_a_full_disk_takes_the_news_and_never_leaves_a_run_under_way(scene: Scene, small: Path) -> None:
    scene.runs.symlink_to(small)
    go = scene.base / "go"
    wait = {"name": "wait", "ansible.builtin.wait_for": {"path": str(go), "timeout": 30}}
    with scene.workshop() as workshop:
        workshop.start(order("one", scene.play("wait.yml", wait)))
        holds(under_way(scene, "one", "wait"))
        (small / "rest").write_bytes(b"x" * small_free(small))
        go.touch()
        view = ended(workshop, "one")
        assert interrupted(view), "that it was done could be written nowhere"
        view = done(workshop, order("two", Path("wait.yml")))
        assert interrupted(view)
        assert view.reason is not None
        assert "No space left" in str(view.reason.params["detail"])
        (small / "rest").unlink()
        view = ended(workshop, "one")
        assert interrupted(view)
        assert done(workshop, order("three", Path("wait.yml"))).state is State.DONE
        assert workshop.forget("two")
        assert workshop.look("two") is None


@pytest.mark.skipif(shutil.which("sshd", path="/usr/sbin:/usr/bin") is None, reason="install openssh-server")
def test_connections_that_ssh_keeps_open_end_with_the_run(scene: Scene) -> None:
    keys = scene.base / "keys"
    keys.mkdir(mode=0o700)
    for name in ("host", "client"):
        subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", keys / name], check=True)
    shutil.copy(keys / "client.pub", keys / "authorized")
    (keys / "known").write_text(f"[127.0.0.1]:22022 {(keys / 'host.pub').read_text()}")
    Path("/run/sshd").mkdir(exist_ok=True)
    config = {"Port": 22022, "ListenAddress": "127.0.0.1", "HostKey": keys / "host", "AuthorizedKeysFile": keys / "authorized"}
    options = [word for name, value in {**config, "StrictModes": "no", "PidFile": "none"}.items() for word in ("-o", f"{name}={value}")]
    server = subprocess.Popen(["/usr/sbin/sshd", "-D", "-e", "-f", "/dev/null", *options], stderr=subprocess.DEVNULL)
    try:
        by_ssh = {
            "ansible_connection": "ssh",
            "ansible_host": "127.0.0.1",
            "ansible_port": 22022,
            "ansible_ssh_private_key_file": str(keys / "client"),
            "ansible_ssh_common_args": f"-o UserKnownHostsFile={keys / 'known'}",
        }
        playbook = scene.play("ssh.yml", {"name": "there", "ansible.builtin.raw": "true"}, HOLD, vars=by_ssh, connection="ssh")
        with scene.workshop() as workshop:
            workshop.start(order("one", playbook))
            mine = str(holds(lambda: scene.private("one")))
            masters = holds(lambda: processes(f"ssh: {mine}", "[mux]"))
            holds(under_way(scene, "one", "hold"))
            workshop.cancel("one")
            assert ended(workshop, "one").state is State.CANCELLED
            assert masters
            assert not processes(f"ssh: {mine}")
            holds(gone(mine), within_s=5)
            workshop.start(order("two", playbook))
            mine = str(holds(lambda: scene.private("two")))
            holds(lambda: processes(f"ssh: {mine}", "[mux]"))
            os.kill(supervisor(scene, "two"), signal.SIGKILL)
            assert interrupted(ended(workshop, "two"))
            assert not processes(f"ssh: {mine}")
            holds(gone(mine), within_s=5)  # the keeper looks around, too
    finally:
        server.kill()
        server.wait()
        for process in processes("sleep", "3598"):  # the other end's, which sshd leaves
            os.kill(process, signal.SIGKILL)
