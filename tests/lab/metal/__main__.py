"""The rack by hand: `python -m tests.lab.metal up FOLDER MACHINES [uefi|secure]`, `… list FOLDER`, `… plug|button FOLDER NUMBER`,
`… down FOLDER`.
"""

import sys
from pathlib import Path

from tests.lab.metal.rig import down, found, up
from tests.lab.metal.server import Hardware, Server

HANDS = {"plug": Server.pull_plug, "button": Server.push_button}


def main(arguments: list[str]) -> None:
    match arguments:
        case ["up", folder, count, *firmware]:
            _list(up(Path(folder).absolute(), [Hardware(ipmi=True, firmware="".join(firmware) or "bios")] * int(count)).servers)
        case ["list", folder]:
            _list(found(Path(folder).absolute()).servers)
        case ["down", folder]:
            down(found(Path(folder).absolute()))
        case [hand, folder, number] if hand in HANDS:
            HANDS[hand](found(Path(folder).absolute()).servers[int(number) - 1])
        case _:
            sys.exit(__doc__)


def _list(servers: tuple[Server, ...]) -> None:
    for one in servers:
        user, password = one.bmc.account
        print(one.name, one.bmc.url, user, repr(password), one.uuid, one.mac, one.address, "on" if one.on else "off")


if __name__ == "__main__":
    main(sys.argv[1:])
