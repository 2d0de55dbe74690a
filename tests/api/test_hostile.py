"""What nobody should send: it is refused in the one shape that refusals have, and nobody else notices."""

from __future__ import annotations

import json
import socket
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any
from urllib.parse import urlsplit

import pytest

from tests.api.outside import Caller, Cloud, Department, fresh

MOST = 1 << 20
JSON = {"Content-Type": "application/json"}
FLAVOR = {"name": "never", "vcpus": 1, "memory_mib": 1, "disk_gib": 1}


def raw(cloud: Cloud, data: bytes, within_s: float = 10.0) -> bytes:
    """What comes back for bytes sent as they are."""
    parts = urlsplit(cloud.url)
    with socket.create_connection((str(parts.hostname), parts.port or 0), timeout=within_s) as line:
        line.sendall(data)
        answer = b""
        while not answer.endswith(b"0\r\n\r\n") and (piece := line.recv(65536)):
            answer += piece
            head, _, body = answer.partition(b"\r\n\r\n")
            length = next((int(one.split(b":")[1]) for one in head.lower().split(b"\r\n") if one.startswith(b"content-length:")), None)
            if length is not None and len(body) >= length:
                break
        return answer


def head(cloud: Cloud, line: str, *headers: str) -> bytes:
    return "\r\n".join([line + " HTTP/1.1", "Host: x", f"Authorization: Bearer {cloud.admin.token}", *headers, "", ""]).encode("latin-1")


@pytest.fixture(autouse=True)
def _unharmed(cloud: Cloud) -> Any:
    """Whatever was sent, the controller goes on."""
    yield
    assert cloud.nobody.call("GET /readyz").status_code == 200


def _bad(caller: Caller, line: str, body: bytes, status: int = 400) -> None:
    answer = caller.call(line, body, JSON)
    assert answer.status_code == status, f"{body[:60]!r} was answered {answer.status_code}: {answer.text[:300]}"
    assert answer.json()["error"]["code"], answer.text


@pytest.mark.parametrize("size", [MOST + 1, 3 * MOST])
def test_a_body_over_the_limit_is_refused(cloud: Cloud, size: int) -> None:
    body = json.dumps({"name": "x" * size}).encode()
    cloud.admin.refused(413, "body_too_large", "POST /v1/flavors", body, JSON)
    chunks = (body[at : at + 65536] for at in range(0, len(body), 65536))
    answer = cloud.admin.http.post("/v1/flavors", content=chunks, headers={"Authorization": f"Bearer {cloud.admin.token}"} | JSON)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "body_too_large"), "without its length announced, too"


def test_a_body_just_within_the_limit_is_read(cloud: Cloud) -> None:
    body = json.dumps(FLAVOR | {"x": ""}).encode()
    body += b" " * (MOST - len(body))
    assert "no such field" in cloud.admin.refused(400, "invalid_request", "POST /v1/flavors", body, JSON)["message"].lower()


