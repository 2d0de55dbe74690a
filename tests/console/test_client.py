"""The HTTP client against a server that drops, refuses, pages and streams."""

from __future__ import annotations

import socket
import ssl
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from console.client import Client, at
from console.errors import ApiError

TOKEN = "ct_secret-of-the-test"  # noqa: S105


@pytest.fixture
def pauses() -> list[float]:
    return []


@pytest.fixture
def client(server: Any, pauses: list[float]) -> Iterator[Client]:
    with Client(server.url, TOKEN, lang="zh", sleep=pauses.append) as made:
        yield made


def test_every_call_says_who_asks_and_in_which_language(server: Any, client: Client) -> None:
    server.on("GET /v1/whoami", {"user": {}})
    client.get(at("whoami"))
    headers = server.seen[0].headers
    assert headers["authorization"] == f"Bearer {TOKEN}"
    assert headers["accept-language"] == "zh"


def test_a_path_segment_with_slashes_is_quoted_whole() -> None:
    assert at("projects", "hubei/health", "quota") == "/v1/projects/hubei%2Fhealth/quota"


def test_pages_are_followed_to_the_last(server: Any, client: Client) -> None:
    server.on("GET /v1/flavors", {"items": [{"n": 1}, {"n": 2}], "next": "c1"}, {"items": [{"n": 3}], "next": None})
    assert [item["n"] for item in client.pages(at("flavors"), project=None)] == [1, 2, 3]
    assert [one.query.get("cursor") for one in server.seen] == [None, "c1"]
    assert "project" not in server.seen[0].query


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE"])
def test_an_idempotent_call_is_made_again_when_the_connection_breaks(server: Any, client: Client, pauses: list[float], method: str) -> None:
    server.on(f"{method} /v1/x", "drop", {"ok": True})
    call = {"GET": client.get, "DELETE": client.delete, "PUT": lambda path: client.put(path, {})}[method]
    assert call("/v1/x") == {"ok": True}
    assert len(pauses) == 1


def test_a_post_is_made_again_under_the_same_idempotency_key(server: Any, client: Client) -> None:
    server.on("POST /v1/x", "drop", "drop", (201, {"id": "1"}))
    assert client.post("/v1/x", {"a": 1}) == {"id": "1"}
    keys = {one.headers["idempotency-key"] for one in server.seen}
    assert len(server.seen) == 3
    assert len(keys) == 1
    assert {one.raw for one in server.seen} == {server.seen[0].raw}


def test_two_posts_have_two_keys(server: Any, client: Client) -> None:
    server.on("POST /v1/x", {})
    client.post("/v1/x")
    client.post("/v1/x")
    assert len({one.headers["idempotency-key"] for one in server.seen}) == 2


def test_what_the_server_would_do_twice_is_never_sent_twice(server: Any, client: Client) -> None:
    server.on("POST /v1/x", "drop", {})
    server.on("PATCH /v1/x", "drop", {})
    for call in (lambda: client.post("/v1/x", once=True), lambda: client.patch("/v1/x", {})):
        with pytest.raises(ApiError, match="连不上") as caught:
            call()
        assert caught.value.code == "unreachable"
    assert len(server.seen) == 2


def test_a_refused_connection_is_tried_three_times_and_then_told(pauses: list[float]) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with Client(f"http://127.0.0.1:{port}", sleep=pauses.append) as client, pytest.raises(ApiError) as caught:
        client.patch("/v1/x", {})
    assert (caught.value.code, caught.value.status) == ("unreachable", 0)
    assert len(pauses) == 2


def test_a_delete_whose_answer_was_lost_is_done_when_the_thing_is_gone(server: Any, client: Client) -> None:
    server.on("DELETE /v1/x", "drop", (404, {"error": {"code": "not_found", "message": "", "details": {}}}))
    assert client.delete("/v1/x") == {}


def test_a_busy_server_is_asked_again_when_it_said_to(server: Any, client: Client, pauses: list[float]) -> None:
    busy = (503, {"error": {"code": "unavailable", "message": "starting", "details": {}}})
    server.on("GET /v1/x", (*busy, {"Retry-After": "4"}), {"ok": 1})
    server.on("GET /v1/y", busy)
    assert client.get("/v1/x") == {"ok": 1}
    assert pauses == [4.0]
    with pytest.raises(ApiError, match="starting"):
        client.get("/v1/y")


def test_a_refusal_carries_what_the_api_said(server: Any, client: Client) -> None:
    body = {"error": {"code": "quota_exceeded", "message": "超了", "details": {"over": [{"asked": 3}]}}}
    server.on("POST /v1/x", (409, body))
    with pytest.raises(ApiError) as caught:
        client.post("/v1/x", {})
    error = caught.value
    assert (error.code, error.message, error.details, error.status, error.body) == (
        "quota_exceeded",
        "超了",
        {"over": [{"asked": 3}]},
        409,
        body,
    )


def test_an_answer_that_isnt_the_apis_is_an_error_of_its_own(server: Any, client: Client) -> None:
    server.on("GET /v1/x", (200, "html"))
    server.on("GET /v1/y", (502, "html"))
    for path, code in (("/v1/x", "bad_answer"), ("/v1/y", "unavailable")):
        with pytest.raises(ApiError) as caught:
            client.get(path)
        assert caught.value.code == code


