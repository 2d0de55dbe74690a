"""What a person sees while waiting: on a terminal a table that redraws itself, in a log a line per change. Both go to stderr."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING

from console import waiting
from console.app import App, note
from console.cells import cell
from console.client import Body, at
from console.errors import ApiError
from console.exits import FAILED, OK, TIMEOUT
from console.render import STYLES
from console.waiting import Verdict

if TYPE_CHECKING:
    from rich.table import Table

MOST_ROWS = 25


def instances(app: App, ids: Sequence[str], target: str, deadline: float) -> tuple[int, dict[str, Body]]:
    """Wait for instances and show how they come along; the exit code and what was seen last. What failed, and why, is told on stderr."""
    try:
        with _shown(app) as on_look:
            found = waiting.until(app.client(), ids, target, deadline, on_look)
    except ApiError as error:
        if error.code != "timeout":
            raise
        note(app.say("wait.timeout"))
        return TIMEOUT, {one["id"]: one for one in error.details.get("instances", [])}
    failed = [one for one in found.values() if waiting.verdict(one, target) is Verdict.FAILED]
    for one in failed:
        note(app.say("wait.failed", name=_name(one), state=one["state"], reason=cell(app.say, "reason", one.get("reason"))))
    return (FAILED if failed else OK), found


def request(app: App, request_id: str, deadline: float) -> tuple[int, Body]:
    """Wait for a decision, then for the request's instances to be active; the exit code and the request."""
    told: list[str] = []

    def on_look(body: Body) -> None:
        if body["state"] == "pending" and not told:
            told.append(request_id)
            note(app.say("wait.pending", id=request_id))

    try:
        body = waiting.decided(app.client(), request_id, deadline, on_look)
    except ApiError as error:
        if error.code != "timeout":
            raise
        note(app.say("wait.timeout"))
        return TIMEOUT, error.details["request"]
    if body["state"] != "approved":
        note(app.say("wait.not_approved", state=body["state"], reason=cell(app.say, "reason", (body.get("decision") or {}).get("reason"))))
        return FAILED, body
    code, _ = instances(app, body.get("instances") or [], "active", deadline)
    return code, body


def run(app: App, newest: Callable[[], str], before: str, deadline: float) -> tuple[int, Body | None]:
    """Wait for the run that comes after `before` to begin and to end, told task by task; the exit code and the run."""
    told: dict[int, str] = {}

    def on_look(body: Body) -> None:
        far = cell(app.say, "progress", body.get("progress"))
        for number, task in enumerate(body.get("tasks") or []):
            line = _task(app, task, far)
            if told.get(number) != line:
                told[number] = line
                note(line)

    try:
        body = waiting.run(app.client(), newest, before, deadline, on_look)
    except ApiError as error:
        if error.code != "timeout":
            raise
        note(app.say("wait.timeout"))
        return TIMEOUT, error.details.get("run")
    if body["state"] != "done":
        shown = body.get("host") or body["id"]
        note(app.say("wait.failed", name=shown, state=body["state"], reason=cell(app.say, "reason", body.get("reason"))))
    return (OK if body["state"] == "done" else FAILED), body


def host(app: App, name: str, deadline: float) -> int:
    """Wait until a host that is to be fenced is, or answers again; the exit code."""
    body, code = _until(app, at("hosts", name), lambda one: one["state"] != "unreachable", deadline)
    if code == OK:
        note(app.say("host.state", name=name, state=body["state"], reason=cell(app.say, "reason", body.get("reason"))))
        return OK if body["state"] == "fenced" else FAILED
    return code


def machine(app: App, name: str, wanted: str, deadline: float) -> int:
    """Wait until a machine is switched; the exit code."""
    body, code = _until(app, at("machines", name), lambda one: one["power_wanted"] is None, deadline)
    if code == OK:
        note(app.say("machine.power", name=name, power=body["power"]))
        return OK if body["power"] == wanted else FAILED
    return code


def _until(app: App, path: str, done: Callable[[Body], bool], deadline: float) -> tuple[Body, int]:
    try:
        return waiting.thing(app.client(), path, done, deadline), OK
    except ApiError as error:
        if error.code != "timeout":
            raise
        note(app.say("wait.timeout"))
        return error.details["last"], TIMEOUT


def _task(app: App, task: Body, far: str) -> str:
    """A line on a task; `far`: how far its run is."""
    name = cell(app.say, "name", task["name"])
    if task["state"] == "running":
        return f"{far if far.startswith(name) else name} …"
    line = app.say("run.task_ended", name=name, state=task["state"], seconds=cell(app.say, "seconds", task.get("seconds")))
    return line + (f" ({cell(app.say, 'text', task['text'])})" if task.get("text") else "")


@contextmanager
def _shown(app: App) -> Iterator[Callable[[Mapping[str, Body]], None]]:
    """A function to call after each look."""
    if not app.live:
        yield _lines(app)
        return
    from rich.console import Console
    from rich.live import Live

    with Live(console=Console(stderr=True), auto_refresh=False, transient=True) as live:
        yield lambda found: live.update(_drawn(app, found), refresh=True)


def _lines(app: App) -> Callable[[Mapping[str, Body]], None]:
    seen: dict[str, tuple[str, str]] = {}

    def on_look(found: Mapping[str, Body]) -> None:
        for key, one in found.items():
            now = (str(one["state"]), cell(app.say, "reason", one.get("reason")))
            if seen.get(key) != now:
                seen[key] = now
                note(f"{_name(one)}: {now[0]}" + (f" ({now[1]})" if one.get("reason") else ""))

    return on_look


def _drawn(app: App, found: Mapping[str, Body]) -> Table:
    """The redrawn table: those still on their way first, at most `MOST_ROWS`."""
    from rich.table import Table
    from rich.text import Text

    drawn = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for key in ("name", "state", "reason"):
        drawn.add_column(app.say(f"col.{key}"))
    rows = sorted(found.values(), key=lambda one: (one["state"] in {"active", "stopped", "deleted"}, _name(one)))
    for one in rows[:MOST_ROWS]:
        state = str(one["state"])
        drawn.add_row(Text(_name(one)), Text(state, style=STYLES.get(state, "")), Text(cell(app.say, "reason", one.get("reason"))))
    if len(rows) > MOST_ROWS:
        drawn.add_row(f"… +{len(rows) - MOST_ROWS}", "", "")
    return drawn


def _name(one: Body) -> str:
    return str(one.get("name") or one.get("id", "?"))
