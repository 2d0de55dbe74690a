"""The depot: it serves what an attempt holds and nothing else, believes nobody without the token, and makes a CD for each attempt."""

from __future__ import annotations

import http.client
import json
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from drivers.bare_metal import attempt as attempts
from drivers.bare_metal.attempt import Attempt, begin, end, found, of_port, offer_by_network
from drivers.bare_metal.depot import Depot, Patch, pieces, span_of
from drivers.bare_metal.depot_dhcp import asked
from drivers.errors import InvalidSpec
from tests.lab.metal import by_hand
from tests.lab.metal.depot import personal

MAC = "52:54:00:77:01:01"
ROOM = 600
HOLE = b"chutian.arguments=".ljust(ROOM, b".")
ISO = b"before APPEND initrd=initrd " + HOLE + b"\nbetween" + bytes(range(256)) + b"linux " + HOLE + b"\nafter" + bytes(range(256)) * 40


@pytest.fixture
def depot(tmp_path: Path) -> Iterator[Depot]:
    ramdisk = tmp_path / "F/ramdisk"
    ramdisk.mkdir(parents=True)
    for name, content in (("vmlinuz", b"kernel"), ("initrd", b"initrd"), ("ramdisk.iso", ISO)):
        (ramdisk / name).write_bytes(content)
    (tmp_path / "secret").write_text("not for machines")
    opened = Depot(tmp_path / "F", "127.0.0.1")
    opened.start()
    yield opened
    opened.close()


@pytest.fixture
def attempt(depot: Depot) -> Attempt:
    return begin(depot.folder, depot.url, "m1", [MAC.upper()])


def _ask(depot: Depot, method: str, path: str, body: bytes | None = None, **headers: str) -> tuple[int, bytes, dict[str, str]]:
    with closing(http.client.HTTPConnection(depot.url.removeprefix("http://"), timeout=5)) as connection:
        connection.request(method, path, body, headers)
        answer = connection.getresponse()
        return answer.status, answer.read(), dict(answer.getheaders())


def _get(depot: Depot, path: str, **headers: str) -> bytes:
    status, content, _ = _ask(depot, "GET", path, **headers)
    assert status in (200, 206), path
    return content


def _tell(depot: Depot, attempt: Attempt, body: bytes, event: str = "alive", token: str | None = None) -> int:
    return _ask(depot, "POST", f"/news/{attempt.id}/{event}", body, Authorization=f"Bearer {attempt.token if token is None else token}")[0]


def test_a_machine_is_offered_the_ramdisk_by_its_port_until_its_attempt_ends(depot: Depot, attempt: Attempt) -> None:
    path = "/boot/52-54-00-77-01-01"
    assert b"exit 1" in _get(depot, path)
    assert attempt.seen == frozenset()  # that was no order to be asked for
    offer_by_network(attempt)
    assert _ask(depot, "HEAD", path)[0] == 200
    assert attempt.seen == frozenset()
    script = _get(depot, path).decode()
    assert attempt.arguments in script
    assert attempt.seen == {"boot"}
    urls = [word for word in script.split() if word.startswith(depot.url)]
    assert [_get(depot, url.removeprefix(depot.url)) for url in urls] == [b"kernel", b"initrd"]
    assert attempt.seen == {"boot", "vmlinuz", "initrd"}

    later = begin(depot.folder, depot.url, "m1", [MAC])
    assert b"exit 1" in _get(depot, path)
    offer_by_network(later)
    assert end(depot.folder, attempt.id)  # the earlier one, which the port is no longer for
    assert later.arguments.encode() in _get(depot, path)
    assert end(depot.folder, later.id)
    assert not end(depot.folder, later.id)
    assert b"exit 1" in _get(depot, path)
    assert list((depot.folder / "attempts").iterdir()) == list((depot.folder / "boot").iterdir()) == []


