"""Events: read from a cursor on, none is ever missed, whoever writes at the same time."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import psycopg

from tests.api.outside import PLENTY, Caller, Cloud, Department, fresh


def _create(caller: Caller, project: str) -> str:
    return str(caller.ask("POST /v1/instances", {"project": project, "flavor": "tiny", "image": "debian"})["id"])


def _follow(caller: Caller, project: str, cursor: str, seen: list[dict[str, Any]]) -> str:
    page = caller.ask("GET /v1/events", after=cursor, project=project, limit=7)
    seen += page["items"]
    return str(page["next"])


def test_a_reader_with_a_cursor_misses_nothing_under_concurrent_writers(cloud: Cloud, free_department: Department) -> None:
    member, path = free_department.member, free_department.path
    cursor = member.ask("GET /v1/events", limit=1)["next"] or "0.0"
    seen: list[dict[str, Any]] = []
    writing = threading.Event()
    writing.set()

    def read() -> None:
        nonlocal cursor
        while writing.is_set():
            cursor = _follow(member, path, cursor, seen)

    reader = threading.Thread(target=read)
    reader.start()
    with ThreadPoolExecutor(6) as pool:
        ids = list(pool.map(lambda _: _create(member, path), range(30)))
    for id_ in ids:
        member.settled(id_, "active")
    writing.clear()
    reader.join()
    end = time.monotonic() + 10
    while sum(one["kind"] == "instance.active" for one in seen) < 30:
        assert time.monotonic() < end, f"{len(seen)} events were seen"
        cursor = _follow(member, path, cursor, seen)
    told = [one["id"] for one in seen]
    assert len(told) == len(set(told)), "no event comes twice"
    for kind in ("instance.accepted", "instance.active"):
        assert {one["object_id"] for one in seen if one["kind"] == kind} == set(ids), f"an event {kind} was missed"


def test_what_an_open_transaction_wrote_is_not_jumped_over(cloud: Cloud, free_department: Department) -> None:
    """The trap of sequences: a later id becomes visible before an earlier one."""
    member, path = free_department.member, free_department.path
    project = member.ask(f"GET /v1/projects/{path}")["id"]
    cursor = member.ask("GET /v1/events", project=path)["next"]
    with psycopg.connect(cloud.database_url) as slow:
        slow.execute(
            "INSERT INTO events (kind, object_kind, object_id, object_name, project_id, actor)"
            " VALUES ('project.changed', 'project', %s, 'slow', %s, 'x')",
            [project, project],
        )
        id_ = _create(member, path)
        member.settled(id_, "active")
        assert member.ask("GET /v1/events", after=cursor, project=path)["items"] == [], "what came later waits for what may come before"
    end = time.monotonic() + 5
    while not (found := member.ask("GET /v1/events", after=cursor, project=path)["items"]):
        assert time.monotonic() < end
    assert found[0]["object_name"] == "slow"
    assert "instance.active" in {one["kind"] for one in found}


@contextmanager
def _stream(caller: Caller, address: str, **headers: str) -> Iterator[Iterator[dict[str, Any]]]:
    mine = {"Authorization": f"Bearer {caller.token}", "Accept": "text/event-stream"} | headers
    with caller.http.stream("GET", address, headers=mine, timeout=20) as answer:
        assert answer.status_code == 200
        assert answer.headers["content-type"].startswith("text/event-stream")
        yield _events(answer.iter_lines())


def _events(lines: Iterator[str]) -> Iterator[dict[str, Any]]:
    fields: dict[str, str] = {}
    for line in lines:
        if line:
            name, _, value = line.partition(": ")
            fields[name] = value
        elif "data" in fields:
            event = json.loads(fields["data"])
            assert (event["id"], event["kind"]) == (fields["id"], fields["event"])
            yield event
            fields = {}


def test_a_stream_resumes_after_the_event_seen_last(free_department: Department) -> None:
    member, path = free_department.member, free_department.path
    ids = [_create(member, path)]
    with _stream(member, f"/v1/events?project={path}") as events:
        first = next(one for one in events if one["object_id"] == ids[0])
    ids += [_create(member, path) for _ in range(3)]
    seen = [first]
    with _stream(member, f"/v1/events?project={path}", **{"Last-Event-ID": first["id"]}) as events:
        for one in events:
            seen.append(one)
            if sum(event["kind"] == "instance.active" for event in seen) == 4:
                break
    told = [one["id"] for one in seen]
    assert len(told) == len(set(told))
    assert [one["object_id"] for one in seen if one["kind"] == "instance.accepted"] == ids, "each once, in order"
    with _stream(member, f"/v1/events?project={path}&after={first['id']}", **{"Last-Event-ID": told[-2]}) as events:
        assert next(events)["id"] == told[-1], "Last-Event-ID wins: it is what the browser saw"


def test_a_stream_tells_what_happens_while_it_is_open(cloud: Cloud, free_department: Department) -> None:
    member, path = free_department.member, free_department.path
    other = cloud.department(PLENTY)
    with _stream(member, "/v1/events") as events:
        hidden = _create(other.member, other.path)
        mine = _create(member, path)
        seen = []
        for one in events:
            seen.append(one["object_id"])
            if one["object_id"] == mine and one["kind"] == "instance.active":
                break
    assert hidden not in seen, "a stream shows no more than a list"


def test_a_stream_ends_when_its_token_is_revoked(cloud: Cloud, free_department: Department) -> None:
    user = cloud.user((free_department.path, "member"))
    with _stream(user, "/v1/events") as events:
        cloud.admin.ask(f"DELETE /v1/tokens/{user.ask('GET /v1/whoami')['token']['id']}")
        began = time.monotonic()
        list(events)
    assert time.monotonic() - began < 10


def test_events_are_found_by_object_and_project_and_page_by_page(cloud: Cloud, free_department: Department) -> None:
    member, path = free_department.member, free_department.path
    first, second = _create(member, path), _create(member, path)
    member.settled(first, "active")
    member.settled(second, "active")
    assert {one["object_id"] for one in member.ask("GET /v1/events", object=first)["items"]} == {first}
    assert {one["project"] for one in member.ask("GET /v1/events", project=path)["items"]} == {path}
    seen: list[dict[str, Any]] = []
    cursor = "0.0"
    while True:
        page = member.ask("GET /v1/events", after=cursor, project=path, limit=2)
        if not page["items"]:
            assert page["next"] == cursor, "at the end the cursor stays where it is"
            break
        seen += page["items"]
        cursor = page["next"]
    assert [one["id"] for one in seen] == [one["id"] for one in member.ask("GET /v1/events", project=path, limit=500)["items"]]


def test_a_cursor_of_events_that_is_garbage_is_refused(cloud: Cloud) -> None:
    for junk in ("x", "1", "1.", ".1", "-1.0", "1.1.1", "1 .1", "", "9" * 30 + ".1", "٣.٤", "99999999999999999999.1"):
        cloud.admin.refused(400, "bad_cursor", "GET /v1/events", after=junk)
        cloud.admin.refused(400, "bad_cursor", "GET /v1/events", None, {"Accept": "text/event-stream"}, after=junk)
    assert cloud.admin.ask("GET /v1/events", after="999999999999999999.999999999999999999")["items"] == []
    cloud.admin.refused(400, "invalid_request", "GET /v1/events", object="web-1")
    cloud.admin.refused(404, "not_found", "GET /v1/events", project=fresh("nowhere"))


def test_events_of_no_project_are_for_those_who_see_the_fleet(cloud: Cloud, free_department: Department) -> None:
    host = cloud.admin.ask("GET /v1/hosts")["items"][0]
    assert cloud.admin.ask("GET /v1/events", object=host["id"])["items"]
    for caller in (free_department.member, free_department.admin, cloud.user((cloud.root, "member"))):
        assert caller.ask("GET /v1/events", object=host["id"])["items"] == []
