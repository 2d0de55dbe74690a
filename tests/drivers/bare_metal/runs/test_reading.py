"""What events say, what is kept of texts, and what goes into an inventory: pure, no run is made."""

from __future__ import annotations

import base64
import json
from pathlib import Path
from typing import Any
from urllib.parse import quote

import pytest
from ansible.parsing.dataloader import DataLoader
from ansible.template import Templar, trust_as_template
from hypothesis import example, given, settings
from hypothesis import strategies as st

from drivers.bare_metal.runs import folder, order, reading
from drivers.bare_metal.runs.order import Order, RunView, State, Task, TaskState
from drivers.bare_metal.runs.reading import LONGEST, MOST_TASKS, Seen, after, reason_of, rescued, told, why_failed
from drivers.bare_metal.runs.untemplated import untemplated
from drivers.bare_metal.runs.veil import STRUCK, Veil
from drivers.base import Reason
from drivers.errors import InvalidSpec

TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
JSON = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 53), 1 << 53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4),
    max_leaves=8,
)
BEGUN = "2026-01-01T00:00:00+00:00"
ENDED = "2026-01-01T00:00:02.500000+00:00"


def event(kind: str, task: str = "a", at: str = BEGUN, **data: Any) -> dict[str, Any]:
    return {"event": kind, "created": at, "event_data": {"task": f"task {task}", "task_uuid": task, **data}}


def seen(*events: dict[str, Any]) -> tuple[Task, ...]:
    found: tuple[Seen, ...] = ()
    for one in events:
        found = after(found, one)
    return tuple(one.task for one in found)


@pytest.mark.parametrize(
    ("kind", "data", "state"),
    [
        ("runner_on_ok", {"res": {"changed": False}}, TaskState.OK),
        ("runner_on_ok", {"res": {"changed": True}}, TaskState.CHANGED),
        ("runner_on_ok", {}, TaskState.OK),
        ("runner_on_skipped", {"res": {"changed": False}}, TaskState.SKIPPED),
        ("runner_on_failed", {"res": {"msg": "x"}}, TaskState.FAILED),
        ("runner_on_unreachable", {"res": {"msg": "x"}}, TaskState.UNREACHABLE),
        ("runner_on_start", {}, TaskState.RUNNING),
    ],
)
def test_a_task_ends_as_ansible_says(kind: str, data: dict[str, Any], state: TaskState) -> None:
    (task,) = seen(event("playbook_on_task_start"), event(kind, at=ENDED, **data))
    assert (task.name, task.state, task.seconds) == ("task a", state, None if state is TaskState.RUNNING else 2.5)


def test_a_role_and_a_handler_are_named() -> None:
    tasks = seen(event("playbook_on_task_start", role="disks"), event("playbook_on_handler_task_start", "b"))
    assert [task.name for task in tasks] == ["disks: task a", "task b"]
    assert reading.running(tasks) == "task b"


@pytest.mark.parametrize(
    ("result", "detail"),
    [
        ({"msg": "no"}, "no"),
        ({"msg": "non-zero return code", "stderr": "first\nlast words\n"}, "non-zero return code last words"),
        ({"msg": "MODULE FAILURE", "module_stderr": "Traceback\n  File\nKeyError: 'x'\n"}, "MODULE FAILURE KeyError: 'x'"),
        ({"results": [{"msg": "well"}, {"failed": True, "msg": "third disk"}], "msg": "One or more items failed"}, "third disk"),
        ({"censored": "hidden"}, "hidden"),
        ({"msg": ["a", 1]}, "['a', 1]"),
        ({"msg": "steers \x1b[31m\na\tterminal"}, "steers [31m a terminal"),
        ({}, ""),
        (None, ""),
    ],
)
def test_a_failure_says_what_it_can(result: Any, detail: str) -> None:
    (task,) = seen(event("playbook_on_task_start"), event("runner_on_failed", res=result))
    assert task.detail == detail


FAILS = {"res": {"msg": "so"}}
DUE = {"res": {"msg": "so", "reason": {"code": "no_disk", "params": {"size": 3}}}}


