"""Admission on real PostgreSQL: limits over the tree, capacity, races, repeats, refusals, and that approving never fails.

One admitter is one controller; where a test has two, they share nothing but the database, as two controllers do.
"""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from typing import Any

import pytest

from controller import errors
from controller.actions import fleet, instances, projects, requests
from controller.actions.admit import admit
from controller.actions.draft import Accepted, Explained, Outcome
from controller.admitter import Admitter
from controller.config import Settings
from controller.model.identity import Identity, Role
from controller.model.request import SpreadRule, Submission
from tests.controller import ledger
from tests.controller.fixtures import PLENTY, ROOT, Cloud, identify, submission
from tests.controller.stepping import Stepper


@contextmanager
def admitting(cloud: Cloud, many: int = 1) -> Iterator[list[Admitter]]:
    """The admitters of so many controllers."""
    with ExitStack() as stack:
        found = [Admitter(cloud.database, cloud.admission(), lambda: None) for _ in range(many)]
        for admitter in found:
            admitter.start()
            stack.callback(admitter.stop)
        yield found


def hand_in(cloud: Cloud, given: Submission) -> Outcome:
    """One submission, through an admitter of its own."""
    with admitting(cloud) as (admitter,):
        return admitter.submit(given)


def accepted(cloud: Cloud, given: Submission) -> Accepted:
    """One submission that must be taken."""
    outcome = hand_in(cloud, given)
    assert isinstance(outcome, Accepted), outcome
    return outcome


def at_once(admitters: Sequence[Admitter], given: Sequence[Submission]) -> list[Outcome]:
    """All handed in at one moment, each by a thread of its own, dealt to the admitters in turn."""
    gate = threading.Barrier(len(given))

    def one(number: int) -> Outcome:
        gate.wait()
        return admitters[number % len(admitters)].submit(given[number])

    with ThreadPoolExecutor(len(given)) as pool:
        return list(pool.map(one, range(len(given))))


def kinds(outcomes: Sequence[Outcome]) -> Counter[str]:
    return Counter(type(outcome).__name__ for outcome in outcomes)


def usage(cloud: Cloud, project: str) -> tuple[int, int]:
    """Instances used and held at and below a project."""
    sums = "SELECT sum(u.instances) AS used, sum(u.held_instances) AS held FROM usage u JOIN projects p ON p.id = u.project_id"
    (row,) = cloud.rows(f"{sums} WHERE p.path = :path", path=project)
    return int(row["used"]), int(row["held"])


def an_approver(cloud: Cloud, name: str = "approver") -> Identity:
    identity, _ = cloud.user(name, ROOT, Role.APPROVER)
    return identity


def balanced(cloud: Cloud) -> None:
    assert cloud.run(ledger.wrong) == []


# -- limits over the tree --------------------------------------------------------------------------------------------------------


def test_what_a_project_uses_counts_in_every_ancestor(cloud: Cloud) -> None:
    bureau = cloud.project("health")
    system = cloud.project("booking", bureau)
    cloud.project("education")
    accepted(cloud, submission(cloud.admin, system, count=3))
    assert [usage(cloud, path) for path in (ROOT, bureau, system, "hubei/education")] == [(3, 0), (3, 0), (3, 0), (0, 0)]
    balanced(cloud)


def test_a_limit_of_any_ancestor_stops_a_request_and_is_named(cloud: Cloud) -> None:
    bureau = cloud.project("health", vcpus=5)
    system = cloud.project("booking", bureau, vcpus=100)
    accepted(cloud, submission(cloud.admin, system, count=4))
    refused = hand_in(cloud, submission(cloud.admin, system, count=2))
    assert isinstance(refused, errors.QuotaExceeded)
    (over,) = refused.details["over"]
    assert over == {"project": bureau, "kind": "any", "resource": "vcpus", "asked": 2, "limit": 5, "used": 4, "held": 0, "free": 1}
    accepted(cloud, submission(cloud.admin, system, count=1))
    balanced(cloud)


