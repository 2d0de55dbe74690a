"""An ear for DHCP: whether a machine that says nothing asked for an address, and with which of its programs; it answers nobody.

In: the broadcasts on the depot's machine, its folder. Out: marks in the attempt of the port that asked. Without it a machine that ignores
its boot device and one that DHCP doesn't answer look the same: both fetch nothing. Where another program has the port to itself, or the
right to it is missing, nothing is heard, and `heard` says so.

It is bound to the broadcast address, so that a DHCP server on the same machine loses nothing to it.
"""

from __future__ import annotations

import socket
import threading
from pathlib import Path
from typing import Final

from drivers.bare_metal.attempt import mark, of_port

EVERYBODY: Final = ("255.255.255.255", 67)
COOKIE: Final = b"\x63\x82\x53\x63"
OPTIONS_AT: Final = 240
KIND, VENDOR = 53, 60  # options (RFC 2132, 9.6 and 9.13)
KINDS: Final = {1: "asked", 3: "took"}  # DHCPDISCOVER; DHCPREQUEST, which takes what was offered
PROGRAMS: Final = {b"PXEClient": "firmware", b"HTTPClient": "firmware", b"chutian-ramdisk": "ramdisk"}
NOTICE_S: Final = 1.0  # within which it is noticed that it was closed
HEARING: Final = "hears-dhcp"  # a file in the depot's folder


class Ear:
    """Hears from `start` to `close`."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._socket: socket.socket | None = None

    def start(self) -> None:
        heard = self._folder / HEARING
        opened = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind(EVERYBODY)
        except OSError:
            opened.close()
            heard.unlink(missing_ok=True)
            return
        opened.settimeout(NOTICE_S)
        heard.touch()
        self._socket = opened
        threading.Thread(target=self._listen, args=(opened,), name="dhcp", daemon=True).start()

    def close(self) -> None:
        if self._socket is not None:
            self._socket.close()
            (self._folder / HEARING).unlink(missing_ok=True)

    def _listen(self, opened: socket.socket) -> None:
        while True:
            try:
                packet = opened.recv(4096)
            except TimeoutError:
                continue
            except OSError:  # closed
                return
            mac, what = asked(packet)
            owner = of_port(self._folder, mac) if what else None
            if owner is not None:
                mark(owner, what)


def heard(folder: Path) -> bool:
    """Whether the depot hears DHCP at all."""
    return (folder / HEARING).exists()


def asked(packet: bytes) -> tuple[str, str]:
    """The port that sent that DHCP packet and what is to be marked of it, "dhcp-firmware-asked" or the like; empty: nothing."""
    if len(packet) < OPTIONS_AT or packet[0] != 1 or packet[1:3] != b"\x01\x06" or packet[236:OPTIONS_AT] != COOKIE:
        return "", ""
    options = _options(packet[OPTIONS_AT:])
    kind = KINDS.get(options.get(KIND, b"\0")[0])
    vendor = options.get(VENDOR, b"")
    program = next((name for start, name in PROGRAMS.items() if vendor.startswith(start)), "other")
    return (packet[28:34].hex(":"), f"dhcp-{program}-{kind}") if kind else ("", "")


def _options(content: bytes) -> dict[int, bytes]:
    """By number; those that are cut off are left out, as are empty ones."""
    found: dict[int, bytes] = {}
    at = 0
    while at + 1 < len(content) and content[at] != 255:
        if content[at] == 0:
            at += 1
            continue
        value = content[at + 2 : at + 2 + content[at + 1]]
        if value and len(value) == content[at + 1]:
            found[content[at]] = value
        at += 2 + content[at + 1]
    return found
