"""The process of one run: `python -m drivers.bare_metal.runs.supervise RUN_FOLDER LOCK`, started by `workshop`.

It has ansible-runner carry out the order in the run's private folder, keeps `run.json` up to date, and ends everything that it started:
when the playbook has ended, when its time is over, when it is told to, and when nobody is there any more who wants it. That is: the pipe
at standard input was closed (the controller died), or no heartbeat came through it for as long as was agreed on (it is frozen, or has lost
its right to this machine). A byte at standard output tells the controller that there is news. LOCK is the number of the open file that
holds the run's lock for as long as this process lives.

Killed itself, it leaves a keeper, a shell that waits for just that and ends the rest.

Secrets are in the private folder's files alone; what is kept has gone through `Veil`. Events are believed only with the number that this
process gave Ansible for them, so that nobody who prints an event has made one.
"""

from __future__ import annotations

import ctypes
import os
import resource
import secrets
import select
import shutil
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import ansible_runner
import orjson

from drivers.bare_metal.runs import ending, folder, reading
from drivers.bare_metal.runs.environment import environment
from drivers.bare_metal.runs.order import RESULT, RunView, State, Task
from drivers.bare_metal.runs.veil import Veil
from drivers.base import Reason

MOST_BYTES: Final = 256 << 20  # in the private folder, which is in memory
MOST_MEMORY: Final = 4 << 30  # address space of each process
MOST_RESULT: Final = 1 << 20
MOST_OUTPUT: Final = 128 << 10  # of what Ansible printed, the last is kept
_LOOK_S: Final = 1.0
_HANGS_S: Final = 15.0
_SUBREAPER: Final = 36  # PR_SET_CHILD_SUBREAPER


