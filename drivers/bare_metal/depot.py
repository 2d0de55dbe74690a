"""The depot: what machines fetch when they are set up, and the ear for their news.

In: `python -m drivers.bare_metal.depot --folder FOLDER --listen ADDRESS:PORT`: a folder (`attempt.py` says what is in it) and an address on
the provisioning network. Out, by plain HTTP:

    GET /boot/MAC             the iPXE script for the machine with that port; without an order: start from the disk
    GET /a/ATTEMPT/NAME       a file of an attempt
    GET /cd/ATTEMPT.iso       the ramdisk's CD with the attempt's kernel arguments in it, patched while it is sent
    POST /news/ATTEMPT/EVENT  `alive` and `progress`, with the attempt's bearer token

No TLS: the iPXE in network cards speaks none. What is fetched is checked against digests that travel by ssh, and no secret is served but
the token. Files are sent by the kernel (sendfile), never held; HEAD and one byte range are answered, as BMCs read CDs in pieces. Names in
a URL are matched against what names can be before they touch the folder; nothing is listed. Requests, bodies and connections are bounded.
Rejected: the API's web server, which would have to stand on this network, where machines are that nobody trusts.
"""

from __future__ import annotations

import argparse
import hmac
import json
import mmap
import re
import sys
import threading
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any, BinaryIO, Final

from drivers.bare_metal import attempt as attempts
from drivers.bare_metal.attempt import NAME, Attempt, found, mark, of_port
from drivers.bare_metal.depot_dhcp import Ear

HOLE: Final = re.compile(rb"chutian\.arguments=[^\n]*")
NO_ORDER: Final = "#!ipxe\necho nothing to do here, starting from the disk\nexit 1\n"
LARGEST: Final = {"alive": 1 << 20, "progress": 4096}  # bytes of news
MOST: Final = 256  # connections at once; more wait
ASK_S, SEND_S = (
    30.0,
    600.0,
)  # how long a machine may keep us waiting: with its request; while it takes an answer, as a busy disk holds it up

_RANGE: Final = re.compile(r"bytes=(\d*)-(\d*)")
_PATH: Final = re.compile(r"/(boot|a|cd|news)/([^/?]+)(?:/([^/?]+))?")


@dataclass(frozen=True, slots=True)
class Patch:
    """Bytes that stand in for others of a file."""

    at: int
    content: bytes


@dataclass(frozen=True, slots=True)
class Answer:
    """A file, perhaps patched, or a text."""

    content: Path | bytes
    patches: tuple[Patch, ...] = ()
    attempt: Attempt | None = None  # whose it is
    what: str = ""  # what is marked as seen when it is fetched


class Depot:
    """Serves until it is closed. `url`: where, seen from the address it listens at."""

    def __init__(self, folder: Path, address: str, port: int = 0) -> None:
        (folder / "attempts").mkdir(parents=True, exist_ok=True, mode=0o700)
        self.folder = folder
        self._server = _Server((address, port), type("Bound", (_Handler,), {"folder": folder}))
        self.url = f"http://{address}:{self._server.server_address[1]}"
        self._ear = Ear(folder)

    @property
    def boot_url(self) -> str:
        """What DHCP tells iPXE."""
        return f"{self.url}/boot/${{net0/mac:hexhyp}}"

    def serve(self, notice_s: float = 0.5) -> None:
        """Until `close` is called, which is noticed within that time."""
        self._ear.start()
        self._server.serve_forever(poll_interval=notice_s)

    def start(self) -> None:
        """In a thread of its own."""
        threading.Thread(target=self.serve, args=(0.02,), name="depot", daemon=True).start()

    def close(self) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._ear.close()


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, *given: Any) -> None:
        self._free = threading.BoundedSemaphore(MOST)
        super().__init__(*given)

    def process_request(self, request: Any, client_address: Any) -> None:
        self._free.acquire()
        super().process_request(request, client_address)

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            self._free.release()

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A machine that hangs up, or an attempt that ends while it is served, is none."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError | FileNotFoundError):
            super().handle_error(request, client_address)


class _Handler(BaseHTTPRequestHandler):
    folder: Path
    protocol_version = "HTTP/1.1"
    timeout = ASK_S

    def do_GET(self) -> None:
        self._answer(fetched=True)

    def do_HEAD(self) -> None:
        self._answer(fetched=False)

    def do_POST(self) -> None:
        self.send_response(self._hear())
        self.send_header("Content-Length", "0")
        self.close_connection = True  # whether its body was read or not
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """What machines fetched is marked in their attempts."""

    def _answer(self, *, fetched: bool) -> None:
        answer = answer_to(self.folder, self.path)
        if answer is None:
            self._refuse(HTTPStatus.NOT_FOUND)
            return
        if fetched and answer.attempt is not None:
            mark(answer.attempt, answer.what)
        if isinstance(answer.content, bytes):
            self._begin(HTTPStatus.OK, len(answer.content))
            if fetched:
                self.wfile.write(answer.content)
            return
        with answer.content.open("rb") as file:
            size = file.seek(0, 2)
            wanted = span_of(self.headers.get("Range", ""), size)
            if wanted is None:
                self._refuse(HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE)
                return
            self._begin(HTTPStatus.OK if wanted == (0, size) else HTTPStatus.PARTIAL_CONTENT, size, wanted)
            if fetched:
                self.connection.settimeout(SEND_S)
                self._send(file, answer.patches, *wanted)
                self.connection.settimeout(ASK_S)

    def _begin(self, status: HTTPStatus, size: int, span: tuple[int, int] | None = None) -> None:
        first, end = span or (0, size)
        self.send_response(status)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Content-Length", str(end - first))
        self.send_header("Accept-Ranges", "bytes")
        if status is HTTPStatus.PARTIAL_CONTENT:
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{size}")
        self.end_headers()

    def _refuse(self, status: HTTPStatus) -> None:
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def _send(self, file: BinaryIO, patches: Sequence[Patch], first: int, end: int) -> None:
        for piece in pieces(patches, first, end):
            if isinstance(piece, bytes):
                self.wfile.write(piece)
            else:
                self.connection.sendfile(file, *piece)

    def _hear(self) -> HTTPStatus:
        matched = _PATH.fullmatch(self.path)
        attempt = found(self.folder, matched[2]) if matched and matched[1] == "news" else None
        event = (matched[3] or "") if matched else ""
        if attempt is None or event not in LARGEST:
            return HTTPStatus.NOT_FOUND
        given = self.headers.get("Authorization", "")
        if not hmac.compare_digest(given.encode(), f"Bearer {attempt.token}".encode()):
            return HTTPStatus.FORBIDDEN
        length = self.headers.get("Content-Length", "")
        if not length.isascii() or not length.isdecimal():
            return HTTPStatus.LENGTH_REQUIRED
        if len(length) > 9 or int(length) > LARGEST[event]:
            return HTTPStatus.REQUEST_ENTITY_TOO_LARGE
        return hear(attempt, event, self.rfile.read(int(length)))


