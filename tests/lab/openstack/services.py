"""The parts of a region: how each is called, and by what one sees that it is ready. Nothing is started here."""

from __future__ import annotations

import http.client
import os
import pwd
import socket
import sys
from collections.abc import Callable
from contextlib import suppress

from tests.lab.openstack.settings import APIS, INSIDE, Settings

RABBIT = "/usr/lib/rabbitmq/bin/rabbitmq-server"  # the one in /usr/sbin becomes another user
MODULES = {
    "keystone": "keystone.wsgi.api",
    "placement": "placement.wsgi.api",
    "glance": "glance.wsgi.api",
    "neutron": "neutron.wsgi.api",
    "nova-api": "nova.wsgi.osapi_compute",
}
FORKED = ("nova-conductor", "nova-scheduler")  # of the zygote, as computes are


def environ(settings: Settings) -> dict[str, str]:
    """Of every part. Without bytecode each would take four to six times as long to start."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "OS_"))}
    path = f"{settings.environment}/venv/bin:{kept.get('PATH', '')}:/usr/sbin:/sbin"
    folders = {f"OS_{api.removesuffix('-api').upper()}_CONFIG_DIR": f"{settings.etc}/{api.removesuffix('-api')}" for api in APIS}
    return {
        **kept,
        **folders,
        "PATH": path,
        "PYTHONPATH": str(INSIDE),
        "PYTHONUNBUFFERED": "1",
        "OS_NEUTRON_CONFIG_FILES": "neutron.conf;ml2_conf.ini",
        "ERL_EPMD_PORT": str(settings.ports["epmd"]),
        "ERL_EPMD_ADDRESS": "127.0.0.1",
    }


def _gate(settings: Settings) -> list[str]:
    return [sys.executable, "-m", "tests.lab.openstack.gate", str(settings.folder)]


def _epmd(settings: Settings) -> list[str]:
    return ["epmd", "-address", "127.0.0.1", "-port", str(settings.ports["epmd"])]


def _mariadb(settings: Settings) -> list[str]:
    data = settings.data / "mariadb"
    return [
        "mariadbd",
        "--no-defaults",
        f"--user={pwd.getpwuid(os.geteuid()).pw_name}",
        f"--datadir={data}",
        f"--socket={data}/socket",
        f"--pid-file={data}/pid",
        f"--port={settings.ports['mariadb']}",
        "--bind-address=127.0.0.1",
        "--skip-name-resolve",
        "--max-connections=1000",
        "--character-set-server=utf8mb4",
        "--innodb-buffer-pool-size=128M",
        "--innodb-log-file-size=64M",
        "--innodb-flush-log-at-trx-commit=0",  # outlives a kill all the same: only the machine's own end would cost data
        "--innodb-doublewrite=0",
        "--innodb-flush-method=nosync",
    ]


def _rabbit(settings: Settings) -> list[str]:
    data = settings.data / "rabbit"
    own = {
        "HOME": str(data),
        "RABBITMQ_NODENAME": f"lab{settings.ports['rabbit']}@localhost",
        "RABBITMQ_DIST_PORT": str(settings.ports["rabbit-peers"]),
        "RABBITMQ_CONFIG_FILE": f"{data}/rabbitmq.conf",
        "RABBITMQ_CONF_ENV_FILE": f"{data}/environment",
        "RABBITMQ_ENABLED_PLUGINS_FILE": f"{data}/plugins",
        "RABBITMQ_MNESIA_BASE": f"{data}/mnesia",
        "RABBITMQ_LOG_BASE": f"{data}/log",
        "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 1:1 +A 4 +sbwt none +sbwtdcpu none +sbwtdio none",  # which else waits busily
    }
    return ["env", *(f"{name}={value}" for name, value in own.items()), RABBIT]


def _memcached(settings: Settings) -> list[str]:
    user = pwd.getpwuid(os.geteuid()).pw_name
    return ["memcached", "-u", user, "-l", "127.0.0.1", "-p", str(settings.ports["memcached"]), "-U", "0", "-m", "64", "-c", "1024"]


def _api(name: str) -> Callable[[Settings], list[str]]:
    def line(settings: Settings) -> list[str]:
        return [
            settings.program("uwsgi"),
            f"--http-socket=127.0.0.1:{settings.ports[name]}",
            f"--module={MODULES[name]}:application",
            f"--venv={settings.environment}/venv",
            f"--pythonpath={INSIDE}",
            "--master",
            "--processes=1",
            "--threads=4",
            "--enable-threads",
            "--lazy-apps",
            "--thunder-lock",
            "--need-app",
            "--die-on-term",
            "--buffer-size=65535",
            "--http-chunked-input",
            "--add-header=Connection: close",
            "--disable-logging",
            "--listen=100",
        ]

    return line


def _zygote(settings: Settings) -> list[str]:
    return [settings.program("python"), str(INSIDE / "zygote.py"), str(settings.folder / "zygote"), str(settings.etc / "nova/nova.conf")]


COMMANDS: dict[str, Callable[[Settings], list[str]]] = {  # in the order of starting
    "gate": _gate,
    "zygote": _zygote,
    "memcached": _memcached,
    "epmd": _epmd,
    "rabbit": _rabbit,
    "mariadb": _mariadb,
    **{name: _api(name) for name in APIS},
}


def ready(component: str, settings: Settings) -> bool:
    """Whether it answers."""
    match component:
        case "zygote":
            return (settings.folder / "zygote").exists()
        case "nova-conductor":  # a compute that asks earlier waits ten seconds for each answer
            return b"Starting conductor node" in _log(component, settings)
        case "gate":
            return all(_listens(settings.ports[f"{api}-tls"]) for api in APIS)
        case api if api in APIS:
            return _answers(settings.ports[api])
        case listener if listener in settings.ports:
            return _listens(settings.ports[listener])
        case _:  # scheduler and computes: that they run is all that can be seen from here
            return True


def _log(component: str, settings: Settings) -> bytes:
    with suppress(FileNotFoundError):
        return settings.log(component).read_bytes()
    return b""


def _listens(port: int) -> bool:
    with suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
        return True
    return False


def _answers(port: int) -> bool:
    line = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    with suppress(OSError, http.client.HTTPException):
        line.request("GET", "/")
        return line.getresponse().status < 500
    return False