def test_every_limit_that_would_be_passed_is_named_not_just_the_first(cloud: Cloud) -> None:
    bureau = cloud.project("health", instances=1, memory_mib=1024)
    system = cloud.project("booking", bureau, vcpus=1)
    refused = hand_in(cloud, submission(cloud.admin, system, count=2))
    assert isinstance(refused, errors.QuotaExceeded)
    named = {(over["project"], over["resource"]) for over in refused.details["over"]}
    assert named == {(bureau, "instances"), (bureau, "memory_mib"), (system, "vcpus")}


def test_numbers_of_an_ancestor_that_the_caller_may_not_read_are_not_shown(cloud: Cloud) -> None:
    bureau = cloud.project("health", instances=1)
    system = cloud.project("booking", bureau)
    member, _ = cloud.user("zhang", system)
    refused = hand_in(cloud, submission(member, system, count=2))
    assert isinstance(refused, errors.QuotaExceeded)
    assert refused.details["over"] == [{"project": bureau, "kind": "any", "resource": "instances", "asked": 2}]


def test_a_pending_request_is_held_not_used_and_counts_against_the_limit(cloud: Cloud) -> None:
    project = cloud.project("health", auto={}, instances=3)
    made = accepted(cloud, submission(cloud.admin, project, count=2))
    assert made.request["state"] == "pending"
    assert usage(cloud, project) == usage(cloud, ROOT) == (0, 2)
    refused = hand_in(cloud, submission(cloud.admin, project, count=2))
    assert isinstance(refused, errors.QuotaExceeded)
    assert refused.details["over"][0]["held"] == 2
    assert refused.details["over"][0]["free"] == 1
    balanced(cloud)


def test_a_limit_of_one_kind_leaves_others_alone_and_a_limit_of_zero_forbids(cloud: Cloud) -> None:
    project = cloud.project("health")
    cloud.run(lambda conn: projects.set_limits(conn, cloud.admin, project, [("container", "instances", 0)]))
    accepted(cloud, submission(cloud.admin, project))
    cloud.run(lambda conn: projects.set_limits(conn, cloud.admin, project, [("vm", "gpus", 0), ("vm", "instances", 1)]))
    assert isinstance(hand_in(cloud, submission(cloud.admin, project)), errors.QuotaExceeded)


def test_a_limit_cannot_be_set_below_what_is_used_and_held(cloud: Cloud) -> None:
    project = cloud.project("health", auto={"instances": 2, "vcpus": 2, "memory_mib": 2048, "disk_gib": 20})
    accepted(cloud, submission(cloud.admin, project, count=2))
    accepted(cloud, submission(cloud.admin, project, count=3))
    assert usage(cloud, project) == (2, 3)
    for path in (project, ROOT):
        with pytest.raises(errors.InvalidState) as refused:
            cloud.limit(path, instances=4)
        assert refused.value.text == "limit_below_usage"
        cloud.limit(path, instances=5)
    balanced(cloud)


# -- races -----------------------------------------------------------------------------------------------------------------------


def test_32_threads_at_two_controllers_against_a_limit_of_20_end_at_exactly_20(cloud: Cloud) -> None:
    cloud.limit(ROOT, instances=20)
    paths = [cloud.project(f"p{number}") for number in range(4)]
    with admitting(cloud, 2) as admitters:
        outcomes = at_once(admitters, [submission(cloud.admin, paths[number % 4], direct=True) for number in range(32)])
    assert kinds(outcomes) == {"Accepted": 20, "QuotaExceeded": 12}
    assert usage(cloud, ROOT) == (20, 0)
    balanced(cloud)


def test_two_controllers_together_leave_a_pool_the_host_that_it_keeps_to_spare(cloud: Cloud) -> None:
    cloud.flavor("quarter", 4, 1024, 10)  # 16 fit on four hosts of 16 vCPUs, 12 of them so that any three hold what the fourth runs
    cloud.run(lambda conn: fleet.update_pool(conn, cloud.admin, "general", None, {"spare_hosts": 1}))
    with admitting(cloud, 2) as admitters:
        outcomes = at_once(admitters, [submission(cloud.admin, ROOT, "quarter", direct=True) for _ in range(20)])
    assert kinds(outcomes) == {"Accepted": 12, "NoCapacity": 8}
    balanced(cloud)


