"""What is sent, and what is made of the answers: a small HTTPS server with golden/rack-server, and answers that no BMC should give."""

from __future__ import annotations

import base64
import http.server
import json
import ssl
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from drivers import errors
from drivers.bare_metal.api import MAX_BYTES
from drivers.bare_metal.bmc import Bmc, certificate, open_bmc
from drivers.bare_metal.machine import Act, Source
from tests.lab import pki

GOLDEN = Path(__file__).parent / "golden" / "rack-server.json"
SYSTEM = "/redfish/v1/Systems/System.Board.1"
MEDIA = "/redfish/v1/Managers/BMC.1/VirtualMedia/CD"
PASSWORD = "correct horse"  # noqa: S105


@dataclass
class Service:
    """What the server has, what it was sent, and what it shall do amiss: by path, instead of answering."""

    resources: dict[str, Any] = field(default_factory=lambda: json.loads(GOLDEN.read_text()))
    sent: list[tuple[str, str, Any, dict[str, str]]] = field(default_factory=list)
    amiss: dict[str, str] = field(default_factory=dict)
    url: str = ""
    authority: str = ""

    def acts(self) -> list[tuple[str, str, Any]]:
        return [(method, path, body) for method, path, body, _ in self.sent if method != "GET"]


class Handler(http.server.BaseHTTPRequestHandler):
    service: Service
    protocol_version = "HTTP/1.1"

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
        amiss = self.service.amiss.get(self.path, "")
        if amiss:
            getattr(self, f"_{amiss}")()
        elif self.command == "GET" and self.path not in self.service.resources:
            self._say(404, b"{}")
        else:
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


