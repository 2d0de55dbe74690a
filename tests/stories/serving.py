"""A controller process that a test kills and starts again, on one database and one port."""

from __future__ import annotations

import json
import signal
import subprocess
import time
from collections import Counter
from pathlib import Path
from typing import Any

import httpx2
import psycopg

from tests.api.outside import Caller, fresh
from tests.api.server import ROOT, command, free_port


class Serving:
    """The controller; `admin` asks it. `within`: a command that runs it (in other surroundings); `variables`: more of its environment."""

    def __init__(self, folder: Path, database_url: str, within: tuple[str, ...] = (), **variables: str) -> None:
        self._within, self._variables = within, variables
        self.folder, self.database_url, self.log = folder, database_url, folder / "controller.log"
        self._port, self._settings = free_port(), folder / "chutian.toml"
        values = {"data_dir": str(folder / "data"), "database_url": database_url, "listen": f"127.0.0.1:{self._port}", "tls": "off"}
        numbers = "auto_migrate = true\nobserve_interval_s = 3.0\nretry_max_s = 2.0\nlease_s = 3.0\n"
        self._settings.write_text(numbers + "".join(f"{key} = {json.dumps(value)}\n" for key, value in values.items()))
        line, environment = command("bootstrap", self._settings, "--project", ROOT)
        made = subprocess.run(line, env=environment, capture_output=True, text=True, check=True)
        http = httpx2.Client(base_url=f"http://127.0.0.1:{self._port}", timeout=30, trust_env=False)
        self.admin = Caller(http, json.loads(made.stdout)["token"], "admin")
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start it; returns when it is ready."""
        line, environment = command("serve", self._settings)
        with self.log.open("a") as out:
            self._process = subprocess.Popen([*self._within, *line], env=environment | self._variables, stdout=out, stderr=out)
        end = time.monotonic() + 60
        while True:
            assert self._process.poll() is None, f"the controller ended: {self.log.read_text()[-2000:]}"
            assert time.monotonic() < end, f"the controller did not become ready: {self.log.read_text()[-2000:]}"
            try:
                if self.admin.http.get("/readyz").status_code == 200:
                    return
            except httpx2.TransportError:
                pass
            time.sleep(0.1)

    def kill(self) -> None:
        """As kill -9 does."""
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait()
            self._process = None

    def end(self) -> None:
        """It is over."""
        self.kill()
        self.admin.http.close()

    def again(self) -> None:
        """Kill it and start it."""
        self.kill()
        self.start()


def patient(caller: Caller, line: str, body: Any = None, within_s: float = 60) -> httpx2.Response:
    """Ask until there is an answer, as automation does: the same key each time."""
    headers, end = {"Idempotency-Key": fresh("key")}, time.monotonic() + within_s
    while True:
        try:
            answer = caller.call(line, body, headers)
            if answer.status_code != 503:
                return answer
        except httpx2.TransportError:
            pass
        assert time.monotonic() < end, f"{line} was never answered"
        time.sleep(0.2)


def states_of(serving: Serving) -> Counter[tuple[str, str, str | None]]:
    """How many instances are in each state and condition, for which reason."""
    with psycopg.connect(serving.database_url) as conn:
        return Counter(conn.execute("SELECT state, condition, reason->>'code' FROM instances").fetchall())