def test_two_controllers_never_put_more_on_the_hosts_than_they_hold(cloud: Cloud) -> None:
    cloud.flavor("quarter", 4, 1024, 10)  # 16 fit on four hosts of 16 vCPUs
    with admitting(cloud, 2) as admitters:
        outcomes = at_once(admitters, [submission(cloud.admin, flavor="quarter", direct=True) for _ in range(32)])
    assert kinds(outcomes) == {"Accepted": 16, "NoCapacity": 16}
    assert {row["used_vcpus"] for row in cloud.rows("SELECT used_vcpus FROM hosts")} == {16}
    balanced(cloud)


def test_what_one_that_could_not_be_placed_kept_out_gets_its_chance_in_the_same_batch(cloud: Cloud) -> None:
    cloud.limit(ROOT, vcpus=64)
    cloud.flavor("whole", 32, 1024, 10)  # no host is so large
    given = [submission(cloud.admin, flavor="whole", count=2), *(submission(cloud.admin, flavor="large", count=4) for _ in range(4))]
    outcomes = cloud.run(lambda conn: admit(conn, cloud.admission(), given))
    assert kinds(outcomes) == {"NoCapacity": 1, "Accepted": 4}
    assert {row["used_vcpus"] for row in cloud.rows("SELECT used_vcpus FROM hosts")} == {16}
    balanced(cloud)


def test_one_idempotency_key_used_20_times_at_once_makes_one_instance(cloud: Cloud) -> None:
    given = submission(cloud.admin, name="web", direct=True, key="once", fingerprint="a")
    with admitting(cloud, 2) as admitters:
        outcomes = at_once(admitters, [given] * 20)
    assert kinds(outcomes) == {"Accepted": 20}
    assert len({outcome.answer for outcome in outcomes if isinstance(outcome, Accepted)}) == 1
    assert cloud.rows("SELECT count(*) AS n FROM requests") == [{"n": 1}]
    assert cloud.rows("SELECT count(*) AS n FROM instances") == [{"n": 1}]
    balanced(cloud)


def test_a_key_used_again_for_something_else_is_a_conflict_and_changes_nothing(cloud: Cloud) -> None:
    accepted(cloud, submission(cloud.admin, key="once", fingerprint="a"))
    again = hand_in(cloud, submission(cloud.admin, key="once", fingerprint="b"))
    assert isinstance(again, errors.Conflict)
    assert again.text == "key_reused"
    assert usage(cloud, ROOT) == (1, 0)


def test_one_key_for_two_trees_at_two_controllers_is_a_conflict_for_one_of_them(cloud: Cloud) -> None:
    """Two roots share no lock: only the key itself can part them."""
    other = cloud.project("hunan", None, PLENTY)
    admin = cloud.run(lambda conn: identify(conn, cloud.admin_token))  # with his role on the new root
    for number in range(5):
        key = f"key-{number}"
        with admitting(cloud, 2) as admitters:
            given = [submission(admin, path, key=key, fingerprint=path) for path in (ROOT, other)]
            assert kinds(at_once(admitters, given)) == {"Accepted": 1, "Conflict": 1}
    balanced(cloud)


def test_of_two_with_one_name_in_one_project_the_second_is_told(cloud: Cloud) -> None:
    one, other = cloud.project("health"), cloud.project("education")
    with admitting(cloud, 2) as admitters:
        outcomes = at_once(admitters, [submission(cloud.admin, one, name="web", direct=True) for _ in range(8)])
    assert kinds(outcomes) == {"Accepted": 1, "AlreadyExists": 7}
    accepted(cloud, submission(cloud.admin, other, name="web"))
    clash = hand_in(cloud, submission(cloud.admin, one, name="web", count=2))
    assert isinstance(clash, Accepted), "numbered names are others"
    clash = hand_in(cloud, submission(cloud.admin, one, name="web-2"))
    assert isinstance(clash, errors.AlreadyExists)
    assert clash.params["name"] == "web-2"
    balanced(cloud)


def test_a_held_name_is_taken_and_is_free_again_after_a_refusal(cloud: Cloud) -> None:
    project = cloud.project("health", auto={})
    held = accepted(cloud, submission(cloud.admin, project, name="web"))
    assert isinstance(hand_in(cloud, submission(cloud.admin, project, name="web")), errors.AlreadyExists)
    cloud.run(lambda conn: requests.refuse(conn, an_approver(cloud), held.request["id"], "no", None))
    accepted(cloud, submission(cloud.admin, project, name="web"))
    balanced(cloud)