def test_a_length_that_is_a_lie_is_refused_before_anything_is_read(cloud: Cloud) -> None:
    for length in ("99999999999999999999", str(MOST + 1)):
        answer = raw(cloud, head(cloud, "POST /v1/flavors", f"Content-Length: {length}"))
        assert answer.split(b" ")[1] in (b"400", b"413"), answer[:200]
    for lie in ("-1", "1x", "0x10", "+5"):
        answer = raw(cloud, head(cloud, "POST /v1/flavors", f"Content-Length: {lie}") + b"{}")
        assert answer.split(b" ")[1] == b"400", f"{lie}: {answer[:200]!r}"
    both = head(cloud, "POST /v1/flavors", "Content-Length: 2", "Transfer-Encoding: chunked") + b"2\r\n{}\r\n0\r\n\r\n"
    assert raw(cloud, both).split(b" ")[1] == b"400", "two lengths are how requests are smuggled"


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"{",
        b"[]",
        b"null",
        b"1",
        b'"text"',
        b"\xff\xfe\x00",
        b'{"name": "\xc3\x28"}',
        b"\xef\xbb\xbf{}",
        json.dumps({"name": "a"}).encode("utf-16"),
        b'{"name": "\\ud800", "vcpus": 1, "memory_mib": 1, "disk_gib": 1}',
        b'{"name": "a\\u0000", "vcpus": 1, "memory_mib": 1, "disk_gib": 1}',
        b"[" * 100_000,
        b'{"a":' * 50_000 + b"1" + b"}" * 50_000,
        b'{"name": ' + b"[" * 5_000 + b"]" * 5_000 + b"}",
        b'{"name": "n", "vcpus": NaN, "memory_mib": 1, "disk_gib": 1}',
        b'{"name": "n", "vcpus": Infinity, "memory_mib": 1, "disk_gib": 1}',
        b'{"name": "n", "vcpus": 1e400, "memory_mib": 1, "disk_gib": 1}',
        b'{"name": "n", "vcpus": 1.5, "memory_mib": 1, "disk_gib": 1}',
        b'{"name": "n", "vcpus": "2", "memory_mib": 1, "disk_gib": 1}',
        b'{"name": "n", "vcpus": true, "memory_mib": 1, "disk_gib": 1}',
        b'{"name": "n", "vcpus": -1, "memory_mib": 1, "disk_gib": 1}',
        b'{"name": "n", "vcpus": 1' + b"0" * 5_000 + b', "memory_mib": 1, "disk_gib": 1}',
        b'{"name": "n", "vcpus": 9223372036854775808, "memory_mib": 1, "disk_gib": 1}',
        b'{"name": "n", "vcpus": 1, "memory_mib": 1, "disk_gib": 1, "__proto__": {}}',
    ],
)
def test_a_body_that_makes_no_sense_is_refused(cloud: Cloud, body: bytes) -> None:
    _bad(cloud.admin, "POST /v1/flavors", body)


def test_texts_with_what_can_not_be_kept_are_refused_wherever_they_stand(cloud: Cloud, free_department: Department) -> None:
    path = free_department.path
    item = {"flavor": "tiny", "image": "debian"}
    for bad in ("a\x00b", "\ud800", "x\udfff"):
        for line, body in (
            ("POST /v1/projects", {"name": fresh("p"), "parent": path, "description": bad}),
            ("POST /v1/projects", {"name": fresh("p"), "parent": bad}),
            ("POST /v1/users", {"name": fresh("u"), "display_name": bad}),
            ("POST /v1/requests", {"project": path, "reason": bad, "items": [item]}),
            ("POST /v1/requests", {"project": bad, "items": [item]}),
            ("POST /v1/instances", {"project": path, **item, "user_data": bad}),
            ("POST /v1/instances", {"project": path, **item, "flavor": bad}),
            ("POST /v1/instances", {"project": path, **item, "zone": bad}),
            ("POST /v1/images", {"name": fresh("i"), "arch": "x86_64", "format": "raw", "os": bad}),
            ("POST /v1/pools", {"name": fresh("p"), "zone": "z", "site": bad}),
            ("POST /v1/endpoints", {"name": fresh("e"), "driver": "fake", "uri": bad, "pool": "general"}),
            ("POST /v1/endpoints", {"name": fresh("e"), "driver": "fake", "uri": "fake:x", "pool": "general", "options": {"a": bad}}),
            (f"PUT /v1/projects/{path}/roles", {"user": bad, "role": "member"}),
            (f"PATCH /v1/projects/{path}", {"description": bad}),
            (f"POST /v1/users/{free_department.member.name}/tokens", {"name": bad}),
        ):
            _bad(cloud.admin, line, json.dumps(body).encode())


