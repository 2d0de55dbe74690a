"""A department that finds no room is told from when on there is some, asks for that, and gets it."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import psycopg
import pytest

from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh, pool_of

DAY = 86_400


@pytest.fixture
def pool(operator: Caller) -> str:
    """Two hosts."""
    return pool_of(operator, 2)


@pytest.fixture
def quad(operator: Caller) -> str:
    """A size that fills a host."""
    name = fresh("quad")
    operator.ask("POST /v1/flavors", {"name": name, "vcpus": 4, "memory_mib": 1024, "disk_gib": 10})
    return name


def wish(department: Department, flavor: str, pool: str, count: int = 1, **more: Any) -> dict[str, Any]:
    return {"project": department.path, "items": [{"flavor": flavor, "image": "debian", "count": count, "pool": pool}], **more}


def pass_time(cloud: Cloud, seconds: int) -> None:
    """As if so much time had passed for everything that has a term or a start."""
    moments = ("term_ends_at", "term_due_at", "starts_at", "due_at", "asked_at", "deadline_at")
    earlier = ", ".join(f"{name} = {name} - make_interval(secs => %(by)s)" for name in moments)
    with psycopg.connect(cloud.database_url) as conn:
        conn.execute(
            f"UPDATE instances SET {earlier} WHERE state <> 'deleted' AND (ends OR starts_at IS NOT NULL)".encode(),  # noqa: S608
            {"by": seconds},
        )


def fill(department: Department, quad: str, pool: str, *days: int) -> list[Any]:
    made = []
    for one in days:
        request = department.member.ask("POST /v1/requests", wish(department, quad, pool, term_days=one, ends=True))
        assert request["ends"] is True
        made.append(department.member.settled(request["instances"][0], "active"))
    return made


def vcpus(operator: Caller, pool: str) -> int:
    return sum(host["used"]["vcpus"] for host in operator.ask("GET /v1/hosts", pool=pool)["items"])


def used(department: Department) -> int:
    rows = department.admin.ask(f"GET /v1/projects/{department.path}/quota")["rows"]
    return sum(row["used"] for row in rows if row["project"] == department.path and row["resource"] == "vcpus")


def start_offered(refusal: Any) -> str:
    (later,) = [one for one in refusal["details"]["changes"] if one["change"] == "later"]
    assert later["starts_at"] in later["text"]
    return str(later["starts_at"])


def kinds(caller: Caller, id_: str) -> list[str]:
    return [one["kind"] for one in caller.ask("GET /v1/events", object=id_)["items"]]


def test_from_a_refusal_to_the_place_of_who_left(cloud: Cloud, operator: Caller, pool: str, quad: str) -> None:
    there, coming = cloud.department(PLENTY), cloud.department(PLENTY)
    first, second = fill(there, quad, pool, 10, 20)
    assert (vcpus(operator, pool), used(there), used(coming)) == (8, 8, 0)

    refusal = coming.member.refused(409, "no_capacity", "POST /v1/requests", wish(coming, quad, pool))
    start = start_offered(refusal)
    assert first["term_ends_at"][:19] <= start[:19] < second["term_ends_at"][:19]
    chinese = coming.member.refused(409, "no_capacity", "POST /v1/requests", wish(coming, quad, pool), {"Accept-Language": "zh"})
    assert "推迟到" in next(one["text"] for one in chinese["details"]["changes"] if one["change"] == "later")

    again = wish(coming, quad, pool, starts_at=start)
    assert coming.member.ask("POST /v1/requests?explain=true", again)["fits"] is True
    request = coming.member.ask("POST /v1/requests", again)
    assert request["starts_at"][:19] == start[:19]
    (heir,) = request["instances"]
    waiting = coming.member.ask(f"GET /v1/instances/{heir}")
    assert (waiting["state"], waiting["starts_at"], waiting["reason"]["code"]) == ("pending", request["starts_at"], "starts_later")
    assert (vcpus(operator, pool), used(there), used(coming)) == (8, 8, 4), "quota is taken at once, room is not"
    why = operator.ask(f"GET /v1/instances/{heir}/explain")["placement"]
    assert why["after"] == [f"{there.path}/{first['name']}"]
    told = coming.member.ask(f"GET /v1/instances/{heir}/explain")["placement"]
    assert (told["promised"], told["after"]) == (True, None), "who it is is not for departments"

    for line, body in (("extend", {"days": 5}), ("protect", None), ("resize", {"flavor": "tiny"})):
        said = there.member.refused(409, "place_promised", f"POST /v1/instances/{first['id']}/{line}", body)
        assert coming.path not in str(said), "one department learns nothing of another"
    assert there.member.ask(f"POST /v1/instances/{second['id']}/extend", {"days": 5})["term_ends_at"] > second["term_ends_at"]

    pass_time(cloud, 10 * DAY + 1)
    assert there.member.settled(first["id"], "deleted")
    assert "instance.term_ended" in kinds(there.member, first["id"])
    taken_over = coming.member.settled(heir, "active")
    assert (taken_over["condition"], taken_over["reason"]) == ("running", None)
    assert (vcpus(operator, pool), used(there), used(coming)) == (8, 4, 4)

    coming.member.ask(f"DELETE /v1/instances/{heir}")
    there.member.ask(f"DELETE /v1/instances/{second['id']}")
    coming.member.settled(heir, "deleted")
    there.member.settled(second["id"], "deleted")
    assert (vcpus(operator, pool), used(there), used(coming)) == (0, 0, 0)


def test_of_twenty_who_ask_at_once_one_gets_the_place(cloud: Cloud, operator: Caller, pool: str, quad: str) -> None:
    department = cloud.department(PLENTY)
    fill(department, quad, pool, 10, 300)
    start = start_offered(department.member.refused(409, "no_capacity", "POST /v1/requests", wish(department, quad, pool)))
    with ThreadPoolExecutor(20) as threads:
        answers = list(
            threads.map(lambda _: department.member.call("POST /v1/requests", wish(department, quad, pool, starts_at=start)), range(20))
        )
    assert sorted(answer.status_code for answer in answers) == [201] + [409] * 19
    assert vcpus(operator, pool) == 8


def test_a_protected_instance_outlives_its_term_and_says_so(cloud: Cloud, pool: str, quad: str) -> None:
    department = cloud.department(PLENTY)
    (one,) = fill(department, quad, pool, 10)
    line = f"POST /v1/instances/{one['id']}"
    department.member.ask(f"{line}/protect")
    pass_time(cloud, 10 * DAY + 1)
    kept = department.member.until(f"GET /v1/instances/{one['id']}", lambda now: now["reason"] is not None)
    assert (kept["reason"]["code"], kept["state"]) == ("kept_past_term", "active")
    assert kinds(department.member, one["id"])[-1] == "instance.term_kept"
    assert department.member.ask(f"{line}/extend", {"days": 3})["reason"] is None
    department.member.ask(f"{line}/unprotect")
    assert department.member.settled(one["id"], "active")["goal"] == "running"


def test_times_that_make_no_sense_are_refused(cloud: Cloud, department: Department, pool: str, quad: str) -> None:
    member = department.member
    member.refused(400, "ends_without_term", "POST /v1/requests", wish(department, quad, pool, ends=True))
    member.refused(400, "starts_too_late", "POST /v1/requests", wish(department, quad, pool, starts_at="2099-01-01T00:00:00Z"))
    member.refused(400, "starts_in_past", "POST /v1/requests", wish(department, quad, pool, starts_at="2020-01-01T00:00:00Z"))
    for start in ("2026-12-01T00:00:00", "2026-12-01", "tomorrow", 1764000000, True, [], "1764000000000"):
        member.refused(400, "invalid_request", "POST /v1/requests", wish(department, quad, pool, starts_at=start))
    made = cloud.department(PLENTY)
    one = made.member.ask("POST /v1/instances", {"project": made.path, "flavor": quad, "image": "debian", "pool": pool})
    assert (one["ends"], one["starts_at"], one["term_ends_at"]) == (False, None, None)
    made.member.refused(409, "no_term", f"POST /v1/instances/{one['id']}/extend", {"days": 3})
    made.member.refused(400, "invalid_request", f"POST /v1/instances/{one['id']}/extend", {"days": 0})
