"""A folder of playbooks and a workshop for tests of runs, and a controller that can be killed: `python -m … scene BASE` is one.

The playbooks are tiny and run on this machine; ansible-core and ansible-runner are the real ones.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from drivers.bare_metal.runs import folder
from drivers.bare_metal.runs.order import Order, RunView, State
from drivers.bare_metal.runs.workshop import HEARTBEAT_S, Workshop
from tests.lab.needs import CHECKOUT

SECRET = "correct horse: battery"  # noqa: S105
MODULE = """#!/usr/bin/python
from ansible.module_utils.basic import AnsibleModule
module = AnsibleModule(argument_spec=dict(fail=dict(type="dict"), crash=dict(type="bool"), size=dict(type="int"), warn=dict(type="str")))
if module.params["crash"]:
    raise ValueError("this module has a bug")
if module.params["fail"]:
    module.fail_json(**module.params["fail"])
if module.params["warn"]:
    module.warn(module.params["warn"])
module.exit_json(changed=False, text="x" * (module.params["size"] or 0))
"""


@dataclass(frozen=True)
class Scene:
    """`base`/runs and `base`/playbooks."""

    base: Path

    @property
    def runs(self) -> Path:
        return self.base / "runs"

    @property
    def playbooks(self) -> Path:
        return self.base / "playbooks"

    def play(self, name: str, *tasks: Mapping[str, Any], **more: Any) -> Path:
        """Write a playbook; YAML is JSON, too."""
        play = {
            "hosts": "all",
            "gather_facts": False,
            "connection": "local",
            "vars": {"ansible_python_interpreter": "{{ ansible_playbook_python }}"},
            "tasks": list(tasks),
        }
        (self.playbooks / name).write_text(json.dumps([{**play, **more}]))
        return Path(name)

    @contextmanager
    def workshop(self, limit: int = 2, **more: Any) -> Iterator[Workshop]:
        workshop = Workshop(self.runs, self.playbooks, limit, **more)
        try:
            yield workshop
        finally:
            workshop.close()

    def private(self, run_id: str) -> Path | None:
        return folder.private_of(self.runs / run_id)

    def kept(self, run_id: str) -> bytes:
        """All that is in the run's own folder, the private one apart."""
        return b"".join(path.read_bytes() for path in sorted((self.runs / run_id).iterdir()) if not path.is_symlink())

    @contextmanager
    def controller(self, *orders: tuple[str, str, float], heartbeat_s: float = HEARTBEAT_S) -> Iterator[subprocess.Popen[bytes]]:
        """A process with a workshop that has begun those: (run id, playbook, deadline)."""
        given = json.dumps([heartbeat_s, *orders])
        process = subprocess.Popen([sys.executable, "-m", __name__, str(self.base), given], cwd=CHECKOUT, stdin=subprocess.PIPE)
        try:
            yield process
        finally:
            process.kill()
            process.wait()
            if process.stdin is not None:
                process.stdin.close()


def make(base: Path) -> Scene:
    scene = Scene(base)
    (scene.playbooks / "library").mkdir(parents=True)
    (scene.playbooks / "library" / "odd.py").write_text(MODULE)
    return scene


def order(run_id: str, playbook: Path, deadline_s: float = 60.0, **more: Any) -> Order:
    return Order(run_id, playbook, "machine-1", deadline_s, **more)


def holds(what: Callable[[], Any], within_s: float = 30.0, every_s: float = 0.02) -> Any:
    """Wait for it; what it says then."""
    until = time.monotonic() + within_s
    while not (found := what()):
        assert time.monotonic() < until, "it did not come to that"
        time.sleep(every_s)
    return found


def ended(workshop: Workshop, run_id: str, within_s: float = 30.0) -> RunView:
    def view() -> RunView | None:
        found = workshop.look(run_id)
        return found if found is not None and found.state.ended else None

    found: RunView = holds(view, within_s)
    return found


def done(workshop: Workshop, given: Order, within_s: float = 30.0) -> RunView:
    workshop.start(given)
    return ended(workshop, given.run_id, within_s)


def processes(*words: str) -> list[int]:
    """Those on whose command line all the words are, zombies apart."""
    found = []
    for path in Path("/proc").iterdir():
        if path.name.isdecimal() and int(path.name) != os.getpid():
            with suppress(OSError):
                line = (path / "cmdline").read_bytes().decode(errors="replace")
                if line and all(word in line for word in words):
                    found.append(int(path.name))
    return found


def under_way(scene: Scene, run_id: str, task: str) -> Callable[[], bool]:
    """Whether that task of the run is running; asked of the file, as another process would."""

    def running() -> bool:
        view = folder.look(scene.runs / run_id)
        return view is not None and any(one.name == task and one.state == "running" for one in view.tasks)

    return running


def _serve(base: Path, heartbeat_s: float, *orders: tuple[str, str, float]) -> None:
    with Scene(base).workshop(heartbeat_s=heartbeat_s) as workshop:
        for run_id, playbook, deadline_s in orders:
            workshop.start(order(run_id, Path(playbook), deadline_s, secrets={"password": SECRET}))
        sys.stdin.read()


def interrupted(view: RunView | None) -> bool:
    return view is not None and view.state is State.INTERRUPTED


if __name__ == "__main__":
    _serve(Path(sys.argv[1]), *json.loads(sys.argv[2]))
