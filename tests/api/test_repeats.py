"""Calls repeated and calls crossing each other: idempotency keys, generations seen, names taken twice at once."""

from __future__ import annotations

from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from tests.api.outside import Cloud, Department, fresh


def _key() -> dict[str, str]:
    return {"Idempotency-Key": fresh("key")}


def test_the_same_key_and_body_give_the_same_answer_and_another_body_is_refused(cloud: Cloud, free_department: Department) -> None:
    ask = free_department.member.call
    wishes: list[tuple[str, dict[str, Any], dict[str, Any]]] = [
        ("POST /v1/requests", {"project": free_department.path, "items": [{"flavor": "tiny", "image": "debian"}]}, {"reason": "x"}),
        ("POST /v1/instances", {"project": free_department.path, "flavor": "tiny", "image": "debian"}, {"reason": "x"}),
    ]
    for line, body, other in wishes:
        key = _key()
        first = ask(line, body, key)
        assert first.status_code == 201
        again = ask(line, body, key)
        assert (again.status_code, again.json()) == (201, first.json()), line
        free_department.member.refused(409, "key_reused", line, body | other, key)
        assert cloud.admin.call(line, body, key).json()["id"] != first.json()["id"], "another caller's key is another key"
    assert len(free_department.member.walk("GET /v1/requests")) == 4

    key, body = _key(), {"name": fresh("user")}
    first = cloud.admin.call("POST /v1/users", body, key)
    again = cloud.admin.call("POST /v1/users", body, key)
    assert (again.status_code, again.json()) == (201, first.json())
    assert again.headers["etag"] == first.headers["etag"]
    cloud.admin.refused(409, "key_reused", "POST /v1/users", {"name": fresh("user")}, key)


def test_a_repeated_call_gets_its_answer_even_where_it_would_be_refused_by_now(cloud: Cloud, free_department: Department) -> None:
    """The first answer was lost on its way; meanwhile names went and bounds changed."""
    flavor, path = fresh("flavor"), free_department.path
    cloud.admin.ask("POST /v1/flavors", {"name": flavor, "vcpus": 1, "memory_mib": 128, "disk_gib": 1})
    key, wish = _key(), {"project": path, "flavor": flavor, "image": "debian"}
    first = free_department.member.ask("POST /v1/instances", wish, key)
    cloud.admin.ask(f"DELETE /v1/flavors/{flavor}")
    assert free_department.member.ask("POST /v1/instances", wish, key) == first
    cloud.admin.ask(f"PATCH /v1/projects/{path}", {"policy": {"auto_approve": None}})
    assert free_department.member.ask("POST /v1/instances", wish, key) == first
    free_department.member.refused(409, "key_reused", "POST /v1/instances", wish | {"reason": "x"}, key)

    key, pool, name = _key(), fresh("pool"), fresh("rack")
    cloud.admin.ask("POST /v1/pools", {"name": pool, "zone": "z"})
    body = {"name": name, "driver": "fake", "uri": f"fake:{name}?hosts=0", "pool": pool}
    first = cloud.admin.ask("POST /v1/endpoints", body, key)
    assert cloud.admin.ask("POST /v1/endpoints", body, key) == first
    cloud.admin.refused(409, "key_reused", "POST /v1/endpoints", body | {"options": {"hosts": "1"}}, key)


def test_a_refused_call_does_not_use_its_key_up(cloud: Cloud, free_department: Department) -> None:
    key, name = _key(), fresh("flavor")
    wish = {"project": free_department.path, "flavor": name, "image": "debian"}
    free_department.member.refused(400, "unknown_flavor", "POST /v1/instances", wish, key)
    cloud.admin.ask("POST /v1/flavors", {"name": name, "vcpus": 1, "memory_mib": 128, "disk_gib": 1})
    assert free_department.member.call("POST /v1/instances", wish, key).status_code == 201


@pytest.mark.parametrize("line", ["POST /v1/requests", "POST /v1/instances", "POST /v1/flavors"])
def test_twenty_at_once_with_one_key_are_one(cloud: Cloud, free_department: Department, line: str) -> None:
    item = {"flavor": "tiny", "image": "debian", "name": fresh("once")}
    body: dict[str, Any] = {
        "POST /v1/requests": {"project": free_department.path, "items": [item]},
        "POST /v1/instances": {"project": free_department.path, **item},
        "POST /v1/flavors": {"name": item["name"], "vcpus": 1, "memory_mib": 1, "disk_gib": 1},
    }[line]
    key = _key()
    with ThreadPoolExecutor(20) as pool:
        answers = list(pool.map(lambda _: cloud.admin.call(line, body, key), range(20)))
    assert Counter(answer.status_code for answer in answers) == {201: 20}, answers[0].text
    assert len({answer.json()["id"] for answer in answers}) == 1


