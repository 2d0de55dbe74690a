"""Any order of what people may ask, over small numbers: no limit is ever passed, no host overfull, and every sum is its recount.

The machine keeps no model of the ledger: `ledger.wrong` recounts it from its rows after every step. What was promised is kept by a rule
that may not fail: a request that is pending can be approved, whatever else happened since.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import replace
from datetime import datetime
from typing import Any, ClassVar

import pytest
from hypothesis import HealthCheck, Phase
from hypothesis import settings as runs
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule, run_state_machine_as_test

from controller import errors
from controller.actions import instances as verbs
from controller.actions import requests, terms
from controller.actions.admit import admit
from controller.actions.draft import Accepted, Admission
from controller.config import Settings
from controller.model.identity import Identity, Role
from controller.model.request import SpreadRule
from controller.store.database import Database
from drivers.fake.world import forget
from tests.controller import ledger
from tests.controller.fixtures import PLENTY, ROOT, Cloud, make_cloud, submission
from tests.controller.stepping import Stepper

REFUSALS = (errors.QuotaExceeded, errors.NoCapacity, errors.AlreadyExists)
AUTO = {"instances": 2, "vcpus": 4, "memory_mib": 4096, "disk_gib": 40}
flavors = st.sampled_from(["small", "wide", "large"])
resources = st.sampled_from(["instances", "vcpus", "memory_mib"])
which = st.integers(0, 9)


class Asking(RuleBasedStateMachine):
    """One cloud for all runs: each ends by deleting what it made, and begins on the empty fleet."""

    cloud: ClassVar[Cloud]
    approver: ClassVar[Identity]
    paths: ClassVar[list[str]]
    admission: ClassVar[Admission]
    full: ClassVar[bool] = False  # each run begins on a fleet full of instances that end
    promised: ClassVar[list[str]] = []

    @initialize(flavor=flavors, term=st.sampled_from([5, 9]))
    def fill_up(self, flavor: str, term: int) -> None:
        made = [Accepted({})] if self.full else []
        while isinstance(made[-1] if made else None, Accepted):
            given = submission(self.cloud.admin, ROOT, flavor, term_days=term + len(made), ends=True, preemptible=True, priority="batch")
            made += self.cloud.run(lambda conn, given=given: admit(conn, self.admission, [given]))
        Stepper(self.cloud).settle()
        for project in range(len(self.paths)) if self.full else ():
            self.hand_in(project, "small", 1, False, None, None)

    def _pending(self) -> list[str]:
        return [row["id"] for row in self.cloud.rows("SELECT id FROM requests WHERE state = 'pending' ORDER BY id")]

    def _live(self) -> list[dict[str, Any]]:
        return self.cloud.rows("SELECT id, goal, disk_gib FROM instances WHERE goal <> 'gone' ORDER BY id")

    @rule(
        project=which,
        flavor=flavors,
        count=st.integers(1, 4),
        apart=st.booleans(),
        name=st.sampled_from([None, "web"]),
        term=st.sampled_from([None, None, 9, 20]),
    )
    def hand_in(self, project: int, flavor: str, count: int, apart: bool, name: str | None, term: int | None) -> None:
        """What is refused for lack of room, and offered a later start, is handed in with that, and taken."""
        more = {"spread": SpreadRule("anti_affinity") if apart else None, "term_days": term, "ends": term is not None}
        given = submission(self.cloud.admin, self.paths[project % len(self.paths)], flavor, name, count, **more)
        (outcome,) = self.cloud.run(lambda conn: admit(conn, self.admission, [given]))
        assert isinstance(outcome, (Accepted, *REFUSALS)), outcome
        for change in outcome.details["changes"] if isinstance(outcome, errors.NoCapacity) else ():
            if change["change"] == "later":
                later = replace(given, starts_at=datetime.fromisoformat(change["starts_at"]))
                (taken_up,) = self.cloud.run(lambda conn, later=later: admit(conn, self.admission, [later]))
                assert isinstance(taken_up, Accepted), taken_up
                self.promised.append(taken_up.request["id"])

    @rule(number=which)
    def let_a_term_end(self, number: int) -> None:
        ending = self.cloud.rows("SELECT id FROM instances WHERE goal <> 'gone' AND ends AND state <> 'pending' ORDER BY id")
        if ending:
            one = ending[number % len(ending)]["id"]
            self.cloud.rows(
                "UPDATE instances SET term_ends_at = now(), term_due_at = now() WHERE id = CAST(:id AS uuid) RETURNING 1", id=one
            )
            assert self.cloud.run(lambda conn: terms.fall_due(conn, self.cloud.settings)) >= 1

    @rule()
    def let_begin_what_begins_later(self) -> None:
        self.cloud.rows("UPDATE instances SET starts_at = now(), due_at = now() WHERE starts_at > now() AND state = 'pending' RETURNING 1")
        self.cloud.run(terms.tell_waiting)

    @rule(number=which)
    def extend(self, number: int) -> None:
        live = self._live()
        if live:
            with suppress(errors.InvalidState):  # without a term, or promised
                self.cloud.run(lambda conn: verbs.extend(conn, self.cloud.admin, live[number % len(live)]["id"], 1, None))

    @rule(project=which, flavor=flavors, count=st.integers(1, 2), priority=st.sampled_from(["batch", "normal"]))
    def hand_in_what_agrees_to_go(self, project: int, flavor: str, count: int, priority: str) -> None:
        path = self.paths[project % len(self.paths)]
        given = submission(self.cloud.admin, path, flavor, count=count, preemptible=True, priority=priority)
        (outcome,) = self.cloud.run(lambda conn: admit(conn, self.admission, [given]))
        assert isinstance(outcome, (Accepted, *REFUSALS)), outcome

    @rule(project=which, flavor=flavors, count=st.integers(1, 2), priority=st.sampled_from(["normal", "critical"]))
    def preempt(self, project: int, flavor: str, count: int, priority: str) -> None:
        path = self.paths[project % len(self.paths)]
        given = submission(self.cloud.admin, path, flavor, count=count, preempt=True, priority=priority)
        (outcome,) = self.cloud.run(lambda conn: admit(conn, self.admission, [given]))
        assert isinstance(outcome, (Accepted, errors.Forbidden, *REFUSALS)), outcome  # forbidden: more than is approved at once

    @rule(many=st.integers(2, 6), flavor=flavors)
    def hand_in_several_at_once(self, many: int, flavor: str) -> None:
        given = [submission(self.cloud.admin, self.paths[number % len(self.paths)], flavor) for number in range(many)]
        outcomes = self.cloud.run(lambda conn: admit(conn, self.admission, given))
        assert all(isinstance(outcome, (Accepted, *REFUSALS)) for outcome in outcomes)

    @rule(number=which, approved=st.booleans())
    def decide(self, number: int, approved: bool) -> None:
        pending = self._pending()
        if not pending:
            return
        id_ = pending[number % len(pending)]
        if approved:  # never fails
            self.cloud.run(lambda conn: requests.approve(conn, self.cloud.env, self.approver, id_, None, None))
        else:
            self.cloud.run(lambda conn: requests.refuse(conn, self.approver, id_, "no", None))

    @rule(number=which)
    def cancel(self, number: int) -> None:
        pending = self._pending()
        if pending:
            self.cloud.run(lambda conn: requests.cancel(conn, self.cloud.admin, pending[number % len(pending)], None))

    @rule()
    def let_expire(self) -> None:
        assert self.cloud.run(requests.expire) == 0, "nothing is old enough"

    @rule(number=which, flavor=flavors)
    def resize(self, number: int, flavor: str) -> None:
        live = self._live()
        if not live:
            return
        one = live[number % len(live)]
        with suppress(*REFUSALS, errors.InvalidRequest, errors.InvalidState):  # a disk does not shrink; a place is promised
            self.cloud.run(lambda conn: verbs.resize(conn, self.cloud.env, self.cloud.admin, one["id"], flavor, None))

    @rule(number=which, verb=st.sampled_from(["stop", "start", "delete"]))
    def act(self, number: int, verb: str) -> None:
        live = self._live()
        if live:
            action = getattr(verbs, verb)
            with suppress(errors.InvalidState):  # it has not begun
                self.cloud.run(lambda conn: action(conn, self.cloud.env, self.cloud.admin, live[number % len(live)]["id"], None))

    @rule(project=which, resource=resources, amount=st.integers(0, 12))
    def limit(self, project: int, resource: str, amount: int) -> None:
        path = [ROOT, *self.paths][project % (len(self.paths) + 1)]
        with suppress(errors.InvalidState):  # below what is in use
            self.cloud.limit(path, **{resource: amount * (1024 if resource == "memory_mib" else 1)})

    @rule(project=which, resource=resources)
    def take_limit_away(self, project: int, resource: str) -> None:
        self.cloud.limit([ROOT, *self.paths][project % (len(self.paths) + 1)], **{resource: None})

    @rule()
    def reconcile_once(self) -> None:
        Stepper(self.cloud).once()

    @rule()
    def reconcile(self) -> None:
        Stepper(self.cloud).settle()

    @invariant()
    def the_ledger_is_right(self) -> None:
        assert self.cloud.run(ledger.wrong) == []
        assert self.cloud.world.violations == []

    def teardown(self) -> None:
        for id_ in self._pending():
            self.cloud.run(lambda conn, id_=id_: requests.cancel(conn, self.cloud.admin, id_, None))
        for row in self._live():
            self.cloud.run(lambda conn, row=row: verbs.delete(conn, self.cloud.env, self.cloud.admin, row["id"], None))
        Stepper(self.cloud).settle()
        for path in (ROOT, *self.paths):
            self.cloud.limit(path, instances=None, vcpus=None, memory_mib=None)
        assert self.cloud.rows("SELECT * FROM allocations") == []
        assert self.cloud.world.records() == {}
        self.the_ledger_is_right()


@pytest.fixture
def cloud(database: Database, settings: Settings) -> Iterator[Cloud]:
    """Two small hosts, full now and then: somebody has to be preempted."""
    made = make_cloud(database, settings, hosts=2, vcpus=4, memory_mib=4096)
    made.policy(ROOT, auto_approve=PLENTY, max_priority="critical", may_preempt=True)
    yield made
    forget(made.uri)


def run_machine(cloud: Cloud, examples: int) -> None:
    cloud.flavor("wide", 3, 1024, 10)  # with the disk of `small`, so that one may become the other and back
    bureau = cloud.project("health", auto=AUTO)
    Asking.paths = [bureau, cloud.project("booking", bureau), cloud.project("education", auto=AUTO)]
    Asking.cloud, Asking.admission = cloud, cloud.admission()
    Asking.approver, _ = cloud.user("li", ROOT, Role.APPROVER)
    # No shrinking: a failing run of 30 steps is short enough to read, and shrinking it takes minutes.
    quick = runs(max_examples=examples, stateful_step_count=30, deadline=None, derandomize=True, phases=[Phase.generate])
    run_state_machine_as_test(Asking, settings=runs(quick, suppress_health_check=list(HealthCheck)))


def test_no_order_of_asking_passes_a_limit_or_loses_count(cloud: Cloud) -> None:
    Asking.full = False
    run_machine(cloud, 40)


def test_nor_where_all_is_full_and_places_are_promised_or_taken(cloud: Cloud) -> None:
    Asking.full = True
    Asking.promised.clear()
    run_machine(cloud, 30)
    assert len(Asking.promised) > 5, "hardly anybody was offered a later start"
    assert cloud.rows("SELECT 1 FROM instances WHERE preempted_for IS NOT NULL"), "nobody was preempted"
