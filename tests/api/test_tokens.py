"""Tokens end: by time, by revocation, with their user."""

from __future__ import annotations

import time

import psycopg

from tests.api.outside import Caller, Cloud

_REMEMBERED_S = 1.2  # a token looked up a moment ago may be remembered for a second


def _shut_out(caller: Caller) -> None:
    caller.refused(401, "unauthenticated", "GET /v1/whoami")


def test_a_token_tells_who_and_until_when(cloud: Cloud) -> None:
    user = cloud.user((cloud.root, "auditor"))
    who = user.ask("GET /v1/whoami")
    assert who["user"]["name"] == user.name
    assert who["roles"] == [{"project": cloud.root, "role": "auditor"}]
    assert who["token"]["name"] == "test"
    assert who["token"]["expires_at"] > who["token"]["created_at"]
    assert user.token not in str(who)


def test_a_tokens_text_is_shown_once_and_not_kept(cloud: Cloud) -> None:
    user = cloud.user()
    listed = cloud.admin.call(f"GET /v1/users/{user.name}/tokens")
    assert str(user.token) not in listed.text
    with psycopg.connect(cloud.database_url) as conn:
        kept = conn.execute("SELECT count(*) FROM tokens WHERE position('ct_'::bytea IN hash) > 0").fetchone()
        told = conn.execute("SELECT count(*) FROM answers WHERE body LIKE '%%ct\\_%%'").fetchone()
    assert (kept, told) == ((0,), (0,))


def test_an_expired_token_is_refused(cloud: Cloud) -> None:
    user = cloud.user()
    token = user.ask("GET /v1/whoami")["token"]["id"]
    with psycopg.connect(cloud.database_url) as conn:
        conn.execute("UPDATE tokens SET expires_at = now() - interval '1 second' WHERE id = %s", [token])
    time.sleep(_REMEMBERED_S)
    _shut_out(user)


def test_a_revoked_token_is_refused_at_once_and_the_others_go_on(cloud: Cloud) -> None:
    user = cloud.user()
    other = cloud.as_(user.ask(f"POST /v1/users/{user.name}/tokens", {"name": "laptop"})["token"])
    user.ask(f"DELETE /v1/tokens/{user.ask('GET /v1/whoami')['token']['id']}")
    _shut_out(user)
    assert other.ask("GET /v1/whoami")["token"]["name"] == "laptop"
    states = {one["name"]: one["revoked_at"] for one in other.ask(f"GET /v1/users/{user.name}/tokens")["items"]}
    assert states["laptop"] is None
    assert states["test"] is not None


def test_a_disabled_user_is_shut_out_until_enabled(cloud: Cloud) -> None:
    user = cloud.user()
    user.ask("GET /v1/whoami")
    cloud.admin.ask(f"PATCH /v1/users/{user.name}", {"disabled": True})
    _shut_out(user)
    cloud.admin.ask(f"PATCH /v1/users/{user.name}", {"disabled": False})
    user.ask("GET /v1/whoami")


def test_a_role_taken_away_is_gone_at_once(cloud: Cloud) -> None:
    project = cloud.project()
    user = cloud.user((project, "member"))
    user.ask(f"GET /v1/projects/{project}")
    cloud.admin.ask(f"DELETE /v1/projects/{project}/roles", user=user.name, role="member")
    user.refused(404, "not_found", f"GET /v1/projects/{project}")
    cloud.admin.refused(404, "role_not_found", f"DELETE /v1/projects/{project}/roles", user=user.name, role="member")


def test_an_authorization_header_in_another_shape_is_no_token(cloud: Cloud) -> None:
    token = cloud.admin.token
    for value in (
        "",
        "Bearer",
        f"Basic {token}",
        f"Token {token}",
        str(token),
        f"Bearer {token} x",
        "Bearer \xff\xfe",
        "Bearer ct_" + "a" * 4000,
    ):
        answer = cloud.nobody.call("GET /v1/whoami", headers={"Authorization": value.encode("latin-1")})  # type: ignore[dict-item]
        assert answer.status_code == 401, value
    assert cloud.nobody.call("GET /v1/whoami", headers={"Authorization": f"bearer {token}"}).status_code == 200


def test_a_caller_without_a_token_is_told_nothing_about_his_body(cloud: Cloud) -> None:
    json = {"Content-Type": "application/json"}
    for body in (b"{", b"[]", b'{"nonsense": 1}', b"\xff"):
        cloud.nobody.refused(401, "unauthenticated", "POST /v1/requests", body, json)
        cloud.admin.refused(400, "invalid_request", "POST /v1/requests", body, json)


def test_the_reason_of_an_error_tells_causes_of_one_class_apart(cloud: Cloud) -> None:
    missing = {"GET /v1/projects/nowhere": "project_not_found", "GET /v1/requests/none": "request_not_found"}
    for line, reason in missing.items():
        assert cloud.admin.refused(404, "not_found", line)["details"] == {"reason": reason}
