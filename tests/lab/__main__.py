"""The lab by hand: `python -m tests.lab up FOLDER COUNT`, `… down FOLDER`, `… crash|start|cut|heal|… FOLDER HOST`."""

import sys
from pathlib import Path

from tests.lab.rig import down, found, up

CONTROLS = ("crash", "start", "cut", "heal", "freeze", "thaw", "kill_libvirtd", "start_libvirtd")


def main(arguments: list[str]) -> None:
    match arguments:
        case ["up", folder, count]:
            for host in up(Path(folder).absolute(), int(count)).hosts:
                print(host.name, host.tcp, host.tls, host.unix)
        case ["down", folder]:
            down(found(Path(folder).absolute()))
        case [control, folder, number] if control in CONTROLS:
            getattr(found(Path(folder).absolute()).hosts[int(number) - 1], control)()
        case _:
            sys.exit(__doc__)


if __name__ == "__main__":
    main(sys.argv[1:])
