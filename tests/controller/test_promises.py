"""Places promised from those who end to those who come: what is offered places; nobody else gets it; no sum is ever wrong."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import Connection

from controller import errors
from controller.actions import instances as verbs
from controller.actions import people, projects, requests, terms
from controller.actions.admit import admit
from controller.actions.draft import Accepted, Explained, Outcome
from controller.model import views
from controller.model.identity import Identity, Role
from controller.model.request import SpreadRule, Submission
from controller.store import people as people_store
from controller.store import terms as store
from controller.store.database import Database
from drivers.errors import Transient
from drivers.fake.world import forget
from tests.controller.asking import ask, create, nothing_left, quickly, row_of, running, sound, told
from tests.controller.fixtures import PLENTY, ROOT, Cloud, identify, make_cloud, submission
from tests.controller.stepping import Crash, Stepper
from tests.controller.test_terms import look_at_terms, pass_time


@pytest.fixture
def small(database: Database, settings: Any) -> Iterator[Cloud]:
    """Two hosts of four vCPUs: each is full with one `large`."""
    made = make_cloud(database, settings, hosts=2, vcpus=4, memory_mib=65_536)
    made.auto_approve(ROOT, PLENTY)
    yield made
    forget(made.uri)


def hand_in(cloud: Cloud, *given: Submission) -> list[Outcome]:
    """Each by itself, as the admitter does with what starts later."""
    return [cloud.run(lambda conn, one=one: admit(conn, cloud.admission(), [one]))[0] for one in given]


def offered(outcome: Outcome) -> datetime | None:
    """The start that a refusal offers."""
    refusal = outcome.refusal if isinstance(outcome, Explained) else outcome
    assert isinstance(refusal, errors.NoCapacity), refusal
    starts = [one["starts_at"] for one in refusal.details["changes"] if one["change"] == "later"]
    return datetime.fromisoformat(starts[0]) if starts else None


def full(cloud: Cloud, *days: int, **more: Any) -> list[str]:
    """One `large` for each number of days, at the end of which it is given back; in this order."""
    made = [create(cloud, flavor="large", term_days=one, ends=True, **more)[0] for one in days]
    Stepper(cloud).settle()
    return made


def used(cloud: Cloud) -> list[int]:
    return sorted(row["used_vcpus"] for row in cloud.rows("SELECT used_vcpus FROM hosts"))


def taken(cloud: Cloud, path: str = ROOT) -> int:
    rows = cloud.rows(
        "SELECT u.vcpus + u.held_vcpus AS n FROM usage u JOIN projects p ON p.id = u.project_id WHERE p.path = :path", path=path
    )
    return sum(int(row["n"]) for row in rows)


def heir_of(cloud: Cloud, flavor: str = "large", count: int = 1, **more: Any) -> list[str]:
    """What is refused now and accepted as it was offered; its ids."""
    given = submission(cloud.admin, flavor=flavor, count=count, **more)
    (refused,) = hand_in(cloud, given)
    start = offered(refused)
    assert start is not None, refused
    (taken_up,) = hand_in(cloud, replace(given, starts_at=start))
    assert isinstance(taken_up, Accepted), taken_up
    return list(taken_up.request["instances"])


# -- offers ----------------------------------------------------------------------------------------------------------------------


def test_a_refusal_offers_the_earliest_start_and_that_is_taken(small: Cloud) -> None:
    first, _ = full(small, 10, 20)
    given = submission(small.admin, flavor="large")
    (refused,) = hand_in(small, given)
    start = offered(refused)
    end = row_of(small, first)["term_ends_at"]
    assert start is not None
    assert end <= start < end + timedelta(seconds=1)
    (verdict,) = hand_in(small, replace(given, starts_at=start, explain=True))
    assert verdict == Explained(None)
    (accepted,) = hand_in(small, replace(given, starts_at=start))
    assert isinstance(accepted, Accepted)
    sound(small)
    (next_one,) = hand_in(small, given)
    after = offered(next_one)
    assert after is not None
    assert after - start > timedelta(days=9, hours=23), "the first place is promised"


@pytest.mark.parametrize("more", [{}, {"ends": True, "protected": True}, {"ends": True, "going": True}], ids=str)
def test_who_does_not_end_by_himself_leaves_nothing_to_offer(small: Cloud, more: dict[str, bool]) -> None:
    made = create(small, flavor="large", count=2, term_days=10, ends=more.get("ends", False))
    Stepper(small).settle()
    for id_ in made if len(more) > 1 else ():
        small.run(lambda conn, id_=id_: verbs.protect(conn, small.admin, id_, True, None)) if "protected" in more else ask(
            small, "delete", id_
        )
    (refused,) = hand_in(small, submission(small.admin, flavor="large"))
    assert offered(refused) is None


def test_several_small_ones_take_the_place_of_a_large_one(small: Cloud) -> None:
    full(small, 10, 20)
    heirs = heir_of(small, "small", count=4)
    assert small.rows("SELECT count(DISTINCT after) AS n FROM allocations WHERE after IS NOT NULL") == [{"n": 1}]
    sound(small)
    pass_time(small, days=10, seconds=1)
    look_at_terms(small)
    Stepper(small).settle()
    assert {row_of(small, id_)["state"] for id_ in heirs} == {"active"}
    sound(small)


def test_what_fits_now_is_held_now_and_only_the_rest_waits(small: Cloud) -> None:
    full(small, 10)
    heirs = heir_of(small, count=2)
    assert used(small) == [4, 4]
    assert taken(small) == 12
    assert small.rows("SELECT count(*) AS n FROM allocations WHERE after IS NOT NULL") == [{"n": 1}]
    pass_time(small, days=10, seconds=1)
    look_at_terms(small)
    Stepper(small).settle()
    assert {row_of(small, id_)["state"] for id_ in heirs} == {"active"}
    sound(small)


def test_those_that_must_lie_apart_wait_for_two_hosts(small: Cloud) -> None:
    a, b = full(small, 10, 20)
    apart = SpreadRule("anti_affinity")
    given = submission(small.admin, flavor="small", count=2, spread=apart)
    (refused,) = hand_in(small, given)
    start = offered(refused)
    assert start is not None
    assert start >= row_of(small, b)["term_ends_at"]
    heir_of(small, "small", count=2, spread=apart)
    places = small.rows("SELECT after, host_id FROM allocations WHERE after IS NOT NULL")
    assert {row["after"] for row in places} == {a, b}
    assert len({row["host_id"] for row in places}) == 2
    sound(small)


def test_a_refusal_for_quota_offers_no_start(small: Cloud) -> None:
    full(small, 10, 20)
    small.limit(ROOT, vcpus=8)
    (refused,) = hand_in(small, submission(small.admin, flavor="large"))
    assert isinstance(refused, errors.QuotaExceeded)


# -- from promise to running -----------------------------------------------------------------------------------------------------


def test_the_place_passes_on_and_every_sum_is_right_at_every_step(small: Cloud) -> None:
    first, _ = full(small, 10, 20)
    path = small.project("health")
    (heir,) = heir_of(small, project=path)
    assert (used(small), taken(small), taken(small, path)) == ([4, 4], 12, 4)
    assert row_of(small, heir)["host_id"] == row_of(small, first)["host_id"]
    sound(small)
    pass_time(small, days=10, seconds=1)
    Stepper(small).settle()
    assert row_of(small, heir)["state"] == "pending"
    look_at_terms(small)
    assert used(small) == [4, 4]
    sound(small)
    Stepper(small).settle()
    assert (row_of(small, first)["state"], row_of(small, heir)["state"]) == ("deleted", "active")
    assert (used(small), taken(small), taken(small, path)) == ([4, 4], 8, 4)
    assert row_of(small, heir)["reason"] is None
    sound(small)


def test_an_early_end_gives_the_place_early_and_nobody_gets_between(small: Cloud) -> None:
    first, _ = full(small, 10, 20)
    (heir,) = heir_of(small)
    ask(small, "delete", first)
    Stepper(small).settle()
    assert row_of(small, first)["state"] == "deleted"
    assert small.rows("SELECT count(*) AS n FROM allocations WHERE after IS NOT NULL") == [{"n": 0}]
    assert used(small) == [4, 4]
    assert isinstance(hand_in(small, submission(small.admin))[0], errors.NoCapacity)
    assert row_of(small, heir)["state"] == "pending", "it begins when it was to begin"
    pass_time(small, days=10, seconds=1)
    Stepper(small).settle()
    assert row_of(small, heir)["state"] == "active"
    sound(small)


def test_what_was_promised_can_not_be_kept_and_to_whom_is_not_said(small: Cloud) -> None:
    first, second = full(small, 10, 20)
    heir_of(small, project=small.project("health"))
    for act in (
        lambda conn: verbs.extend(conn, small.admin, first, 10, None),
        lambda conn: verbs.protect(conn, small.admin, first, True, None),
        lambda conn: verbs.resize(conn, small.env, small.admin, first, "small", None),
    ):
        with pytest.raises(errors.InvalidState) as refusal:
            small.run(act)
        assert refusal.value.text == "place_promised"
        assert "health" not in str(refusal.value.params)
        assert not refusal.value.details
    small.run(lambda conn: verbs.extend(conn, small.admin, second, 10, None))
    ask(small, "stop", first)
    Stepper(small).settle()
    assert row_of(small, first)["state"] == "stopped"
    sound(small)


def test_deleting_the_heir_frees_the_promise(small: Cloud) -> None:
    first, _ = full(small, 10, 20)
    (heir,) = heir_of(small)
    ask(small, "delete", heir)
    Stepper(small).settle()
    assert row_of(small, heir)["state"] == "deleted"
    assert (used(small), taken(small)) == ([4, 4], 8)
    small.run(lambda conn: verbs.extend(conn, small.admin, first, 1, None))
    sound(small)


def test_a_request_that_waits_for_an_approver_is_promised_its_place(small: Cloud) -> None:
    full(small, 10, 20)
    path = small.project("slow", auto={})
    approver, _ = small.user("li", path, Role.APPROVER)
    given = submission(small.admin, path, "large")
    start = offered(hand_in(small, given)[0])
    (pending,) = hand_in(small, replace(given, starts_at=start))
    assert isinstance(pending, Accepted)
    assert taken(small, path) == 4
    sound(small)
    pass_time(small, days=10, seconds=1)
    look_at_terms(small)
    Stepper(small).settle()
    assert used(small) == [4, 4], "the hold has the place by now"
    made = small.run(lambda conn: requests.approve(conn, small.env, approver, pending.request["id"], None, None))
    Stepper(small).settle()
    assert row_of(small, made["instances"][0])["state"] == "active"
    sound(small)


def test_a_refused_request_frees_its_promise(small: Cloud) -> None:
    first, _ = full(small, 10, 20)
    path = small.project("slow", auto={})
    approver, _ = small.user("li", path, Role.APPROVER)
    given = submission(small.admin, path, "large")
    (pending,) = hand_in(small, replace(given, starts_at=offered(hand_in(small, given)[0])))
    assert isinstance(pending, Accepted)
    small.run(lambda conn: requests.refuse(conn, approver, pending.request["id"], "no", None))
    assert not small.run(lambda conn: store.promised(conn, first))
    sound(small)


def test_who_waits_longer_than_he_should_says_so_once_and_is_built_when_there_is_room(small: Cloud) -> None:
    first, _ = full(small, 10, 20)
    (heir,) = heir_of(small)
    small.world.fail_next("remove", Transient(detail="stuck"), times=3)
    pass_time(small, days=10, seconds=1)
    look_at_terms(small)
    Stepper(small).once()
    assert [small.run(terms.tell_waiting) for _ in range(3)] == [1, 0, 0]
    assert told(small, heir)[-1] == "instance.waiting_for_room"
    shown = views.instance(row_of(small, heir), views.Reader("zh"))
    assert (shown["state"], shown["reason"]["code"]) == ("pending", "waiting_for_room")
    assert "等待" in shown["reason"]["text"]
    pass_time(small, seconds=small.settings.build_deadline_s + 1)
    Stepper(quickly(small)).settle()
    assert row_of(small, first)["state"] == "deleted"
    assert row_of(small, heir)["state"] == "active", "its time to be built begins when it can be built"
    sound(small)


def stranger(cloud: Cloud, name: str) -> Identity:
    """Somebody who has a root of his own: no sum is his and another's."""

    def work(conn: Connection) -> Identity:
        project = projects.create(conn, cloud.env, cloud.admin, name, None, "", PLENTY)
        user = people.create(conn, cloud.env, cloud.admin, name, "")
        people_store.grant(conn, user["id"], project["id"], Role.MEMBER)
        _, token = people.issue_token(conn, cloud.env, cloud.admin, name, "test", 1)
        return identify(conn, token)

    return cloud.run(work)


