"""Terms: nothing ends by default; what was to end is given back, once, after a warning; who is protected stays; who begins later waits."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from controller import errors
from controller.actions import instances as verbs
from controller.actions import requests, terms
from controller.actions.admit import admit
from controller.actions.draft import Accepted
from controller.model import views
from controller.model.identity import Role
from controller.reconcile.housekeeping import HousekeepingLoop
from tests.controller.asking import ask, create, nothing_left, row_of, running, sound, told
from tests.controller.fixtures import Cloud, submission
from tests.controller.stepping import Crash, MortalDatabase, Stepper


def pass_time(cloud: Cloud, **by: float) -> None:
    """As if so much time had passed: every moment of instances and requests lies further back."""
    moments = ("term_ends_at", "term_due_at", "starts_at", "due_at", "asked_at", "deadline_at")
    earlier = ", ".join(f"{name} = {name} - CAST(:by AS interval)" for name in moments)
    seconds = f"{timedelta(**by).total_seconds()} seconds"
    cloud.rows(f"UPDATE instances SET {earlier} RETURNING 1", by=seconds)  # noqa: S608
    cloud.rows("UPDATE requests SET starts_at = starts_at - CAST(:by AS interval) RETURNING 1", by=seconds)


def look_at_terms(cloud: Cloud) -> int:
    return cloud.run(lambda conn: terms.fall_due(conn, cloud.settings))


@pytest.mark.parametrize("fatal", range(1, 9))
def test_a_round_of_housekeeping_that_was_cut_off_anywhere_is_made_up_for_by_the_next(cloud: Cloud, fatal: int) -> None:
    """Each round: a hold that expires, a term that ends, a deadline that passes; every one of them happens, and is told, once."""
    project = cloud.project("health", auto={})
    (outcome,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, project, name="held")]))
    assert isinstance(outcome, Accepted)
    ending, late = running(cloud, name="ending", term_days=1, ends=True), running(cloud, name="late")
    ask(cloud, "stop", late)
    pass_time(cloud, days=2)
    cloud.rows("UPDATE requests SET expires_at = now() - interval '1 second' WHERE state = 'pending' RETURNING 1")
    with pytest.raises(Crash):
        HousekeepingLoop(MortalDatabase(Stepper(cloud, fatal)), cloud.settings).round(sweep=False)
    for _ in range(2):
        HousekeepingLoop(cloud.database, cloud.settings).round(sweep=False)
    assert cloud.rows("SELECT state FROM requests WHERE state IN ('pending', 'expired')") == [{"state": "expired"}]
    assert told(cloud, outcome.request["id"]).count("request.expired") == 1
    assert (row_of(cloud, ending)["goal"], told(cloud, ending).count("instance.term_ended")) == ("gone", 1)
    assert told(cloud, late).count("instance.overdue") == 1


def shown(cloud: Cloud, id_: str, lang: str = "en") -> dict[str, Any]:
    return views.instance(row_of(cloud, id_), views.Reader(lang))


def test_a_term_alone_ends_nothing(cloud: Cloud) -> None:
    id_ = running(cloud, term_days=30)
    pass_time(cloud, days=31)
    assert look_at_terms(cloud) == 0
    assert row_of(cloud, id_)["goal"] == "running"
    assert shown(cloud, id_)["ends"] is False


def test_what_was_to_end_is_warned_of_once_and_given_back_at_its_term(cloud: Cloud) -> None:
    id_ = running(cloud, term_days=30, ends=True)
    before = told(cloud, id_)
    assert look_at_terms(cloud) == 0
    pass_time(cloud, days=24)
    assert [look_at_terms(cloud) for _ in range(3)] == [1, 0, 0]
    assert told(cloud, id_) == [*before, "instance.term_ends"]
    assert row_of(cloud, id_)["goal"] == "running"
    pass_time(cloud, days=6)
    assert [look_at_terms(cloud) for _ in range(3)] == [1, 0, 0]
    assert row_of(cloud, id_)["goal"] == "gone"
    Stepper(cloud).settle()
    assert told(cloud, id_) == [*before, "instance.term_ends", "instance.term_ended", "instance.deleted"]
    nothing_left(cloud)


def test_what_was_deleted_before_its_term_has_none(cloud: Cloud) -> None:
    id_ = running(cloud, term_days=30, ends=True)
    ask(cloud, "delete", id_)
    Stepper(cloud).settle()
    pass_time(cloud, days=60)
    assert look_at_terms(cloud) == 0


def test_who_is_protected_stays_and_says_so_and_goes_when_he_no_longer_is(cloud: Cloud) -> None:
    id_ = running(cloud, term_days=30, ends=True)
    cloud.run(lambda conn: verbs.protect(conn, cloud.admin, id_, True, None))
    pass_time(cloud, days=31)
    assert look_at_terms(cloud) == 1
    assert told(cloud, id_)[-1] == "instance.term_kept"
    assert [look_at_terms(cloud) for _ in range(3)] == [0, 0, 0], "it is said once"
    assert shown(cloud, id_)["reason"]["code"] == "kept_past_term"
    assert "已到期" in shown(cloud, id_, "zh")["reason"]["text"]
    cloud.run(lambda conn: verbs.protect(conn, cloud.admin, id_, False, None))
    assert look_at_terms(cloud) == 1
    assert row_of(cloud, id_)["goal"] == "gone"
    Stepper(cloud).settle()
    nothing_left(cloud)


def test_a_term_is_extended_from_its_end_or_from_today(cloud: Cloud) -> None:
    id_ = running(cloud, term_days=30, ends=True)
    end = row_of(cloud, id_)["term_ends_at"]
    generation = row_of(cloud, id_)["generation"]
    cloud.run(lambda conn: verbs.extend(conn, cloud.admin, id_, 10, generation))
    assert row_of(cloud, id_)["term_ends_at"] == end + timedelta(days=10)
    with pytest.raises(errors.StaleGeneration):
        cloud.run(lambda conn: verbs.extend(conn, cloud.admin, id_, 10, generation))
    cloud.run(lambda conn: verbs.protect(conn, cloud.admin, id_, True, None))
    pass_time(cloud, days=50)
    assert look_at_terms(cloud) == 1
    cloud.run(lambda conn: verbs.extend(conn, cloud.admin, id_, 10, None))
    left = row_of(cloud, id_)["term_ends_at"] - datetime.now(UTC)
    assert timedelta(days=9, hours=23) < left <= timedelta(days=10)
    assert shown(cloud, id_)["reason"] is None
    cloud.run(lambda conn: verbs.protect(conn, cloud.admin, id_, False, None))
    pass_time(cloud, days=11)
    assert look_at_terms(cloud) == 1
    assert row_of(cloud, id_)["goal"] == "gone"


def test_what_has_no_term_is_not_extended(cloud: Cloud) -> None:
    id_ = running(cloud)
    with pytest.raises(errors.InvalidState):
        cloud.run(lambda conn: verbs.extend(conn, cloud.admin, id_, 10, None))


@pytest.mark.parametrize(
    ("times", "why"),
    [
        ({"ends": True}, "ends_without_term"),
        ({"starts_at": timedelta(days=366)}, "starts_too_late"),
        ({"starts_at": timedelta(days=-2)}, "starts_in_past"),
        ({"starts_at": timedelta(days=2), "preempt": True}, "preempt_later"),
    ],
)
def test_times_that_make_no_sense_are_refused(cloud: Cloud, times: dict[str, Any], why: str) -> None:
    times = {name: datetime.now(UTC) + value if isinstance(value, timedelta) else value for name, value in times.items()}
    (outcome,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, **times)]))
    assert isinstance(outcome, errors.InvalidRequest)
    assert outcome.text == why


def test_what_begins_later_holds_its_place_and_is_built_then(cloud: Cloud) -> None:
    start = datetime.now(UTC) + timedelta(days=3)
    (id_,) = create(cloud, starts_at=start, term_days=10, ends=True)
    Stepper(cloud).settle()
    row = row_of(cloud, id_)
    assert (row["state"], row["starts_at"], row["term_ends_at"]) == ("pending", start, start + timedelta(days=10))
    assert row["reason"]["code"] == "starts_later"
    assert cloud.world.records() == {}
    assert cloud.rows("SELECT sum(used_vcpus) AS n FROM hosts") == [{"n": 1}], "there was room: it is held now"
    for verb in ("start", "stop", "reboot", "rebuild", "resize"):
        with pytest.raises(errors.InvalidState) as refusal:
            ask(cloud, verb, id_, *{"rebuild": (None,), "resize": ("medium",)}.get(verb, ()))
        assert refusal.value.text == "instance_not_begun"
    pass_time(cloud, days=3)
    Stepper(cloud).settle()
    row = row_of(cloud, id_)
    assert (row["state"], row["reason"], row["deadline_at"]) == ("active", None, None)
    assert datetime.now(UTC) - row["asked_at"] < timedelta(seconds=30), "its time to be built counts from when it begins"
    sound(cloud)
    pass_time(cloud, days=10)
    look_at_terms(cloud)
    Stepper(cloud).settle()
    nothing_left(cloud)


def test_a_start_that_has_just_passed_is_now(cloud: Cloud) -> None:
    (id_,) = create(cloud, starts_at=datetime.now(UTC) - timedelta(hours=1))
    assert row_of(cloud, id_)["starts_at"] is None
    Stepper(cloud).settle()
    assert row_of(cloud, id_)["state"] == "active"


def test_what_is_approved_late_begins_at_once_and_has_its_whole_term(cloud: Cloud) -> None:
    path = cloud.project("slow", auto={})
    approver, _ = cloud.user("li", path, Role.APPROVER)
    given = submission(cloud.admin, path, starts_at=datetime.now(UTC) + timedelta(days=1), term_days=10)
    (outcome,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [given]))
    assert isinstance(outcome, Accepted)
    pass_time(cloud, days=2)
    made = cloud.run(lambda conn: requests.approve(conn, cloud.env, approver, outcome.request["id"], None, None))
    Stepper(cloud).settle()
    row = row_of(cloud, made["instances"][0])
    assert row["state"] == "active"
    assert row["term_ends_at"] - row["created_at"] == timedelta(days=10)


def test_deleting_what_has_not_begun_frees_its_place(cloud: Cloud) -> None:
    (id_,) = create(cloud, starts_at=datetime.now(UTC) + timedelta(days=3))
    ask(cloud, "delete", id_)
    Stepper(cloud).settle()
    assert row_of(cloud, id_)["state"] == "deleted"
    nothing_left(cloud)


def test_ending_converges_wherever_the_controller_dies(cloud: Cloud) -> None:
    died = True
    for fatal in range(1, 40):
        id_ = running(cloud, term_days=1, ends=True)
        pass_time(cloud, days=2)
        mortal = Stepper(cloud, fatal)
        try:
            mortal.commit("fall_due", lambda conn: terms.fall_due(conn, cloud.settings))
            mortal.settle()
            died = False
        except Crash:
            look_at_terms(cloud)
            Stepper(cloud).settle()
        assert row_of(cloud, id_)["state"] == "deleted"
        assert told(cloud, id_).count("instance.term_ended") == 1
        nothing_left(cloud)
        if not died:
            break
    assert not died
    assert fatal > 4
