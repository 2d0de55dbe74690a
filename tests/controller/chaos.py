"""Two controllers that are killed again and again, many clients that ask again and again, and what must hold at every moment.

`python -m tests.controller.chaos --operations 5000` is the full soak; `test_chaos.py` runs a short one. Enters: a database's URL, a folder,
how much to do. Leaves: a `Report`; `wrong` in it lists everything that should never have been, and is empty after a good run. Two
`python -m controller serve` share the database and one fake world in a directory; clients talk HTTP only; nobody writes SQL. Controllers
are ended with SIGKILL, so that nothing is tidied up on the way.

Clients repeat what got no definite answer with the same Idempotency-Key, at whichever controller answers, as any sound client does. Each
create carries its key as the request's reason, so that the database itself can be asked what came of each key.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from controller.store import embedded, sql
from controller.store.database import Database
from drivers.fake.world import World, forget, world
from tests.controller import ledger
from tests.controller.chaos_clients import FLAVORS, HELD, PROJECTS, Caller, Report, Shared, run_client

ROOT = Path(__file__).parents[2]
SHAPE = "hosts=6&vcpus=16&memory_mib=65536&disk_gib=1000&overcommit_vcpus=1.0&build_s=0.3&stop_s=0.1&fail=0.03"
SETTINGS = """
data_dir = "{folder}/data"
database_url = "{url}"
listen = "127.0.0.1:{port}"
tls = "off"
auto_migrate = true
observe_interval_s = 1.0
retry_max_s = 1.0
lease_s = 2.0
log_level = "warning"
"""
ROOT_VCPUS = 60
PACE_S = 3.75


@dataclass(frozen=True, slots=True)
class Run:
    """How much to do. `seconds`: about how long the clients take, as far as their own pauses go."""

    operations: int
    clients: int = 64
    seconds: float = 40.0
    seed: int = 1


# -- controllers -----------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Server:
    """One controller process, started anew after each kill on the same port."""

    folder: Path
    number: int
    port: int
    process: subprocess.Popen[bytes] | None = None

    @property
    def config(self) -> Path:
        return self.folder / f"controller-{self.number}.toml"

    def start(self) -> None:
        environment = {name: value for name, value in os.environ.items() if not name.startswith("CHUTIAN_")}
        with (self.folder / f"controller-{self.number}.log").open("ab") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "controller", "serve", "--config", str(self.config)],
                cwd=ROOT,
                env=environment,
                stdout=log,
                stderr=log,
            )

    def kill(self, how: signal.Signals = signal.SIGKILL) -> None:
        if self.process is not None:
            self.process.send_signal(how)
            self.process.wait(timeout=30)
            self.process = None


def _free_ports(many: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(many)]
    ports = [one.getsockname()[1] for one in sockets]
    for one in sockets:
        one.close()
    return ports


@contextmanager
def _serving(url: str, folder: Path) -> Iterator[tuple[list[Server], str]]:
    """Two controllers, and the first administrator's token."""
    servers = [Server(folder, number, port) for number, port in enumerate(_free_ports(2))]
    for server in servers:
        server.config.write_text(SETTINGS.format(folder=folder, url=url, port=server.port))
    command = [sys.executable, "-m", "controller", "bootstrap", "--config", str(servers[0].config), "--project", "hubei"]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, check=True, timeout=60)
    try:
        for server in servers:
            server.start()
        yield servers, json.loads(done.stdout)["token"]
    finally:
        for server in servers:
            server.kill()


# -- setting up ----------------------------------------------------------------------------------------------------------------