@pytest.mark.parametrize(
    "part",
    [
        "%00",
        "a%00b",
        "%ff",
        "%c3%28",
        "%ed%a0%80",
        "..",
        "..%2f..%2fetc%2fpasswd",
        "%2e%2e%2f",
        "'%20OR%201=1--",
        "%25s%25n",
        "{0.__class__}",
        "%F0%9F%99%82",
        "a" * 4000,
        "%0d%0aSet-Cookie:x",
        "-" * 200,
    ],
)
def test_an_address_that_names_nothing_is_not_found(cloud: Cloud, part: str) -> None:
    lines = (
        "projects/{}",
        "projects/{}/quota",
        "users/{}",
        "flavors/{}",
        "images/{}",
        "pools/{}",
        "endpoints/{}",
        "hosts/{}",
        "instances/{}",
    )
    for line in (*lines, "instances/{}/explain", "requests/{}", "nothing/{}", "hosts/{}/cordon"):
        answer = raw(cloud, head(cloud, "GET /v1/" + line.format(part)))
        status, body = answer.split(b" ")[1], answer.partition(b"\r\n\r\n")[2]
        assert status in (b"400", b"404", b"405"), f"{line} {part}: {answer[:300]!r}"
        assert json.loads(body)["error"]["code"], answer
        assert b"set-cookie" not in answer.lower().partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("value", ["%00", "%ff", "%ed%a0%80", "a" * 3000, "%F0%9F%99%82", "';--", "{x}", "[]", "%s"])
def test_a_query_that_makes_no_sense_breaks_nothing(cloud: Cloud, value: str) -> None:
    for line in (
        "requests?project={}",
        "requests?state={}",
        "instances?project={}",
        "instances?name={}",
        "instances?host={}",
        "instances?request={}",
        "instances?limit={}",
        "hosts?pool={}",
        "hosts?zone={}",
        "events?after={}",
        "events?object={}",
        "events?project={}",
        "flavors?cursor={}",
        "projects?parent={}",
        "projects?{}={}",
        "instances/x/console?max_bytes={}",
        "projects/hubei/roles?user={}&role=member",
    ):
        answer = raw(cloud, head(cloud, "GET /v1/" + line.replace("{}", value)))
        assert answer.split(b" ")[1] in (b"200", b"400", b"404"), f"{line} {value}: {answer[:300]!r}"


def test_junk_in_headers_is_refused_or_ignored(cloud: Cloud) -> None:
    token = f"Authorization: Bearer {cloud.admin.token}"
    for line in (
        "Accept: \xff\xfe",
        "Accept-Language: " + "z" * 6000,
        "Cookie: " + "a=b; " * 1000,
        "X-Forwarded-For: '; DROP TABLE users",
        "Content-Type: application/json; charset=klingon",
        "Last-Event-ID: \xff",
        "Idempotency-Key: " + "k" * 300,
        'If-Match: W/"1"',
        token,
    ):
        answer = raw(cloud, head(cloud, "GET /v1/whoami", line))
        assert answer.split(b" ")[1] in (b"200", b"400", b"401"), f"{line[:40]}: {answer[:200]!r}"
    for junk in (
        b"GET / HTTP/9.9\r\n\r\n",
        b"\x16\x03\x01\x02\x00",
        b"GET  HTTP/1.1\r\n\r\n",
        b"A" * 100 + b"\r\n\r\n",
        b"GET /v1/whoami HTTP/1.1\r\nA\x00: b\r\n\r\n",
    ):
        assert raw(cloud, junk).split(b" ")[1:2] in ([b"400"], []), junk
    many = head(cloud, "GET /v1/whoami", *(f"X-{number}: y" for number in range(2000)))
    assert raw(cloud, many).split(b" ")[1] in (b"200", b"400", b"431")


def test_a_very_long_address_is_refused(cloud: Cloud) -> None:
    for line in ("GET /v1/projects/" + "a/" * 15_000, "GET /v1/instances?name=" + "a" * 30_000, "GET /v1/" + "a" * 200_000):
        answer = raw(cloud, head(cloud, line))
        assert answer.split(b" ")[1] in (b"400", b"404", b"414"), answer[:200]


NASTY = (
    "../../etc/passwd",
    "a/b",
    "<domain type='kvm'/>",
    "x\"/><disk type='file' device='disk'>",
    "$(reboot)",
    "`id`",
    "a;b",
    "a b",
    "a\nb",
    "-rf",
    "a'--",
    "%s%n",
    "{name.__class__}",
    "UPPER",
    "über",
    "名称",
    ".",
    "..",
    "",
    "a" * 64,
    "-a",
    "a-",
    "xn--a_b",
    "a\x00",
    "\u202egnp",
)