# -- many, and dying anywhere ----------------------------------------------------------------------------------------------------


def test_of_twenty_that_want_one_place_exactly_one_is_promised_it(small: Cloud) -> None:
    full(small, 10, 300)
    start = offered(hand_in(small, submission(small.admin, flavor="large"))[0])
    gate = threading.Barrier(20)
    callers = [stranger(small, f"p{number}") for number in range(20)]

    def one(caller: Identity) -> Outcome:
        given = submission(caller, caller.name, "large", starts_at=start)
        admission = small.admission()
        gate.wait()
        return small.run(lambda conn: admit(conn, admission, [given]))[0]

    with ThreadPoolExecutor(20) as threads:
        outcomes = list(threads.map(one, callers))
    assert sum(isinstance(outcome, Accepted) for outcome in outcomes) == 1, outcomes
    assert {type(outcome) for outcome in outcomes} == {Accepted, errors.NoCapacity}
    sound(small)


def test_promising_and_keeping_at_once_never_do_both(small: Cloud) -> None:
    for _ in range(8):
        first, second = full(small, 10, 300)
        start = offered(hand_in(small, submission(small.admin, flavor="large"))[0])
        gate = threading.Barrier(2)

        def promise(start: datetime | None = start, gate: threading.Barrier = gate) -> bool:
            admission = small.admission()
            gate.wait()
            given = submission(small.admin, flavor="large", starts_at=start)
            return isinstance(small.run(lambda conn: admit(conn, admission, [given]))[0], Accepted)

        def keep(first: str = first, gate: threading.Barrier = gate) -> bool:
            gate.wait()
            try:
                small.run(lambda conn: verbs.protect(conn, small.admin, first, True, None))
            except errors.InvalidState:
                return False
            return True

        with ThreadPoolExecutor(2) as threads:
            done = [future.result() for future in (threads.submit(promise), threads.submit(keep))]
        assert done.count(True) == 1, done
        sound(small)
        for id_ in (first, second, *(row["id"] for row in small.rows("SELECT id FROM instances WHERE state = 'pending'"))):
            small.run(lambda conn, id_=id_: verbs.protect(conn, small.admin, id_, False, None))
            ask(small, "delete", id_)
        Stepper(small).settle()
        nothing_left(small)


