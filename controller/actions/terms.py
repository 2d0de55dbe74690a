"""What time does to instances with a term: those that end with it are given back, after a warning; those that wait say for what.

Default: nothing ends, and a term is what approvers read. Where the department said `ends`, the instance is deleted at the end of its term
as by hand. A protected one never is: it is said once that it stays, and it goes when its protection is taken away.
"""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import Connection

from controller import errors
from controller.config import Settings
from controller.model.lifecycle import Goal
from controller.model.request import Submission
from controller.model.term import AHEAD_DAYS, BEHIND_DAYS, Due, look
from controller.store import events, instances, terms
from controller.store.sql import Row

_EVENTS = {Due.WARN: "instance.term_ends", Due.END: "instance.term_ended", Due.KEEP: "instance.term_kept"}


def check(submission: Submission, now: datetime) -> None:
    """Whether its times make sense. Raises InvalidRequest."""
    if submission.ends and submission.term_days is None:
        raise errors.InvalidRequest("ends_without_term")
    if submission.starts_at is not None and submission.preempt:
        raise errors.InvalidRequest("preempt_later")
    if submission.starts_at is not None and submission.starts_at > now + timedelta(days=AHEAD_DAYS):
        raise errors.InvalidRequest("starts_too_late", days=AHEAD_DAYS)
    if submission.starts_at is not None and submission.starts_at < now - timedelta(days=BEHIND_DAYS):
        raise errors.InvalidRequest("starts_in_past")


def unpromised(conn: Connection, row: Row) -> None:
    """Nobody was promised the place of an instance, which the transaction has locked. Raises InvalidState; to whom is not said."""
    if terms.promised(conn, row["id"]):
        raise errors.InvalidState("place_promised", name=row["name"])


def fall_due(conn: Connection, settings: Settings, limit: int = 100) -> int:
    """Warn of ends that are near, and end what is to end; how many of either."""
    found = [(row, *look(row)) for row in terms.due(conn, limit)]
    for row, what, _ in found:
        if what is Due.END:
            instances.ask(conn, row["id"], settings.change_deadline_s if row["built"] else settings.build_deadline_s, goal=Goal.GONE)
    terms.set_due(conn, [{"id": row["id"], "term_due_at": again} for row, _, again in found])
    events.add(conn, [_fact(row, what) for row, what, _ in found])
    return len(found)


def _fact(row: Row, what: Due) -> events.Event:
    at = row["term_ends_at"].strftime("%Y-%m-%d")
    return events.event(_EVENTS[what], "instance", row["id"], row["name"], row["project_id"], "chutian", at=at)


def tell_waiting(conn: Connection, limit: int = 100) -> int:
    """Say of instances that should have begun that those whose place they were promised are still there; how many. Each is told once."""
    found = terms.roomless(conn, "waiting_for_room", limit)
    events.add(
        conn, [events.event("instance.waiting_for_room", "instance", row["id"], row["name"], row["project_id"], "chutian") for row in found]
    )
    return len(found)
