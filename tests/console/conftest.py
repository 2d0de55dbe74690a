"""A small real HTTP server that speaks canned answers, and a way to run `chutian` against it in this process."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

import pytest
from click.testing import CliRunner

from console import cli

TOKEN = "ct_secret-of-the-test"  # noqa: S105


@dataclass(frozen=True)
class Seen:
    """One call as it reached the server."""

    method: str
    path: str
    query: dict[str, str]
    headers: dict[str, str]
    raw: bytes

    @property
    def body(self) -> Any:
        return json.loads(self.raw) if self.raw else None


@dataclass
class Canned:
    """Answers by method and path: a body, (status, body), a list of them (one per call, the last repeated), or a function of the call.

    The answer "drop" closes the connection without a word; bytes are sent as they are, as text/event-stream.
    """

    answers: dict[str, Any] = field(default_factory=dict)
    seen: list[Seen] = field(default_factory=list)
    url: str = ""

    def on(self, call: str, *answers: Any) -> None:
        self.answers[call] = list(answers)

    def answer(self, seen: Seen) -> Any:
        self.seen.append(seen)
        waiting = self.answers.get(f"{seen.method} {seen.path}")
        if waiting is None:
            return 404, {"error": {"code": "not_found", "message": f"no {seen.method} {seen.path} here", "details": {}}}
        found = waiting.pop(0) if len(waiting) > 1 else waiting[0]
        return found(seen) if callable(found) else found

    def calls(self) -> list[tuple[str, str, Any]]:
        return [(one.method, one.path, one.body) for one in self.seen]


def _handler(canned: Canned) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def _serve(self) -> None:
            parts = urlsplit(self.path)
            raw = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            headers = {key.lower(): value for key, value in self.headers.items()}
            found = canned.answer(Seen(self.command, parts.path, dict(parse_qsl(parts.query)), headers, raw))
            if found == "drop":
                self.close_connection = True
                return
            status, body, more = 200, found, {}
            if isinstance(found, tuple):
                status, body, more = (*found, {})[:3]
            kind = "text/event-stream" if isinstance(body, bytes) else "application/json"
            text = body if isinstance(body, bytes) else b"<html>" if body == "html" else json.dumps(body).encode()
            self.send_response(status)
            for name, value in {"Content-Type": kind, "Content-Length": str(len(text)), **more}.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(text)

        do_GET = do_POST = do_PUT = do_PATCH = do_DELETE = _serve  # noqa: N815

        def log_message(self, *args: Any) -> None:
            pass

    return Handler


@pytest.fixture
def server() -> Iterator[Canned]:
    """The server, listening on a port of its own."""
    canned = Canned()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _handler(canned))
    canned.url = f"http://127.0.0.1:{http.server_address[1]}"
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    yield canned
    http.shutdown()
    http.server_close()
    thread.join()


@dataclass(frozen=True)
class Ran:
    """What a command line did."""

    code: int
    out: str
    err: str


@pytest.fixture
def environ(server: Canned, tmp_path: Path) -> dict[str, str | None]:
    """The environment of the command line: this server, this identity, English, a config folder of the test's own."""
    quiet = dict.fromkeys(("LC_ALL", "LC_MESSAGES", "CHUTIAN_CA", "CHUTIAN_PROFILE"))
    home = str(tmp_path / "config")
    return {**quiet, "CHUTIAN_SERVER": server.url, "CHUTIAN_TOKEN": TOKEN, "CHUTIAN_LANG": "en", "CHUTIAN_CONFIG_HOME": home, "TZ": "UTC"}


@pytest.fixture
def chutian(environ: dict[str, str | None]) -> Callable[..., Ran]:
    """Run a command line: `chutian("flavor", "list")`."""

    def run(*args: str, stdin: str = "", **env: str | None) -> Ran:
        with CliRunner().isolation(input=stdin, env={**environ, **env}) as (out, err, _):
            code = cli.main(list(args))
        return Ran(code, out.getvalue().decode(), err.getvalue().decode())

    return run
