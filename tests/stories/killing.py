"""A controller, or what it runs a playbook by, is killed at the boundaries of a run: tools of the tales that tell it.

A boundary is a number of tasks that have begun (0: the run is on record and has not begun), or the name of a task that has. Whatever is
killed there, the step begins anew; so one life of a server has them all, one after the other.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

from drivers.bare_metal.runs import folder as runs
from drivers.bare_metal.runs.folder import MARK
from drivers.bare_metal.runs.order import RunView
from tests.lab.metal.server import Server
from tests.stories.hall import RUN_S, Hall, host_of
from tests.stories.serving import Serving

CONTROLLER, SUPERVISOR, ANSIBLE = "controller", "supervisor", "ansible-playbook"
MOST = 99
Boundary = int | str
Kills = Iterable[tuple[str, Boundary]]  # what, and where


class Watch(threading.Thread):
    """Looks all the time how many runs have processes. `most`: at once."""

    def __init__(self, runs: Path) -> None:
        super().__init__(daemon=True)
        self._runs, self._over = runs, threading.Event()
        self.privates: set[str] = set()
        self.most = 0

    def run(self) -> None:
        while not self._over.wait(0.1):
            for link in self._runs.glob("*/private"):
                with suppress(OSError):
                    self.privates.add(str(link.readlink()))
            self.most = max(self.most, len({mark for mark, _ in marked()} & self.privates))

    def end(self) -> None:
        self._over.set()
        self.join()


def marked() -> Iterator[tuple[str, int]]:
    """Processes of runs: the private folder and the id of each."""
    for path in Path("/proc").glob("[0-9]*/environ"):
        with suppress(OSError):
            for one in path.read_bytes().decode(errors="replace").split("\0"):
                if one.startswith(f"{MARK}="):
                    yield one.partition("=")[2], int(path.parent.name)


@dataclass
class Tale:
    """A controller that can be killed, and one server."""

    serving: Serving
    hall: Hall
    server: Server
    seen: set[str] = field(default_factory=set)  # runs that were killed, or are over
    within_s: float = RUN_S  # to the next boundary
    quarantined: bool = False  # as its wipe was cut off too often; its operators had it wiped all the same

    @property
    def runs(self) -> Path:
        return self.hall.cloud.data_dir / "runs"

    def go_through(self, step: str, kills: Kills) -> int:
        """Kill at those boundaries of a step, each in another run of it, until there are no more; how often that was."""
        killed = 0
        for what, at in kills:
            run = self._reached(step, at, ended=what == CONTROLLER)
            if run is None:
                break
            self.seen.add(run.name)
            self._kill(what, run)
            killed += 1
        return killed

    def _reached(self, step: str, at: Boundary, *, ended: bool) -> Path | None:
        """A run that is at that boundary, or (`ended`) at its end and not on record as done; None where one is."""
        end, asked_at = time.monotonic() + self.within_s, 0.0
        while time.monotonic() < end:
            for path in self.runs.glob("*"):
                view = runs.look(path) if path.name not in self.seen else None
                if view is None or view.playbook != f"{step}.yml" or (view.state.ended and not ended):
                    continue
                if _is_at(view, at):
                    return path
            if time.monotonic() > asked_at + 0.5:
                if (step, "done") in self.hall.runs(self.server):
                    return None
                self._wiped_all_the_same()
                asked_at = time.monotonic()
            time.sleep(0.01)
        raise TimeoutError(f"{step} did not come to boundary {at}: {self.hall.runs(self.server)}")

    def _wiped_all_the_same(self) -> None:
        line = f"/v1/machines/{host_of(self.server)}"
        if not self.quarantined and self.hall.operator.ask(f"GET {line}")["state"] == "quarantined":
            self.quarantined = True
            self.hall.operator.ask(f"POST {line}/wipe")

    def _kill(self, what: str, run: Path) -> None:
        if what == CONTROLLER:
            self.serving.again()
            return
        private, end = str(runs.private_of(run)), time.monotonic() + 20
        while not (found := _supervisor(run) if what == SUPERVISOR else _ansible(private)) and time.monotonic() < end:
            time.sleep(0.01)
        for process in found:
            with suppress(ProcessLookupError):
                os.kill(process, signal.SIGKILL)


def _is_at(view: RunView, at: Boundary) -> bool:
    return (
        len(view.tasks) >= at if isinstance(at, int) else any(task.name.rpartition(": ")[2] == at for task in view.tasks)
    )  # behind its role


def nothing_is_left(tale: Tale, watch: Watch) -> None:
    """Of any run, and never two worked at once."""
    assert watch.most == 1, "two runs worked on it at once"
    assert not [private for private in watch.privates if Path(private).exists()]
    assert {mark for mark, _ in marked()} & watch.privates == set()
    assert list((tale.hall.cloud.data_dir / "depot/attempts").iterdir()) == []


def _supervisor(run: Path) -> list[int]:
    return [pid for pid, words in _lines() if b"drivers.bare_metal.runs.supervise" in words and str(run).encode() in words]


def _ansible(private: str) -> list[int]:
    """With its workers."""
    ours = {pid for mark, pid in marked() if mark == private}
    return [pid for pid, words in _lines() if pid in ours and any(word.endswith(b"/ansible-playbook") for word in words)]


def _lines() -> Iterator[tuple[int, list[bytes]]]:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with suppress(OSError):
            yield int(path.parent.name), path.read_bytes().split(b"\0")
