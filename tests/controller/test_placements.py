"""Why there, why not here, why not at all: kept when it is decided, and answered long after."""

from __future__ import annotations

from typing import Any

from controller.actions.admit import admit
from controller.store import placements
from tests.controller.asking import create
from tests.controller.fixtures import Cloud, submission


def kept(cloud: Cloud, **filters: Any) -> list[dict[str, Any]]:
    wanted = {"scope": None, "request": None, "placed": None, "before": "ffffffff-ffff-ffff-ffff-ffffffffffff", "limit": 50} | filters
    return [dict(row) for row in cloud.run(lambda conn: placements.page(conn, **wanted))]


def test_each_item_that_is_placed_leaves_its_reasons(cloud: Cloud) -> None:
    create(cloud, count=3, name="web", zone="wuhan-a")
    (row,) = kept(cloud)
    record = row["record"]
    assert (row["placed"], row["actor"], record["names"]) == (True, cloud.admin.name, ["web-1", "web-2", "web-3"])
    assert (record["hosts"], record["fits"], record["asked"]["zones"]) == (4, 4, ["wuhan-a"])
    assert len(record["chosen"]) == 3
    assert record["chosen"][0] == record["best"][0]["host"], "the first went to the best there was"
    points = [one["points"] for one in record["best"]]
    assert points == sorted(points, reverse=True)


def test_a_refusal_says_what_each_rule_excluded_and_what_the_nearest_lacked(cloud: Cloud) -> None:
    cloud.flavor("huge", 15, 40_000, 10)
    cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, flavor="huge", name="big")]))
    (row,) = kept(cloud, placed=False)
    record = row["record"]
    assert (row["placed"], row["request_id"], record["fits"], record["chosen"]) == (False, None, 0, [])
    assert record["rules"] == [{"rule": "memory_mib", "excluded": 4}]
    assert [one["short"] for one in record["nearest"]] == [{"memory_mib": 40_000 - 32_768}] * 4


def test_a_refusal_of_several_says_how_many_would_fit_and_what_stopped_the_next(cloud: Cloud) -> None:
    cloud.flavor("half", 1, 16_384, 10)
    cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, flavor="half", name="many", count=9)]))
    (row,) = kept(cloud, placed=False)
    record = row["record"]
    assert (record["room"], record["fits"], record["best"]) == (8, 0, []), "two on each of four hosts"
    assert record["rules"] == [{"rule": "memory_mib", "excluded": 4}]


def test_explaining_and_repeating_leave_nothing(cloud: Cloud) -> None:
    for _ in range(2):
        cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, key="k", name="once")]))
    cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, explain=True, name="never")]))
    assert [row["record"]["names"] for row in kept(cloud)] == [["once"]]


def test_the_reasons_outlive_the_host_and_the_instance(cloud: Cloud) -> None:
    (id_,) = create(cloud, name="web")
    host = cloud.rows("SELECT h.name FROM instances i JOIN hosts h ON h.id = i.host_id")[0]["name"]
    cloud.rows("UPDATE hosts SET name = name || '-renamed' RETURNING 1")
    (instance,) = cloud.rows("SELECT request_id, name FROM instances WHERE id = CAST(:id AS uuid)", id=id_)
    row = cloud.run(lambda conn: placements.of_instance(conn, instance))
    assert row is not None
    assert row["record"]["chosen"] == [host]


def test_old_refusals_are_forgotten_and_placements_are_not(cloud: Cloud) -> None:
    create(cloud, name="web")
    cloud.flavor("huge", 15, 40_000, 10)
    cloud.run(lambda conn: admit(conn, cloud.admission(), [submission(cloud.admin, flavor="huge", name="big")]))
    cloud.rows("UPDATE placements SET created_at = now() - interval '500 days' RETURNING 1")
    assert cloud.run(lambda conn: placements.forget_refused(conn, 400)) == 1
    assert [row["placed"] for row in kept(cloud)] == [True]
