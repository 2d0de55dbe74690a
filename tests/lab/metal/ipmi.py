"""The IPMI BMC of one server: virtualbmc without its daemon, mended where it does not do what a real one does.

In: `python -m tests.lab.metal.ipmi FOLDER`, where FOLDER/ipmi.json has the settings; FOLDER/faults.json (`tests.lab.metal.faults`) is
read again at each request: the faults of power and of boot devices hold here, too. Out: IPMI 2.0 over LAN at its address.

Mended: pyghmi's server knows SHA-1 alone, but answers as if it had agreed to whatever the client asks for; clients that ask for SHA-256
first, as current ones do, then die in the middle. Ours refuses what it doesn't know, and they come back with SHA-1, as with any old BMC.
Power cycles are there, a reset starts from the device that is set, and a device that is not set to stay holds for one start.
"""

from __future__ import annotations

import json
import sys
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from pyghmi.ipmi.private import constants
from virtualbmc.vbmc import POWERON, VirtualBMC

from tests.lab.metal import faults

OPEN_SESSION = 16  # the request; the answer is one more
NO_SUCH_AUTHENTICATION = 4  # IPMI 2.0, table 13-15
HMAC_SHA1 = 1
BOOT_FLAGS, STAYS, EFI = 5, 0x40, 0x20  # the parameter, and bits in its second byte


class Lost:
    """A session whose answers get lost."""

    def send_ipmi_response(self, **said: object) -> None:
        """Nowhere."""


class Marked:
    """A session whose answers on boot flags have those bits as well."""

    def __init__(self, session: Any, bits: int) -> None:
        self._session, self._bits = session, bits

    def send_ipmi_response(self, data: Sequence[int] = (), **said: object) -> None:
        flags = [data[2] | self._bits] if len(data) > 2 else []
        self._session.send_ipmi_response(data=[*data[:2], *flags, *data[3:]], **said)


class Board(VirtualBMC):  # type: ignore[misc]
    """The server's."""

    folder: Path
    once = False  # whether the device that is set is for the next start alone
    efi = False  # whether it is to start by UEFI, which is kept and said, and changes nothing

    def control_chassis(self, request: dict[str, Any], session: Any) -> None:
        if faults.read(self.folder).get("power_ignored"):
            session.send_ipmi_response()
        elif faults.read(self.folder).get("power_unanswered"):
            super().control_chassis(request, Lost())
        else:
            super().control_chassis(request, session)

    def set_system_boot_options(self, request: dict[str, Any], session: Any) -> None:
        if request["data"][0] != BOOT_FLAGS:
            super().set_system_boot_options(request, session)
        elif faults.read(self.folder).keys() & {"boot_ignored", "boot_pretended"}:
            session.send_ipmi_response()
        else:
            self.once, self.efi = not request["data"][1] & STAYS, bool(request["data"][1] & EFI)
            super().set_system_boot_options(request, session)

    def get_system_boot_options(self, request: dict[str, Any], session: Any) -> None:
        super().get_system_boot_options(request, Marked(session, EFI if self.efi else 0))

    def power_on(self) -> Any:
        if self.get_power_state() == POWERON:
            return None
        failed = super().power_on()
        if self.once and not failed:
            self.once = False
            self.set_boot_device("hd")
        return failed

    def power_cycle(self) -> Any:
        return self.power_off() or self.power_on()

    def power_reset(self) -> Any:
        return self.power_cycle() if self.get_power_state() == POWERON else None

    def sessionless_data(self, data: bytes, sockaddr: Any) -> None:
        if len(data) > 28 and data[4] == 6 and data[5] == OPEN_SESSION and data[16 + 12] != HMAC_SHA1:
            tag, session = data[16], bytes(data[20:24])
            payload = bytes([tag, NO_SUCH_AUTHENTICATION, 0, 0]) + session
            header = b"\x06\x00\xff\x07\x06" + bytes([constants.payload_types["rmcpplusopenresponse"]]) + bytes(8)
            self.serversocket.sendto(header + len(payload).to_bytes(2, "little") + payload, sockaddr)
        else:
            super().sessionless_data(data, sockaddr)


def main(folder: Path) -> None:
    settings = json.loads((folder / "ipmi.json").read_text())
    board = Board(**settings["account"], address=settings["address"], port=623, domain_name=settings["name"], libvirt_uri="qemu:///system")
    board.folder = folder
    board.uuid = uuid.UUID(settings["uuid"])
    board.listen(timeout=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