def test_a_generation_goes_into_if_match(server: Any, client: Client) -> None:
    server.on("PATCH /v1/x", {})
    client.patch("/v1/x", {}, generation=7)
    assert server.seen[0].headers["if-match"] == '"7"'


def test_a_file_is_sent_whole_with_its_length(server: Any, client: Client, tmp_path: Path) -> None:
    content = b"disk" * 700_000
    (tmp_path / "disk.raw").write_bytes(content)
    server.on("PUT /v1/images/i/content", {"state": "ready"})
    sent: list[int] = []
    assert client.upload("/v1/images/i/content", tmp_path / "disk.raw", sent.append) == {"state": "ready"}
    assert server.seen[0].raw == content
    assert server.seen[0].headers["content-length"] == str(len(content))
    assert sent[-1] == len(content)
    assert sent == sorted(sent)


def _sse(*events: tuple[str, str]) -> bytes:
    return b"".join(f'id: {id_}\nevent: {kind}\ndata: {{"text": "{kind} {id_}"}}\n\n'.encode() for id_, kind in events)


def test_events_go_on_after_a_broken_connection_without_missing_or_repeating_one(server: Any, client: Client) -> None:
    server.on("GET /v1/events", _sse(("1.1", "a"), ("1.2", "b")), "drop", _sse(("1.3", "c")))
    stream = client.events(after="1.0", project="p")
    assert [next(stream)["id"] for _ in range(3)] == ["1.1", "1.2", "1.3"]
    assert [one.headers.get("last-event-id") for one in server.seen] == ["1.0", "1.2", "1.2"]
    assert server.seen[0].query["project"] == "p"


def test_events_end_when_the_server_refuses(server: Any, client: Client) -> None:
    server.on("GET /v1/events", _sse(("1.1", "a")), (401, {"error": {"code": "unauthenticated", "message": "令牌已吊销", "details": {}}}))
    stream = client.events()
    next(stream)
    with pytest.raises(ApiError, match="令牌已吊销"):
        next(stream)


def test_events_give_up_when_the_server_stays_away(server: Any, client: Client, pauses: list[float]) -> None:
    server.on("GET /v1/events", "drop")
    with pytest.raises(ApiError, match="连不上"):
        next(client.events())
    assert len(pauses) == 8
    assert max(pauses) <= 10


@pytest.mark.parametrize(
    ("url", "code"), [("http://cloud.example", "insecure"), ("ftp://cloud.example", "bad_server"), ("cloud", "bad_server")]
)
def test_a_token_never_leaves_over_plain_http_nor_to_what_is_no_server(url: str, code: str) -> None:
    with Client(url, TOKEN) as client, pytest.raises(ApiError) as caught:
        client.get("/v1/whoami")
    assert caught.value.code == code


@pytest.mark.parametrize("token", ["ct_a\nct_b", "ct_a b", "ct_汉", "ct_\x00"])
def test_a_token_that_is_no_word_is_refused_without_being_quoted(server: Any, token: str) -> None:
    with Client(server.url, token) as client, pytest.raises(ApiError) as caught:
        client.post("/v1/x", {})
    assert caught.value.code == "bad_token"
    assert "ct_" not in str(caught.value)
    assert server.seen == []


def test_a_ca_file_that_isnt_there_is_told(tmp_path: Path) -> None:
    with Client("https://127.0.0.1:1", ca=str(tmp_path / "none.pem")) as client, pytest.raises(ApiError, match=r"none\.pem"):
        client.get("/v1/whoami")


@pytest.fixture(scope="module")
def secure(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, str]]:
    """An HTTPS server with a certificate of its own: its address and its CA file."""
    folder = tmp_path_factory.mktemp("tls")
    key, pem = folder / "key.pem", folder / "ca.pem"
    subject = ["-subj", "/CN=test", "-addext", "subjectAltName=IP:127.0.0.1"]
    command = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-keyout", str(key), "-out", str(pem), *subject]
    subprocess.run(command, check=True, capture_output=True)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"user": {"name": "li"}}')

        def log_message(self, *args: Any) -> None:
            pass

    class Quiet(ThreadingHTTPServer):
        def handle_error(self, request: Any, client_address: Any) -> None:
            pass

    http = Quiet(("127.0.0.1", 0), Handler)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(pem, key)
    http.socket = context.wrap_socket(http.socket, server_side=True)
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield f"https://127.0.0.1:{http.server_address[1]}", str(pem)
    http.shutdown()
    http.server_close()
    thread.join()


def test_a_server_with_its_own_ca_is_trusted_when_the_ca_is_given(secure: tuple[str, str]) -> None:
    url, ca = secure
    with Client(url, TOKEN, ca) as client:
        assert client.get("/v1/whoami")["user"]["name"] == "li"


def test_a_server_nobody_vouches_for_is_not_trusted_and_not_tried_again(secure: tuple[str, str], pauses: list[float]) -> None:
    with Client(secure[0], TOKEN, sleep=pauses.append) as client, pytest.raises(ApiError) as caught:
        client.get("/v1/whoami")
    assert caught.value.code == "untrusted"
    assert pauses == []
