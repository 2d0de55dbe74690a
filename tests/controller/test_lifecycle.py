"""The one decision about an instance, over everything it may depend on: there are few enough combinations to try them all."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace
from itertools import product

import pytest

from controller.model.lifecycle import ALTERED, SETTLED, TRANSITIONS, UNBUILT, Act, Goal, Look, State, next_step
from drivers.base import Condition

FLAGS = [field.name for field in fields(Look) if field.type in (bool, "bool")]
DRIFT = {"instance.vanished", "instance.stopped_by_other", "instance.started_by_other", ALTERED}


def looks() -> Iterator[Look]:
    """Every combination there is."""
    for goal, state, condition in product(Goal, State, Condition):
        for values in product((False, True), repeat=len(FLAGS)):
            yield Look(goal, state, condition, **dict(zip(FLAGS, values, strict=True)))


EVERY = [(look, next_step(look)) for look in looks()]
WANTED = {Goal.RUNNING: Condition.RUNNING, Goal.STOPPED: Condition.STOPPED}
ARRIVED = {Goal.RUNNING: State.ACTIVE, Goal.STOPPED: State.STOPPED}


def arrived(look: Look) -> State | None:
    """Where it has arrived, if it has: as was asked, or at its own end."""
    if not look.current:
        return None
    if look.condition is Condition.FINISHED:
        return State.STOPPED
    return ARRIVED[look.goal] if look.condition is WANTED.get(look.goal) else None


def leaving(look: Look) -> bool:
    """It is to be gone; a delete that has begun is never taken back, whatever the goal says."""
    return look.state is not State.DELETED and (look.goal is Goal.GONE or look.state is State.DELETING)


def test_every_combination_is_tried() -> None:
    assert len(EVERY) == 3 * 8 * 6 * 2 ** len(FLAGS)
    assert len(FLAGS) == 7, "a flag was added or taken away: look through the rules below"


def test_the_table_of_transitions_knows_every_state_and_ends_in_deleted_alone() -> None:
    assert TRANSITIONS.keys() == set(State)
    assert [state for state in State if not TRANSITIONS[state]] == [State.DELETED]
    assert all(State.DELETED in after for state, after in TRANSITIONS.items() if state is not State.DELETED)


def test_a_step_only_makes_transitions_that_the_table_has() -> None:
    for look, step in EVERY:
        assert step.state is look.state or step.state in TRANSITIONS[look.state], (look, step)


def test_every_transition_of_the_table_is_made_by_some_step_or_belongs_to_placing_or_moving() -> None:
    made = {(look.state, step.state) for look, step in EVERY if look.state is not step.state}
    unmade = {(state, after) for state, others in TRANSITIONS.items() for after in others} - made
    assert all(State.MIGRATING in pair or after is State.BUILDING for pair in unmade for after in pair[1:]), unmade


def test_deleted_is_final_and_touches_nothing() -> None:
    for look, step in EVERY:
        if look.state is State.DELETED:
            assert (step.act, step.state, step.done, step.event) == (Act.NOTHING, State.DELETED, True, None), look


def test_only_a_backend_that_says_absent_makes_an_instance_deleted() -> None:
    for look, step in EVERY:
        if step.state is State.DELETED and look.state is not State.DELETED:
            assert look.condition is Condition.ABSENT, look
            assert leaving(look), look


def test_what_is_to_be_gone_is_never_ensured_and_removed_until_it_is_absent() -> None:
    for look, step in EVERY:
        if leaving(look):
            assert step.act is (Act.NOTHING if look.condition is Condition.ABSENT else Act.REMOVE), look
            assert step.state is (State.DELETED if look.condition is Condition.ABSENT else State.DELETING), look


def test_only_what_is_to_be_gone_is_ever_removed() -> None:
    for look, step in EVERY:
        if step.act is Act.REMOVE or step.state in (State.DELETING, State.DELETED):
            assert leaving(look) or look.state is State.DELETED, (look, step)


def test_what_is_busy_is_ensured_only_where_it_is_held_up_and_something_else_was_asked_for() -> None:
    for look, step in EVERY:
        if look.condition is Condition.BUSY and not (look.held and look.armed and not look.current):
            assert step.act is not Act.ENSURE, look


def test_what_is_held_up_takes_what_is_asked_for_next() -> None:
    """A container whose image can't be fetched is rebuilt from another, or stopped."""
    for goal, state in product((Goal.RUNNING, Goal.STOPPED), (State.ACTIVE, State.STOPPED, State.BUILDING)):
        step = next_step(Look(goal, state, Condition.BUSY, armed=True, held=True))
        assert (step.act, step.state, step.event) == (Act.ENSURE, state, None)


