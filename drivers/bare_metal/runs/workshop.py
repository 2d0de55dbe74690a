"""The controller's end of runs: begun in order and so many at once, looked at, cancelled, and never left alone.

Each run is a process of its own (`supervise`), in a folder of its own (`folder`). One thread here gives the waiting ones their turn,
hears that there is news, and sends each run a heartbeat. The controller's memory holds an order while it waits, and of a run under way no
more than its process and two pipes; the rest is in files.

What a run does to a machine must end before somebody else begins with that machine. This is why it does, with two controllers on one
ledger:

* A run lives no longer than its controller. The pipe to it closes when the controller dies, however; heartbeats stop when the controller
  is frozen, or has lost its turn at the machine (`may_go_on`), and after `heartbeat_s` without one the run ends itself, within a second or
  two. So a turn in the ledger must have at least these seconds left whenever a heartbeat is sent: then it is still that controller's when
  the last process of the run is gone.
* A run that is killed itself leaves its controller, which settles it at once, and a keeper, should both be killed.
* On one machine a run's id is claimed by making its folder, and it is known to live by a lock that the kernel lets go with its process: a
  second controller with the same folder neither begins it again nor ends what the first one watches over.
* Whatever a run had got to, the next one begins the step anew; steps bear that.

Rejected: finding a run again after a restart of the controller and going on with it. It would need runs that outlive their controller,
and then nothing could tell a run that is well from one that nobody has wanted for an hour.
"""

from __future__ import annotations

import logging
import os
import selectors
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

from drivers.bare_metal.runs import ending, folder, reading
from drivers.bare_metal.runs.environment import ROOT, bare
from drivers.bare_metal.runs.order import RUN_ID, Order, RunView, State, check, waiting
from drivers.base import Reason

HEARTBEAT_S: Final = 6.0
_BEATS: Final = 5  # within that time
CLOSING_S: Final = 15.0
LATE_S: Final = 10.0  # past its deadline a run that hasn't ended itself hangs, and is killed
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class _Running:
    """The process of a run, our end of the pipe to it, and when it is given up, by the monotonic clock."""

    process: subprocess.Popen[bytes]
    to: int
    until: float


def _always(run_id: str) -> bool:  # noqa: ARG001
    return True


def _nobody(run_id: str) -> None:
    """Is told of nothing."""