@pytest.mark.parametrize("name", NASTY)
def test_a_name_that_means_something_to_others_never_becomes_a_hosts_name(cloud: Cloud, free_department: Department, name: str) -> None:
    item = {"flavor": "tiny", "image": "debian", "name": name}
    _bad(free_department.member, "POST /v1/instances", json.dumps({"project": free_department.path, **item}).encode())
    _bad(free_department.member, "POST /v1/requests", json.dumps({"project": free_department.path, "items": [item]}).encode())
    _bad(cloud.admin, "POST /v1/projects", json.dumps({"name": name, "parent": free_department.path}).encode())
    assert free_department.member.walk("GET /v1/instances") == []


@pytest.mark.parametrize("name", [one for one in NASTY if one not in ("UPPER", "a-", "xn--a_b", "a" * 64)])
def test_a_name_of_the_catalogue_or_the_fleet_is_plain(cloud: Cloud, name: str) -> None:
    for line, body in (
        ("POST /v1/flavors", FLAVOR),
        ("POST /v1/images", {"arch": "x86_64", "format": "raw"}),
        ("POST /v1/users", {}),
        ("POST /v1/pools", {"zone": "z"}),
        ("POST /v1/endpoints", {"driver": "fake", "uri": "fake:x", "pool": "general"}),
    ):
        _bad(cloud.admin, line, json.dumps(body | {"name": name}).encode())


def test_what_a_guest_is_told_is_for_the_guest_alone(free_department: Department) -> None:
    told = "#cloud-config\nruncmd: ['echo \"<x>&amp;\" $(id)']\n]]> %s {name} 名称 \u2028\r\n"
    wish = {"project": free_department.path, "items": [{"flavor": "tiny", "image": "debian", "user_data": told}]}
    request = free_department.member.ask("POST /v1/requests", wish)
    (item,) = free_department.member.ask(f"GET /v1/requests/{request['id']}")["items"]
    assert "user_data" not in item
    assert item["user_data_bytes"] == len(told.encode())
    wish = {"project": free_department.path, "flavor": "tiny", "image": "debian"}
    for key in (
        "ssh-ed25519 AAAA x\nssh-rsa BBBB",
        'command="id" ssh-ed25519 AAAA',
        "x",
        "ssh-ed25519",
        "ssh-ed25519 AA AA\r",
        "ssh-ed25519 A\x00",
    ):
        _bad(free_department.member, "POST /v1/instances", json.dumps(wish | {"ssh_keys": [key]}).encode())


def test_words_in_braces_are_not_filled_in(cloud: Cloud, department: Department) -> None:
    """A sentence is made from a template: what people write must not be taken for one."""
    wish = {"project": department.path, "reason": "{name.__class__}", "items": [{"flavor": "tiny", "image": "debian"}]}
    id_ = department.member.ask("POST /v1/requests", wish)["id"]
    department.approver.ask(f"POST /v1/requests/{id_}/refuse", {"reason": "{project} {0} {name.__init__.__globals__} %s"})
    (told,) = [one for one in department.member.ask("GET /v1/events", object=id_)["items"] if one["kind"] == "request.refused"]
    assert "{project} {0} {name.__init__.__globals__} %s" in told["text"]
    assert "{x}" in department.member.refused(404, "not_found", "GET /v1/instances/%7Bx%7D")["message"]


def test_a_hundred_slow_uploads_hold_nobody_up(cloud: Cloud) -> None:
    name = fresh("slow")
    cloud.admin.ask("POST /v1/images", {"name": name, "arch": "x86_64", "format": "raw"})
    parts = urlsplit(cloud.url)
    slow = []
    try:
        for number in range(100):
            line = socket.create_connection((str(parts.hostname), parts.port or 0), timeout=10)
            slow.append(line)
            target = f"PUT /v1/images/{name}/content" if number % 2 else "POST /v1/flavors"
            line.sendall(head(cloud, target, "Content-Type: application/json", "Content-Length: 100000") + b"{")
        time.sleep(0.2)
        began = time.monotonic()
        with ThreadPoolExecutor(8) as pool:
            answers = list(pool.map(lambda _: cloud.admin.call("GET /v1/flavors").status_code, range(40)))
        assert answers == [200] * 40
        assert time.monotonic() - began < 5, "others wait for the slow ones"
    finally:
        for line in slow:
            line.close()
