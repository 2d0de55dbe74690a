"""The life of an instance: two fields with two writers, and one pure decision.

`goal` is written by actions (what was asked), `state` by the reconciler (what is). A pass looks (`condition`), asks `next_step` what to do,
does that one thing and looks again. There is no memory of *why* it runs, so that first run, retry, restart of the controller and drift are
one code path. The rejected alternative, a job per action, needs someone to edit the database when a job is lost.

Stated policy for what happens behind the controller's back: the goal is the truth. A guest stopped by hand is started again, one started by
hand is stopped again, one undefined by hand is defined again from its disk, running or not; each time an event says so. A disk that
vanished is never replaced by an empty one: the instance goes to `error` and says why. A backend that can't be asked changes nothing at all.
What came to its end by itself and well, as a container may that is asked for only once, is stopped until somebody starts it; what is broken
as it was asked for last is in error until then, and nothing is done to it meanwhile.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from drivers.base import Condition


class Goal(StrEnum):
    """What was asked."""

    RUNNING = "running"
    STOPPED = "stopped"
    GONE = "gone"


class State(StrEnum):
    """What we record."""

    PENDING = "pending"  # placed and counted; building has not begun
    BUILDING = "building"
    ACTIVE = "active"
    STOPPED = "stopped"
    MIGRATING = "migrating"
    DELETING = "deleting"
    DELETED = "deleted"
    ERROR = "error"


TRANSITIONS: dict[State, frozenset[State]] = {
    State.PENDING: frozenset({State.BUILDING, State.ACTIVE, State.STOPPED, State.DELETING, State.DELETED, State.ERROR}),
    State.BUILDING: frozenset({State.ACTIVE, State.STOPPED, State.DELETING, State.DELETED, State.ERROR}),
    State.ACTIVE: frozenset({State.STOPPED, State.BUILDING, State.MIGRATING, State.DELETING, State.DELETED, State.ERROR}),
    State.STOPPED: frozenset({State.ACTIVE, State.BUILDING, State.MIGRATING, State.DELETING, State.DELETED, State.ERROR}),
    State.MIGRATING: frozenset({State.ACTIVE, State.STOPPED, State.DELETING, State.DELETED, State.ERROR}),
    State.DELETING: frozenset({State.DELETED}),
    State.DELETED: frozenset(),
    State.ERROR: frozenset({State.BUILDING, State.ACTIVE, State.STOPPED, State.DELETING, State.DELETED}),
}

UNBUILT = frozenset({State.PENDING, State.BUILDING})
SETTLED = frozenset({State.ACTIVE, State.STOPPED})
ALTERED = "instance.altered_by_other"  # as it should be, but not kept so
_WANTED = {Goal.RUNNING: (Condition.RUNNING, State.ACTIVE), Goal.STOPPED: (Condition.STOPPED, State.STOPPED)}


class Act(StrEnum):
    """The one thing a pass does to the backend."""

    NOTHING = "nothing"
    ENSURE = "ensure"
    REMOVE = "remove"


@dataclass(frozen=True, slots=True)
class Look:
    """All that a decision may depend on.

    `current`: the backend bears the newest generation. `armed`: a change was asked for since the last one that came to an end.
    `overdue`: the deadline of what is under way has passed. `grace_over`: the guest has had its time to shut down. `built`: the root disk
    of this build has been made before, so that it must still be there. `kept`: the backend bears a whole spec, of whichever generation.
    `held`: something stands in the way of what is under way (an image that can't be fetched, say), so that it may never end by itself.
    """

    goal: Goal
    state: State
    condition: Condition
    current: bool = False
    armed: bool = False
    overdue: bool = False
    grace_over: bool = False
    built: bool = False
    kept: bool = True
    held: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """What to do (`act`), the state to record, and what to say (`event`).

    `done`: nothing more is to be done until something changes. `drift`: what was seen is nobody's asking.
    """

    act: Act
    state: State
    done: bool = False
    force: bool = False
    event: str | None = None


def next_step(look: Look) -> Step:
    """Decide. Total: every combination has an answer (the test enumerates them all)."""
    if look.state is State.DELETED:
        return Step(Act.NOTHING, State.DELETED, done=True)
    if look.goal is Goal.GONE or look.state is State.DELETING:  # a delete that has begun is never taken back
        return _leave(look)
    wanted, settled = _WANTED[look.goal]
    if look.condition is wanted and look.current:
        return Step(Act.NOTHING, settled, done=True, event=_arrival(look, settled))
    if look.condition is Condition.FINISHED and look.current:
        return Step(Act.NOTHING, State.STOPPED, done=True, event=_arrival(look, State.STOPPED) and "instance.finished")
    if look.state is State.ERROR and not look.armed:
        return Step(Act.NOTHING, State.ERROR, done=True)  # ended badly: an action re-arms it, or the backend heals
    if look.overdue and look.state in UNBUILT:
        return Step(Act.NOTHING, State.ERROR, done=True, event="instance.failed")
    if look.condition is Condition.BUSY and not (look.held and look.armed and not look.current):  # who asked anew need not wait for it
        return Step(Act.NOTHING, _under_way(look))
    if look.condition is Condition.FAILED and (not look.armed or (look.current and look.state is not State.ERROR)):
        return Step(Act.NOTHING, State.ERROR, done=True, event="instance.failed")
    return Step(Act.ENSURE, _under_way(look), force=look.grace_over, event=_drift(look, wanted))


def _leave(look: Look) -> Step:
    if look.condition is Condition.ABSENT:
        return Step(Act.NOTHING, State.DELETED, done=True, event="instance.deleted")
    return Step(Act.REMOVE, State.DELETING)


def _under_way(look: Look) -> State:
    """The state while something is being done: an unbuilt or broken instance is building, another stays what it was."""
    return State.BUILDING if look.state in UNBUILT or look.state is State.ERROR else look.state


def _arrival(look: Look, settled: State) -> str | None:
    """The event of having arrived, once for each arrival."""
    if look.state is settled and not look.armed:
        return None
    return "instance.active" if settled is State.ACTIVE else "instance.stopped"


def _drift(look: Look, wanted: Condition) -> str | None:
    """Somebody acted behind our back: a settled instance, no change asked for, and yet it isn't as it should be."""
    if look.armed or look.state not in SETTLED:
        return None
    if look.condition is wanted:
        return None if look.kept else ALTERED
    return {
        Condition.ABSENT: "instance.vanished",
        Condition.STOPPED: "instance.stopped_by_other",
        Condition.RUNNING: "instance.started_by_other",
    }.get(look.condition)