def test_an_error_that_nothing_was_asked_about_since_is_left_alone_unless_it_healed() -> None:
    for look, step in EVERY:
        if look.state is State.ERROR and not look.armed and look.goal is not Goal.GONE:
            assert step.act is Act.NOTHING, look
            assert step.done, look
            assert step.state is (arrived(look) or State.ERROR), look


def test_an_error_that_something_was_asked_about_since_is_tried_again() -> None:
    for look, step in EVERY:
        if look.state is State.ERROR and look.armed and look.goal is not Goal.GONE and look.condition is not Condition.BUSY:
            assert step.act is (Act.NOTHING if arrived(look) else Act.ENSURE), look


def test_nothing_is_left_without_an_end_or_a_further_look() -> None:
    """Not done means that the loop looks again (`instance_pass` gives each such step a pause); done, that there is nothing to wait for."""
    for look, step in EVERY:
        if step.done:
            assert step.act is Act.NOTHING, (look, step)
            assert step.state in SETTLED | {State.DELETED, State.ERROR}, (look, step)
        elif step.act is Act.NOTHING:  # something is under way by itself
            assert look.condition is Condition.BUSY, (look, step)


def test_arriving_means_that_goal_condition_and_generation_agree_or_that_it_came_to_its_end() -> None:
    for look, step in EVERY:
        if step.done and step.state in SETTLED and look.state is not State.DELETED:
            assert step.state is arrived(look), look


def test_what_came_to_its_end_is_not_started_again_before_somebody_asks() -> None:
    step = next_step(Look(Goal.RUNNING, State.ACTIVE, Condition.FINISHED, current=True))
    assert (step.act, step.state, step.done, step.event) == (Act.NOTHING, State.STOPPED, True, "instance.finished")
    asked = next_step(Look(Goal.RUNNING, State.STOPPED, Condition.FINISHED, current=False, armed=True))
    assert asked.act is Act.ENSURE


def test_what_is_as_it_was_asked_to_be_is_settled_and_said_once() -> None:
    for look, step in EVERY:
        if leaving(look) or look.state is State.DELETED or arrived(look) is None:
            continue
        assert (step.act, step.state, step.done) == (Act.NOTHING, arrived(look), True), look
        again = next_step(replace(look, state=step.state, armed=False))
        assert (again.act, again.state, again.done, again.event) == (Act.NOTHING, step.state, True, None), look


def test_drift_is_told_only_of_settled_instances_of_which_nothing_was_asked() -> None:
    for look, step in EVERY:
        if step.event in DRIFT:
            assert look.state in SETTLED, look
            assert not look.armed, look
            assert step.act is Act.ENSURE, look


@pytest.mark.parametrize(
    ("goal", "state", "condition", "event"),
    [
        (Goal.RUNNING, State.ACTIVE, Condition.STOPPED, "instance.stopped_by_other"),
        (Goal.RUNNING, State.ACTIVE, Condition.ABSENT, "instance.vanished"),
        (Goal.STOPPED, State.STOPPED, Condition.ABSENT, "instance.vanished"),
        (Goal.STOPPED, State.STOPPED, Condition.RUNNING, "instance.started_by_other"),
    ],
)
def test_each_sort_of_drift_has_its_word_and_is_mended(goal: Goal, state: State, condition: Condition, event: str) -> None:
    for current in (False, True):
        step = next_step(Look(goal, state, condition, current=current, built=True))
        assert (step.act, step.state, step.event) == (Act.ENSURE, state, event)


def test_one_that_runs_but_is_not_kept_so_is_told_and_mended() -> None:
    step = next_step(Look(Goal.RUNNING, State.ACTIVE, Condition.RUNNING, built=True, kept=False))
    assert (step.act, step.state, step.event) == (Act.ENSURE, State.ACTIVE, ALTERED)


def test_only_an_unbuilt_instance_is_given_up_for_being_late() -> None:
    for look, step in EVERY:
        in_time = next_step(replace(look, overdue=False))
        if look.overdue and step != in_time:
            assert look.state in UNBUILT, look
            assert (step.act, step.state, step.event) == (Act.NOTHING, State.ERROR, "instance.failed"), look


def test_power_is_cut_only_when_the_grace_is_over() -> None:
    for look, step in EVERY:
        if step.force:
            assert look.grace_over, look
            assert step.act is Act.ENSURE, look


def test_a_failure_always_has_its_event_and_an_event_of_failure_its_state() -> None:
    for look, step in EVERY:
        if step.state is State.ERROR and look.state is not State.ERROR:
            assert step.event == "instance.failed", look
        if step.event == "instance.failed":
            assert (step.state, step.done) == (State.ERROR, True), look