def _set_up(caller: Caller, folder: Path) -> str:
    """Catalogue, fleet, projects and people; an approver's token."""
    for name, (vcpus, memory_mib, disk_gib) in FLAVORS.items():
        caller.must("POST", "/flavors", {"name": name, "vcpus": vcpus, "memory_mib": memory_mib, "disk_gib": disk_gib})
    caller.must("POST", "/images", {"name": "debian", "arch": "x86_64", "format": "raw"})
    caller.must("PUT", "/images/debian/content", content=b"x" * 4096)
    reserved = {"vcpus": 0, "memory_mib": 0, "disk_gib": 0}
    caller.must("POST", "/pools", {"name": "general", "zone": "wuhan-a", "overcommit": {"vcpus": 1.0}, "reserved": reserved})
    caller.must("POST", "/endpoints", {"name": "fake", "driver": "fake", "uri": f"fake://{folder}/world?{SHAPE}", "pool": "general"})
    plenty = {"instances": 100, "vcpus": 1000, "memory_mib": 1_000_000, "disk_gib": 100_000}
    caller.must("PATCH", "/projects/hubei", {"policy": {"auto_approve": plenty}})
    caller.must("PUT", "/projects/hubei/limits", {"limits": [{"resource": "vcpus", "amount": ROOT_VCPUS}]})
    for path, vcpus in PROJECTS.items():
        parent, _, name = f"hubei/{path}".rpartition("/")
        policy = {"policy": {"auto_approve": {}}} if path == HELD else {}
        caller.must("POST", "/projects", {"name": name, "parent": parent, **policy})
        caller.must("PUT", f"/projects/hubei/{path}/limits", {"limits": [{"resource": "vcpus", "amount": vcpus}]})
    caller.must("POST", "/users", {"name": "approver"})
    caller.must("PUT", "/projects/hubei/roles", {"user": "approver", "role": "approver"})
    return str(caller.must("POST", "/users/approver/tokens", {"name": "chaos"})["token"])


# -- watching and killing --------------------------------------------------------------------------------------------------------