def test_an_attempt_of_the_same_id_begins_anew_with_another_token(depot: Depot) -> None:
    first = begin(depot.folder, depot.url, "m1", [MAC], "run-12345678")
    assert _tell(depot, first, b"{}") == 204
    second = begin(depot.folder, depot.url, "m1", [MAC], "run-12345678")
    assert second.alive is None
    assert (second.token, second.key.read_text()) != (first.token, "")
    assert _tell(depot, first, b"{}") == 403
    assert found(depot.folder, "run-12345678") == second == of_port(depot.folder, MAC)
    assert {path.stat().st_mode & 0o777 for path in (second.key, second.folder / "attempt.json")} == {0o600}
    assert second.folder.stat().st_mode & 0o077 == 0


@pytest.mark.parametrize(("macs", "identity"), [(["52:54:00"], ""), ([MAC], "../../etc"), ([MAC], "short"), ([MAC], "a/b-12345678")])
def test_an_attempt_that_cannot_be_is_refused(depot: Depot, macs: list[str], identity: str) -> None:
    with pytest.raises(InvalidSpec):
        begin(depot.folder, depot.url, "m1", macs, identity)


def test_a_start_by_network_needs_a_port(depot: Depot) -> None:
    with pytest.raises(InvalidSpec, match="no network port"):
        offer_by_network(begin(depot.folder, depot.url, "m1", []))


def test_news_are_believed_with_the_token_of_their_attempt(depot: Depot, attempt: Attempt) -> None:
    other = begin(depot.folder, depot.url, "m2", [])
    for wrong in ("", "wrong", other.token, attempt.token + "x"):
        assert _tell(depot, attempt, b'{"up_s": 3}', token=wrong) == 403
    assert attempt.alive is None
    assert _tell(depot, attempt, b'{"up_s": 3}') == 204
    assert attempt.alive == {"up_s": 3}


def test_a_machine_is_alive_once(depot: Depot, attempt: Attempt) -> None:
    assert [_tell(depot, attempt, body) for body in (b'{"a": 1}', b'{"a":1}', b'{"a": 2}')] == [204, 204, 409]
    assert attempt.alive == {"a": 1}
    assert [_tell(depot, attempt, body, "progress") for body in (b'{"bytes": 1}', b'{"bytes": 2}')] == [204, 204]
    assert attempt.progress == {"bytes": 2}


@pytest.mark.parametrize(
    ("event", "body", "status"),
    [
        ("alive", b"[1]", 400),
        ("alive", b"nonsense", 400),
        ("alive", b"[" * 100_000, 400),
        ("alive", b"\xff", 400),
        ("progress", b'{"a": "' + b"x" * 5000 + b'"}', 413),
        ("attempt", b"{}", 404),
        ("..", b"{}", 404),
        ("key", b"{}", 404),
    ],
)
def test_news_that_are_none_are_refused(depot: Depot, attempt: Attempt, event: str, body: bytes, status: int) -> None:
    before = (attempt.folder / "attempt.json").read_text()
    assert _tell(depot, attempt, body, event) == status
    assert (attempt.alive, attempt.progress) == (None, None)
    assert (attempt.folder / "attempt.json").read_text() == before


@pytest.mark.parametrize("length", ["-1", "9" * 40, "\xb2", "x", "+3"])
def test_a_length_that_is_none_is_refused(depot: Depot, attempt: Attempt, length: str) -> None:
    address = depot.url.removeprefix("http://").split(":")
    with socket.create_connection((address[0], int(address[1])), timeout=5) as wire:
        lines = (
            f"POST /news/{attempt.id}/alive HTTP/1.1",
            "Host: d",
            f"Authorization: Bearer {attempt.token}",
            f"Content-Length: {length}",
        )
        wire.sendall("\r\n".join((*lines, "", "")).encode("latin-1"))
        assert wire.recv(100).split()[1] in (b"411", b"413")


HOSTILE = [
    "/",
    "/attempts",
    "/ramdisk/vmlinuz",
    "/a/{id}",
    "/a/{id}/",
    "/a/{id}/..",
    "/a/{id}/../key",
    "/a/{id}/..%2fkey",
    "/a/{id}/.hidden",
    "/a/{id}/../../../../secret",
    "/a/{id}/key",
    "/a/{id}/attempt.json",
    "/a/../secret",
    "/a/./{id}/data",
    "/a/{id}/data/",
    "/a/{id}/data?x",
    "/a/{id}/data%00",
    "/cd/{id}",
    "/cd/../{id}.iso",
    "/cd/none.iso",
    "/cd/.iso",
    "/news/{id}/alive",
    "/boot/../attempts/{id}/key",
    "http://elsewhere/a/{id}/data",
]


