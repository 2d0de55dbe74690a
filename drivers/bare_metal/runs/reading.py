"""What ansible-runner's events say about a run: events in, tasks out, and why the run failed; pure.

Everything in an event but its kind was said by a machine or a module, so it is bounded, printed without what steers a terminal, and
believed only in the shape that is expected. Whether a run succeeded is never read from here: that is the playbook's exit status.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final

from drivers.bare_metal.runs.order import Task, TaskState
from drivers.base import Reason

MOST_TASKS: Final = 500  # the latest are kept
LONGEST_NAME: Final = 200
LONGEST: Final = 600
MOST_PARAMS: Final = 16
_LARGEST: Final = 1 << 53
_CODE: Final = re.compile(r"[a-z][a-z0-9_]{0,63}")
_PARAM: Final = re.compile(r"[a-z][a-z0-9_]{0,39}")
_STARTS: Final = ("playbook_on_task_start", "playbook_on_handler_task_start")
_ENDS: Final = {
    "runner_on_ok": TaskState.OK,
    "runner_on_skipped": TaskState.SKIPPED,
    "runner_on_failed": TaskState.FAILED,
    "runner_on_unreachable": TaskState.UNREACHABLE,
}
FAILURES: Final = (TaskState.FAILED, TaskState.UNREACHABLE)


@dataclass(frozen=True, slots=True)
class Seen:
    """A task and Ansible's own id of it, by which later events name it."""

    uuid: str
    task: Task


def after(seen: tuple[Seen, ...], event: Mapping[str, Any]) -> tuple[Seen, ...]:
    """The tasks once that event has happened; the very same tuple where it says nothing about them."""
    kind, data = event.get("event"), event.get("event_data")
    if not isinstance(kind, str) or not isinstance(data, Mapping):
        return seen
    uuid, at = str(data.get("task_uuid", "")), _moment(event.get("created"))
    if kind in _STARTS:
        begun = Seen(uuid, Task(_name(data), TaskState.RUNNING, at))
        return (*seen, begun)[-MOST_TASKS:]
    place = next((place for place in reversed(range(len(seen))) if seen[place].uuid == uuid), None) if kind in _ENDS else None
    if place is None:
        return seen
    ended = _ended(seen[place].task, _ENDS[kind], data, at)
    return (*seen[:place], Seen(uuid, ended), *seen[place + 1 :])


def rescued(event: Mapping[str, Any]) -> int | None:
    """How many failures the playbook recovered from, which Ansible says at its end; None of another event."""
    data = event.get("event_data")
    if event.get("event") != "playbook_on_stats" or not isinstance(data, Mapping) or not isinstance(hosts := data.get("rescued"), Mapping):
        return None
    return sum(count for count in hosts.values() if isinstance(count, int))


def why_failed(tasks: Sequence[Task], recovered: int = 0) -> Reason | None:
    """Why a playbook that failed did so; None where no task did.

    What counts is the first failure after those that it recovered from (`rescued`); whatever fails after that fails while clearing up.
    """
    counting = [task for task in tasks if task.state in FAILURES and not task.ignored]
    if not counting:
        return None
    cause = counting[min(recovered, len(counting) - 1)]
    if cause.state is TaskState.UNREACHABLE:
        return Reason("ssh_unreachable", {"detail": cause.detail})
    return cause.reason or Reason("playbook_task_failed", {"task": cause.name, "detail": cause.detail})


def under_way(tasks: Sequence[Task]) -> Task | None:
    """The task that is under way; None between two."""
    return next((task for task in reversed(tasks) if task.state is TaskState.RUNNING), None)


def running(tasks: Sequence[Task]) -> str:
    """Its name; empty between two."""
    task = under_way(tasks)
    return task.name if task else ""


def told(value: object, longest: int = LONGEST) -> str:
    """Foreign text in one line, without what steers a terminal, cut in its middle: how it begins and how it ends says most."""
    text = value if isinstance(value, str) else "" if value is None else str(value)
    if len(text) > 8 * longest:  # before it is looked through
        text = f"{text[: 4 * longest]} {text[-4 * longest :]}"
    line = "".join(letter if letter.isprintable() else " " for letter in text)
    line = " ".join(line.split())
    half = (longest - 3) // 2
    return line if len(line) <= longest else f"{line[:half]} … {line[-half:]}"


def reason_of(found: object) -> Reason | None:
    """A module's `reason`, if it has the shape {"code": short identifier, "params": {name: text or whole number}}; else None."""
    if not isinstance(found, Mapping) or not isinstance(code := found.get("code"), str) or not _CODE.fullmatch(code):
        return None
    params = found.get("params", {})
    if (
        not isinstance(params, Mapping)
        or len(params) > MOST_PARAMS
        or not all(isinstance(name, str) and _PARAM.fullmatch(name) for name in params)
    ):
        return None
    values = {name: _value(value) for name, value in params.items()}
    return None if None in values.values() else Reason(code, {name: value for name, value in values.items() if value is not None})


def _value(value: object) -> str | int | None:
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    return told(value) if isinstance(value, str) else max(-_LARGEST, min(value, _LARGEST))


def _ended(task: Task, state: TaskState, data: Mapping[str, Any], at: float) -> Task:
    if task.state in FAILURES:
        return task  # by another host's failure
    result = data.get("res")
    result = result if isinstance(result, Mapping) else {}
    if state is TaskState.OK and result.get("changed") is True:
        state = TaskState.CHANGED
    task = replace(task, state=state, seconds=round(max(at - task.started, 0.0), 3))
    if state not in FAILURES:
        return task
    culprit = _culprit(result)
    return replace(
        task,
        detail=_detail(culprit),
        reason=reason_of(culprit.get("reason")) or reason_of(result.get("reason")),
        ignored=data.get("ignore_errors") is True,
    )


def _culprit(result: Mapping[str, Any]) -> Mapping[str, Any]:
    """Of a task that loops: the first turn that failed."""
    turns = result.get("results")
    failed = (turn for turn in turns if isinstance(turn, Mapping) and turn.get("failed") is True) if isinstance(turns, list) else ()
    return next(iter(failed), result)


def _detail(result: Mapping[str, Any]) -> str:
    """What a failed result says: its message, and the last line of what the program or the traceback said."""
    said = next((result[name] for name in ("module_stderr", "stderr", "module_stdout", "stdout") if result.get(name)), "")
    lines = [line for line in str(said)[-4 * LONGEST :].splitlines() if line.strip()]
    message = result.get("msg") or result.get("censored")
    parts = [told(message), told(lines[-1], LONGEST // 2) if lines else ""]
    return told(" ".join(part for part in dict.fromkeys(parts) if part))


def _name(data: Mapping[str, Any]) -> str:
    name, role = told(data.get("task") or data.get("name"), LONGEST_NAME), told(data.get("role"), LONGEST_NAME // 2)
    return f"{role}: {name}" if role else name


def _moment(created: object) -> float:
    try:
        return datetime.fromisoformat(str(created)).timestamp()
    except (ValueError, OverflowError):
        return 0.0