@pytest.fixture
def service(tmp_path: Path) -> Iterator[Service]:
    signer = pki.authority("makers of BMCs")
    pki.write_certificate(tmp_path / "ca.pem", signer.certificate)
    signer.issue(tmp_path / "crt.pem", tmp_path / "key.pem", "bmc", pki.SERVER, also=["127.0.0.1"])
    made = Service(authority=str(tmp_path / "ca.pem"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "crt.pem", tmp_path / "key.pem")
    with Server(("127.0.0.1", 0), type("OfThis", (Handler,), {"service": made})) as server:
        server.socket = context.wrap_socket(server.socket, server_side=True)
        made.url = f"redfish+https://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield made
        server.shutdown()
        thread.join()


def options(service: Service, **given: str) -> dict[str, str]:
    return {"credentials": f"ops:{PASSWORD}", "timeout_s": "2", "ca_file": service.authority, **given}


@pytest.fixture
def bmc(service: Service) -> Iterator[Bmc]:
    opened = open_bmc(service.url, options(service))
    yield opened
    opened.close()


def test_every_request_proves_who_asks(service: Service, bmc: Bmc) -> None:
    bmc.power()
    expected = "Basic " + base64.b64encode(f"ops:{PASSWORD}".encode()).decode()
    assert [names["authorization"] for *_, names in service.sent] == [expected, expected]


def test_looking_again_costs_one_request(service: Service, bmc: Bmc) -> None:
    bmc.power()
    service.sent.clear()
    bmc.power()
    assert [path for _, path, *_ in service.sent] == [SYSTEM]


@pytest.mark.parametrize(
    "given", [{"fingerprint": "ab" * 32, "ca_file": ""}, {"ca_file": ""}], ids=["another is pinned", "nobody vouches for it"]
)
def test_nothing_is_sent_to_who_is_not_trusted(service: Service, given: dict[str, str]) -> None:
    opened = open_bmc(service.url, options(service, **given))
    with pytest.raises((errors.CertificateChanged, errors.CertificateUntrusted)) as told:
        opened.power()
    opened.close()
    assert told.value.reason.params["seen"] == certificate(service.url)
    assert service.sent == []


def test_the_pinned_certificate_is_enough(service: Service) -> None:
    opened = open_bmc(service.url, options(service, ca_file="", fingerprint=certificate(service.url)))
    assert opened.power().value == "on"
    opened.close()


def test_an_act_is_asked_for_once_by_the_name_that_the_machine_offers(service: Service, bmc: Bmc) -> None:
    bmc.switch(Act.RESET)
    assert service.acts() == [("POST", f"{SYSTEM}/Actions/ComputerSystem.Reset", {"ResetType": "PowerCycle"})]


def test_an_act_that_the_machine_does_not_offer_is_not_sent(service: Service, bmc: Bmc) -> None:
    with pytest.raises(errors.PowerRefused, match="GracefulShutdown"):
        bmc.switch(Act.POLITE_RESET)
    assert service.acts() == []


def test_an_act_that_the_bmc_refuses_says_why(service: Service, bmc: Bmc) -> None:
    service.amiss[f"{SYSTEM}/Actions/ComputerSystem.Reset"] = "refuse"
    with pytest.raises(errors.PowerRefused, match="not in this state"):
        bmc.switch(Act.ON)
    assert len(service.acts()) == 1


def test_a_boot_device_is_set_for_the_state_that_was_seen(service: Service, bmc: Bmc) -> None:
    bmc.boot_once(Source.DISK)
    body = {"Boot": {"BootSourceOverrideEnabled": "Once", "BootSourceOverrideTarget": "Hdd"}}
    assert service.acts() == [("PATCH", SYSTEM, body)]
    assert service.sent[-1][3]["if-match"] == 'W/"7"'


def test_a_boot_device_that_the_machine_does_not_offer_is_not_sent(service: Service, bmc: Bmc) -> None:
    with pytest.raises(errors.NotSupported):
        bmc.boot_once(Source.CD)
    assert service.acts() == []


def test_media_of_the_manager_are_changed_only_where_they_differ(service: Service, bmc: Bmc) -> None:
    inside = "http://images.example/ramdisk.iso"
    bmc.insert(inside)
    assert service.acts() == []
    bmc.insert("http://images.example/other.iso")
    new = {"Image": "http://images.example/other.iso", "Inserted": True, "WriteProtected": True}
    assert service.acts() == [
        ("POST", f"{MEDIA}/Actions/VirtualMedia.EjectMedia", {}),
        ("POST", f"{MEDIA}/Actions/VirtualMedia.InsertMedia", new),
    ]


def test_ejecting_what_is_not_there_asks_for_nothing(service: Service, bmc: Bmc) -> None:
    service.resources[MEDIA]["Inserted"] = False
    bmc.eject()
    assert service.acts() == []


def test_an_eject_that_is_refused_is_told_of(service: Service, bmc: Bmc) -> None:
    service.amiss[f"{MEDIA}/Actions/VirtualMedia.EjectMedia"] = "refuse"
    with pytest.raises(errors.Permanent, match="not in this state"):
        bmc.eject()


@pytest.mark.parametrize(
    ("amiss", "kind"),
    [
        *(("redirect", errors.Permanent), ("deny", errors.PasswordRefused), ("flood", errors.BmcUnreachable)),
        *(("break_off", errors.BmcUnreachable), ("trickle", errors.BmcUnreachable)),
    ],
)
def test_an_answer_amiss_is_an_error_in_time_and_asked_for_once(service: Service, bmc: Bmc, amiss: str, kind: type[Exception]) -> None:
    service.amiss[SYSTEM] = amiss
    since = time.monotonic()
    with pytest.raises(kind) as told:
        bmc.power()
    assert time.monotonic() - since < 4
    assert type(told.value) is kind
    assert [path for _, path, *_ in service.sent] == ["/redfish/v1/Systems", SYSTEM]
    assert PASSWORD not in str(told.value)


def test_an_answer_in_pieces_is_read_whole(service: Service, bmc: Bmc) -> None:
    service.amiss[SYSTEM] = "chunk"
    assert bmc.power().value == "on"
    assert bmc.power().value == "on"


@pytest.mark.parametrize("amiss", ["talk", "list"])
def test_who_does_not_speak_redfish_has_no_machine(service: Service, bmc: Bmc, amiss: str) -> None:
    service.amiss["/redfish/v1/Systems"] = amiss
    with pytest.raises(errors.SystemUnknown) as told:
        bmc.power()
    assert told.value.reason.params == {"system": "", "systems": "-"}


def test_of_several_machines_one_must_be_named(service: Service, bmc: Bmc) -> None:
    service.resources["/redfish/v1/Systems"]["Members"].append({"@odata.id": "/redfish/v1/Systems/Other"})
    with pytest.raises(errors.SystemUnknown) as told:
        bmc.power()
    assert told.value.reason.params["systems"] == "System.Board.1, Other"
    named = open_bmc(f"{service.url}{SYSTEM}", options(service))
    assert named.power().value == "on"
    named.close()