@pytest.mark.parametrize(
    ("events", "reason"),
    [
        ([], None),
        ([event("runner_on_ok")], None),
        ([event("runner_on_failed", **FAILS)], Reason("playbook_task_failed", {"task": "task a", "detail": "so"})),
        ([event("runner_on_failed", **DUE)], Reason("no_disk", {"size": 3})),
        ([event("runner_on_failed", res={"results": [{"failed": True, **DUE["res"]}]})], Reason("no_disk", {"size": 3})),
        ([event("runner_on_failed", ignore_errors=True, **DUE)], None),
        ([event("runner_on_unreachable", **FAILS)], Reason("ssh_unreachable", {"detail": "so"})),
        (  # the second while it cleared up
            [event("runner_on_failed", **DUE), event("playbook_on_task_start", "b"), event("runner_on_failed", "b", **FAILS)],
            Reason("no_disk", {"size": 3}),
        ),
    ],
)
def test_the_first_failure_that_counts_is_why(events: list[dict[str, Any]], reason: Reason | None) -> None:
    assert why_failed(seen(event("playbook_on_task_start"), *events)) == reason


def test_what_a_playbook_recovered_from_is_not_why() -> None:
    failures = [
        one for task in "abc" for one in (event("playbook_on_task_start", task), event("runner_on_failed", task, res={"msg": task}))
    ]
    recovered = rescued({"event": "playbook_on_stats", "event_data": {"rescued": {"m": 1}}})
    assert recovered == 1
    assert why_failed(seen(*failures), recovered) == Reason("playbook_task_failed", {"task": "task b", "detail": "b"})
    assert why_failed(seen(*failures), 9) == Reason("playbook_task_failed", {"task": "task c", "detail": "c"})
    assert rescued(failures[0]) is None


@pytest.mark.parametrize(
    "found",
    [
        *(None, "no_disk", [], {}, {"code": 3}, {"code": "No_Disk"}, {"code": "no disk"}, {"code": "x" * 65}, {"code": ""}),
        *({"code": "a", "params": ["b"]}, {"code": "a", "params": {"b": [1]}}, {"code": "a", "params": {"b": True}}),
        *({"code": "a", "params": {"B": 1}}, {"code": "a", "params": {"b": None}}, {"code": "a", "params": {"b": 1.5}}),
        {"code": "a", "params": {f"p{number}": 1 for number in range(17)}},
    ],
)
def test_a_reason_of_another_shape_is_none(found: object) -> None:
    assert reason_of(found) is None


def test_a_reasons_params_are_bounded() -> None:
    found = reason_of({"code": "a", "params": {"text": "x" * 100_000, "number": 1 << 90}})
    assert found is not None
    assert len(str(found.params["text"])) <= LONGEST
    assert found.params["number"] == 1 << 53


@settings(deadline=None)
@given(
    st.lists(st.dictionaries(st.sampled_from(["event", "created", "event_data", "job_id"]), JSON | st.just("runner_on_failed")), max_size=8)
)
def test_no_event_is_a_surprise(events: list[dict[str, Any]]) -> None:
    found = after((), event("playbook_on_task_start"))
    for one in events:
        found = after(found, one)
        found = after(found, {**event("runner_on_failed"), **one})
    assert found


def test_the_latest_of_very_many_tasks_are_kept() -> None:
    tasks = seen(*(event("playbook_on_task_start", str(number)) for number in range(MOST_TASKS + 7)))
    assert len(tasks) == MOST_TASKS
    assert tasks[-1].name == f"task {MOST_TASKS + 6}"


@given(TEXTS)
def test_what_is_told_is_one_bounded_line(text: str) -> None:
    for longest in (10, LONGEST):
        found = told(text * 40, longest)
        assert len(found) <= longest
        assert found.isprintable()


@settings(deadline=None)
@given(st.dictionaries(st.text("abcdef", min_size=1, max_size=4), JSON, max_size=5))
@example({"a": {"é" * 2000: "ü" * 200_000, "": {}}})
def test_variables_reach_ansible_as_they_are(variables: dict[str, Any]) -> None:
    found = DataLoader().load(untemplated(variables))
    assert json.dumps(found) == json.dumps(variables)  # 1, 1.0 and true are three things


@pytest.mark.parametrize("text", ["{{ 6 * 7 }}", "{% for x in [1] %}y{% endfor %}", "{{ lookup('pipe', 'id') }}", "{#- -#}"])
def test_no_variable_is_a_template(text: str) -> None:
    values = {"a": text, "b": [{"c": text}]}
    found = DataLoader().load(untemplated(values))
    assert Templar(DataLoader(), {}).template(found) == values
    trusted = trust_as_template("{{ [a, b[0].c] }}")
    assert Templar(DataLoader(), found).template(trusted) == [text, text]


