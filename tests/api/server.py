"""Starts a controller as an operator would: a settings file, `bootstrap`, `serve`."""

from __future__ import annotations

import json
import os
import re
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

import httpx2
import psycopg

from tests.api.outside import Caller, Cloud

ROOT = "hubei"
MIB = 1 << 20


def new_database(server_url: str, name: str) -> str:
    """The URL of a new, empty database on a server given by the URL of another."""
    with psycopg.connect(server_url, autocommit=True) as conn:
        conn.execute(f'CREATE DATABASE "{name}"')  # type: ignore[call-overload]
    return server_url.replace("/postgres?", f"/{quote(name)}?")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def command(verb: str, settings: Path, *more: str) -> tuple[list[str], dict[str, str]]:
    """A command of the controller and the environment to run it in. Warnings are errors there too."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("CHUTIAN_")}
    return [sys.executable, "-W", "error", "-m", "controller", verb, "--config", str(settings), *more], environment


@contextmanager
def controller(folder: Path, database_url: str, **more: int | float | str) -> Iterator[Cloud]:
    """A running controller with an administrator and nothing else; at the end its log is looked through for what it called an error."""
    port, log, settings = free_port(), folder / "controller.log", folder / "chutian.toml"
    values = {"data_dir": str(folder), "database_url": database_url, "listen": f"127.0.0.1:{port}", "tls": "off"} | more
    settings.write_text("auto_migrate = true\n" + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
    line, environment = command("bootstrap", settings, "--project", ROOT)
    made = subprocess.run(line, env=environment, capture_output=True, text=True, check=False)
    assert made.returncode == 0, made.stderr
    line, environment = command("serve", settings)
    with log.open("w") as out:
        process = subprocess.Popen(line, env=environment, stderr=out, stdout=out)
    limits = httpx2.Limits(max_connections=400, max_keepalive_connections=50)
    with httpx2.Client(base_url=f"http://127.0.0.1:{port}", timeout=30, limits=limits, trust_env=False) as http:
        try:
            _wait(http, process, log)
            admin = Caller(http, json.loads(made.stdout)["token"], "admin")
            yield Cloud(f"http://127.0.0.1:{port}", ROOT, admin, Caller(http), database_url, folder, log)
        finally:
            process.terminate()
            code = process.wait(timeout=30)
    assert code == 0, f"the controller ended with {code}: {log.read_text()[-2000:]}"
    broken = [line for line in log.read_text().splitlines() if re.search(r'"level": "(error|critical)"|Traceback|Warning', line)]
    assert not broken, "the controller logged errors while it was tested:\n" + "\n".join(one[:3000] for one in broken[:5])


def _wait(http: httpx2.Client, process: subprocess.Popen[bytes], log: Path) -> None:
    end = time.monotonic() + 30
    while True:
        assert process.poll() is None, f"the controller ended: {log.read_text()}"
        assert time.monotonic() < end, f"the controller did not become ready: {log.read_text()}"
        try:
            if http.get("/readyz").status_code == 200:
                return
        except httpx2.TransportError:
            pass
        time.sleep(0.1)


def furnish(cloud: Cloud, pool: str, image: str, sizes: dict[str, tuple[int, int, int]], hosts: int = 4) -> None:
    """A pool with hosts behind one fake endpoint, sizes (vcpus, MiB of memory, GiB of disk) and an image that is ready."""
    ask = cloud.admin.ask
    ask("POST /v1/pools", {"name": pool, "zone": "wuhan-a"})
    ask("POST /v1/endpoints", {"name": f"{pool}-1", "driver": "fake", "uri": f"fake:{pool}?hosts={hosts}", "pool": pool})
    for name, (vcpus, memory_mib, disk_gib) in sizes.items():
        ask("POST /v1/flavors", {"name": name, "vcpus": vcpus, "memory_mib": memory_mib, "disk_gib": disk_gib})
    ask("POST /v1/images", {"name": image, "arch": "x86_64", "format": "raw"})
    ask(f"PUT /v1/images/{image}/content", b"\0" * MIB)