# -- refusals and explanations ---------------------------------------------------------------------------------------------------


def test_a_refusal_for_lack_of_room_counts_hosts_by_rule_and_says_what_would_fit(cloud: Cloud) -> None:
    cloud.flavor("fat", 2, 65_536, 20)
    refused = hand_in(cloud, submission(cloud.admin, flavor="fat"))
    assert isinstance(refused, errors.NoCapacity)
    assert refused.details["hosts"] == 4
    assert {rule["rule"]: rule["excluded"] for rule in refused.details["rules"]} == {"memory_mib": 4}
    assert {"change": "less_memory_mib", "memory_mib": 32_768} in refused.details["changes"]
    assert "host-0001" not in str(refused.details)


def test_anti_affinity_beyond_the_hosts_is_refused_and_says_how_many_would_fit(cloud: Cloud) -> None:
    apart = SpreadRule("anti_affinity")
    accepted(cloud, submission(cloud.admin, count=4, spread=apart))
    assert {row["used_instances"] for row in cloud.rows("SELECT used_instances FROM hosts")} == {1}
    refused = hand_in(cloud, submission(cloud.admin, count=5, spread=apart))
    assert isinstance(refused, errors.NoCapacity)
    assert {"change": "fewer_instances", "count": 4} in refused.details["changes"]


def test_names_that_mean_nothing_are_refused_by_name(cloud: Cloud) -> None:
    for given, text in (
        (submission(cloud.admin, flavor="huge"), "unknown_flavor"),
        (submission(cloud.admin, zone="mars"), "unknown_zone"),
        (submission(cloud.admin, pool="gold"), "unknown_pool"),
        (submission(cloud.admin, "hubei/none"), "project_not_found"),
    ):
        refused = hand_in(cloud, given)
        assert isinstance(refused, errors.ControllerError)
        assert refused.text == text


def test_a_project_of_others_is_not_found_and_one_that_may_only_be_read_is_forbidden(cloud: Cloud) -> None:
    mine, theirs = cloud.project("health"), cloud.project("education")
    member, _ = cloud.user("zhang", mine)
    auditor, _ = cloud.user("li", mine, Role.AUDITOR)
    assert isinstance(hand_in(cloud, submission(member, theirs)), errors.NotFound)
    assert isinstance(hand_in(cloud, submission(auditor, mine)), errors.Forbidden)
    accepted(cloud, submission(member, mine))


def test_explaining_takes_nothing_whatever_the_answer(cloud: Cloud) -> None:
    cloud.limit(ROOT, instances=3)
    with admitting(cloud) as (admitter,):
        for _ in range(5):
            fits = admitter.submit(submission(cloud.admin, count=3, explain=True))
            assert fits == Explained(None)
        over = admitter.submit(submission(cloud.admin, count=4, explain=True))
        assert isinstance(over, Explained)
        assert isinstance(over.refusal, errors.QuotaExceeded)
        wide = admitter.submit(submission(cloud.admin, zone="wuhan-a", spread=SpreadRule("anti_affinity"), count=3, explain=True))
        assert wide == Explained(None)
        assert isinstance(admitter.submit(submission(cloud.admin, count=3)), Accepted), "what was explained is what happens"
    assert cloud.rows("SELECT count(*) AS n FROM requests") == [{"n": 1}]
    balanced(cloud)


def test_many_explanations_between_creates_never_keep_anything_out(cloud: Cloud) -> None:
    cloud.limit(ROOT, instances=8)
    with admitting(cloud) as admitters:
        given = [submission(cloud.admin, count=1 + 7 * (number % 2), explain=bool(number % 2)) for number in range(16)]
        outcomes = at_once(admitters, given)
    assert kinds(outcomes[::2]) == {"Accepted": 8}
    assert kinds(outcomes[1::2]) == {"Explained": 8}
    balanced(cloud)


