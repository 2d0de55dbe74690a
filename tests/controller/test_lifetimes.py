"""What controllers learn of lifetimes from their database, and where it shows."""

from __future__ import annotations

import numpy as np
import pytest

from controller.actions import requests as decisions
from controller.actions.admit import admit
from controller.actions.draft import Admission
from controller.store import sql
from scheduler.columns import HORIZONS
from scheduler.fleet import Fleet
from tests.controller.asking import ask, create, look
from tests.controller.fixtures import PLENTY, ROOT, Cloud, submission
from tests.controller.stepping import Stepper

TWO_DAYS = int(np.flatnonzero(HORIZONS == 2.0)[0])
SMALL = ("vm", 1, 1024, 0)


def emptying(fleet: Fleet) -> np.ndarray:
    found = [fleet.host(id_).emptying or (0.0,) * len(HORIZONS) for id_ in sorted(fleet.rows)]
    return np.array(found)


def aged(cloud: Cloud, ids: list[str], **back: float) -> None:
    """What they were is so much longer ago."""
    interval = " ".join(f"{amount} {unit}" for unit, amount in back.items())
    earlier = "SET created_at = created_at - CAST(:back AS interval) WHERE id = ANY(CAST(:ids AS uuid[])) RETURNING 1"
    cloud.rows("UPDATE instances " + earlier, back=interval, ids=ids)
    cloud.rows("UPDATE allocations " + earlier, back=interval, ids=ids)


def delete(cloud: Cloud, *ids: str) -> None:
    for id_ in ids:
        ask(cloud, "delete", id_)
    Stepper(cloud).settle()


def project_id(cloud: Cloud, path: str) -> str:
    found: str = cloud.rows("SELECT id FROM projects WHERE path = :path", path=path)[0]["id"]
    return found


def alive(cloud: Cloud, admission: Admission, path: str, term_days: int | None = None) -> float:
    """How probably something new of a project still runs after two days."""
    return admission.view.alive((project_id(cloud, path), SMALL), term_days)[TWO_DAYS]


@pytest.fixture
def two(cloud: Cloud) -> tuple[str, str]:
    """A project whose instances stay and one whose instances go within the hour."""
    staying, going = cloud.project("staying", auto=PLENTY), cloud.project("going", auto=PLENTY)
    aged(cloud, create(cloud, 4, project=staying), days=60)
    short = create(cloud, 4, project=going)
    aged(cloud, short, minutes=40)
    delete(cloud, *short)
    return staying, going


def test_a_controller_that_begins_learns_from_what_ended_and_what_runs(cloud: Cloud, two: tuple[str, str]) -> None:
    staying, going = two
    admission = cloud.admission()
    look(cloud, admission)
    assert alive(cloud, admission, staying) > 0.9
    assert alive(cloud, admission, going) < 0.1
    assert alive(cloud, admission, staying) * 0.5 == pytest.approx(alive(cloud, admission, staying, 1)), "a term says something of its own"


def test_a_controller_that_follows_thinks_what_one_thinks_that_begins(cloud: Cloud) -> None:
    one = cloud.admission()
    ids = create(cloud, 3, name="old", term_days=1)
    aged(cloud, ids, hours=5)
    look(cloud, one)
    ids += create(cloud, 3, name="new")
    cloud.run(lambda conn: admit(conn, one, [submission(cloud.admin, name="mine", count=2, term_days=30)]))
    delete(cloud, *ids[2:4])
    there = look(cloud, one, hours=2)
    other = cloud.admission()
    then = look(cloud, other, hours=2)
    assert emptying(there).any()
    assert emptying(there) == pytest.approx(emptying(then), abs=0.01)
    assert there.columns.free.sum() == then.columns.free.sum()


def test_statistics_follow_what_ends(cloud: Cloud) -> None:
    one = cloud.admission()
    look(cloud, one)
    before = alive(cloud, one, ROOT)
    ids = create(cloud, 5)
    look(cloud, one)
    delete(cloud, *ids)
    assert not emptying(look(cloud, one)).any(), "nobody is anywhere any more"
    other = cloud.admission()
    look(cloud, other)
    assert alive(cloud, one, ROOT) == pytest.approx(alive(cloud, other, ROOT), abs=0.01)
    assert alive(cloud, one, ROOT) < before / 2


def test_hosts_are_judged_anew_every_hour_though_nothing_changed(cloud: Cloud) -> None:
    admission = cloud.admission()
    create(cloud, 2)
    young = emptying(look(cloud, admission)).copy()
    assert (emptying(look(cloud, admission, minutes=30)) == young).all()
    later = emptying(look(cloud, admission, days=30))
    assert (later.sum(axis=0)[1:] < young.sum(axis=0)[1:]).all(), "what has grown old is expected to stay"


def test_a_hold_that_lapses_has_not_lived(cloud: Cloud) -> None:
    cloud.auto_approve(ROOT, None)
    one = cloud.admission()
    (held,) = cloud.run(lambda conn: admit(conn, one, [submission(cloud.admin, count=3)]))
    look(cloud, one)
    before = alive(cloud, one, ROOT)
    cloud.run(lambda conn: decisions.cancel(conn, cloud.admin, held.request["id"], None))
    look(cloud, one)
    assert not emptying(one.view.fleet).any()
    assert alive(cloud, one, ROOT) == before


def test_what_was_rolled_back_leaves_no_trace(cloud: Cloud) -> None:
    one = cloud.admission()
    look(cloud, one)

    def fails(conn: object) -> None:
        admit(conn, one, [submission(cloud.admin, count=3)])  # type: ignore[arg-type]
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        cloud.run(fails)
    one.view.forget()
    assert not emptying(look(cloud, one)).any()


def test_the_record_says_how_long_it_was_expected_to_run_and_to_keep_a_host(cloud: Cloud, two: tuple[str, str]) -> None:
    create(cloud, project=two[0], name="long")
    create(cloud, project=two[1], name="short")
    kept = {row["record"]["names"][0]: row["record"] for row in cloud.rows("SELECT record FROM placements")}
    assert kept["long"]["asked"]["expected_days"] > 10
    assert kept["short"]["asked"]["expected_days"] < 1
    for record in (kept["long"], kept["short"]):
        days = [host["kept_days"] for host in record["best"]]
        assert all(0 <= one <= record["asked"]["expected_days"] + 1e-3 for one in days)
    occupied = {row["name"] for row in cloud.rows("SELECT h.name FROM hosts h WHERE used_instances > 0")}
    assert set(kept["long"]["chosen"]) <= occupied


def test_learning_reads_departures_from_an_index(cloud: Cloud) -> None:
    def plan(conn: object) -> str:
        sql.run(conn, "SET LOCAL enable_seqscan = off")  # type: ignore[arg-type]
        found = sql.rows(  # type: ignore[arg-type]
            conn, "EXPLAIN SELECT 1 FROM instances WHERE deleted_at > now() - interval '9 days' ORDER BY deleted_at DESC LIMIT 9"
        )
        return "\n".join(row["QUERY PLAN"] for row in found)

    assert "instances_departed" in cloud.run(plan)
