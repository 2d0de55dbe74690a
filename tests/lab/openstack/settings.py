"""What everything else of one region depends on: its folder, its ports, its accounts and what is in it for tests to ask for."""

from __future__ import annotations

import random
import socket
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

HERE = Path(__file__).parent
INSIDE = HERE / "inside"  # what runs in the region's own processes
REGION = "lab"
APIS = {"keystone": "identity", "placement": "placement", "glance": "image", "neutron": "network", "nova-api": "compute"}
PLAIN = ("mariadb", "rabbit", "rabbit-peers", "epmd", "memcached", *APIS)
PORTS = (*PLAIN, *(f"{api}-tls" for api in APIS))


@dataclass(frozen=True, slots=True)
class Account:
    """Who may ask, and in which project."""

    name: str
    project: str
    roles: tuple[str, ...]

    @property
    def password(self) -> str:
        return f"{self.name}-of-the-lab"


ADMIN = Account("admin", "admin", ("admin",))
DEMO = Account("demo", "demo", ("member",))
OTHER = Account("other", "other", ("member",))
OWN = {name: Account(name, "service", ("admin", "service")) for name in ("placement", "glance", "neutron", "nova")}

FLAVORS = {  # vCPUs, MiB, GB. Those after `huge` have builds that fail or last (`inside/chutian_lab_hypervisor.py`); no two are alike
    "m1.nano": (1, 128, 1),
    "m1.small": (1, 2048, 20),
    "m1.medium": (2, 4096, 40),
    "m1.large": (4, 8192, 80),
    "huge": (64, 1 << 20, 80),  # no host is that large
    "error": (1, 160, 1),
    "abort": (1, 176, 1),
    "slow": (1, 192, 1),
}
IMAGE, NETWORK = "blank", "net1"
TINY = "tiny"  # the image that boots, where there is a real hypervisor


@dataclass(frozen=True, slots=True)
class Settings:
    """What command lines and configuration files depend on."""

    folder: Path
    environment: Path  # what scripts/openstack-region made: `venv` and `databases`
    ports: Mapping[str, int]
    report_s: int = 2  # how often a service says that it lives
    patience_s: int = 10  # how long it may be silent before it counts as down
    token_s: int = 3600  # how long a token holds

    @property
    def etc(self) -> Path:
        return self.folder / "etc"

    @property
    def data(self) -> Path:
        return self.folder / "data"

    @property
    def ca(self) -> Path:
        """Who signed the certificates of the APIs."""
        return self.folder / "pki" / "ca.crt"

    def program(self, name: str) -> str:
        return str(self.environment / "venv" / "bin" / name)

    def log(self, component: str) -> Path:
        return self.folder / "log" / f"{component}.log"

    def url(self, api: str) -> str:
        """As the region's own services reach it."""
        return f"http://127.0.0.1:{self.ports[api]}{_path(api)}"

    def public_url(self, api: str) -> str:
        """As everybody else does."""
        return f"https://127.0.0.1:{self.ports[f'{api}-tls']}{_path(api)}"


def _path(api: str) -> str:
    return {"keystone": "/v3", "nova-api": "/v2.1"}.get(api, "")


def ports_from(first: int) -> dict[str, int]:
    """Those from the first on, in a row."""
    return {name: first + i for i, name in enumerate(PORTS)}


def free_ports() -> dict[str, int]:
    """Below the range for outgoing connections: a part that comes back finds its own free."""
    found: dict[str, int] = {}
    while len(found) < len(PORTS):
        port = random.randint(10_000, 30_000)  # noqa: S311
        with socket.socket() as one:
            try:
                one.bind(("127.0.0.1", port))
            except OSError:
                continue
        if port not in found.values():
            found[PORTS[len(found)]] = port
    return found