def answer_to(folder: Path, path: str) -> Answer | None:
    """What is at that path of a URL; None: nothing."""
    matched = _PATH.fullmatch(path)
    match matched.groups() if matched else ():
        case ("boot", mac, None):
            owner = of_port(folder, mac)
            script = owner.folder / "boot.ipxe" if owner else None
            return Answer(script, attempt=owner, what="boot") if script and script.exists() else Answer(NO_ORDER.encode())
        case ("a", identity, str(name)):
            owner = found(folder, identity)
            file = owner.folder / "files" / name if owner and NAME.fullmatch(name) else None
            return Answer(file, attempt=owner, what=name) if file and file.is_file() else None
        case ("cd", image, None):
            owner = found(folder, image.removesuffix(".iso")) if image.endswith(".iso") else None
            return _cd(folder, owner) if owner else None
    return None


def hear(attempt: Attempt, event: str, body: bytes) -> HTTPStatus:
    """Take news of a machine that has shown its token. It is alive once: who says so again, and otherwise, isn't it."""
    try:
        said = json.loads(body)
    except (ValueError, RecursionError):
        said = None
    if not isinstance(said, dict):
        return HTTPStatus.BAD_REQUEST
    if event == "alive" and attempt.alive is not None:
        return HTTPStatus.NO_CONTENT if attempt.alive == said else HTTPStatus.CONFLICT
    with suppress(FileNotFoundError):  # the attempt ended meanwhile
        attempts.write(attempt.folder / f"{event}.json", json.dumps(said))
        return HTTPStatus.NO_CONTENT
    return HTTPStatus.NOT_FOUND


def span_of(header: str, size: int) -> tuple[int, int] | None:
    """First byte and end of what a Range header asks for (RFC 9110, 14.2); all where it isn't understood. None: outside the file."""
    matched = _RANGE.fullmatch(header.strip())
    if not matched or matched.groups() == ("", ""):
        return 0, size
    first, last = matched.groups()
    if not first:
        return (max(0, size - int(last)), size) if int(last) and size else None
    end = min(int(last) + 1, size) if last else size
    return (int(first), end) if int(first) < end else None


def pieces(patches: Sequence[Patch], first: int, end: int) -> list[tuple[int, int] | bytes]:
    """What to send of a file from `first` to before `end`, in order: (offset, length) of the file, or bytes of a patch. The patches are in
    the order of their places, none upon another.
    """
    whole: list[tuple[int, int] | bytes] = []
    for patch in patches:
        whole.append((first, min(end, patch.at) - first))
        whole.append(patch.content[max(first - patch.at, 0) : max(end - patch.at, 0)])
        first = max(first, patch.at + len(patch.content))
    whole.append((first, end - first))
    return [piece for piece in whole if (piece if isinstance(piece, bytes) else piece[1] > 0)]


def patches_for(image: Path, arguments: str) -> tuple[Patch, ...]:
    """What makes the ramdisk's CD that of one attempt; empty where the image has no room for it."""
    state, content = image.stat(), arguments.encode()
    holes = _holes(image, state.st_mtime_ns, state.st_size)
    return tuple(Patch(at, content.ljust(room)) for at, room in holes) if all(len(content) <= room for _, room in holes) else ()


@cache
def _holes(image: Path, _changed: int, _size: int) -> tuple[tuple[int, int], ...]:
    """Where each begins and how long it is: one for each way that the CD starts by."""
    with image.open("rb") as file, mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as content:
        return tuple((found.start(), len(found[0])) for found in HOLE.finditer(content))


def _cd(folder: Path, owner: Attempt) -> Answer | None:
    image = folder / "ramdisk/ramdisk.iso"
    patches = patches_for(image, owner.arguments) if image.exists() else ()
    return Answer(image, patches, owner, "cd") if patches else None


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m drivers.bare_metal.depot", description=__doc__.partition("\n")[0])
    parser.add_argument("--folder", type=Path, required=True, help="what is served and heard; shared with the playbooks")
    parser.add_argument("--listen", required=True, metavar="ADDRESS:PORT", help="on the provisioning network")
    given = parser.parse_args()
    address, _, port = given.listen.rpartition(":")
    Depot(given.folder.absolute(), address, int(port)).serve()


if __name__ == "__main__":
    main()