def test_the_place_passes_on_wherever_the_controller_dies(small: Cloud) -> None:
    died = True
    for fatal in range(1, 60):
        first, second = full(small, 10, 300)
        (heir,) = heir_of(small)
        pass_time(small, days=10, seconds=1)
        mortal = Stepper(small, fatal)
        try:
            mortal.commit("fall_due", lambda conn: terms.fall_due(conn, small.settings))
            mortal.settle()
            died = False
        except Crash:
            sound(small)
            look_at_terms(small)
            Stepper(small).settle()
        assert (row_of(small, first)["state"], row_of(small, heir)["state"]) == ("deleted", "active")
        assert small.world.boots(heir) == 1
        sound(small)
        for id_ in (heir, second):
            ask(small, "delete", id_)
        Stepper(small).settle()
        nothing_left(small)
        if not died:
            break
    assert not died
    assert fatal > 8


def test_the_place_passes_on_while_the_backend_fails_half_of_its_calls(small: Cloud) -> None:
    first, second = full(small, 10, 300)
    (heir,) = heir_of(small)
    small.world.set(fail=0.3)
    pass_time(small, days=10, seconds=1)
    look_at_terms(small)
    Stepper(quickly(small)).settle(20.0)
    assert (row_of(small, first)["state"], row_of(small, heir)["state"]) == ("deleted", "active")
    for id_ in (heir, second):
        ask(small, "delete", id_)
    Stepper(quickly(small)).settle(20.0)
    nothing_left(small)


