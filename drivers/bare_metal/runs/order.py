"""What a run of a playbook is ordered with, and what is seen of it: plain values, and their form in `run.json`.

A run is one playbook for one machine. Whatever an order's variables hold, it is data: nothing in it is ever taken for a template.
"""

from __future__ import annotations

import keyword
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Any, Final

import orjson

from drivers.base import Reason
from drivers.errors import InvalidSpec

RESULT: Final = "result_file"  # the variable with the path at which a playbook leaves its result, a JSON object; set by the run itself
RUN_ID: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,79}")
_MACHINE: Final = re.compile(r"[A-Za-z0-9]([A-Za-z0-9_.-]{0,250}[A-Za-z0-9])?")


class State(StrEnum):
    """How far a run is."""

    WAITING = "waiting"  # for others to end
    RUNNING = "running"
    DONE = "done"
    FAILED = "failed"  # the playbook did, or its time was over; `RunView.reason` says which
    CANCELLED = "cancelled"  # somebody asked for it
    INTERRUPTED = "interrupted"  # it lost its controller or its processes: nothing is known but that it has ended; to be begun anew

    @property
    def ended(self) -> bool:
        """Whether nothing of it goes on."""
        return self not in (State.WAITING, State.RUNNING)


class TaskState(StrEnum):
    """What became of one task."""

    RUNNING = "running"
    OK = "ok"
    CHANGED = "changed"
    SKIPPED = "skipped"
    FAILED = "failed"
    UNREACHABLE = "unreachable"


@dataclass(frozen=True, slots=True)
class Login:
    """By which root of a system is reached: its address, the host key that it must have, our private key (both as OpenSSH writes them)."""

    address: str
    host_key: str
    private_key: str = field(repr=False)


@dataclass(frozen=True, slots=True)
class Order:
    """One run to be made. `playbook` is a path within the folder of playbooks.

    `secrets` are variables, too: they are written to no disk, are on no command line and in no environment, and are struck out of all that
    is kept. Both hold JSON. `deadline_s` counts from the moment at which the run's turn comes; `who` is kept as evidence. `login`: for a
    playbook that logs into the machine; its key is a secret.
    """

    run_id: str
    playbook: Path
    machine: str
    deadline_s: float
    variables: Mapping[str, Any] = field(default_factory=dict)
    secrets: Mapping[str, Any] = field(default_factory=dict, repr=False)
    who: str = ""
    login: Login | None = None


@dataclass(frozen=True, slots=True)
class Task:
    """One task. `started` in seconds since 1970; `detail` and `reason` of one that failed; `ignored`: the playbook minds no failure."""

    name: str
    state: TaskState
    started: float
    seconds: float | None = None
    detail: str = ""
    reason: Reason | None = None
    ignored: bool = False


@dataclass(frozen=True, slots=True)
class RunView:
    """A run as it is now, or was when it ended.

    `digest` is SHA-256 over the whole folder of playbooks (`folder.digest`), empty until the run's own process has looked; `started` and
    `ended` in seconds since 1970; `result` is what the playbook left in its result file, however it ended; None: nothing that can be read.
    """

    run_id: str
    playbook: str
    machine: str
    who: str
    state: State
    tasks: tuple[Task, ...] = ()
    reason: Reason | None = None
    result: Mapping[str, Any] | None = None
    digest: str = ""
    started: float | None = None
    ended: float | None = None


def check(order: Order) -> Order:
    """The order itself. Raises InvalidSpec for one that can't be carried out; no value is quoted."""
    problems = [
        problem
        for problem, wrong in (
            ("the run's id is no short name", not RUN_ID.fullmatch(order.run_id)),
            ("the machine's name is none that an inventory takes", not _MACHINE.fullmatch(order.machine)),
            ("the playbook is no path within the playbooks' folder", order.playbook.is_absolute() or ".." in order.playbook.parts),
            ("the deadline is not above zero", not order.deadline_s > 0),
            (f"{RESULT} is the run's own", RESULT in {*order.variables, *order.secrets}),
            ("a secret has the name of a variable", bool(set(order.variables) & set(order.secrets))),
            ("a variable's name is no identifier", not all(map(_names_variable, (*order.variables, *order.secrets)))),
        )
        if wrong
    ]
    if problems:
        raise InvalidSpec(detail=f"this run can't be ordered: {'; '.join(problems)}")
    try:
        orjson.dumps((dict(order.variables), dict(order.secrets)))
    except TypeError:
        raise InvalidSpec(detail="this run can't be ordered: a variable holds what JSON can't") from None
    return order


def waiting(order: Order) -> RunView:
    """How a run looks whose turn has not come."""
    return RunView(order.run_id, str(order.playbook), order.machine, order.who, State.WAITING)


def written(view: RunView) -> bytes:
    """A view as JSON."""
    return orjson.dumps(view, default=_plain, option=orjson.OPT_INDENT_2)


def read(content: bytes) -> RunView:
    """`written`, the other way round. Raises ValueError for anything else."""
    found = orjson.loads(content)
    try:
        tasks = tuple(
            Task(**{**task, "state": TaskState(task["state"]), "reason": _reason(task["reason"])})  # fields as they were written
            for task in found["tasks"]
        )
        return RunView(**{**found, "state": State(found["state"]), "tasks": tasks, "reason": _reason(found["reason"])})
    except (TypeError, KeyError) as error:
        raise ValueError(f"this is no run: {error!r}") from None


def _plain(value: object) -> object:
    if isinstance(value, Mapping):
        return dict(value)
    raise TypeError(type(value).__name__)


def _reason(found: Mapping[str, Any] | None) -> Reason | None:
    return None if found is None else Reason(found["code"], found["params"])


def _names_variable(name: object) -> bool:
    return isinstance(name, str) and name.isascii() and name.isidentifier() and not keyword.iskeyword(name)