def _snapshot(database: Database) -> list[str]:
    """What is wrong in one commit's state."""
    with database.begin() as conn:
        sql.run(conn, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        return ledger.wrong(conn)


def _watch(database: Database, report: Report, ending: threading.Event) -> None:
    while not ending.wait(0.02):
        report.snapshots += 1
        for what in _snapshot(database):
            report.blame(f"snapshot {report.snapshots}: {what}")


def _kill_again_and_again(servers: Sequence[Server], pace_s: float, report: Report, dice: random.Random, ending: threading.Event) -> None:
    while not ending.wait(dice.uniform(0.4, 1.6) * pace_s):
        doomed = list(servers) if dice.random() < 0.2 else [dice.choice(servers)]
        for server in doomed:
            server.kill()
            report.kills += 1
        ending.wait(dice.uniform(0.0, 1.0))
        for server in doomed:
            server.start()


# -- the end ---------------------------------------------------------------------------------------------------------------------

_UNSETTLED = (
    "SELECT name, goal, state, condition, generation, observed_generation, attempts, reason::text AS reason FROM instances WHERE NOT"
    " (state = 'deleted' OR (observed_generation = generation AND (goal, state) IN (('running', 'active'), ('stopped', 'stopped'))))"
)


def _read(database: Database, query: str) -> list[dict[str, Any]]:
    return database.run(lambda conn: [dict(row) for row in sql.rows(conn, query)])


def _settle(database: Database, report: Report, timeout_s: float) -> None:
    """Wait until everything has come to its end."""
    until = time.monotonic() + timeout_s
    while left := _read(database, _UNSETTLED):
        if time.monotonic() > until:
            for row in left[:10]:
                report.blame(f"never came to its end: {row}")
            return
        time.sleep(0.2)


def _compare(database: Database, backend: World, shared: Shared) -> None:
    """Database, backend and what the clients were told agree."""
    report = shared.report
    rows = _read(
        database,
        "SELECT i.id, i.name, i.state, i.vcpus, i.memory_mib, i.build, i.generation, h.backend_name FROM instances i"
        " JOIN hosts h ON h.id = i.host_id WHERE i.state <> 'deleted'",
    )
    ours = {r["id"]: (r["state"] == "active", r["vcpus"], r["memory_mib"], r["build"], r["generation"], r["backend_name"]) for r in rows}
    theirs = {r.instance_id: (r.live, r.vcpus, r.memory_mib, r.build, r.generation, r.host) for r in backend.records().values()}
    for id_ in sorted(ours.keys() | theirs.keys()):
        if ours.get(id_) != theirs.get(id_):
            report.blame(f"instance {id_}: {ours.get(id_)} in the database, {theirs.get(id_)} in the backend")
    for what in backend.violations:
        report.blame(f"violation: {what}")
    keys = Counter(row["reason"] for row in _read(database, "SELECT reason FROM requests"))
    for key, count in keys.items():
        if count > 1:
            report.blame(f"key {key} made {count} requests")
    for key in keys.keys() ^ shared.taken.keys():
        report.blame(f"key {key}: {keys[key]} requests, {'accepted' if key in shared.taken else 'not accepted'} as the client knows")
    made: dict[str, set[str]] = {key: set() for key in shared.taken}
    for row in _read(database, "SELECT r.reason, i.id FROM instances i JOIN requests r ON r.id = i.request_id"):
        made.setdefault(row["reason"], set()).add(row["id"])
    for key, ids in shared.taken.items():
        if made[key] != set(ids):
            report.blame(f"key {key}: the client knows {ids}, the database {sorted(made[key])}")


def _delete_all(caller: Caller, database: Database, backend: World, report: Report) -> None:
    """What is asked to be gone leaves nothing."""
    for row in _read(database, "SELECT id FROM instances WHERE goal <> 'gone'"):
        caller.ask("DELETE", f"/instances/{row['id']}")
    _settle(database, report, 60)
    left = _read(database, "SELECT name, state FROM instances WHERE state <> 'deleted'")
    held = _read(database, "SELECT name FROM allocations")
    if left or held or backend.records():
        report.blame(f"left after deleting all: {len(left)} instances, {len(held)} allocations, {len(backend.records())} in the backend")


def _load(
    shared: Shared, database: Database, servers: Sequence[Server], pace_s: float, pairs: Sequence[tuple[Caller, Caller]], run: Run
) -> None:
    """Clients, watcher and killer side by side, until the clients have done what there is to do. `pace_s`: between two kills, about."""
    ending, left = threading.Event(), iter(range(run.operations))
    pause_s = run.seconds * run.clients / run.operations
    working = [threading.Thread(target=run_client, args=(*pair, shared, left, pause_s), name="client") for pair in pairs]
    dice = random.Random(run.seed)  # noqa: S311 - to be repeated, not to be secret
    about = [
        threading.Thread(target=_watch, args=(database, shared.report, ending), name="watcher"),
        threading.Thread(target=_kill_again_and_again, args=(servers, pace_s, shared.report, dice, ending), name="killer"),
    ]
    for thread in (*working, *about):
        thread.start()
    for thread in working:
        thread.join()
    ending.set()
    for thread in about:
        thread.join()


def soak(url: str, folder: Path, run: Run) -> Report:
    """The whole run, on an empty database and a folder of its own."""
    shared, began = Shared(Report()), time.monotonic()
    report = shared.report
    with _serving(url, folder) as (servers, token):
        dealer = random.Random(run.seed)  # noqa: S311

        def caller(token: str) -> Caller:
            return Caller([server.port for server in servers], token, report, random.Random(dealer.getrandbits(32)))  # noqa: S311

        admin, started = caller(token), time.monotonic()
        admin.must("GET", "/flavors")
        pace_s = max(PACE_S, 1.5 * (time.monotonic() - started))  # where starting takes longer than living, nobody ever answers
        approver = _set_up(admin, folder)
        database, backend = Database(url, 6), world(f"fake://{folder}/world")
        _load(shared, database, servers, pace_s, [(caller(token), caller(approver)) for _ in range(run.clients)], run)
        _settle(database, report, 60)
        report.wrong += _snapshot(database)
        _compare(database, backend, shared)
        _delete_all(admin, database, backend, report)
        report.wrong += _snapshot(database)
        admin.http.close()
        database.close()
        forget(f"fake://{folder}/world")
    report.seconds = time.monotonic() - began
    return report


def main() -> int:
    """The soak on a server of its own; exit code 1 where anything was wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.controller.chaos", description="Kill controllers while many clients ask.")
    parser.add_argument("--operations", type=int, default=5000)
    parser.add_argument("--clients", type=int, default=64)
    parser.add_argument("--seconds", type=float, help="about how long; by default 15 operations a second")
    parser.add_argument("--seed", type=int, default=1)
    given = parser.parse_args()
    folder = Path(tempfile.mkdtemp(prefix="chaos-", dir="/tmp"))  # a Unix socket's path must be short
    folder.chmod(0o755)
    try:
        run = Run(given.operations, given.clients, given.seconds or given.operations / 15, given.seed)
        report = soak(embedded.start(folder), folder, run)
    finally:
        embedded.stop(folder)
    print(f"{sum(report.operations.values())} operations {dict(report.operations)} in {report.seconds:.0f} s")
    print(f"answers {dict(report.answers)}; {report.kills} kills; {report.snapshots} snapshots")
    for what in report.wrong:
        print(f"WRONG: {what}")
    if report.wrong:
        print(f"logs and data are kept in {folder}")
    else:
        shutil.rmtree(folder, ignore_errors=True)
    return 1 if report.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
