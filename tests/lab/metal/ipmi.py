"""The IPMI BMC of one server: virtualbmc without its daemon. `python -m tests.lab.metal.ipmi FOLDER`, where FOLDER/ipmi.json has the
settings.

Mended: pyghmi's server knows SHA-1 alone, but answers as if it had agreed to whatever the client asks for; clients that ask for SHA-256
first, as current ones do, then die in the middle. Ours refuses what it doesn't know, and they come back with SHA-1, as with any old BMC.
"""

from __future__ import annotations

import json
import sys
import uuid
from pathlib import Path
from typing import Any

from pyghmi.ipmi.private import constants
from virtualbmc.vbmc import VirtualBMC

OPEN_SESSION = 16  # the request; the answer is one more
NO_SUCH_AUTHENTICATION = 4  # IPMI 2.0, table 13-15
HMAC_SHA1 = 1


class Board(VirtualBMC):  # type: ignore[misc]
    """The server's."""

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
    board.uuid = uuid.UUID(settings["uuid"])
    board.listen(timeout=1)


if __name__ == "__main__":
    main(Path(sys.argv[1]))