@pytest.mark.parametrize("path", HOSTILE)
def test_nothing_is_served_but_what_was_put_there(depot: Depot, attempt: Attempt, path: str) -> None:
    (attempt.folder / "files/data").write_text("for the machine")
    (attempt.folder / "files/.hidden").write_text("not whole yet")
    assert _get(depot, f"/a/{attempt.id}/data") == b"for the machine"
    status, content, _ = _ask(depot, "GET", path.format(id=attempt.id))
    assert (status, content) == (404, b"")


@pytest.mark.parametrize("mac", ["", "..", "52-54-00-77-01-01-02", "%2e%2e", "g2-54-00-77-01-01"])
def test_what_is_no_port_has_no_orders(depot: Depot, attempt: Attempt, mac: str) -> None:
    offer_by_network(attempt)
    status, content, _ = _ask(depot, "GET", f"/boot/{mac}")
    assert (status, b"exit 1" in content) in ((200, True), (404, False))


def test_a_cd_has_the_arguments_of_its_attempt_whichever_way_it_is_read(depot: Depot, attempt: Attempt) -> None:
    path = f"/cd/{attempt.id}.iso"
    expected = personal(ISO, attempt.arguments)
    assert _get(depot, path) == expected
    assert attempt.seen == {"cd"}
    step = 100  # several ranges lie before, in, between and after the patches, and across their ends
    read = b"".join(_get(depot, path, Range=f"bytes={at}-{at + step - 1}") for at in range(0, len(ISO), step))
    assert read == expected
    status, _, headers = _ask(depot, "HEAD", path, Range="bytes=10-19")
    assert (status, headers["Content-Length"], headers["Content-Range"]) == (206, "10", f"bytes 10-19/{len(ISO)}")


def test_a_cd_without_room_is_not_served(depot: Depot) -> None:
    (depot.folder / "ramdisk/ramdisk.iso").write_bytes(b"no room")
    long = begin(depot.folder, f"http://{'x' * ROOM}", "m1", [])
    assert _ask(depot, "GET", f"/cd/{long.id}.iso")[0] == 404
    (depot.folder / "ramdisk/ramdisk.iso").write_bytes(ISO)
    assert _ask(depot, "GET", f"/cd/{long.id}.iso")[0] == 404


@given(
    st.lists(st.tuples(st.binary(max_size=20), st.binary(max_size=20)), max_size=4),
    st.binary(max_size=20),
    st.integers(0, 200),
    st.integers(0, 200),
)
def test_pieces_are_those_of_the_patched_file(parts: list[tuple[bytes, bytes]], tail: bytes, one: int, two: int) -> None:
    """Each part: what is kept, and what the bytes behind it are patched with."""
    content, patched, patches = b"", b"", []
    for kept, patch in parts:
        patches.append(Patch(len(content) + len(kept), patch))
        content, patched = content + kept + bytes(len(patch)), patched + kept + patch
    content, patched = content + tail, patched + tail
    first, end_ = sorted((min(one, len(content)), min(two, len(content))))
    sent = [piece if isinstance(piece, bytes) else content[piece[0] : sum(piece)] for piece in pieces(patches, first, end_)]
    assert b"".join(sent) == patched[first:end_]


@pytest.mark.parametrize(
    ("header", "span"),
    [
        ("", (0, 100)),
        ("bytes=0-9", (0, 10)),
        ("bytes=90-", (90, 100)),
        ("bytes=90-1000", (90, 100)),
        ("bytes=-10", (90, 100)),
        ("bytes=-1000", (0, 100)),
        ("bytes=100-", None),
        ("bytes=5-4", None),
        ("bytes=-0", None),
        ("bytes=-", (0, 100)),
        ("bytes=0-1,3-4", (0, 100)),  # several: all of it is as good
        ("lines=0-1", (0, 100)),
    ],
)
def test_ranges(header: str, span: tuple[int, int] | None) -> None:
    assert span_of(header, 100) == span