def test_a_second_pass_changes_nothing_for_who_waits(small: Cloud) -> None:
    full(small, 10, 20)
    (heir,) = heir_of(small)
    Stepper(small).settle()
    before = small.rows("SELECT * FROM instances ORDER BY id"), small.rows("SELECT * FROM allocations ORDER BY id")
    Stepper(small).settle()
    Stepper(small).look()
    assert (small.rows("SELECT * FROM instances ORDER BY id"), small.rows("SELECT * FROM allocations ORDER BY id")) == before
    assert heir not in small.world.records()


# -- preemption ------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("promised", [False, True])
def test_whose_place_is_promised_is_not_preempted(small: Cloud, promised: bool) -> None:
    small.policy(ROOT, max_priority="critical", may_preempt=True)
    first, _ = full(small, 10, 20, preemptible=True, priority="batch")
    heirs = [heir_of(small) for _ in range(2)] if promised else []
    (outcome,) = hand_in(small, submission(small.admin, flavor="large", priority="critical", preempt=True))
    assert isinstance(outcome, errors.NoCapacity if promised else Accepted), outcome
    sound(small)
    Stepper(small).settle()
    assert row_of(small, first)["goal"] == "running" or not heirs
    sound(small)


def test_who_is_preempted_leaves_nothing_to_promise(small: Cloud) -> None:
    small.policy(ROOT, max_priority="critical", may_preempt=True)
    first, second = full(small, 10, 20, preemptible=True, priority="batch")
    assert isinstance(hand_in(small, submission(small.admin, flavor="large", priority="critical", preempt=True))[0], Accepted)
    (gone,) = [id_ for id_ in (first, second) if row_of(small, id_)["goal"] == "gone"]
    heir_of(small)
    assert small.rows("SELECT after FROM allocations WHERE after IS NOT NULL") != [{"after": gone}]
    sound(small)


# -- N+k -------------------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("picky", [False, True])
def test_where_hosts_are_kept_to_spare_only_who_is_no_harder_to_restart_takes_over(cloud: Cloud, picky: bool) -> None:
    cloud.pool("careful", "wuhan-b", spare_hosts=1)
    uri = f"{cloud.uri}-careful"
    cloud.enrol("careful", f"{uri}?hosts=2&vcpus=4&memory_mib=65536&disk_gib=400&overcommit_vcpus=1.0", "careful")
    cloud.flavor("picky", 4, 4096, 40, traits=["ssd"])
    try:
        running(cloud, flavor="large", pool="careful", term_days=10, ends=True)
        given = submission(cloud.admin, flavor="picky" if picky else "large", pool="careful")
        (refused,) = hand_in(cloud, given)
        start = offered(refused)
        assert (start is None) == picky
        if start is not None:
            (accepted,) = hand_in(cloud, replace(given, starts_at=start))
            assert isinstance(accepted, Accepted)
            sound(cloud)
    finally:
        forget(uri)
