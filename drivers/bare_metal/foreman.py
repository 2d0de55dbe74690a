"""This controller's runs on machines: begun, confirmed in their journals while they go on, and recorded when they have ended.

One for each controller, shared by the drivers of all its machines, so that runs outlive a driver that is opened anew. A run may go on for
as long as its journal says that it is the one on record, and no longer: `_may_go_on` keeps the heartbeats of `runs.workshop` going for a
few seconds after the last confirmation, and `record.LEASE_S` is longer than those, the workshop's patience and the ending together.
"""

from __future__ import annotations

import functools
import logging
import queue
import threading
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from hashlib import sha256
from pathlib import Path
from typing import Any, Final

from drivers.bare_metal import attempt as attempts
from drivers.bare_metal.depot import Depot
from drivers.bare_metal.record import Record, Step, ended, unwanted
from drivers.bare_metal.runs import reading
from drivers.bare_metal.runs.order import Order, RunView, State
from drivers.bare_metal.runs.workshop import Workshop
from drivers.bare_metal.standing import closed
from drivers.base import HostInventory
from drivers.errors import DepotClosed
from drivers.journal import Journal, Workplace

_EVERY_S: Final = 1.0
_A_PART: Final = 10  # percent of what takes long: so often it is told, though the task is the same
_GRACE_S: Final = 5.0  # for so long after it was last confirmed a run may go on
_KEPT_S: Final = 7 * 86400.0
"""So long what a run left is kept on disk where its controller could not write down how it ended; the ledger knows as much."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Job:
    """What is known of a run beside its order. `host`: what the machine has, by a record; `tell` wakes who waits for the run."""

    run_id: str
    step: Step
    journal: Journal
    host: Callable[[Record], HostInventory]
    tell: Callable[[], None]
    instance_id: str | None = None
    project_id: str | None = None


class Foreman:
    """Runs of one controller. Safe to use from several threads at once."""

    def __init__(self, workplace: Workplace) -> None:
        """Raises DepotClosed where the depot can't listen."""
        self.depot_folder = workplace.folder / "depot"
        self._depot = _opened(self.depot_folder, workplace.depot_listen) if workplace.depot_listen else None
        self._jobs: dict[str, Job] = {}
        self._confirmed: dict[str, float] = {}
        self._told: dict[str, tuple[Any, ...]] = {}
        self._news: queue.SimpleQueue[str] = queue.SimpleQueue()  # of runs
        self._workshop = Workshop(workplace.folder / "runs", workplace.playbooks, workplace.at_once, self._news.put, self._may_go_on)
        self._workshop.sweep()
        for run_id in self._workshop.ended_before(time.time() - _KEPT_S):
            self.clear(run_id)
        threading.Thread(target=self._forever, name="foreman", daemon=True).start()

    def begin(self, job: Job, order: Order) -> None:
        """Have the run made; it is on record already."""
        self._confirmed[job.run_id] = time.monotonic()
        self._jobs[job.run_id] = job
        self._workshop.start(order)
        self._news.put(job.run_id)

    def over(self, run_id: str) -> bool:
        """Whether this run was this controller's, and has ended with what the controller was before it was started again."""
        if run_id in self._jobs:
            return False
        view = self._workshop.look(run_id)
        return view is not None and view.state.ended

    def clear(self, run_id: str) -> None:
        """Remove what is left of a run that was cut off, where it was this controller's."""
        attempts.end(self.depot_folder, run_id)
        self._workshop.forget(run_id)

    def _may_go_on(self, run_id: str) -> bool:
        return time.monotonic() - self._confirmed.get(run_id, 0.0) < _GRACE_S

    def _forever(self) -> None:
        """Attend to runs of which there is news, and to all every so often."""
        all_at = 0.0
        while True:
            fresh = self._fresh(max(all_at - time.monotonic(), 0.0))
            if time.monotonic() >= all_at:
                fresh, all_at = set(self._jobs), time.monotonic() + _EVERY_S
            for job in [job for run_id, job in list(self._jobs.items()) if run_id in fresh]:
                try:
                    self._attend(job)
                except Exception:  # noqa: BLE001  # the database is away: the run ends by itself, unless it comes back soon
                    _log.exception("a run could not be attended to", extra={"run": job.run_id})

    def _fresh(self, within_s: float) -> set[str]:
        """Runs of which there is news; waits so long for the first."""
        found = set()
        with suppress(queue.Empty):
            found.add(self._news.get(timeout=within_s))
            while True:
                found.add(self._news.get_nowait())
        return found

    def _attend(self, job: Job) -> None:
        view = self._workshop.look(job.run_id)
        if view is None or view.state.ended:
            self._record(job, view)
            del self._jobs[job.run_id]
            self._confirmed.pop(job.run_id, None)
            self._told.pop(job.run_id, None)
            self.clear(job.run_id)
            job.tell()
            return
        progress = progress_of(view, attempts.found(self.depot_folder, job.run_id))
        document = job.journal.confirm(job.run_id, progress)
        if document is None or unwanted(Record.of(document), job.step):
            self._workshop.cancel(job.run_id)
            return
        self._confirmed[job.run_id] = time.monotonic()
        news = (view.tasks, progress.get("percent", 0) // _A_PART)
        if self._told.get(job.run_id) != news:
            self._told[job.run_id] = news
            job.journal.keep_run(kept(job, view, progress))
            job.tell()

    def _record(self, job: Job, view: RunView | None) -> None:
        """Write down how a run ended: first the evidence, then what follows from it."""
        view = view or RunView(job.run_id, f"{job.step}.yml", "", "", State.INTERRUPTED)
        job.journal.keep_run(kept(job, view, {}))
        whole, reason = view.state is State.DONE, view.reason if view.state is State.FAILED else None
        while True:
            entry = job.journal.read()
            old = Record.of(entry.document)
            new = ended(old, job.run_id, reason, view.result or {}, whole=whole)
            if new is old:  # another has taken over
                return
            for certificate in certificates(job, view) if job.step is Step.WIPE else ():
                job.journal.keep_certificate(certificate)
            host = job.host(new) if new.inspection != old.inspection else None
            if job.journal.write(new.document, entry.version, closed(new, depot=True), host):
                break
        if new.quarantine is not None and new.quarantine != old.quarantine:
            job.journal.say("machine.quarantined", why=new.quarantine.code, **new.quarantine.params)


def foreman_at(workplace: Workplace) -> Foreman:
    """This controller's. Raises DepotClosed, and is tried again then."""
    with _lock:
        return _made(workplace)


_made, _lock = functools.cache(Foreman), threading.Lock()


def _opened(folder: Path, listen: str) -> Depot:
    address, _, port = listen.rpartition(":")
    try:
        depot = Depot(folder, address.strip("[]"), int(port))
    except OSError as error:
        raise DepotClosed(address=listen, detail=f"{error.strerror or error}.") from error
    depot.start()
    return depot


def progress_of(view: RunView, attempt: attempts.Attempt | None) -> dict[str, Any]:
    """How far a run is: `task`, and of what takes long `percent` and `mb_s` (10^6 bytes a second). What the machine said before that task
    began was about another one."""
    task = reading.under_way(view.tasks)
    said: dict[str, Any] = {"task": task.name if task else ""}
    of_it = attempt is not None and task is not None and attempt.progress_at >= task.started
    news = (attempt.progress if attempt and of_it else None) or {}
    done, total, seconds = (news.get(name) for name in ("bytes", "of", "seconds"))
    if isinstance(done, int) and isinstance(total, int) and total > 0:
        said["percent"] = min(100, done * 100 // total)
    if isinstance(done, int) and isinstance(seconds, int | float) and seconds > 0:
        said["mb_s"] = round(done / seconds / 1e6)
    return said


def kept(job: Job, view: RunView, progress: Mapping[str, Any]) -> dict[str, Any]:
    """A run as it is kept: what `Journal.keep_run` takes."""
    began = view.started or 0.0
    return {
        "id": job.run_id,
        "instance_id": job.instance_id,
        "project_id": job.project_id,
        "step": job.step.value,
        "playbook": view.playbook,
        "digest": view.digest,
        "state": view.state.value,
        "reason": asdict(view.reason) if view.reason else None,
        "tasks": [
            {
                "name": task.name,
                "state": task.state.value,
                "started_s": round(max(task.started - began, 0.0), 3),
                "seconds": task.seconds,
                "detail": task.detail,
                "reason": asdict(task.reason) if task.reason else None,
            }
            for task in view.tasks
        ],
        "progress": dict(progress),
    }


def certificates(job: Job, view: RunView) -> list[dict[str, Any]]:
    """One for each disk that a wipe cleared, whatever became of the others: what `Journal.keep_certificate` takes. The same run gives the
    same ids."""
    cleared_at = datetime.fromtimestamp(view.ended or 0.0, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
    made = []
    for disk in (one for one in (view.result or {}).get("disks", []) if one.get("verified") is True):
        serial = str(disk.get("serial") or disk.get("disk"))
        document = {
            "disk": {name: disk.get(name) for name in ("disk", "serial", "model", "bytes")},
            "method": disk.get("method"),
            "verified": True,
            "read_back": disk.get("read_back"),
            "cleared_at": cleared_at,
            "playbook": view.playbook,
            "playbooks": view.digest,
            "machine": view.machine,
            "run_id": job.run_id,
            "instance_id": job.instance_id,
        }
        identity = {"id": _derived(job.run_id, serial), "run_id": job.run_id, "instance_id": job.instance_id, "project_id": job.project_id}
        made.append({**identity, "disk_serial": serial, "document": document})
    return made


def _derived(run_id: str, serial: str) -> str:
    """An id with the time of the run's, and else the disk's own."""
    return f"{run_id[:24]}{sha256(f'{run_id} {serial}'.encode()).hexdigest()[:12]}"
