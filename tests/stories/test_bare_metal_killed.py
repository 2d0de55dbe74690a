"""A real server whose controller, or whose run, is killed between any two tasks: it reaches its goal, and never two runs work on it.

Boundaries are counted and not named: the first is a run that was put on record and has not begun, the next the beginning of its first task,
and so on. Whatever is killed there, the step begins anew; so one life of a server has them all, one after the other.
"""

from __future__ import annotations

import os
import shutil
import signal
import threading
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from controller.store import embedded
from drivers.bare_metal.runs import folder as runs
from drivers.bare_metal.runs.folder import MARK
from tests.api.outside import Caller, Cloud
from tests.api.server import ROOT, free_port
from tests.lab.metal import shared
from tests.lab.metal.server import Server
from tests.stories import hall as halls
from tests.stories.hall import RUN_S, Hall, host_of
from tests.stories.serving import Serving

pytestmark = [pytest.mark.real, pytest.mark.slow]
CONTROLLER, SUPERVISOR, ANSIBLE = "controller", "supervisor", "ansible-playbook"
MOST = 99
Kills = Iterable[tuple[str, int]]  # what, and at which boundary


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
    quarantined: bool = False  # as its wipe was cut off too often; its operators had it wiped all the same

    @property
    def runs(self) -> Path:
        return self.hall.cloud.data_dir / "runs"

    def go_through(self, step: str, kills: Kills) -> int:
        """Kill at those boundaries of a step, each in another run of it, until there are no more; how often that was."""
        killed = 0
        for what, number in kills:
            run = self._reached(step, number, ended=what == CONTROLLER)
            if run is None:
                break
            self.seen.add(run.name)
            self._kill(what, run)
            killed += 1
        return killed

    def _reached(self, step: str, number: int, *, ended: bool) -> Path | None:
        """A run that is at that boundary, or (`ended`) at its end and not on record as done; None where one is."""
        end, asked_at = time.monotonic() + RUN_S, 0.0
        while time.monotonic() < end:
            for path in self.runs.glob("*"):
                view = runs.look(path) if path.name not in self.seen else None
                if view is None or view.playbook != f"{step}.yml" or (view.state.ended and not ended):
                    continue
                if len(view.tasks) >= number:
                    return path
            if time.monotonic() > asked_at + 0.5:
                if (step, "done") in self.hall.runs(self.server):
                    return None
                self._wiped_all_the_same()
                asked_at = time.monotonic()
            time.sleep(0.01)
        raise TimeoutError(f"{step} did not come to boundary {number}: {self.hall.runs(self.server)}")

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


@pytest.fixture
def tale() -> Iterator[Tale]:
    rig, folder = shared.shared_rig(), halls.place()
    listen = f"{rig.outside}:{free_port()}"
    halls.stock(folder / "data", rig, listen)
    url = embedded.start(folder)
    serving = Serving(folder, url, CHUTIAN_DEPOT_LISTEN=listen, CHUTIAN_OBSERVE_INTERVAL_S="1.0")
    try:
        serving.start()
        admin = serving.admin
        cloud = Cloud("", ROOT, admin, Caller(admin.http), url, folder / "data", serving.log)
        yield Tale(serving, Hall(cloud, rig), rig.servers[0])
    finally:
        serving.end()
        embedded.stop(folder)
        rig.servers[0].renew()
        shutil.rmtree(folder, ignore_errors=True)


def test_whatever_is_killed_a_server_reaches_its_goal(tale: Tale, tmp_path: Path) -> None:
    kills = {
        "inspect": [(SUPERVISOR, 5)],
        "provision": [(CONTROLLER, 0), (ANSIBLE, 3), (CONTROLLER, 7), (SUPERVISOR, 12)],
        "wipe": [(CONTROLLER, 6)],
    }
    assert _lived(tale, tmp_path, kills) == {step: len(planned) for step, planned in kills.items()}
    assert not tale.quarantined


@pytest.mark.long
@pytest.mark.parametrize("what", [CONTROLLER, SUPERVISOR])
def test_whatever_is_killed_at_every_boundary_a_server_reaches_its_goal(tale: Tale, tmp_path: Path, what: str) -> None:
    every = [(what, number) for number in range(MOST)]
    killed = _lived(tale, tmp_path, {"inspect": every, "provision": every, "wipe": every})
    assert tale.quarantined is (what == SUPERVISOR), "a controller that is started again and again spoils no machine"
    assert killed["inspect"] >= 7
    assert killed["provision"] >= 11
    assert killed["wipe"] >= 7


def _lived(tale: Tale, folder: Path, kills: Mapping[str, Kills]) -> dict[str, int]:
    """How often it was killed in each step of a life."""
    hall, server, killed = tale.hall, tale.server, {}
    department = halls.furnish(hall, folder, server)
    watch = Watch(tale.runs)
    watch.start()
    hall.operator.ask(f"POST /v1/machines/{host_of(server)}/inspect")
    killed["inspect"] = tale.go_through("inspect", kills["inspect"])
    hall.until(server, "free")
    (id_,) = hall.apply(department, 1)
    killed["provision"] = tale.go_through("provision", kills["provision"])
    assert hall.instance(id_, "active")["addresses"] == [server.address]
    assert server.on
    department.member.ask(f"DELETE /v1/instances/{id_}")
    killed["wipe"] = tale.go_through("wipe", kills["wipe"])
    hall.instance(id_, "deleted")
    hall.until(server, "free")
    watch.end()
    _nothing_is_left(tale, watch)
    told = [(step, [state for name, state in hall.runs(server) if name == step]) for step in kills]
    for step, states in told:  # who was killed when all was done and not yet said begins anew, or finds it said
        assert states == ["interrupted"] * (len(states) - 1) + ["done"], told
        assert killed[step] - len(states) + 1 in (0, 1), told
    return killed


def _nothing_is_left(tale: Tale, watch: Watch) -> None:
    assert watch.most == 1, "two runs worked on it at once"
    assert not [private for private in watch.privates if Path(private).exists()]
    assert {mark for mark, _ in marked()} & watch.privates == set()
    assert list((tale.hall.cloud.data_dir / "depot/attempts").iterdir()) == []
    assert not tale.server.on
    assert tale.server.disk.stat().st_size == tale.server.hardware.disk
    assert not tale.server.holds(b"\x01")