class Supervision:
    """One run from its order to its end. `run` is the main thread's; another watches (`_watch`)."""

    def __init__(self, run: Path, private: Path) -> None:
        self._run, self._private = run, private
        self._order, self._playbooks, self._heartbeat_s = folder.take_order(private)
        self._veil = Veil({**self._order.secrets, "login": self._order.login.private_key if self._order.login else ""})
        self._number = secrets.randbits(60)  # Ansible's events carry it
        self._seen: tuple[reading.Seen, ...] = ()
        self._recovered = 0
        self._output: deque[str] = deque()
        self._printed = 0
        self._cut_short: tuple[State, Reason | None] | None = None
        self._over = threading.Event()
        self._keeper = _keeper(private)
        started = time.time()
        order = self._order
        self._view = RunView(order.run_id, str(order.playbook), order.machine, order.who, State.RUNNING, started=started)

    def run(self) -> bool:
        """From the order to the end; whether the end could be written down."""
        watching = threading.Thread(target=self._watch, name="watch", daemon=True)
        watching.start()
        try:
            state, reason = self._carried_out()
        except (Exception, SystemExit) as error:  # noqa: BLE001  # a full disk, or a bug: either way the run has to be ended and told of
            state, reason = State.INTERRUPTED, self._interrupted(f"{type(error).__name__}: {error}")
        return self._end(state, reason)

    def _carried_out(self) -> tuple[State, Reason | None]:
        order, private = self._order, self._private
        self._view = replace(self._view, digest=folder.digest(self._playbooks))
        self._write()
        playbook = self._playbooks / order.playbook
        if not playbook.is_file():
            return State.FAILED, self._unusable("there is no such playbook")
        folder.lay_out(private, order)
        os.environ.clear()
        os.environ.update(environment(private, self._playbooks, self._number))
        os.chdir(private)
        done = ansible_runner.run(
            private_data_dir=str(private),
            playbook=str(playbook),
            inventory=str(private / "inventory" / "hosts.yml"),
            ident="run",
            quiet=True,
            event_handler=self._happened,
            fact_cache_type="",  # facts are the run's own, in its memory
            settings={"suppress_output_file": True, "pexpect_timeout": 1},
            cancel_callback=lambda: False,  # or else ansible-runner takes signals for itself
        )
        return self._judged(done.rc)

    def _judged(self, code: int | None) -> tuple[State, Reason | None]:
        """What Ansible's exit status means; it has none where a signal ended it."""
        tasks = self._tasks()
        if code is None or code < 0:
            return State.INTERRUPTED, self._interrupted("ansible-playbook was ended from outside")
        if code:
            unnamed = self._unusable("".join(self._output)[-2 * reading.LONGEST :])
            return State.FAILED, reading.why_failed(tasks, self._recovered) or unnamed
        return (State.DONE, None) if tasks else (State.FAILED, self._unusable("it has no task for this machine"))

    def _end(self, state: State, reason: Reason | None) -> bool:
        """Whatever comes after the playbook, in the order in which a kill between any two does no harm."""
        self._over.set()
        state, reason = self._cut_short or (state, reason)
        ending.end_all(self._private, under=os.getpid(), spared=self._keeper.pid)
        result: Mapping[str, Any] | None = None
        try:
            result = self._result()
        except (OSError, ValueError) as error:
            if state is State.DONE:
                state, reason = State.FAILED, Reason("result_unreadable", {"detail": self._told(f"{RESULT}: {error}")})
        with suppress(OSError):
            (self._run / "stdout").write_text(self._veil.over("".join(self._output)), "utf-8", "replace")
        os.chdir("/")
        folder.remove_private(self._run)
        self._view = replace(self._view, state=state, reason=reason, result=result, ended=time.time())
        written = self._write(durable=True) or self._write_later()
        self._keeper.kill()
        return written

    # what the run says

    def _happened(self, event: dict[str, Any]) -> bool:
        """Takes in an event; False: it isn't kept as a file."""
        printed = event.get("stdout")
        if isinstance(printed, str) and printed:
            self._print(printed)
        if event.get("job_id") != self._number:
            return False
        self._recovered = reading.rescued(event) or self._recovered
        seen = reading.after(self._seen, event)
        if seen is not self._seen:
            self._seen = seen
            self._write()
        return False

    def _print(self, text: str) -> None:
        plain = "".join(letter if letter.isprintable() or letter == "\n" else " " for letter in text[-MOST_OUTPUT:].replace("\r\n", "\n"))
        self._output.append(f"{plain}\n")
        self._printed += len(self._output[-1])
        while self._printed > MOST_OUTPUT and len(self._output) > 1:
            self._printed -= len(self._output.popleft())

    def _tasks(self) -> tuple[Task, ...]:
        return tuple(self._veiled(seen.task) for seen in self._seen)

    def _veiled(self, task: Task) -> Task:
        reason = task.reason and Reason(task.reason.code, self._veil.over_all(task.reason.params))
        return replace(task, name=self._veil.over(task.name), detail=self._veil.over(task.detail), reason=reason)

    def _result(self) -> Mapping[str, Any] | None:
        """What the playbook left, None if it left nothing. Raises ValueError and OSError."""
        path = self._private / "result.json"
        if not path.exists():
            return None
        with path.open("rb") as file:
            content = file.read(MOST_RESULT + 1)
        if len(content) > MOST_RESULT:
            raise ValueError(f"more than {MOST_RESULT} bytes")
        found = orjson.loads(content)
        if not isinstance(found, dict):
            raise ValueError("no JSON object")
        result: Mapping[str, Any] = self._veil.over_all(found)
        return result

    def _write(self, *, durable: bool = False) -> bool:
        """Tell what is so now. A full disk takes the news away and not the run."""
        self._view = replace(self._view, tasks=self._tasks())
        try:
            folder.write(self._run, self._view, durable=durable)
        except OSError:
            return False
        with suppress(OSError):
            os.write(1, b".")
        return True

    def _write_later(self) -> bool:
        for _ in range(5):
            time.sleep(0.5)
            if self._write(durable=True):
                return True
        return False

    def _told(self, text: str) -> str:
        return reading.told(self._veil.over(text))

    def _unusable(self, detail: str) -> Reason:
        return Reason("playbook_unusable", {"playbook": str(self._order.playbook), "detail": self._told(detail)})

    def _interrupted(self, detail: str) -> Reason:
        return Reason("run_interrupted", {"task": reading.running(self._tasks()), "detail": self._told(detail)})

    # who wants it

    def _watch(self) -> None:
        """Waits for a reason to end the run before its time, and then ends whatever it starts until the main thread has seen it."""
        self._cut_short = self._reason_to_end()
        if self._cut_short is None:
            return
        until = _now() + _HANGS_S
        while not self._over.wait(0.02):
            ending.end_all(self._private, under=os.getpid(), spared=self._keeper.pid)
            if _now() > until:  # the main thread hangs: this is the end, too
                self._end(State.INTERRUPTED, None)
                os._exit(1)

    def _reason_to_end(self) -> tuple[State, Reason | None] | None:
        deadline, heard = _now() + self._order.deadline_s, _now()
        while not self._over.is_set():
            wait = min(_LOOK_S, max(deadline - _now(), 0.0), max(heard + self._heartbeat_s - _now(), 0.0))
            if select.select([0], [], [], wait)[0]:
                said, heard = os.read(0, 4096), _now()
                if not said:
                    return State.INTERRUPTED, self._interrupted("the controller is gone")
                if b"c" in said:
                    return State.CANCELLED, Reason("run_cancelled", {"task": reading.running(self._tasks())})
            if _now() >= heard + self._heartbeat_s:
                return State.INTERRUPTED, self._interrupted(f"the controller said nothing for {self._heartbeat_s:g} s")
            if _now() >= deadline:
                seconds = round(self._order.deadline_s)
                return State.FAILED, Reason("deadline_passed", {"seconds": seconds, "task": reading.running(self._tasks())})
            if folder.size_of(self._private, MOST_BYTES) > MOST_BYTES:
                return State.FAILED, Reason("run_too_large", {"bytes": MOST_BYTES, "task": reading.running(self._tasks())})
        return None


def _keeper(private: Path) -> subprocess.Popen[bytes]:
    """A shell that waits until this process has ended, by the pipe between them, and then ends what is left of the run."""
    script = 'read -r _; exec "$0" -P -m drivers.bare_metal.runs.ending "$1"'
    end, ours = os.pipe()
    os.set_blocking(ours, False)  # never written to; open for as long as this process lives
    keeper = subprocess.Popen(
        [shutil.which("sh") or "/bin/sh", "-c", script, sys.executable, private],
        stdin=end,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        env={"PATH": os.defpath, "PYTHONPATH": os.environ.get("PYTHONPATH", "")},
        start_new_session=True,
    )
    os.close(end)
    return keeper


def _now() -> float:
    return time.clock_gettime(time.CLOCK_BOOTTIME)  # goes on while the machine sleeps


def _bound() -> None:
    """What holds for this process and all that it starts."""
    os.umask(0o077)
    for what, most in ((resource.RLIMIT_CORE, 0), (resource.RLIMIT_AS, MOST_MEMORY)):
        hard = resource.getrlimit(what)[1]
        resource.setrlimit(what, (most if hard == resource.RLIM_INFINITY else min(most, hard), hard))
    ctypes.CDLL(None).prctl(_SUBREAPER, 1, 0, 0, 0)


def main(run: Path, lock: int) -> int:
    """The exit status."""
    os.set_inheritable(lock, False)
    os.set_blocking(1, False)
    _bound()
    private = folder.private_of(run)
    return 0 if private is not None and Supervision(run, private).run() else 1


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1]), int(sys.argv[2])))
