"""Two controllers that are killed again and again, many clients that ask again and again, and the sums that must hold at every moment.

`python -m tests.controller.chaos --operations 5000` is the full soak; `test_chaos.py` runs a short one. Enters: a database's URL, a folder, how much
to do. Leaves: a `Report`; `wrong` in it lists everything that should never have been, and is empty after a good run. Two `python -m controller
serve` share the database and one fake world in a directory; clients talk HTTP only; nobody writes SQL. What can be killed is killed
with SIGKILL, so that nothing is tidied up on the way.

Clients repeat what got no definite answer with the same Idempotency-Key, at whichever controller answers, as any sound client does. Each create carries
its key as the request's reason, so that the database itself can be asked what came of each key.
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
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import httpx2

from controller.store import embedded, sql
from controller.store.database import Database
from drivers.fake.world import World, forget, world
from tests.controller import ledger

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
FLAVORS = {"small": (1, 1024, 10), "wide": (3, 1024, 10), "large": (4, 4096, 40)}
PROJECTS = {"health": 30, "health/booking": 12, "health/records": 12, "education": 25, "transport": 15}  # vcpus at and below
ROOT_VCPUS = 60
HELD = "transport"  # every request there waits for an approver
GIVE_UP_S = 60.0  # one call, repeats included


@dataclass(slots=True)
class Report:
    """What happened, and what should not have."""

    operations: Counter[str] = field(default_factory=Counter)
    answers: Counter[str] = field(default_factory=Counter)
    kills: int = 0
    snapshots: int = 0
    seconds: float = 0.0
    wrong: list[str] = field(default_factory=list)

    def blame(self, what: str) -> None:
        """Note something that should never be; each sort of thing a few times only."""
        if len(self.wrong) < 50:
            self.wrong.append(what)


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


# -- calls -----------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Caller:
    """One client: asks any controller that answers, until the answer is definite."""

    servers: Sequence[Server]
    token: str
    report: Report
    dice: random.Random
    http: httpx2.Client = field(default_factory=lambda: httpx2.Client(timeout=20))

    def ask(self, method: str, path: str, body: Any = None, key: str | None = None, content: bytes | None = None) -> tuple[int, Any]:
        """Status and body. 503 and a broken connection are no answer; 500 is one that must not be."""
        headers = {"Authorization": f"Bearer {self.token}", **({"Idempotency-Key": key} if key else {})}
        until = time.monotonic() + GIVE_UP_S
        while time.monotonic() < until:
            server = self.dice.choice(self.servers)
            try:
                url = f"http://127.0.0.1:{server.port}/v1{path}"
                answer = self.http.request(method, url, headers=headers, json=body, content=content)
            except httpx2.TransportError:
                self.report.answers["broken off"] += 1
                time.sleep(self.dice.uniform(0.05, 0.4))
                continue
            found = answer.json() if answer.content else None
            self.report.answers[str(answer.status_code)] += 1
            if answer.status_code == 500:
                self.report.blame(f"{method} {path}: 500 {found}")
            elif answer.status_code != 503:
                return answer.status_code, found
            time.sleep(self.dice.uniform(0.05, 0.4))
        self.report.blame(f"{method} {path}: no definite answer within {GIVE_UP_S:.0f} s")
        return 0, None

    def must(self, method: str, path: str, body: Any = None, content: bytes | None = None) -> Any:
        """An answer of 2xx."""
        status, found = self.ask(method, path, body, content=content)
        assert 200 <= status < 300, (method, path, status, found)
        return found


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


# -- clients ---------------------------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Shared:
    """What all clients know together."""

    report: Report
    taken: dict[str, list[str]] = field(default_factory=dict)  # by key of an accepted create: its instances
    live: list[str] = field(default_factory=list)  # instances that nobody has asked to delete yet
    lock: threading.Lock = field(default_factory=threading.Lock)

    def pick(self, dice: random.Random) -> str | None:
        with self.lock:
            return dice.choice(self.live) if self.live else None


def _body(dice: random.Random, key: str, project: str) -> dict[str, Any]:
    return {"project": f"hubei/{project}", "flavor": dice.choice(sorted(FLAVORS)), "image": "debian", "reason": key}


def _create(caller: Caller, shared: Shared, _approver: Caller) -> None:
    key = f"c-{caller.dice.getrandbits(64):x}"
    body = _body(caller.dice, key, caller.dice.choice([path for path in PROJECTS if path != HELD]))
    status, found = caller.ask("POST", "/instances", body, key)
    if status == 201:
        with shared.lock:
            shared.taken[key] = [found["id"]]
            shared.live.append(found["id"])
        if caller.dice.random() < 0.3:
            again = caller.ask("POST", "/instances", body, key)
            if again != (201, found):
                shared.report.blame(f"key {key} was answered {found['id']} first and {again} when it was repeated")
    elif status not in (0, 409):
        shared.report.blame(f"create: {status} {found}")


def _apply(caller: Caller, shared: Shared, approver: Caller) -> None:
    """A request that waits, and its decision by somebody else."""
    key = f"r-{caller.dice.getrandbits(64):x}"
    one = _body(caller.dice, key, HELD)
    body = {name: one.pop(name) for name in ("project", "reason")} | {"items": [{**one, "count": caller.dice.randint(1, 3)}]}
    status, found = caller.ask("POST", "/requests", body, key)
    if status != 201:
        return
    with shared.lock:
        shared.taken[key] = []
    id_, approved = found["id"], caller.dice.random() < 0.6
    verb, reason = ("approve", {}) if approved else ("refuse", {"reason": "no"})
    status, found = approver.ask("POST", f"/requests/{id_}/{verb}", reason, key + "-decided")
    if status != 200:
        shared.report.blame(f"{verb}: {status} {found}")
    elif approved:
        with shared.lock:
            shared.taken[key] = list(found["instances"])
            shared.live += found["instances"]


def _change(caller: Caller, shared: Shared, _approver: Caller) -> None:
    id_ = shared.pick(caller.dice)
    if id_ is None:
        return
    verb = caller.dice.choice(["stop", "start", "reboot", "resize", "resize", "rebuild"])
    body = {"flavor": caller.dice.choice(sorted(FLAVORS))} if verb == "resize" else None
    status, found = caller.ask("POST", f"/instances/{id_}/{verb}", body, f"a-{caller.dice.getrandbits(64):x}")
    if status not in (0, 200, 400, 409):  # 400: a disk does not shrink
        shared.report.blame(f"{verb}: {status} {found}")


def _delete(caller: Caller, shared: Shared, _approver: Caller) -> None:
    id_ = shared.pick(caller.dice)
    if id_ is None:
        return
    status, found = caller.ask("DELETE", f"/instances/{id_}")
    if status != 202:
        shared.report.blame(f"delete: {status} {found}")
    with shared.lock:
        if id_ in shared.live:
            shared.live.remove(id_)


OPERATIONS: Mapping[Callable[[Caller, Shared, Caller], None], int] = {_create: 45, _apply: 8, _change: 30, _delete: 17}


def _client(caller: Caller, approver: Caller, shared: Shared, left: Iterator[int], pause_s: float) -> None:
    while True:
        with shared.lock:
            if next(left, None) is None:
                return
        time.sleep(caller.dice.uniform(0, 2 * pause_s))
        (operation,) = caller.dice.choices(list(OPERATIONS), list(OPERATIONS.values()))
        shared.report.operations[operation.__name__.strip("_")] += 1
        try:
            operation(caller, shared, approver)
        except Exception as error:  # noqa: BLE001 - a client that breaks is something wrong too
            shared.report.blame(f"client: {operation.__name__} {type(error).__name__} {error}")


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


def _kill_again_and_again(servers: Sequence[Server], report: Report, dice: random.Random, ending: threading.Event) -> None:
    while not ending.wait(dice.uniform(1.5, 6.0)):
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


def soak(url: str, folder: Path, operations: int, clients: int = 64, seconds: float = 40.0, seed: int = 1) -> Report:
    """The whole run. `seconds`: about how long the clients take, as far as their own pauses go."""
    report = Report()
    shared = Shared(report)
    began = time.monotonic()
    with _serving(url, folder) as (servers, token):
        dealer = random.Random(seed)  # noqa: S311 - to be repeated, not to be secret

        def caller(token: str) -> Caller:
            return Caller(servers, token, report, random.Random(dealer.getrandbits(32)))  # noqa: S311

        admin = caller(token)
        approver = _set_up(admin, folder)
        database, backend = Database(url, 6), world(f"fake://{folder}/world")
        ending, left = threading.Event(), iter(range(operations))
        pause_s = seconds * clients / operations
        working = [
            threading.Thread(target=_client, args=(caller(token), caller(approver), shared, left, pause_s), name=f"client-{number}")
            for number in range(clients)
        ]
        about = [
            threading.Thread(target=_watch, args=(database, report, ending), name="watcher"),
            threading.Thread(target=_kill_again_and_again, args=(servers, report, random.Random(seed), ending), name="killer"),  # noqa: S311
        ]
        for thread in (*working, *about):
            thread.start()
        for thread in working:
            thread.join()
        ending.set()
        for thread in about:
            thread.join()
        _settle(database, report, 60)
        report.wrong += _snapshot(database)
        _compare(database, backend, shared)
        _delete_all(admin, database, backend, report)
        report.wrong += _snapshot(database)
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
        report = soak(embedded.start(folder), folder, given.operations, given.clients, given.seconds or given.operations / 15, given.seed)
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
