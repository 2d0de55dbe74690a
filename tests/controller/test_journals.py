"""Journals of machines in the database: two controllers, one record; evidence that nobody changes."""

from __future__ import annotations

import threading
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import pytest
from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from controller import signing
from controller.actions import fleet as actions
from controller.actions.env import fresh_id
from controller.actions.people import token_hash
from controller.journals import DatabaseJournal
from controller.sealing import Seal
from controller.store import fleet, machines, people, sql
from controller.store.sql import Row
from controller.wiring import check_or_migrate
from drivers.bare_metal.record import Record, Step, Work, to_tend
from drivers.base import HostInventory, Inventory, Reason
from tests.controller.fixtures import Cloud

SEAL = Seal("a", {"a": bytes(16)})


@pytest.fixture
def endpoint(cloud: Cloud) -> str:
    return str(cloud.run(lambda conn: sql.scalar(conn, "SELECT id FROM endpoints LIMIT 1")))


@pytest.fixture
def journal(cloud: Cloud, endpoint: str) -> DatabaseJournal:
    return DatabaseJournal(cloud.database, SEAL, endpoint)


def work(run_id: str) -> dict[str, Any]:
    return {"work": {"run_id": run_id, "step": "inspect"}}


def run(state: str, run_id: str, **more: Any) -> Mapping[str, Any]:
    return {"id": run_id, "step": "inspect", "playbook": "inspect.yml", "state": state, **more}


def test_a_document_is_written_by_who_saw_the_newest_alone(journal: DatabaseJournal) -> None:
    assert (journal.read().document, journal.read().version) == ({}, 0)
    assert journal.write({"a": 1}, 0, None)
    assert not journal.write({"a": 2}, 0, None)
    first = journal.read()
    assert journal.write({"a": 3}, first.version, None)
    assert not journal.write({"a": 4}, first.version, None)
    assert journal.read().document == {"a": 3}


def test_a_host_is_closed_in_the_moment_in_which_its_document_says_so(cloud: Cloud, endpoint: str, journal: DatabaseJournal) -> None:
    def hosts(conn: Connection) -> Any:
        return fleet.hosts_of(conn, endpoint)

    def told() -> list[Any]:
        return [host["closed"] for host in cloud.run(hosts)]

    free = told()
    assert not journal.write({"a": 1}, 7, Reason("machine_wiping"))
    assert told() == free, "another was quicker"
    assert journal.write({"a": 1}, 0, Reason("machine_wiping"))
    assert all(closed["code"] == "machine_wiping" for closed in told())
    assert journal.write({"a": 2}, 1, None)
    assert told() == [None] * len(free)


def test_a_look_that_began_before_its_document_was_written_changes_nothing(cloud: Cloud, endpoint: str, journal: DatabaseJournal) -> None:
    def hosts() -> Sequence[Row]:
        return cloud.run(lambda conn: fleet.hosts_of(conn, endpoint))

    def look(seen: Inventory) -> None:
        row = cloud.run(lambda conn: fleet.endpoint(conn, endpoint))
        cloud.run(lambda conn: actions.discover(conn, cloud.env.new_id, row, seen))

    (name, *_) = (host["backend_name"] for host in hosts())
    older = Inventory((HostInventory(name, "x86_64", 8, 16384, 200),))
    assert journal.write({"a": 1}, 0, Reason("machine_wiping"))
    before = hosts()
    look(older)
    assert hosts() == before
    look(replace(older, version=1))
    now = {host["backend_name"]: host for host in hosts()}
    assert (now[name]["closed"], now[name]["inventory"]["vcpus"]) == (None, 8)


def test_what_a_host_has_is_known_in_the_moment_in_which_its_document_says_so(
    cloud: Cloud, endpoint: str, journal: DatabaseJournal
) -> None:
    def host() -> Row:
        return cloud.run(lambda conn: fleet.hosts_of(conn, endpoint))[0]

    before = host()
    found = HostInventory(before["backend_name"], "aarch64", 48, 65536, 900)
    assert not journal.write({"a": 1}, 7, None, found)
    assert host() == before, "another was quicker"
    assert journal.write({"a": 1}, 0, None, found)
    assert (host()["arch"], host()["inventory"]["vcpus"], host()["closed"]) == ("aarch64", 48, None)
    cloud.run(lambda conn: fleet.retire_endpoint(conn, endpoint))
    assert journal.write({"a": 2}, 1, None, replace(found, vcpus=4))
    assert host()["inventory"]["vcpus"] == 48, "of what is no longer in our care nothing is learned"


