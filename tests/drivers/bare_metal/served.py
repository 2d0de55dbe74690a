"""A small HTTPS server that is a BMC to its clients: with what is in golden/rack-server; it keeps what it was sent and errs where told.

It speaks the protocol and carries nothing out, but for cutting power and switching on where it is told to (`obeys`). BMCs that do are in
`tests.lab.metal`.
"""

from __future__ import annotations

import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from drivers.bare_metal.api import MAX_BYTES
from tests.lab import pki

GOLDEN = Path(__file__).parent / "golden" / "rack-server.json"


@dataclass
class Service:
    """What the server has, what it was sent, and what it shall do amiss: by path, or method and path, instead of answering."""

    resources: dict[str, Any] = field(default_factory=lambda: json.loads(GOLDEN.read_text()))
    sent: list[tuple[str, str, Any, dict[str, str]]] = field(default_factory=list)
    amiss: dict[str, str] = field(default_factory=dict)
    obeys: bool = False
    connections: int = 0
    url: str = ""
    authority: str = ""

    def reset(self, path: str, kind: str) -> None:
        """What `obeys` means."""
        system = path.removesuffix("/Actions/ComputerSystem.Reset")
        if self.obeys and system != path and kind in ("On", "ForceOff"):
            self.resources[system]["PowerState"] = "On" if kind == "On" else "Off"

    def acts(self) -> list[tuple[str, str, Any]]:
        return [(method, path, body) for method, path, body, _ in self.sent if method != "GET"]


class Handler(http.server.BaseHTTPRequestHandler):
    service: Service
    protocol_version = "HTTP/1.1"

    def setup(self) -> None:
        super().setup()
        self.service.connections += 1

    def do_GET(self) -> None:
        self._take()

    def do_POST(self) -> None:
        self._take()

    def do_PATCH(self) -> None:
        self._take()

    def _take(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        names = {name.lower(): value for name, value in self.headers.items()}
        self.service.sent.append((self.command, self.path, json.loads(content) if content else None, names))
        amiss = self.service.amiss.get(f"{self.command} {self.path}") or self.service.amiss.get(self.path, "")
        if amiss:
            getattr(self, f"_{amiss}")()
        elif self.command == "GET" and self.path not in self.service.resources:
            self._say(404, b"{}")
        else:
            if self.command == "POST":
                self.service.reset(self.path, (json.loads(content) if content else {}).get("ResetType", ""))
            self._say(200, json.dumps(self.service.resources[self.path]).encode() if self.command == "GET" else b"")

    def _say(self, status: int, content: bytes, **more: str) -> None:
        self.send_response(status)
        for name, value in {"content-length": str(len(content)), "etag": 'W/"7"', **more}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(content)

    def _redirect(self) -> None:
        self._say(302, b"", location="https://elsewhere.example/")

    def _refuse(self) -> None:
        self._say(400, json.dumps({"error": {"message": "not in this state"}}).encode())

    def _refuse_lasting(self) -> None:
        """It boots from elsewhere once alone."""
        _, path, body, _ = self.service.sent[-1]
        if body["Boot"]["BootSourceOverrideEnabled"] == "Continuous":
            self._refuse()
        else:
            self.service.resources[path]["Boot"] |= body["Boot"]
            self._say(200, b"")

    def _deny(self) -> None:
        self._say(401, b"")

    def _talk(self) -> None:
        self._say(200, b"<html>welcome</html>")

    def _list(self) -> None:
        self._say(200, b'["no object"]')

    def _flood(self) -> None:
        self._say(200, b" " * (MAX_BYTES + 1))

    def _chunk(self) -> None:
        self.send_response(200)
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        content = json.dumps(self.service.resources[self.path]).encode()
        for piece in (content[:10], content[10:]):
            self.wfile.write(f"{len(piece):x}\r\n".encode() + piece + b"\r\n")
            time.sleep(0.1)
        self.wfile.write(b"0\r\n\r\n")

    def _break_off(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        self.wfile.write(b'{"PowerState":')
        self.close_connection = True

    def _trickle(self) -> None:
        self.send_response(200)
        self.send_header("content-length", "1000")
        self.end_headers()
        for _ in range(20):
            try:
                self.wfile.write(b" ")
            except OSError:
                return
            time.sleep(0.2)
        self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        """Nothing: what it was sent is kept."""


class Server(http.server.ThreadingHTTPServer):
    def handle_error(self, request: object, client_address: object) -> None:
        """Clients that leave are no errors here."""


@contextmanager
def serving(folder: Path) -> Iterator[Service]:
    """One on a free port of 127.0.0.1, with a certificate of its own authority."""
    signer = pki.authority("makers of BMCs")
    pki.write_certificate(folder / "ca.pem", signer.certificate)
    signer.issue(folder / "crt.pem", folder / "key.pem", "bmc", pki.SERVER, also=["127.0.0.1"])
    made = Service(authority=str(folder / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(folder / "crt.pem", folder / "key.pem")
    with Server(("127.0.0.1", 0), type("OfThis", (Handler,), {"service": made})) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        made.url = f"redfish+https://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()
