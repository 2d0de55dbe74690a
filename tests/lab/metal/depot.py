"""What a controller has for machines that are set up, for tests of the lab itself: files and start scripts by HTTP, an ear for news.

In: files to serve, iPXE scripts by MAC. Out: URLs, and what ramdisks said, by attempt. `personal` makes the CD image of one attempt.
"""

from __future__ import annotations

import hashlib
import json
import re
import threading
import time
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, Final

HOLE: Final = re.compile(rb"chutian\.arguments=[^\n]*")
NO_ORDER: Final = "#!ipxe\necho nothing to do here, starting from the disk\nexit 1\n"


class Depot:
    """Serves until it is closed. Safe to use from any thread."""

    def __init__(self, address: str) -> None:
        self._files: dict[str, Path | bytes] = {}
        self._said: dict[str, list[tuple[str, Any]]] = {}
        self._tokens: dict[str, str] = {}
        self._news = threading.Condition()
        self.requests: list[str] = []  # the path of each, in order
        self._server = ThreadingHTTPServer((address, 0), type("Bound", (_Handler,), {"depot": self}))
        self._server.daemon_threads = True
        self.url = f"http://{address}:{self._server.server_address[1]}"
        threading.Thread(target=self._server.serve_forever, kwargs={"poll_interval": 0.1}, daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()

    @property
    def boot_url(self) -> str:
        """Where iPXE finds the script for its machine."""
        return f"{self.url}/boot/${{net0/mac:hexhyp}}"

    def serve(self, name: str, content: Path | bytes) -> tuple[str, str]:
        """Its URL and the SHA-256 of it."""
        self._files[name] = content
        data = content if isinstance(content, bytes) else content.read_bytes()
        return f"{self.url}/{name}", hashlib.sha256(data).hexdigest()

    def order(self, mac: str, script: str | None) -> None:
        """What a machine does when it starts by network; None: start from its disk."""
        self._files[f"boot/{mac.replace(':', '-')}"] = (script or NO_ORDER).encode()

    def expect(self, attempt: str, token: str) -> str:
        """The URL to which news of that attempt go."""
        self._tokens[attempt] = token
        return f"{self.url}/news/{attempt}"

    def said(self, attempt: str, event: str) -> list[Any]:
        with self._news:
            return [body for kind, body in self._said.get(attempt, []) if kind == event]

    def wait(self, attempt: str, event: str, within_s: float) -> Any:
        """The first news of that kind. Raises TimeoutError."""
        deadline = time.monotonic() + within_s
        with self._news:
            while True:
                for kind, body in self._said.get(attempt, []):
                    if kind == event:
                        return body
                if not self._news.wait(deadline - time.monotonic()):
                    raise TimeoutError(f"no {event} within {within_s} s")

    def content(self, path: str) -> Path | bytes | None:
        if path.startswith("boot/") and path not in self._files:
            return NO_ORDER.encode()
        return self._files.get(path)

    def hear(self, attempt: str, event: str, token: str, body: Any) -> bool:
        """Whether it was believed."""
        if self._tokens.get(attempt) != token:
            return False
        with self._news:
            self._said.setdefault(attempt, []).append((event, body))
            self._news.notify_all()
        return True


class _Handler(BaseHTTPRequestHandler):
    depot: Depot

    def do_GET(self) -> None:
        path = self.path.strip("/")
        self.depot.requests.append(path)
        content = self.depot.content(path)
        if content is None:
            self.send_error(404)
            return
        data = content if isinstance(content, bytes) else content.read_bytes()
        self.send_response(200)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        with suppress(ConnectionError):  # who has heard enough hangs up
            self.wfile.write(data)

    def do_POST(self) -> None:
        body = json.loads(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        _, attempt, event = self.path.strip("/").split("/")
        token = self.headers.get("Authorization", "").removeprefix("Bearer ")
        self.send_response(204 if self.depot.hear(attempt, event, token, body) else 403)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def personal(image: bytes, arguments: str) -> bytes:
    """The CD image with those kernel arguments. Raises ValueError where they are too long, or the image has no room for any."""
    holes = HOLE.findall(image)
    if not holes or len(arguments) > min(len(hole) for hole in holes):
        raise ValueError(f"the image has no room for {len(arguments)} characters")
    return HOLE.sub(lambda hole: arguments.encode().ljust(len(hole[0])), image)
