"""When what a node took away is made anew: enumerated, and as a tale of one that is taken away again and again."""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller.messages import CATALOGUE
from drivers.base import Condition, Health
from drivers.kubernetes import conditions, names, records
from drivers.kubernetes.records import Pod
from drivers.kubernetes.returning import CALM_S, PAUSES_S, TAKEN, Series, due_at, hopeless, read, series, taken
from tests.drivers.kubernetes.objects import OWNER, served, spec_of

T0 = datetime(2026, 1, 1, 12, 0, 0, tzinfo=UTC).timestamp()
REFUSALS = ("OutOfcpu", "OutOfmemory", "OutOfpods", "NodeAffinity", "NodePorts", "UnexpectedAdmissionError", "AppArmor")


def text(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).isoformat().replace("+00:00", "Z")


def lost(made_at: float, ended_at: float, again: Series | None = None, reason: str = "Evicted") -> Pod:
    """A pod as the API server shows it after its kubelet took it away."""
    status: dict[str, Any] = {"phase": "Failed", "reason": reason, "message": "wrote too much", "startTime": text(made_at)}
    status["conditions"] = [{"type": "Ready", "status": "False", "lastTransitionTime": text(ended_at)}]
    raw = served(spec_of(), status, creationTimestamp=text(made_at))
    raw["metadata"]["annotations"] |= {names.AGAIN: str(again)} if again else {}
    return records.pod(raw, OWNER)


def seen(pod: Pod, now: float, retry_s: float = 1800) -> tuple[Condition, str]:
    condition, reason = conditions.verdict(pod, Health.READY, datetime.fromtimestamp(now, UTC), retry_s)
    assert reason is not None
    assert reason.code in CATALOGUE
    return condition, reason.code


@pytest.mark.parametrize("reason", [*TAKEN, *REFUSALS])
def test_what_a_node_took_or_would_not_take_returns(reason: str) -> None:
    pod = lost(T0, T0 + 5, reason=reason)
    assert taken(pod)
    assert series(pod) == Series(1, T0 + 5)
    code = TAKEN.get(reason, "host_refused")
    assert seen(pod, T0 + 5) == (Condition.STOPPED, code)
    assert seen(lost(T0, T0 + 5, Series(1, T0 - 9), reason), T0 + 5) == (Condition.BUSY, code)


@pytest.mark.parametrize("reason", ["", "DeadlineExceeded", "Error"])
def test_what_ended_by_itself_does_not(reason: str) -> None:
    assert not taken(lost(T0, T0 + 5, reason=reason))


@pytest.mark.parametrize("number", range(1, 12))
def test_each_return_is_later_than_the_last_and_is_said(number: int) -> None:
    before = Series(number - 1, T0 - 60) if number > 1 else None
    pod = lost(T0, T0 + 5, before)
    pause = PAUSES_S[min(number, len(PAUSES_S)) - 1]
    assert due_at(pod) == T0 + 5 + pause
    if pause:
        assert seen(pod, T0 + 5 + pause - 1) == (Condition.BUSY, "container_evicted")
    assert seen(pod, T0 + 5 + pause) == (Condition.STOPPED, "container_evicted")


def test_one_that_ran_for_long_begins_anew() -> None:
    assert series(lost(T0, T0 + CALM_S, Series(6, T0 - 900))) == Series(7, T0 - 900)
    assert series(lost(T0, T0 + CALM_S + 1, Series(6, T0 - 900))) == Series(1, T0 + CALM_S + 1)


@given(life=st.integers(0, CALM_S), retry_s=st.integers(1, 3600))
def test_one_that_is_taken_away_every_time_is_made_ever_more_rarely_and_given_up_in_time(life: int, retry_s: int) -> None:
    now, again, made = T0, None, [T0]
    while not hopeless(pod := lost(now, now + life, again), retry_s):
        condition, _ = seen(pod, due_at(pod), retry_s)
        assert condition is Condition.STOPPED
        now, again = due_at(pod), read(str(series(pod)))
        made.append(now)
        assert len(made) < 30
    for later in (now + life, now + 1e6):
        assert seen(pod, later, retry_s) == (Condition.FAILED, "host_keeps_refusing"), "for good"
    first = T0 + life
    assert made[-1] - first <= retry_s
    assert due_at(pod) - first > retry_s
    gaps = [after - before for before, after in pairwise(made)]
    assert gaps == sorted(gaps)


@pytest.mark.parametrize("note", ["", "x", "3", "3 x", "-1 5", "3 " + "9" * 50, "3.5 7", "nan nan"])
def test_a_note_that_somebody_else_wrote_counts_for_nothing(note: str) -> None:
    assert read(note) is None


def test_a_note_is_read_as_it_was_written() -> None:
    assert read(str(Series(3, T0))) == Series(3, T0)