def test_a_direct_create_beyond_the_policy_asks_for_approval_and_takes_nothing(cloud: Cloud) -> None:
    project = cloud.project("health", auto={"instances": 1, "vcpus": 1, "memory_mib": 1024, "disk_gib": 10})
    assert isinstance(hand_in(cloud, submission(cloud.admin, project, flavor="large", direct=True)), errors.ApprovalRequired)
    assert usage(cloud, ROOT) == (0, 0)
    accepted(cloud, submission(cloud.admin, project, direct=True))


# -- deciding --------------------------------------------------------------------------------------------------------------------


def test_approving_never_fails_although_limit_and_fleet_filled_up_in_between(cloud: Cloud) -> None:
    patient, greedy = cloud.project("health", auto={}), cloud.project("education")
    cloud.limit(ROOT, vcpus=64)
    held = accepted(cloud, submission(cloud.admin, patient, flavor="large", count=5))
    with admitting(cloud) as (admitter,):
        while isinstance(admitter.submit(submission(cloud.admin, greedy)), Accepted):
            pass
    assert usage(cloud, ROOT) == (44, 5)
    approver = an_approver(cloud)
    decided = cloud.run(lambda conn: requests.approve(conn, cloud.env, approver, held.request["id"], None, None))
    assert decided["state"] == "approved"
    assert len(decided["instances"]) == 5
    assert usage(cloud, ROOT) == (49, 0)
    balanced(cloud)


def test_a_request_is_decided_once_however_many_decide_at_once(cloud: Cloud) -> None:
    project = cloud.project("health", auto={})
    held = accepted(cloud, submission(cloud.admin, project, count=2))
    approver = an_approver(cloud)
    id_ = held.request["id"]
    verbs: list[Callable[[Any], Any]] = [
        lambda conn: requests.approve(conn, cloud.env, approver, id_, None, None),
        lambda conn: requests.refuse(conn, approver, id_, "no", None),
        lambda conn: requests.cancel(conn, cloud.admin, id_, None),
    ]

    def decide(number: int) -> str:
        try:
            return str(cloud.run(verbs[number % 3])["state"])
        except errors.InvalidState as error:
            return error.text

    with ThreadPoolExecutor(9) as pool:
        ends = Counter(pool.map(decide, range(9)))
    assert ends["request_decided"] == 8, ends
    (row,) = cloud.rows("SELECT state FROM requests")
    assert usage(cloud, project) == ((2, 0) if row["state"] == "approved" else (0, 0))
    balanced(cloud)


def test_an_approver_decides_no_request_of_his_own(cloud: Cloud) -> None:
    project = cloud.project("health", auto={})
    _, token = cloud.user("zhang", project)
    cloud.run(lambda conn: projects.grant(conn, cloud.admin, project, "zhang", Role.APPROVER))
    both = cloud.run(lambda conn: identify(conn, token))
    held = accepted(cloud, submission(both, project))
    with pytest.raises(errors.Forbidden):
        cloud.run(lambda conn: requests.approve(conn, cloud.env, both, held.request["id"], None, None))


def test_expiry_lets_go_of_quota_capacity_and_name(cloud: Cloud, settings: Settings) -> None:
    project = cloud.project("health", auto={}, instances=2)
    short = Cloud(cloud.database, settings.model_copy(update={"request_ttl_s": 0}), cloud.env, cloud.admin, cloud.admin_token, cloud.uri)
    late = accepted(short, submission(cloud.admin, project, count=2, name="web"))
    assert isinstance(hand_in(cloud, submission(cloud.admin, project)), errors.QuotaExceeded)
    assert cloud.run(requests.expire) == 1
    assert cloud.run(requests.expire) == 0
    assert usage(cloud, ROOT) == (0, 0)
    (row,) = cloud.rows("SELECT state FROM requests WHERE id = CAST(:id AS uuid)", id=late.request["id"])
    assert row["state"] == "expired"
    approver = an_approver(cloud)
    with pytest.raises(errors.InvalidState):
        cloud.run(lambda conn: requests.approve(conn, cloud.env, approver, late.request["id"], None, None))
    accepted(cloud, submission(cloud.admin, project, count=2, name="web"))
    balanced(cloud)


# -- resizing --------------------------------------------------------------------------------------------------------------------


def resize(cloud: Cloud, instance_id: str, flavor: str) -> None:
    cloud.run(lambda conn: instances.resize(conn, cloud.env, cloud.admin, instance_id, flavor, None))


