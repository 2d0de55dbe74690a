"""Refusals are shown with their figures and a next step, and each has its exit code."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pytest

from console import exits, refusals, texts

Run = Callable[..., Any]


def _refuse(server: Any, status: int, code: str, details: dict[str, Any] | None = None) -> dict[str, Any]:
    body = {"error": {"code": code, "message": f"message of {code}", "details": details or {}}}
    server.on("POST /v1/instances", (status, body))
    return body


CREATE = ("instance", "create", "-p", "hubei/health", "--flavor", "f", "--image", "i")


@pytest.mark.parametrize(
    ("status", "code", "expected"),
    [
        (400, "invalid_request", 1),
        (401, "unauthenticated", 3),
        (403, "forbidden", 3),
        (404, "not_found", 4),
        (409, "already_exists", 5),
        (409, "quota_exceeded", 5),
        (409, "no_capacity", 5),
        (409, "approval_required", 5),
        (409, "some_new_conflict", 5),
        (412, "stale_generation", 5),
        (418, "some_new_refusal", 1),
        (500, "internal", 1),
        (503, "unavailable", 6),
    ],
)
@pytest.mark.parametrize("lang", texts.LANGUAGES)
def test_an_error_has_its_exit_code_message_and_next_step(
    status: int, code: str, expected: int, lang: str, chutian: Run, server: Any
) -> None:
    _refuse(server, status, code)
    ran = chutian(*CREATE, "--lang", lang)
    assert ran.code == expected
    assert f"message of {code}" in ran.err
    assert ran.out == ""
    if code in refusals.HINTS:
        assert texts.speak(lang)(f"hint.{code}").split("{")[0] in ran.err


def test_every_code_with_an_exit_code_of_its_own_has_a_next_step() -> None:
    assert exits.BY_CODE.keys() - refusals.HINTS == {"timeout"}


@pytest.mark.parametrize(
    ("args", "complaint"),
    [
        (["instance", "creat"], "There is no command creat. Did you mean create?"),
        (["instance", "list", "--stat", "x"], "There is no option --stat."),
        (["instance", "create"], "Option --project is missing."),
        (["instance", "show"], "Argument INSTANCE is missing."),
        (["flavor", "list", "--limit", "many"], "The value of --limit isn't right: it is a whole number (1…500)."),
        (["host", "list", "--state", "on"], "it is one of up, unreachable, fenced, retired"),
        (["image", "upload", "x", "--file", "/none"], "there is no such file"),
        (["flavor", "show", "small", "large"], "large is one argument too many."),
    ],
)
def test_wrong_usage_is_told_in_both_languages(args: list[str], complaint: str, chutian: Run, server: Any) -> None:
    en, zh = chutian(*args), chutian("--lang", "zh", *args)
    assert (en.code, zh.code) == (2, 2)
    assert complaint in en.err
    assert zh.err.startswith("错误：")
    assert "用法见" in zh.err
    assert not any(word in zh.err for word in ("Missing", "No such", "Invalid", "Try", "Got"))
    assert server.seen == []


def test_nothing_after_a_noun_shows_its_help(chutian: Run) -> None:
    ran = chutian("instance", CHUTIAN_LANG="zh")
    assert ran.code == 2
    assert "用法：" in ran.err


def test_quota_is_refused_with_a_table_of_what_goes_over(chutian: Run, server: Any) -> None:
    over = [{"project": "hubei", "kind": "any", "resource": "vcpus", "limit": 16, "used": 12, "held": 2, "asked": 4}]
    _refuse(server, 409, "quota_exceeded", {"over": over})
    ran = chutian(*CREATE)
    assert "PROJECT  KIND  RESOURCE  LIMIT  USED  HELD  ASKED" in ran.err
    assert "hubei    any   vcpus     16     12    2     4" in ran.err
    zh = chutian(*CREATE, "--lang", "zh").err
    assert "项目   类型  资源   限额  已用  预占  申请" in zh
    assert "hubei  全部  vcpus  16    12    2     4" in zh


def test_no_capacity_is_refused_with_rules_and_what_would_fit(chutian: Run, server: Any) -> None:
    rules = [{"rule": "memory", "excluded": 38, "text": "not enough memory"}, {"rule": "cordon", "excluded": 2}]
    _refuse(
        server,
        409,
        "no_capacity",
        {"hosts": 40, "rules": rules, "changes": [{"change": "flavor", "text": "flavor small instead of large"}]},
    )
    err = chutian(*CREATE).err
    assert "40 hosts looked at" in err
    assert "not enough memory: 38 excluded" in err
    assert "cordon: 2 excluded" in err
    assert "· flavor small instead of large" in err
    assert "No single change" not in err


@pytest.mark.parametrize(("items", "said"), [([1], None), ([2], "item 2 of"), ([1, 3], "item 1, 3 of")])
def test_of_several_items_those_are_named_that_a_change_is_for(items: list[int], said: str | None, chutian: Run, server: Any) -> None:
    _refuse(server, 409, "no_capacity", {"hosts": 1, "rules": [], "items": items, "changes": [{"change": "c", "text": "t"}]})
    err = chutian(*CREATE).err
    assert said in err if said else "It is about" not in err


def test_no_capacity_without_a_change_that_would_fit_says_so(chutian: Run, server: Any) -> None:
    _refuse(server, 409, "no_capacity", {"hosts": 1, "rules": [{"rule": "vcpus", "excluded": 1}], "changes": []})
    assert "No single change was found that would fit." in chutian(*CREATE).err


def test_a_host_is_not_let_go_and_whoever_is_on_it_is_listed(chutian: Run, server: Any) -> None:
    there = [{"id": "01a2198a", "name": "web-1", "project": "hubei/health"}, {"id": "01a2198b", "name": "db", "project": "hubei"}]
    body = {"error": {"code": "invalid_state", "message": "2 are there", "details": {"reason": "host_occupied", "instances": there}}}
    server.on("POST /v1/hosts/kvm-1/retire", (409, body))
    ran = chutian("host", "retire", "kvm-1", "--yes")
    assert ran.code == 5
    assert "  web-1  hubei/health  01a2198a\n  db     hubei         01a2198b\n" in ran.err


def test_an_endpoint_is_not_let_go_and_its_hosts_are_listed(chutian: Run, server: Any) -> None:
    body = {"error": {"code": "invalid_state", "message": "1 is left", "details": {"reason": "endpoint_has_hosts", "hosts": ["kvm-1"]}}}
    server.on("DELETE /v1/endpoints/e1", (409, body))
    assert "  kvm-1\n" in chutian("endpoint", "delete", "e1", "--yes").err


def test_an_invalid_request_names_its_fields(chutian: Run, server: Any) -> None:
    _refuse(
        server,
        400,
        "invalid_request",
        {"errors": [{"where": "body.name", "what": "not a label"}, {"where": "body.zone", "what": "missing"}]},
    )
    assert "body.name: not a label" in chutian(*CREATE).err


def test_programs_get_the_apis_error_body_on_stderr(chutian: Run, server: Any) -> None:
    body = _refuse(server, 409, "quota_exceeded", {"over": []})
    ran = chutian(*CREATE, "--output", "json")
    assert (ran.code, ran.out) == (5, "")
    assert json.loads(ran.err) == body


def test_programs_get_our_own_errors_in_the_same_form(chutian: Run) -> None:
    ran = chutian("whoami", "-o", "json", CHUTIAN_SERVER="http://127.0.0.1:9")
    assert ran.code == 6
    assert json.loads(ran.err)["error"]["code"] == "unreachable"


def test_a_message_cannot_drive_the_terminal(chutian: Run, server: Any) -> None:
    server.on("POST /v1/instances", (400, {"error": {"code": "invalid_request", "message": "a\x1b[2Jb\u202ec", "details": {}}}))
    assert "a[2Jbc" in chutian(*CREATE).err


def test_operators_see_who_would_make_way(chutian: Run, server: Any) -> None:
    victim = {"id": "v", "name": "batch-7", "project": "hubei/his", "host": "kvm-1", "priority": "batch", "frees": {"vcpus": 4}}
    preemption = {"text": "Somebody would have to go.", "victims": [victim], "places": ["kvm-1"]}
    _refuse(server, 409, "no_capacity", {"hosts": 3, "rules": [], "changes": [], "preemption": preemption})
    shown = chutian(*CREATE).err
    assert "Somebody would have to go.\n  batch-7 (hubei/his, batch) on kvm-1\n" in shown
    server.on("POST /v1/instances", {"fits": True, "refusal": None, "preemption": preemption})
    explained = chutian(*CREATE, "--preempt", "--priority", "critical", "--preemptible", "--explain")
    assert "Somebody would have to go." in explained.out
    assert "vcpus=4" in explained.out
    sent = json.loads(server.seen[-1].raw)
    assert (sent["preempt"], sent["priority"], sent["preemptible"]) == (True, "critical", True)
    server.on("POST /v1/instances", {"fits": True, "refusal": None, "preemption": {**preemption, "victims": None, "places": None}})
    assert "kvm-1" not in chutian(*CREATE, "--preempt", "--explain").out
