"""Preempting carried out, on real PostgreSQL with a fake backend that notices when a host is asked to hold more than it has.

Every host has 16 vCPUs and `large` takes four: a host is full with four of them.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import pytest

from controller import errors
from controller.actions import instances as verbs
from controller.actions.admit import admit
from controller.actions.draft import Accepted, Explained, Outcome
from controller.admitter import Admitter
from controller.config import Settings
from controller.model.request import Submission
from controller.store import events, instances
from controller.store.database import Database
from drivers.errors import Transient
from drivers.fake.world import forget
from tests.controller.asking import nothing_left, row_of, sound, told
from tests.controller.fixtures import PLENTY, ROOT, Cloud, make_cloud, submission
from tests.controller.stepping import Crash, Stepper


@pytest.fixture
def cloud(database: Database, settings: Settings) -> Iterator[Cloud]:
    """Two hosts; `hubei/urgent` may preempt, `hubei/low` not."""
    made = make_cloud(database, settings, hosts=2)
    made.auto_approve(ROOT, PLENTY)
    made.project("low")
    urgent = made.project("urgent")
    made.policy(urgent, max_priority="critical", may_preempt=True)
    yield made
    forget(made.uri)


def hand_in(cloud: Cloud, given: Submission) -> Outcome:
    (outcome,) = cloud.run(lambda conn: admit(conn, cloud.admission(), [given]))
    return outcome


def taken(cloud: Cloud, given: Submission) -> list[str]:
    outcome = hand_in(cloud, given)
    assert isinstance(outcome, Accepted), outcome
    return list(outcome.request["instances"])


def low(cloud: Cloud, count: int = 8, **more: Any) -> list[str]:
    """So many that agreed to be preempted, running; eight fill both hosts."""
    fields = {"flavor": "large", "priority": "batch", "preemptible": True, **more}
    ids = taken(cloud, submission(cloud.admin, "hubei/low", count=count, **fields))
    Stepper(cloud).settle()
    return ids


def urgent(cloud: Cloud, count: int = 1, **more: Any) -> Submission:
    fields = {"flavor": "large", "priority": "critical", "preempt": True, **more}
    return submission(cloud.admin, "hubei/urgent", count=count, **fields)


def gone(cloud: Cloud) -> list[str]:
    """Who was preempted."""
    return [row["id"] for row in cloud.rows("SELECT id FROM instances WHERE preempted_for IS NOT NULL ORDER BY id")]


def test_the_place_is_handed_over_at_once_and_used_when_it_is_empty(cloud: Cloud) -> None:
    cloud.world.set(stop_s=0.05)
    ids = low(cloud)
    (made,) = taken(cloud, urgent(cloud))
    (victim,) = gone(cloud)
    assert victim in ids
    row = row_of(cloud, made)
    assert (row["state"], row["reason"], row["host_id"]) == (
        "pending",
        {"code": "waits_for_preempted", "params": {}},
        row_of(cloud, victim)["host_id"],
    )
    sound(cloud)
    Stepper(cloud).once()
    assert made not in cloud.world.records(), "the other is still there"
    Stepper(cloud).settle()
    assert (row_of(cloud, made)["state"], row_of(cloud, victim)["state"]) == ("active", "deleted")
    assert set(cloud.world.records()) == {made, *ids} - {victim}
    assert "instance.preempted" in told(cloud, victim)
    assert told(cloud, victim).count("instance.deleted") == 1
    sound(cloud)


def test_no_wake_up_makes_it_come_before_the_other_is_gone(cloud: Cloud) -> None:
    low(cloud)
    (made,) = taken(cloud, urgent(cloud))
    (victim,) = gone(cloud)
    cloud.world.fail_next("remove", Transient(detail="stuck"), times=3)
    stepper = Stepper(cloud)
    for _ in range(3):
        cloud.run(lambda conn: instances.make_due(conn, [made, victim]))
        stepper.once()
        stepper.look()
        assert made not in cloud.world.records()
        sound(cloud)
    stepper.settle()
    assert row_of(cloud, made)["state"] == "active"
    sound(cloud)


def test_wherever_the_controller_dies_both_end_as_they_should(cloud: Cloud) -> None:
    died, fatal = True, 0
    while died:
        fatal += 1
        ids = low(cloud)
        made = taken(cloud, urgent(cloud, 2))
        stepper = Stepper(cloud, fatal)
        try:
            stepper.settle()
            died = False
        except Crash:
            Stepper(cloud).settle()
        sound(cloud)
        victims = [id_ for id_ in gone(cloud) if id_ in ids]
        assert [row_of(cloud, id_)["state"] for id_ in [*made, *victims]] == ["active"] * 2 + ["deleted"] * 2
        assert set(cloud.world.records()) == {*made, *ids} - {*victims}
        for id_ in [*made, *(id_ for id_ in ids if id_ not in victims)]:
            cloud.run(partial(delete, cloud, id_))
        Stepper(cloud).settle()
        nothing_left(cloud)
    assert fatal > 12, "two deletes, then two builds"


def delete(cloud: Cloud, id_: str, conn: Any) -> None:
    verbs.delete(conn, cloud.env, cloud.admin, id_, None)


def test_what_a_victim_gives_up_beyond_the_need_is_nobodys_before_it_is_gone(cloud: Cloud) -> None:
    low(cloud, 8)
    (made,) = taken(cloud, urgent(cloud, flavor="small"))
    host = row_of(cloud, made)["host_id"]
    (row,) = cloud.rows("SELECT used_vcpus, vcpus FROM hosts WHERE id = CAST(:id AS uuid)", id=host)
    assert row["used_vcpus"] == row["vcpus"]
    another = hand_in(cloud, submission(cloud.admin, "hubei/low", "small"))
    assert isinstance(another, errors.NoCapacity), "one of four is needed, and three are still in use"
    Stepper(cloud).settle()
    taken(cloud, submission(cloud.admin, "hubei/low", "medium"))
    Stepper(cloud).settle()
    sound(cloud)


@pytest.mark.parametrize(
    "more",
    [{"preemptible": False}, {"priority": "normal", "preemptible": False}],
    ids=["batch", "normal"],
)
def test_nobody_is_preempted_who_did_not_agree(cloud: Cloud, more: dict[str, Any]) -> None:
    low(cloud, **more)
    assert isinstance(hand_in(cloud, urgent(cloud)), errors.NoCapacity)
    assert gone(cloud) == []


def test_who_is_of_the_same_class_protected_or_going_stays(cloud: Cloud) -> None:
    ids = low(cloud, 7)
    low(cloud, 1, priority="normal")
    assert isinstance(hand_in(cloud, urgent(cloud, priority="batch")), errors.NoCapacity)
    for id_ in ids:
        cloud.run(lambda conn, id_=id_: verbs.protect(conn, cloud.admin, id_, True, None))
    taken(cloud, urgent(cloud))
    (victim,) = gone(cloud)
    assert row_of(cloud, victim)["priority"] == "normal", "the only one that is not protected"
    assert isinstance(hand_in(cloud, urgent(cloud)), errors.NoCapacity), "and nobody twice"
    sound(cloud)


def test_the_lowest_class_goes_first(cloud: Cloud) -> None:
    low(cloud, 4, priority="normal")
    batch = low(cloud, 4)
    taken(cloud, urgent(cloud, 2))
    assert len(gone(cloud)) == 2
    assert set(gone(cloud)) <= set(batch)


def test_who_may_not_preempt_is_told_what_to_do(cloud: Cloud) -> None:
    low(cloud)
    refused = hand_in(cloud, submission(cloud.admin, "hubei/low", "large", preempt=True))
    assert isinstance(refused, errors.Forbidden)
    assert refused.text == "may_not_preempt"
    cloud.policy("hubei/urgent", auto_approve={"instances": 0})
    refused = hand_in(cloud, urgent(cloud))
    assert isinstance(refused, errors.Forbidden)
    assert refused.text == "preempt_undecided"
    assert gone(cloud) == []


def test_where_there_is_room_nobody_goes(cloud: Cloud) -> None:
    low(cloud, 7)
    taken(cloud, urgent(cloud))
    assert gone(cloud) == []


def test_explaining_preempts_nobody_and_names_them_to_operators(cloud: Cloud) -> None:
    low(cloud)
    explained = hand_in(cloud, urgent(cloud, explain=True))
    assert isinstance(explained, Explained)
    assert explained.refusal is None
    assert explained.preemption is not None
    (victim,) = explained.preemption["victims"]
    assert (victim["project"], victim["frees"]["vcpus"]) == ("hubei/low", 4)
    assert gone(cloud) == []
    taken(cloud, urgent(cloud))
    assert gone(cloud) == [victim["id"]], "the plan is what is done"


def test_a_refusal_offers_preemption_to_those_who_may_and_it_then_works(cloud: Cloud) -> None:
    low(cloud)
    member, _ = cloud.user("wang", "hubei/urgent")
    other, _ = cloud.user("zhao", "hubei/low")
    plain = submission(member, "hubei/urgent", "large", priority="critical")
    refused = hand_in(cloud, plain)
    assert isinstance(refused, errors.NoCapacity)
    assert {"change": "preempt"} in refused.details["changes"]
    assert "preemption" not in refused.details, "who would go is nothing for departments"
    theirs = hand_in(cloud, submission(other, "hubei/low", "large"))
    assert isinstance(theirs, errors.NoCapacity)
    assert {"change": "preempt"} not in theirs.details["changes"]
    mine = hand_in(cloud, submission(cloud.admin, "hubei/low", "large"))
    assert isinstance(mine, errors.NoCapacity)
    assert len(mine.details["preemption"]["victims"]) == 1, "operators see who"
    taken(cloud, submission(member, "hubei/urgent", "large", priority="critical", preempt=True))


def test_the_victims_owners_learn_why_and_not_for_whom(cloud: Cloud) -> None:
    from controller.model import views

    low(cloud)
    taken(cloud, urgent(cloud))
    (victim,) = gone(cloud)
    fact = next(row for row in cloud.run(lambda conn: events.latest(conn, None, victim, 50)) if row["kind"] == "instance.preempted")
    theirs = views.event(fact, {}, views.Reader("en"))
    assert "critical" in theirs["text"]
    assert "urgent" not in str(theirs)
    assert views.event(fact, {}, views.Reader("en", fleet=True))["details"]["for_project"] == "hubei/urgent"
    assert fact["actor"] == "chutian"


def test_a_pool_that_keeps_hosts_to_spare_stays_so(cloud: Cloud) -> None:
    low(cloud, 4)
    cloud.run(lambda conn: conn.exec_driver_sql("UPDATE pools SET spare_hosts = 1"))
    refused = hand_in(cloud, urgent(cloud, 4))
    assert isinstance(refused, errors.NoCapacity), "four more would need both hosts"
    assert gone(cloud) == []
    sound(cloud)


def test_who_is_being_changed_just_now_is_not_waited_for(cloud: Cloud) -> None:
    ids = low(cloud)
    locked, done = threading.Event(), threading.Event()

    def hold(conn: Any) -> None:
        for id_ in ids[:7]:
            instances.get(conn, id_, lock=True)
        locked.set()
        assert done.wait(10)

    holder = threading.Thread(target=lambda: cloud.run(hold))
    holder.start()
    assert locked.wait(10)
    try:
        taken(cloud, urgent(cloud))
    finally:
        done.set()
        holder.join()
    assert gone(cloud) == [ids[7]]
    sound(cloud)


def test_two_controllers_never_preempt_the_same_one_twice(cloud: Cloud) -> None:
    low(cloud)
    gate, outcomes = threading.Barrier(6), list[Outcome]()

    def one(number: int) -> None:
        gate.wait()
        outcomes.append(
            hand_in(cloud, submission(cloud.admin, "hubei/urgent", "large", name=f"n{number}", priority="critical", preempt=True))
        )

    threads = [threading.Thread(target=one, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [type(outcome) for outcome in outcomes] == [Accepted] * 6, outcomes
    assert len(gone(cloud)) == 6
    sound(cloud)
    Stepper(cloud).settle()
    sound(cloud)
    assert len(cloud.world.records()) == 8


def test_what_preempts_and_what_does_not_may_wait_together(cloud: Cloud) -> None:
    low(cloud, 6)
    admitter = Admitter(cloud.database, cloud.admission(), lambda: None)
    plain = [submission(cloud.admin, "hubei/urgent", "large", name=f"plain{number}", priority="critical") for number in range(4)]
    given = [*plain, *(urgent(cloud, name=f"urgent{number}") for number in range(4))]
    with ThreadPoolExecutor(len(given)) as threads:
        waiting = [threads.submit(admitter.submit, one) for one in given]
        admitter.start()
        outcomes = [one.result() for one in waiting]
    admitter.stop()
    assert [type(one) for one in outcomes[4:]] == [Accepted] * 4
    taken_plainly = sum(isinstance(one, Accepted) for one in outcomes[:4])
    assert len(gone(cloud)) == 4 + taken_plainly - 2, "two places were free"
    sound(cloud)
    Stepper(cloud).settle()
    sound(cloud)


def test_who_waits_for_a_place_may_be_preempted_himself(cloud: Cloud) -> None:
    low(cloud)
    (middle,) = taken(cloud, urgent(cloud, priority="normal", preemptible=True))
    for id_ in [row["id"] for row in cloud.rows("SELECT id FROM instances WHERE goal <> 'gone' AND priority = 'batch'")]:
        cloud.run(lambda conn, id_=id_: verbs.protect(conn, cloud.admin, id_, True, None))
    (made,) = taken(cloud, urgent(cloud))
    assert middle in gone(cloud)
    sound(cloud)
    Stepper(cloud).settle()
    assert (row_of(cloud, middle)["state"], row_of(cloud, made)["state"]) == ("deleted", "active")
    sound(cloud)
