"""A region by hand.

python -m tests.lab.openstack up FOLDER [OPTION...]                         start it; prints how to reach it; --help lists the options
python -m tests.lab.openstack down FOLDER                                   take it away, with all that belongs to it
python -m tests.lab.openstack clouds FOLDER                                 write FOLDER/clouds.yaml again: admin, demo, other
python -m tests.lab.openstack more FOLDER COUNT                             that many more hypervisors
python -m tests.lab.openstack memory FOLDER                                 MiB (PSS) of each part
python -m tests.lab.openstack FAULT FOLDER COMPONENT                        kill, stop, start, freeze, thaw; c0001, ... are components, too
python -m tests.lab.openstack host FOLDER c0001 KEY=VALUE...                vcpus, memory_mb, local_gb, slow_s, fault=error|abort|slow|none
python -m tests.lab.openstack off|lose FOLDER c0001 SERVER                  a guest shuts down, or is gone
python -m tests.lab.openstack delete|reset FOLDER SERVER                    by an administrator
python -m tests.lab.openstack quota FOLDER demo|other KEY=VALUE...          instances, cores, ram
python -m tests.lab.openstack expire-tokens FOLDER                          those given out so far
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path

from tests.lab.needs import openstack_environment
from tests.lab.openstack.compute import Compute
from tests.lab.openstack.rig import Region, down, found, up
from tests.lab.openstack.settings import ADMIN, DEMO, OTHER

ON_COMPONENTS: dict[str, Callable[[Region, str], None]] = {
    "kill": Region.kill,
    "stop": Region.stop,
    "start": Region.start,
    "freeze": Region.freeze,
    "thaw": Region.thaw,
}
ON_GUESTS: dict[str, Callable[[Compute, str], None]] = {"off": Compute.switch_off, "lose": Compute.lose}
ON_SERVERS: dict[str, Callable[[Region, str], None]] = {"delete": Region.delete, "reset": Region.reset}
ACCOUNTS = {one.name: one for one in (ADMIN, DEMO, OTHER)}


def main(arguments: list[str]) -> None:  # noqa: C901 # a table of what may be asked for
    match arguments:
        case ["up", folder, *options]:
            _up(Path(folder).absolute(), options)
        case ["down", folder]:
            down(_found(folder))
        case ["clouds", folder]:
            _clouds(_found(folder))
        case ["more", folder, count]:
            _found(folder).add_computes(int(count))
        case ["memory", folder]:
            _memory(_found(folder))
        case ["host", folder, name, *pairs]:
            _compute(folder, name).configure(**_pairs(pairs))
        case ["quota", folder, name, *pairs]:
            _found(folder).quota(ACCOUNTS[name], **{key: int(value) for key, value in (one.split("=") for one in pairs)})
        case ["expire-tokens", folder]:
            _found(folder).expire_tokens()
        case [what, folder, name, server] if what in ON_GUESTS:
            ON_GUESTS[what](_compute(folder, name), server)
        case [what, folder, server] if what in ON_SERVERS:
            ON_SERVERS[what](_found(folder), server)
        case [fault, folder, component] if fault in ON_COMPONENTS:
            ON_COMPONENTS[fault](_found(folder), component)
        case _:
            sys.exit(__doc__)


def _found(folder: str) -> Region:
    return found(Path(folder).absolute())


def _compute(folder: str, name: str) -> Compute:
    return next(one for one in _found(folder).computes if one.name == name)


def _pairs(pairs: list[str]) -> dict[str, object]:
    values = dict(one.split("=", 1) for one in pairs)
    return {key: int(value) if value.isdigit() else value if value != "none" else None for key, value in values.items()}


def _up(folder: Path, options: list[str]) -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.lab.openstack up FOLDER")
    parser.add_argument("--computes", type=int, default=2, help="how many hypervisors")
    parser.add_argument("--port", type=int, help="the first of its ports, which are else any free ones")
    parser.add_argument("--real", action="store_true", help="with a hypervisor that boots guests, on a host of the libvirt lab")
    wanted = parser.parse_args(options)
    try:
        environment = openstack_environment()
    except FileNotFoundError as none:
        sys.exit(str(none))
    _clouds(up(folder, environment, computes=wanted.computes, real=wanted.real, first_port=wanted.port))


def _clouds(region: Region) -> None:
    path = region.folder / "clouds.yaml"
    path.touch(0o600)
    path.write_text(region.clouds_yaml(**{name: region.cloud(account) for name, account in ACCOUNTS.items()}))
    print(f"export OS_CLIENT_CONFIG_FILE={path} OS_CLOUD={DEMO.name}")


def _memory(region: Region) -> None:
    parts = region.memory_kb()
    for name, kb in sorted(parts.items(), key=lambda one: -one[1]):
        print(f"{kb // 1024:6d} {name}")
    print(f"{sum(parts.values()) // 1024:6d} all")


if __name__ == "__main__":
    main(sys.argv[1:])