def test_of_many_that_begin_at_once_one_does(cloud: Cloud, endpoint: str) -> None:
    won: list[int] = []

    def begin(number: int) -> None:
        if DatabaseJournal(cloud.database, SEAL, endpoint).write({"number": number}, 0, None):
            won.append(number)

    threads = [threading.Thread(target=begin, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(won) == 1
    assert DatabaseJournal(cloud.database, SEAL, endpoint).read().document == {"number": won[0]}


def test_a_run_is_confirmed_as_long_as_it_is_the_one_on_record(cloud: Cloud, journal: DatabaseJournal) -> None:
    assert journal.confirm("run-1", {}) is None
    journal.write(work("run-1"), 0, None)
    cloud.run(lambda conn: sql.run(conn, "UPDATE machines SET confirmed_at = now() - interval '1 hour'"))
    assert journal.read().age_s > 3599
    assert journal.confirm("run-1", {"percent": 7}) == work("run-1")
    entry = journal.read()
    assert entry.age_s < 60
    assert entry.progress == {"percent": 7}
    journal.write(work("run-2"), entry.version, None)
    assert journal.confirm("run-1", {}) is None
    assert journal.read().progress == {}, "of the run before"


def test_only_the_run_on_record_is_cancelled_and_who_looked_before_writes_over_it_no_more(
    cloud: Cloud, endpoint: str, journal: DatabaseJournal
) -> None:
    journal.write(work("run-1"), 0, None)
    before = journal.read()
    assert not cloud.run(lambda conn: machines.cancel(conn, endpoint, "run-2"))
    assert journal.read().document == work("run-1")
    assert cloud.run(lambda conn: machines.cancel(conn, endpoint, "run-1"))
    assert journal.confirm("run-1", {}) == {"work": {**work("run-1")["work"], "cancelled": True}}
    assert not journal.write(work("run-3"), before.version, None)


def test_a_machine_that_a_restored_database_calls_nobodys_is_in_quarantine_and_left_alone(
    cloud: Cloud, endpoint: str, journal: DatabaseJournal, somebody: str
) -> None:
    kept = Record({"cpus": 4}, work=Work("run-1", Step.WIPE), served={"wipe": 1})
    assert journal.write(kept.document, 0, None)
    for what in ("wipe", "inspect"):
        cloud.run(lambda conn, what=what: machines.ask(conn, endpoint, what, somebody))
    check_or_migrate(cloud.database, cloud.settings)
    assert Record.of(journal.read().document) == kept, "it is no other server"
    far = "INSERT INTO events (xid, kind, object_kind, object_id, object_name, actor) VALUES (:xid, 'x', 'host', :id, 'h', 'test')"
    cloud.run(lambda conn: sql.run(conn, far, xid=10**13, id=fresh_id()))
    check_or_migrate(cloud.database, cloud.settings)
    entry = journal.read()
    held = Record.of(entry.document)
    assert (held.quarantine, held.work, held.inspection) == (Reason("database_restored"), None, {"cpus": 4})
    assert to_tend(held, entry.asked, float("inf")) == (None, held), "nothing is begun there that was asked before"
    closed = [host["closed"] for host in cloud.run(lambda conn: fleet.hosts_of(conn, endpoint)) if host["closed"]]
    assert [one["params"]["why"] for one in closed] == ["database_restored"], "a machine is one host"


@pytest.fixture
def somebody(cloud: Cloud) -> str:
    return str(cloud.run(lambda conn: sql.scalar(conn, "SELECT id FROM users LIMIT 1")))


def test_what_operators_ask_for_is_counted_beside_the_document(
    cloud: Cloud, endpoint: str, journal: DatabaseJournal, somebody: str
) -> None:
    for what in ("inspect", "wipe", "inspect"):
        cloud.run(lambda conn, what=what: machines.ask(conn, endpoint, what, somebody))
    assert journal.read().asked == {"inspect": 2, "wipe": 1}
    assert journal.write({"a": 1}, 0, None)
    cloud.run(lambda conn: machines.ask(conn, endpoint, "wipe", somebody))
    assert (journal.read().asked, journal.read().document) == ({"inspect": 2, "wipe": 2}, {"a": 1})


def test_a_run_is_written_until_it_has_ended_and_told_of_once(cloud: Cloud, endpoint: str, journal: DatabaseJournal) -> None:
    id_ = fresh_id()
    journal.keep_run(run("waiting", id_))
    journal.keep_run(run("running", id_, digest="d", tasks=[{"name": "Look"}]))
    for _ in range(2):
        journal.keep_run(run("failed", id_, reason={"code": "ramdisk_silent", "params": {"seconds": 9}}))
    journal.keep_run(run("interrupted", id_))
    kept = cloud.run(lambda conn: machines.run(conn, id_))
    assert kept is not None
    assert (kept["state"], kept["digest"], kept["tasks"], kept["reason"]["code"]) == ("failed", "d", [{"name": "Look"}], "ramdisk_silent")
    hosts = {host["id"] for host in cloud.run(lambda conn: fleet.hosts_of(conn, endpoint))}
    told = cloud.run(lambda conn: sql.rows(conn, "SELECT object_id, params FROM events WHERE kind = 'run.failed'"))
    assert {fact["object_id"] for fact in told} == hosts
    assert len(told) == len(hosts)
    with pytest.raises(DBAPIError, match="facts"):
        cloud.run(lambda conn: sql.run(conn, "UPDATE runs SET state = 'done'"))


def test_certificates_are_signed_kept_once_and_never_changed(cloud: Cloud, journal: DatabaseJournal) -> None:
    run_id, id_ = fresh_id(), fresh_id()
    journal.keep_run(run("done", run_id))
    document = {"disk": {"serial": "磁盘-1"}, "method": "discard", "verified": True}
    made = {"id": id_, "run_id": run_id, "instance_id": None, "project_id": None, "disk_serial": "磁盘-1", "document": document}
    for _ in range(2):
        journal.keep_certificate(made)
    kept = cloud.run(lambda conn: machines.certificate(conn, id_))
    keys = cloud.run(lambda conn: machines.keys(conn, "signing"))
    assert kept is not None
    assert keys is not None
    sealed, verify_key = keys
    assert signing.verified(kept["document"], kept["signature"], verify_key)
    assert not signing.verified({**document, "method": "ends"}, kept["signature"], verify_key)
    assert not signing.verified(document, "AAAA", verify_key)
    assert sealed.startswith("sm4gcm."), "in clear in the database"
    for statement in ("UPDATE certificates SET signature = ''", "DELETE FROM certificates", "TRUNCATE certificates"):
        with pytest.raises(DBAPIError, match="facts"):
            cloud.run(lambda conn, statement=statement: sql.run(conn, statement))


def test_a_ticket_opens_the_api_as_who_asked_until_its_run_has_ended(
    cloud: Cloud, endpoint: str, journal: DatabaseJournal, somebody: str
) -> None:
    def opens(token: str) -> str | None:
        found = cloud.run(lambda conn: people.identity(conn, token_hash(token)))
        return found.user_id if found else None

    assert journal.open_ticket(fresh_id(), 60, asked="patch_host") == "", "nobody asked"
    cloud.run(lambda conn: machines.ask(conn, endpoint, "patch_host", somebody))
    runs = [fresh_id() for _ in range(3)]
    first, second, short = (journal.open_ticket(id_, lasts_s, asked="patch_host") for id_, lasts_s in zip(runs, (60, 60, 0), strict=True))
    assert [opens(token) for token in (first, second, short)] == [somebody, somebody, None]
    journal.keep_run(run("running", runs[0]))
    assert opens(first) == somebody
    for state in ("failed", "done"):
        journal.keep_run(run(state, runs[0]))
    assert [opens(first), opens(second)] == [None, somebody]


def test_all_controllers_log_in_with_one_key_that_the_database_has_sealed(cloud: Cloud, endpoint: str, journal: DatabaseJournal) -> None:
    keys = {DatabaseJournal(cloud.database, SEAL, endpoint).login_key(), journal.login_key()}
    assert len(keys) == 1
    (key,) = keys
    assert key.public.startswith("ssh-ed25519 ")
    assert "PRIVATE" not in repr(key)
    kept = cloud.run(lambda conn: machines.keys(conn, "login"))
    assert kept is not None
    assert kept[0].startswith("sm4gcm.")