def test_a_large_file_is_not_held_and_many_machines_do_not_wait_for_each_other(depot: Depot, attempt: Attempt) -> None:
    size = 64 << 20
    with (attempt.folder / "files/image").open("wb") as file:
        file.truncate(size)
    host, port = depot.url.removeprefix("http://").split(":")
    idle = [socket.create_connection((host, int(port)), timeout=5) for _ in range(20)]
    for one in idle:
        one.sendall(f"GET /a/{attempt.id}/image HTTP/1.1\r\nHost: d\r\n\r\n".encode())  # and it is never read
    counts: list[int] = []
    readers = [threading.Thread(target=lambda: counts.append(len(_get(depot, f"/a/{attempt.id}/image")))) for _ in range(4)]
    for reader in readers:
        reader.start()
    for reader in readers:
        reader.join(30)
    assert counts == [size] * 4
    for one in idle:
        one.close()


def test_the_lists_of_a_folder_that_does_not_exist_are_empty(tmp_path: Path) -> None:
    assert found(tmp_path, "12345678") is None
    assert of_port(tmp_path, MAC) is None
    assert attempts.read(tmp_path / "none.json") is None


def _packet(kind: int, vendor: bytes = b"", **wrong: Any) -> bytes:
    head = bytes((wrong.get("op", 1), 1, 6, 0)) + bytes(24) + bytes.fromhex(MAC.replace(":", "")) + bytes(10) + bytes(192)
    options = bytes((0, 53, 1, kind, 60, len(vendor))) + vendor + wrong.get("tail", b"\xff")
    return head + wrong.get("cookie", b"\x63\x82\x53\x63") + options


@pytest.mark.parametrize(
    ("packet", "expected"),
    [
        (_packet(1, b"PXEClient:Arch:00000:UNDI:002001"), (MAC, "dhcp-firmware-asked")),
        (_packet(3, b"PXEClient:Arch:00000:UNDI:002001"), (MAC, "dhcp-firmware-took")),
        (_packet(1, b"chutian-ramdisk"), (MAC, "dhcp-ramdisk-asked")),
        (_packet(1), (MAC, "dhcp-other-asked")),
        (_packet(8, b"PXEClient"), ("", "")),  # DHCPINFORM
        (_packet(1, op=2), ("", "")),  # an answer
        (_packet(1, cookie=b"\0\0\0\0"), ("", "")),
        (_packet(1)[:200], ("", "")),
        (b"", ("", "")),
    ],
)
def test_who_asks_by_dhcp(packet: bytes, expected: tuple[str, str]) -> None:
    assert asked(packet) == expected


@given(st.binary(max_size=60))
def test_no_packet_breaks_the_ear(tail: bytes) -> None:
    mac, what = asked(_packet(1, tail=tail))
    assert (mac == MAC) == (what != "")
    asked(tail)


def test_it_is_a_process_of_its_own(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    call = [sys.executable, "-m", "drivers.bare_metal.depot", "--folder", str(tmp_path), "--listen", f"127.0.0.1:{port}"]
    with subprocess.Popen(call) as process:
        try:
            by_hand.until("served", lambda: _served(port, "/boot/52-54-00-77-01-01") == 200, within_s=20)
            attempt = begin(tmp_path, "http://d", "m1", [])
            (attempt.folder / "files/data").touch()
            assert _served(port, f"/a/{attempt.id}/data") == 200
        finally:
            process.terminate()


def _served(port: int, path: str) -> int:
    with suppress(ConnectionRefusedError), closing(http.client.HTTPConnection("127.0.0.1", port, timeout=5)) as connection:
        connection.request("GET", path)
        return connection.getresponse().status
    return 0


def test_what_is_kept_of_an_attempt_can_be_read_by_others(depot: Depot, attempt: Attempt) -> None:
    kept = json.loads((attempt.folder / "attempt.json").read_text())
    assert (kept["machine"], kept["macs"], kept["token"]) == ("m1", [MAC], attempt.token)