def test_growth_is_counted_at_once_and_a_shrink_is_free_when_the_backend_has_done_it(cloud: Cloud) -> None:
    project = cloud.project("health", vcpus=4)
    cloud.flavor("wide", 4, 1024, 10)
    cloud.flavor("narrow", 2, 1024, 10)
    (id_,) = accepted(cloud, submission(cloud.admin, project)).request["instances"]
    stepper = Stepper(cloud)
    stepper.settle()
    resize(cloud, id_, "wide")
    assert _vcpus(cloud, project) == 4, "growth is taken before the backend does it"
    stepper.settle()
    resize(cloud, id_, "narrow")
    assert _vcpus(cloud, project) == 4, "the backend still has four"
    refused = hand_in(cloud, submission(cloud.admin, project))
    assert isinstance(refused, errors.QuotaExceeded)
    stepper.settle()
    assert _vcpus(cloud, project) == 2
    accepted(cloud, submission(cloud.admin, project))
    balanced(cloud)
    assert cloud.world.violations == []


def test_a_grow_asked_before_a_shrink_is_done_is_counted_from_the_larger_size(cloud: Cloud) -> None:
    project = cloud.project("health", vcpus=4)
    cloud.flavor("wide", 4, 1024, 10)
    (id_,) = accepted(cloud, submission(cloud.admin, project)).request["instances"]
    stepper = Stepper(cloud)
    stepper.settle()
    for flavor in ("wide", "small", "wide", "small"):
        resize(cloud, id_, flavor)
    assert _vcpus(cloud, project) == 4
    stepper.settle()
    assert _vcpus(cloud, project) == 1
    balanced(cloud)


def test_growth_beyond_a_limit_or_the_host_is_refused_and_changes_nothing(cloud: Cloud) -> None:
    project = cloud.project("health", memory_mib=1024)
    cloud.flavor("tall", 1, 2048, 10)
    cloud.flavor("wide", 17, 1024, 10)
    (id_,) = accepted(cloud, submission(cloud.admin, project)).request["instances"]
    with pytest.raises(errors.QuotaExceeded):
        resize(cloud, id_, "tall")
    with pytest.raises(errors.NoCapacity) as refused:
        resize(cloud, id_, "wide")
    assert refused.value.details["rules"] == [{"rule": "vcpus", "excluded": 1}]
    (row,) = cloud.rows("SELECT flavor, generation FROM instances")
    assert row == {"flavor": "small", "generation": 1}
    balanced(cloud)


def test_growth_at_two_places_at_once_never_passes_a_limit(cloud: Cloud) -> None:
    project = cloud.project("health", vcpus=14)
    cloud.flavor("wide", 4, 1024, 10)
    ids = accepted(cloud, submission(cloud.admin, project, count=8)).request["instances"]

    def grow(id_: str) -> bool:
        try:
            resize(cloud, id_, "wide")
        except errors.QuotaExceeded:
            return False
        return True

    with ThreadPoolExecutor(8) as pool:
        grown = sum(pool.map(grow, ids))
    assert grown == 2
    assert _vcpus(cloud, project) == 14
    balanced(cloud)


def _vcpus(cloud: Cloud, project: str) -> int:
    (row,) = cloud.rows("SELECT sum(u.vcpus) AS n FROM usage u JOIN projects p ON p.id = u.project_id WHERE p.path = :path", path=project)
    return int(row["n"])


# -- deleting --------------------------------------------------------------------------------------------------------------------


def test_what_is_deleted_counts_until_the_backend_has_removed_it(cloud: Cloud) -> None:
    project = cloud.project("health", instances=1)
    (id_,) = accepted(cloud, submission(cloud.admin, project, name="web")).request["instances"]
    stepper = Stepper(cloud)
    stepper.settle()
    cloud.run(lambda conn: instances.delete(conn, cloud.env, cloud.admin, id_, None))
    assert isinstance(hand_in(cloud, submission(cloud.admin, project)), errors.QuotaExceeded)
    stepper.settle()
    assert usage(cloud, ROOT) == (0, 0)
    accepted(cloud, submission(cloud.admin, project, name="web"))
    balanced(cloud)