class Workshop:
    """Runs of playbooks, `limit` at once. Safe to use from several threads at once.

    `on_change(run_id)` is called when a run has news, `may_go_on(run_id)` before each heartbeat of a run: False ends it within
    `heartbeat_s`. Both are called from the workshop's one thread and mustn't block it. `memory`: where private folders may be made, if it
    is in memory.
    """

    def __init__(
        self,
        runs: Path,
        playbooks: Path,
        limit: int,
        on_change: Callable[[str], None] = _nobody,
        may_go_on: Callable[[str], bool] = _always,
        memory: tuple[Path, ...] = folder.MEMORY,
        heartbeat_s: float = HEARTBEAT_S,
    ) -> None:
        """Raises OSError where the folder can't be made."""
        self._runs, self._playbooks, self._limit, self._memory = runs.resolve(), playbooks.resolve(), limit, memory
        self._on_change, self._may_go_on, self._heartbeat_s = on_change, may_go_on, heartbeat_s
        self._runs.mkdir(mode=0o700, parents=True, exist_ok=True)
        self._lock = threading.Lock()
        self._waiting: dict[str, Order] = {}
        self._running: dict[str, _Running] = {}
        self._unwritten: dict[str, RunView] = {}  # those that could not even be begun, for want of a disk to say so on
        self._closed = False
        self._selector = selectors.DefaultSelector()
        self._awake, self._wake = os.pipe()
        os.set_blocking(self._awake, False)
        os.set_blocking(self._wake, False)
        self._selector.register(self._awake, selectors.EVENT_READ, "")
        self._thread = threading.Thread(target=self._work, name="runs", daemon=True)
        self._thread.start()

    def start(self, order: Order) -> RunView:
        """Have the run made when its turn comes. One of that id is there already: nothing happens, whatever became of it.

        Raises InvalidSpec for an order that can't be carried out, and RuntimeError once closed.
        """
        check(order)
        known = self.look(order.run_id)
        if known is not None:
            return known
        with self._lock:
            if self._closed or not self._thread.is_alive():
                raise RuntimeError("the workshop is closed")
            if order.run_id not in self._running:
                self._waiting.setdefault(order.run_id, order)
        self._rouse()
        return self.look(order.run_id) or waiting(order)

    def look(self, run_id: str) -> RunView | None:
        """The run as it is now; None where there never was one, or it is forgotten."""
        if not RUN_ID.fullmatch(run_id):
            return None
        with self._lock:
            if run_id in self._waiting:
                return waiting(self._waiting[run_id])
            ours = run_id in self._running
            unwritten = self._unwritten.get(run_id)
        run = self._runs / run_id
        view = folder.look(run) or unwritten
        if view is None or view.state.ended or ours:
            return view
        return self._settle(run) or view

    def cancel(self, run_id: str) -> None:
        """Have it end: at once where it waits, else within a second or two. Ended already, or another controller's: nothing happens.

        Raises OSError where that of a waiting one can't be written down.
        """
        with self._lock:
            order = self._waiting.get(run_id)
            if order is not None:
                run, reason = self._runs / run_id, Reason("run_cancelled", {"task": ""})
                run.mkdir(mode=0o700, exist_ok=True)
                folder.write(run, replace(waiting(order), state=State.CANCELLED, reason=reason, ended=time.time()))
                del self._waiting[run_id]
            elif run_id in self._running:
                _send(self._running[run_id].to, b"c")
        if order is not None:
            self._tell(run_id)

    def forget(self, run_id: str) -> bool:
        """Remove what is kept of a run; False where it has not ended."""
        view = self.look(run_id)
        if view is not None and not view.state.ended:
            return False
        if view is not None:
            with self._lock:
                self._unwritten.pop(run_id, None)
            folder.remove_private(self._runs / run_id)
            shutil.rmtree(self._runs / run_id, ignore_errors=True)
        return True

    def sweep(self) -> tuple[str, ...]:
        """End what is left of runs whose own process is gone, and remove their private folders; the ids of those that were under way.

        To be called when a controller starts. Runs that another controller watches over are left alone.
        """
        found = []
        for run in self._runs.iterdir():
            with self._lock:
                ours = run.name in self._running or run.name in self._waiting
            before = None if ours else folder.look(run)
            if before is not None and self._settle(run) is not None and not before.state.ended:
                found.append(run.name)
        return tuple(sorted(found))

    def ended_before(self, moment: float) -> tuple[str, ...]:
        """Runs that had ended by then (seconds since 1970) and are not forgotten."""
        views = [folder.look(run) for run in self._runs.iterdir()]
        return tuple(sorted(view.run_id for view in views if view and view.state.ended and (view.ended or 0.0) < moment))

    def close(self) -> None:
        """End all runs, and wait until they have ended: interrupted. Those that wait were never begun. A second time nothing happens."""
        with self._lock:
            closed, self._closed = self._closed, True
            self._waiting.clear()
        self._rouse()
        self._thread.join()
        if not closed:
            with self._lock:  # who rouses writes into the pipe under it
                self._selector.close()
                os.close(self._awake)
                os.close(self._wake)

    # the workshop's thread

    def _work(self) -> None:
        beat_at, until = time.monotonic(), None
        while True:
            self._begin_waiting()
            for key, _ in self._selector.select(max(beat_at - time.monotonic(), 0.0)):
                self._hear(key.fd, key.data)
            if time.monotonic() >= beat_at:
                self._beat()
                beat_at = time.monotonic() + self._heartbeat_s / _BEATS
            if self._closed:
                until = until or self._let_go()
                if not self._running or time.monotonic() > until:
                    break

    def _begin_waiting(self) -> None:
        while True:
            with self._lock:
                if not self._waiting or len(self._running) >= self._limit or self._closed:
                    return
                run_id, order = next(iter(self._waiting.items()))
                run = self._runs / run_id
                try:
                    running, news = self._begin(run, order)
                    self._running[run_id] = running
                    self._selector.register(news, selectors.EVENT_READ, run_id)
                except OSError as error:
                    self._put_off(run, order, error)
                del self._waiting[run_id]
            self._tell(run_id)

    def _begin(self, run: Path, order: Order) -> tuple[_Running, int]:
        """The run's process, and where its news come from. Raises FileExistsError where another controller has begun it, and OSError."""
        run.mkdir(mode=0o700, exist_ok=True)
        lock = folder.hold(run)
        if lock is None:
            raise FileExistsError(run)
        theirs, to, news, told = -1, -1, -1, -1
        try:
            if (run / "run.json").exists():
                raise FileExistsError(run)
            folder.write(run, replace(waiting(order), state=State.RUNNING, started=time.time()))
            folder.put_order(folder.make_private(run, self._memory), order, self._playbooks, self._heartbeat_s)
            theirs, to = os.pipe()
            news, told = os.pipe()
            process = subprocess.Popen(
                [sys.executable, "-P", "-m", "drivers.bare_metal.runs.supervise", run, str(lock)],
                stdin=theirs,
                stdout=told,
                stderr=subprocess.DEVNULL,
                env=bare(),
                cwd=ROOT,
                pass_fds=(lock,),
                start_new_session=True,
            )
        except OSError:
            for end in (to, news):
                if end >= 0:
                    os.close(end)
            raise
        finally:
            for end in (lock, theirs, told):
                if end >= 0:
                    os.close(end)
        for end in (to, news):
            os.set_blocking(end, False)
        return _Running(process, to, time.monotonic() + order.deadline_s + LATE_S), news

    def _put_off(self, run: Path, order: Order, error: OSError) -> None:
        """A run that could not be begun (a full disk, no memory for a process): interrupted, unless another controller has begun it."""
        if isinstance(error, FileExistsError):
            return
        _log.warning("a run could not be begun", extra={"run": order.run_id}, exc_info=error)
        folder.remove_private(run)
        reason = Reason("run_interrupted", {"task": "", "detail": f"it could not be begun: {error.strerror}"})
        view = replace(waiting(order), state=State.INTERRUPTED, reason=reason, ended=time.time())
        try:
            folder.write(run, view)
        except OSError:
            self._unwritten[order.run_id] = view

    def _hear(self, end: int, run_id: str) -> None:
        with suppress(BlockingIOError):
            said = os.read(end, 4096)
            if not run_id:
                return
            if not said:
                self._selector.unregister(end)
                os.close(end)
                self._ended(run_id)
            self._tell(run_id)

    def _ended(self, run_id: str) -> None:
        running = self._running[run_id]
        running.process.wait()
        self._settle(self._runs / run_id)
        with self._lock:  # who cancels writes into the pipe under it
            del self._running[run_id]
            os.close(running.to)

    def _beat(self) -> None:
        for run_id, running in list(self._running.items()):
            if time.monotonic() > running.until:
                running.process.kill()
            elif self._may(run_id):
                _send(running.to, b".")

    def _may(self, run_id: str) -> bool:
        try:
            return self._may_go_on(run_id)
        except Exception:  # noqa: BLE001  # whoever asks has a bug, and other runs must go on
            _log.exception("whether a run may go on could not be told", extra={"run": run_id})
            return False

    def _tell(self, run_id: str) -> None:
        try:
            self._on_change(run_id)
        except Exception:  # noqa: BLE001  # as above
            _log.exception("news of a run could not be told", extra={"run": run_id})

    def _let_go(self) -> float:
        """Close the pipes to all runs, which end them; until when they are waited for. Half of that time over, the rest is killed."""
        half = time.monotonic() + CLOSING_S / 2
        with self._lock:
            for run_id, running in self._running.items():
                os.close(running.to)
                self._running[run_id] = replace(running, to=os.open(os.devnull, os.O_WRONLY | os.O_CLOEXEC), until=half)
        return half + CLOSING_S / 2

    def _settle(self, run: Path) -> RunView | None:
        """The run as it ended, if its own process is gone: what that left undone is done here. None where it lives, or there is no run."""
        try:
            lock = folder.hold(run) if (run / "run.json").exists() else None
        except OSError:
            lock = None
        if lock is None:
            return None
        try:
            view, private = folder.look(run), folder.private_of(run)
            if private is not None:
                ending.end_all(private)
                folder.remove_private(run)
            if view is None or view.state.ended:
                return view
            task = reading.running(view.tasks)
            reason = Reason("run_interrupted", {"task": task, "detail": "its own process ended without a last word"})
            view = replace(view, state=State.INTERRUPTED, reason=reason, ended=time.time())
            with suppress(OSError):
                folder.write(run, view, durable=True)
            return view
        finally:
            os.close(lock)

    def _rouse(self) -> None:
        with self._lock:
            if self._thread.is_alive():
                _send(self._wake, b"!")


def _send(end: int, what: bytes) -> None:
    with suppress(BlockingIOError, BrokenPipeError):
        os.write(end, what)