def test_a_verb_with_a_key_is_done_once(free_department: Department) -> None:
    member = free_department.member
    id_ = member.ask("POST /v1/instances", {"project": free_department.path, "flavor": "tiny", "image": "debian"})["id"]
    member.settled(id_, "active")
    key = _key()
    first = member.ask(f"POST /v1/instances/{id_}/reboot", None, key)
    assert member.ask(f"POST /v1/instances/{id_}/reboot", None, key) == first
    assert member.settled(id_, "active")["generation"] == first["generation"]
    member.refused(409, "key_reused", f"POST /v1/instances/{id_}/stop", None, key)


@pytest.mark.parametrize(
    ("line", "body"),
    [
        ("POST /v1/flavors", {"vcpus": 1, "memory_mib": 1, "disk_gib": 1}),
        ("POST /v1/images", {"arch": "x86_64", "format": "raw"}),
        ("POST /v1/users", {}),
        ("POST /v1/pools", {"zone": "z"}),
        ("POST /v1/projects", {"parent": "hubei"}),
        ("POST /v1/instances", {"project": "hubei", "flavor": "tiny", "image": "debian"}),
    ],
)
def test_of_many_who_take_one_name_at_once_one_gets_it_and_the_others_are_told(cloud: Cloud, line: str, body: dict[str, Any]) -> None:
    if line == "POST /v1/instances":
        body = body | {"project": cloud.project(policy={"auto_approve": {"instances": 1, "vcpus": 1, "memory_mib": 512, "disk_gib": 1}})}
    name = fresh("taken")
    with ThreadPoolExecutor(10) as pool:
        answers = list(pool.map(lambda _: cloud.admin.call(line, body | {"name": name}), range(10)))
    assert Counter(answer.status_code for answer in answers) == {201: 1, 409: 9}, [answer.text for answer in answers]
    assert {answer.json()["error"]["code"] for answer in answers if answer.status_code == 409} == {"already_exists"}


def test_whoever_saw_an_older_generation_is_refused(cloud: Cloud, free_department: Department) -> None:
    member = free_department.member
    created = member.call("POST /v1/instances", {"project": free_department.path, "flavor": "tiny", "image": "debian"})
    id_, tag = created.json()["id"], {"If-Match": '"1"'}
    assert created.headers["etag"] == f'"{created.json()["generation"]}"'
    shown = member.call(f"GET /v1/instances/{id_}")
    assert shown.headers["etag"] == f'"{shown.json()["generation"]}"'
    member.settled(id_, "active")
    assert member.call(f"POST /v1/instances/{id_}/stop", None, tag).status_code == 200
    for line, body in (
        (f"POST /v1/instances/{id_}/start", None),
        (f"POST /v1/instances/{id_}/resize", {"flavor": "small"}),
        (f"DELETE /v1/instances/{id_}", None),
    ):
        member.refused(412, "stale_generation", line, body, tag)
    for junk in ("1", '""', '"x"', '"1', '"99999999999999999999"', '"1", "2"'):
        member.refused(400, "bad_if_match", f"POST /v1/instances/{id_}/start", None, {"If-Match": junk})
    now = member.call(f"GET /v1/instances/{id_}").headers["etag"]
    assert member.call(f"POST /v1/instances/{id_}/start", None, {"If-Match": now}).status_code == 200
    assert member.call(f"POST /v1/instances/{id_}/stop", None, {"If-Match": "*"}).status_code == 200


def test_generations_guard_everything_that_changes(cloud: Cloud) -> None:
    admin, stale = cloud.admin, {"If-Match": '"77"'}
    flavor, pool, user = fresh("f"), fresh("p"), fresh("u")
    admin.ask("POST /v1/flavors", {"name": flavor, "vcpus": 1, "memory_mib": 1, "disk_gib": 1})
    admin.ask("POST /v1/images", {"name": flavor, "arch": "x86_64", "format": "raw"})
    admin.ask("POST /v1/pools", {"name": pool, "zone": "z"})
    host = admin.ask("POST /v1/endpoints", {"name": pool, "driver": "fake", "uri": f"fake:{pool}", "pool": pool})["hosts"][0]
    admin.ask("POST /v1/users", {"name": user})
    project = cloud.project()
    for line, body in (
        (f"DELETE /v1/flavors/{flavor}", None),
        (f"DELETE /v1/images/{flavor}", None),
        (f"PATCH /v1/pools/{pool}", {"site": "x"}),
        (f"DELETE /v1/pools/{pool}", None),
        (f"DELETE /v1/endpoints/{pool}", None),
        (f"POST /v1/hosts/{host}/cordon", None),
        (f"POST /v1/hosts/{host}/retire", None),
        (f"PATCH /v1/users/{user}", {"disabled": True}),
        (f"PATCH /v1/projects/{project}", {"description": "x"}),
        (f"DELETE /v1/projects/{project}", None),
    ):
        admin.refused(412, "stale_generation", line, body, stale)


def test_a_key_that_is_none_is_refused(cloud: Cloud) -> None:
    for key in ("", "a b", "x" * 129, "clé"):
        answer = cloud.admin.call("POST /v1/users", {"name": fresh("user")}, {"Idempotency-Key": key.encode()})  # type: ignore[dict-item]
        assert answer.status_code == 400, f"{key!r}: {answer.text}"