SECRETS = st.text(st.characters(exclude_categories=["Cs", "Cc", "Z"]), min_size=4, max_size=30)


@given(SECRETS, TEXTS, TEXTS)
def test_no_secret_gets_through_in_any_form(secret: str, before: str, behind: str) -> None:
    veil = Veil({"credentials": f"root:{secret}", "deep": [{"key": f"line one\n{secret}\n"}]})
    forms = {
        secret,
        json.dumps(secret)[1:-1],
        quote(secret, safe=""),
        base64.b64encode(f"root:{secret}".encode()).decode(),
        f"root:{secret}",
    }
    for form in forms:
        for spread in (form, "\n  ".join((form[:2], form[2:]))):
            found = veil.over(f"{before}{spread}{behind}")
            assert spread not in found or spread in STRUCK
            assert STRUCK in found


def test_what_is_no_secret_is_left() -> None:
    veil = Veil({"password": "hunter22", "short": "abc", "blank": "      ", "none": None})
    assert veil.over("abc is       well, hunter 2 too") == "abc is       well, hunter 2 too"
    assert veil.over_all({"hunter22": ["my hunter22", 3, None]}) == {"hunter22": ["my ***", 3, None]}
    assert Veil({}).over("anything") == "anything"


VIEWS = st.builds(
    RunView,
    run_id=TEXTS,
    playbook=TEXTS,
    machine=TEXTS,
    who=TEXTS,
    state=st.sampled_from(State),
    tasks=st.lists(
        st.builds(
            Task,
            name=TEXTS,
            state=st.sampled_from(TaskState),
            started=st.floats(0, 1e10),
            reason=st.none() | st.builds(Reason, TEXTS, st.dictionaries(TEXTS, TEXTS | st.integers(0, 9), max_size=2)),
        ),
        max_size=3,
    ).map(tuple),
    result=st.none() | st.dictionaries(TEXTS, JSON, max_size=2),
)


@given(VIEWS)
def test_a_view_is_read_as_it_was_written(view: RunView) -> None:
    assert order.read(order.written(view)) == view


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"3", b"{}", b'{"state": "done", "tasks": [], "reason": null}', b'{"tasks": [1]}'])
def test_what_is_no_view_is_refused(content: bytes) -> None:
    with pytest.raises(ValueError):  # noqa: PT011
        order.read(content)


@pytest.mark.parametrize(
    "wrong",
    [
        *({"run_id": ""}, {"run_id": "../up"}, {"run_id": "a/b"}, {"run_id": "x" * 81}, {"machine": "a: {b"}, {"machine": "-a"}),
        *({"playbook": Path("/etc/passwd")}, {"playbook": Path("../x.yml")}, {"deadline_s": 0.0}, {"deadline_s": float("nan")}),
        *({"variables": {"result_file": "x"}}, {"variables": {"no name": 1}}, {"variables": {"class": 1}}, {"variables": {"a": object()}}),
        *({"variables": {"a": 1}, "secrets": {"a": 2}}, {"secrets": {"a-b": "hunter22"}}, {"secrets": {"a": {1, 2}}}),
    ],
)
def test_an_order_that_cant_be_carried_out_is_refused_and_no_value_quoted(wrong: dict[str, Any]) -> None:
    right: dict[str, Any] = {"run_id": "one", "playbook": Path("x.yml"), "machine": "m", "deadline_s": 1.0, "secrets": {"pw": "hunter22"}}
    assert order.check(Order(**right))
    assert "hunter22" not in repr(Order(**right))
    with pytest.raises(InvalidSpec) as refused:
        order.check(Order(**{**right, **wrong}))
    assert "hunter22" not in str(refused.value)


def test_the_digest_is_of_names_and_contents_and_of_nothing_else(tmp_path: Path) -> None:
    (tmp_path / "roles").mkdir()
    (tmp_path / "a.yml").write_text("a")
    (tmp_path / "roles" / "b.yml").write_text("b")
    first = folder.digest(tmp_path)
    (tmp_path / "__pycache__").mkdir()
    (tmp_path / "__pycache__" / "x.pyc").write_text("x")
    assert folder.digest(tmp_path) == first
    (tmp_path / "a.yml").rename(tmp_path / "c.yml")
    second = folder.digest(tmp_path)
    (tmp_path / "c.yml").write_text("d")
    assert len({first, second, folder.digest(tmp_path)}) == 3
