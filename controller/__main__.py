"""The controller's own commands, such as `serve`. `python -m controller COMMAND --help` tells more."""

from __future__ import annotations

import argparse
import datetime as dt
import faulthandler
import gc
import ipaddress
import json
import logging
import os
import signal
import socket
import subprocess
import sys
import threading
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING

import structlog

from controller.config import CONFIG_ENV, Settings, load
from controller.errors import ControllerError
from controller.messages import render

if TYPE_CHECKING:
    from uvicorn import Config

log = structlog.get_logger()
_SWITCH_S = 0.001  # a thread that computes lets others go on after this time: a look at 100,000 instances must not be felt by readers


def main(arguments: list[str] | None = None) -> int:
    """Run one command; the exit code."""
    parser = argparse.ArgumentParser(prog="chutian", description="Commands of the controller itself.")
    commands = parser.add_subparsers(dest="command", required=True)
    for name, text in (
        ("serve", "run the controller: API and reconciler"),
        ("migrate", "bring the database's schema up to date"),
        ("bootstrap", "make the first project and its administrator; prints a token once"),
        ("stop-database", "stop the embedded PostgreSQL"),
        (
            "replace-trust",
            "forget the CA of hypervisors: a key is in strange hands; then restart the controllers and run hypervisor.yml for all",
        ),
    ):
        command = commands.add_parser(name, help=text, description=text)
        command.add_argument("--config", type=Path, help="settings file (TOML); the environment (CHUTIAN_…) wins over it")
        if name == "bootstrap":
            command.add_argument("--project", default="cloud", help="name of the first root project")
            command.add_argument("--user", default="admin", help="name of its administrator")
            command.add_argument("--days", type=int, default=90, help="how long the token is valid")
    given = parser.parse_args(arguments)
    if given.config:
        os.environ[CONFIG_ENV] = str(given.config)
    try:
        settings = load()
    except ValueError as error:
        print(error, file=sys.stderr)
        return 2
    _log_as(settings.log_level)
    try:
        return _COMMANDS[given.command](settings, given)
    except ControllerError as error:
        lang = "zh" if os.environ.get("LC_ALL", os.environ.get("LANG", "")).startswith("zh") else "en"
        print(render(error.text, error.params, lang), file=sys.stderr)
        return 1


def serve(settings: Settings, _given: argparse.Namespace) -> int:
    """Run until told to stop."""
    import uvicorn

    from controller.wiring import Controller, check_or_migrate, open_database

    _compile()
    faulthandler.enable()  # should a C library end the process, the log says where
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = open_database(settings)
    check_or_migrate(database, settings)
    controller = Controller(settings, database)
    sys.setswitchinterval(_SWITCH_S)
    server = uvicorn.Server(_server_config(settings, controller.application()))
    stopping = threading.Event()

    def stop(number: int, frame: FrameType | None) -> None:
        stopping.set()
        controller.soon_ends()
        uvicorn.Server.handle_exit(server, number, frame)

    controller.start()
    gc.collect()
    gc.freeze()  # what is there by now stays: looking through it for garbage, 100,000 objects at a time, would stop everybody
    server.handle_exit = stop  # type: ignore[assignment]  # uvicorn puts its own handlers in our handlers' place while it runs
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, stop)
    log.info("serving", address=settings.listen)
    try:
        server.run()
    finally:
        controller.stop()
    return 0 if server.started or stopping.is_set() else 1


def _compile() -> None:
    """Have the scheduler's inner loops compiled, where they are not yet, by a process whose memory goes with it: it takes 200 MiB."""
    subprocess.run([sys.executable, "-m", "scheduler.warm"], stdin=subprocess.DEVNULL, check=False)


def _server_config(settings: Settings, app: object) -> Config:
    import uvicorn

    host, port = settings.address
    tls = _tls(settings, host)
    return uvicorn.Config(
        app,  # type: ignore[arg-type]
        host=host,
        port=port,
        http="httptools",
        loop="uvloop",
        ws="none",
        log_config=None,
        access_log=False,
        server_header=False,
        timeout_keep_alive=75,
        timeout_graceful_shutdown=5,
        ssl_certfile=str(tls[0]) if tls else None,
        ssl_keyfile=str(tls[1]) if tls else None,
    )


def _tls(settings: Settings, host: str) -> tuple[Path, Path] | None:
    """Certificate and key, None for plain HTTP, which is refused on anything but loopback."""
    from controller import certificates

    if settings.tls == "off":
        if not (host == "localhost" or ipaddress.ip_address(host).is_loopback):
            raise SystemExit('tls = "off" is only for loopback addresses: listen on 127.0.0.1, or give tls_cert and tls_key')
        return None
    if settings.tls_cert and settings.tls_key:
        return settings.tls_cert, settings.tls_key
    names = list(dict.fromkeys([socket.gethostname(), "localhost", "127.0.0.1", "::1", *([] if host in ("0.0.0.0", "::") else [host])]))  # noqa: S104
    return certificates.own(settings.data_dir / "tls", names, dt.datetime.now(dt.UTC))


def migrate(settings: Settings, _given: argparse.Namespace) -> int:
    """Bring the schema up to date and say from where to where."""
    from controller.store import schema
    from controller.wiring import open_database

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    before, after = open_database(settings).run(schema.migrate)
    print(f"schema {before or 'empty'} -> {after}" if before != after else f"schema {after}: up to date")
    return 0


def bootstrap(settings: Settings, given: argparse.Namespace) -> int:
    """Make the first root project and its administrator. Once done, it only says so."""
    from controller.actions.bootstrap import first_administrator
    from controller.actions.env import Env, fresh_id
    from controller.wiring import check_or_migrate, open_database

    settings.data_dir.mkdir(parents=True, exist_ok=True)
    database = open_database(settings)
    check_or_migrate(database, settings)
    made = database.run(lambda conn: first_administrator(conn, Env(settings, fresh_id), given.project, given.user, given.days))
    print(json.dumps(made))
    return 0


def stop_database(settings: Settings, _given: argparse.Namespace) -> int:
    """Stop the embedded PostgreSQL, if it runs."""
    from controller.store import embedded

    embedded.stop(settings.data_dir)
    return 0


def replace_trust(settings: Settings, _given: argparse.Namespace) -> int:
    """Forget by what hypervisors and the controller know each other; the next to ask makes it anew."""
    from controller.actions import trust
    from controller.wiring import check_or_migrate, open_database

    database = open_database(settings)
    check_or_migrate(database, settings)
    database.run(trust.replace)
    return 0


_COMMANDS = {
    "serve": serve,
    "migrate": migrate,
    "bootstrap": bootstrap,
    "stop-database": stop_database,
    "replace-trust": replace_trust,
}


def _log_as(level: str) -> None:
    number = {"debug": logging.DEBUG, "info": logging.INFO, "warning": logging.WARNING, "error": logging.ERROR}[level]
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(ensure_ascii=False),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(number),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    logging.basicConfig(level=logging.WARNING, stream=sys.stderr)


if __name__ == "__main__":
    sys.exit(main())
