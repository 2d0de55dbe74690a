"""The database's schema: made from nothing, refused where this code doesn't know it, and strict about facts."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from controller.errors import Unavailable
from controller.messages import render
from controller.store import schema
from controller.store.database import Database
from tests.controller.fixtures import of_database


@pytest.fixture
def empty_url(postgres: str) -> Iterator[str]:
    """The URL of a database without any table."""
    name = f"empty{os.getpid()}"
    with psycopg.connect(postgres, autocommit=True) as conn:
        conn.execute(f"CREATE DATABASE {name}".encode())
        yield of_database(postgres, name)
        conn.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


@pytest.fixture
def empty(empty_url: str) -> Iterator[Database]:
    """Connections to it."""
    opened = Database(empty_url, 6)
    yield opened
    opened.close()


def chutian(verb: str, url: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run one of the controller's commands to its end."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith(("CHUTIAN_", "LC_", "LANG"))}
    environment |= {"CHUTIAN_DATA_DIR": str(folder), "CHUTIAN_DATABASE_URL": url, "CHUTIAN_TLS": "off", "CHUTIAN_LISTEN": "127.0.0.1:0"}
    return subprocess.run(
        [sys.executable, "-m", "controller", verb], env=environment, capture_output=True, text=True, timeout=60, check=False
    )


def stamp(url: str, revision: str) -> None:
    with psycopg.connect(url) as conn:
        conn.execute("UPDATE alembic_version SET version_num = %s", [revision])


def test_an_empty_database_is_migrated_and_a_second_run_finds_nothing_to_do(empty_url: str, tmp_path: Path) -> None:
    first = chutian("migrate", empty_url, tmp_path)
    assert (first.returncode, first.stdout) == (0, f"schema empty -> {schema.known()}\n"), first.stderr
    again = chutian("migrate", empty_url, tmp_path)
    assert (again.returncode, again.stdout) == (0, f"schema {schema.known()}: up to date\n"), again.stderr


def test_serving_an_empty_or_old_schema_is_refused_and_says_what_to_run(empty: Database, empty_url: str, tmp_path: Path) -> None:
    with pytest.raises(Unavailable) as refusal:
        empty.run(schema.check)
    assert refusal.value.text == "schema_old"
    assert "chutian migrate" in render(refusal.value.text, refusal.value.params, "en")
    served = chutian("serve", empty_url, tmp_path)
    assert served.returncode == 1
    assert "chutian migrate" in served.stderr
    assert "Traceback" not in served.stderr


def test_serving_a_schema_that_a_newer_controller_made_is_refused(empty: Database, empty_url: str, tmp_path: Path) -> None:
    empty.run(schema.migrate)
    stamp(empty_url, "9999")
    with pytest.raises(Unavailable) as refusal:
        empty.run(schema.check)
    assert (refusal.value.text, refusal.value.params["have"]) == ("schema_unknown", "9999")
    for verb in ("serve", "migrate", "bootstrap"):
        done = chutian(verb, empty_url, tmp_path)
        assert done.returncode == 1, f"{verb}: {done.stderr}"
        assert "9999" in done.stderr
        assert "newer controller" in done.stderr, f"{verb} doesn't say what to run: {done.stderr}"
        assert "Traceback" not in done.stderr, f"{verb} broke: {done.stderr}"


def test_a_migrated_schema_is_served(database: Database) -> None:
    database.run(schema.check)
    assert database.run(schema.current) == schema.known()


def test_two_migrations_at_once_make_one_schema(empty_url: str) -> None:
    pools = [Database(empty_url, 6) for _ in range(2)]
    with ThreadPoolExecutor(2) as threads:
        found = list(threads.map(lambda pool: pool.run(schema.migrate), pools))
    assert sorted(found, key=str) == sorted([(None, schema.known()), (schema.known(), schema.known())], key=str)
    pools[0].run(schema.check)
    for pool in pools:
        pool.close()


def test_a_migration_that_breaks_leaves_the_database_as_it_was(empty: Database, empty_url: str) -> None:
    with psycopg.connect(empty_url) as conn:
        conn.execute("CREATE TABLE hosts (mine int)")
    with pytest.raises(Exception, match="hosts"):
        empty.run(schema.migrate)
    with psycopg.connect(empty_url) as conn:
        tables = conn.execute("SELECT table_name FROM information_schema.tables WHERE table_schema = 'public'").fetchall()
    assert tables == [("hosts",)]


@pytest.mark.parametrize(
    "change", ["UPDATE events SET actor = 'nobody'", "DELETE FROM events", "TRUNCATE events", "DELETE FROM events WHERE false"]
)
def test_an_event_can_not_be_changed_or_taken_away(database_url: str, change: str) -> None:
    with psycopg.connect(database_url, autocommit=True) as conn:
        conn.execute(
            "INSERT INTO events (kind, object_kind, object_id, object_name, actor)"
            " VALUES ('user.created', 'user', gen_random_uuid(), 'zhang', 'admin')"
        )
        with pytest.raises(psycopg.errors.RaiseException, match="events are facts"):
            conn.execute(change.encode())
        assert conn.execute("SELECT actor FROM events").fetchall() == [("admin",)]


def test_every_cloud_has_an_owner_of_its_own_and_one_alone(database_url: str, empty: Database, empty_url: str) -> None:
    empty.run(schema.migrate)
    owners = []
    for url in (database_url, empty_url):
        with psycopg.connect(url, autocommit=True) as conn:
            owners += conn.execute("SELECT owner FROM cloud").fetchall()
            with pytest.raises(psycopg.errors.UniqueViolation):
                conn.execute("INSERT INTO cloud (owner) VALUES (gen_random_uuid())")
    assert owners[0] != owners[1]


HELD = """
CREATE FUNCTION pg_temp.id(n int) RETURNS uuid LANGUAGE sql AS $$ SELECT lpad(n::text, 32, '0')::uuid $$;
INSERT INTO projects (id, name, path, ancestors) VALUES (pg_temp.id(1), 'hubei', 'hubei', ARRAY[pg_temp.id(1)]);
INSERT INTO users (id, name) VALUES (pg_temp.id(2), 'zhang');
INSERT INTO pools (id, name, zone, overcommit, reserved) VALUES (pg_temp.id(3), 'p', 'z', '{}', '{}');
INSERT INTO endpoints (id, name, driver, uri, pool_id, state) VALUES (pg_temp.id(4), 'e', 'fake', 'fake:e', pg_temp.id(3), 'connected');
INSERT INTO hosts (id, name, backend_name, endpoint_id, pool_id, arch, kinds, traits, inventory, vcpus, memory_mib, disk_gib, gpus, state)
VALUES (pg_temp.id(5), 'h', 'h', pg_temp.id(4), pg_temp.id(3), 'x86_64', '{vm}', '{}', '{}', 4, 4, 4, 0, 'up');
INSERT INTO requests (id, project_id, created_by, state, items) VALUES (pg_temp.id(6), pg_temp.id(1), pg_temp.id(2), 'pending', '[]');
INSERT INTO allocations (id, project_id, host_id, request_id, item, name, kind, vcpus, memory_mib, disk_gib, gpus)
VALUES (pg_temp.id(7), pg_temp.id(1), pg_temp.id(5), pg_temp.id(6), 0, 'old', 'vm', 4, 4, 4, 0);
"""
HEIR = """
INSERT INTO allocations (id, project_id, host_id, request_id, item, name, kind, vcpus, memory_mib, disk_gib, gpus, after)
SELECT pg_temp.id(8), project_id, host_id, request_id, item, 'heir', kind, 3, 4, 4, 0, id FROM allocations
"""


def test_what_an_older_schema_counted_is_counted_on(empty: Database, empty_url: str) -> None:
    """What was held before places could be promised frees its host; an heir that came after it is put there by that."""
    empty.run(lambda conn: schema.migrate(conn, "0007"))
    with psycopg.connect(empty_url, autocommit=True) as conn:
        conn.execute(HELD)

        def sums() -> list[tuple[int, ...]]:
            return conn.execute("SELECT h.used_vcpus, h.used_instances, u.held_vcpus, u.held_instances FROM hosts h, usage u").fetchall()

        assert sums() == [(4, 1, 4, 1)]
        empty.run(schema.migrate)
        conn.execute(HEIR)
        assert sums() == [(4, 1, 7, 2)]
        conn.execute("DELETE FROM allocations WHERE after IS NULL")
        assert sums() == [(3, 1, 3, 1)]
        assert conn.execute("SELECT name, after FROM allocations").fetchall() == [("heir", None)]
        conn.execute("DELETE FROM allocations")
        assert sums() == [(0, 0, 0, 0)]


BEFORE_DEVICES = """
INSERT INTO projects (id, name, path, ancestors) VALUES ('{0}1', 'p', 'p', ARRAY['{0}1'::uuid]);
INSERT INTO users (id, name) VALUES ('{0}2', 'u');
INSERT INTO pools (id, name, zone, overcommit, reserved) VALUES ('{0}3', 'pool', 'z', '{{}}', '{{}}');
INSERT INTO endpoints (id, name, driver, uri, pool_id, state) VALUES ('{0}4', 'e', 'fake', 'fake:e', '{0}3', 'connected');
INSERT INTO hosts (id, name, backend_name, endpoint_id, pool_id, arch, kinds, traits, inventory, vcpus, memory_mib, disk_gib, gpus, state)
VALUES ('{0}5', 'h', 'h', '{0}4', '{0}3', 'x86_64', '{{vm}}', '{{}}', '{{}}', 8, 8, 8, 4, 'up'),
       ('{0}6', 'i', 'i', '{0}4', '{0}3', 'x86_64', '{{vm}}', '{{}}', '{{}}', 8, 8, 8, 0, 'up');
INSERT INTO requests (id, project_id, created_by, state, items) VALUES ('{0}7', '{0}1', '{0}2', 'pending', '[]');
INSERT INTO allocations (id, project_id, host_id, request_id, item, name, kind, vcpus, memory_mib, disk_gib, gpus, after)
VALUES ('{0}a', '{0}1', '{0}5', '{0}7', 0, 'a', 'vm', 1, 1, 1, 2, NULL), ('{0}b', '{0}1', '{0}5', '{0}7', 0, 'b', 'vm', 1, 1, 1, 0, NULL),
       ('{0}c', '{0}1', '{0}5', '{0}7', 0, 'c', 'vm', 1, 1, 1, 1, NULL), ('{0}d', '{0}1', '{0}5', '{0}7', 0, 'd', 'vm', 1, 1, 1, 2, '{0}a');
""".format("00000000-0000-0000-0000-00000000000")


def test_gpus_that_were_counted_get_places_when_the_ledger_learns_which_they_are(empty: Database, empty_url: str) -> None:
    empty.run(lambda conn: schema.migrate(conn, "0010"))
    with psycopg.connect(empty_url) as conn:
        conn.execute(BEFORE_DEVICES.encode())
    empty.run(schema.migrate)
    with psycopg.connect(empty_url) as conn:
        held = dict(conn.execute("SELECT name, held_gpus FROM allocations").fetchall())
        assert held == {"a": [1000, 1000], "b": [], "c": [0, 0, 1000], "d": [1000, 1000]}, "who is promised a place has that one"
        hosts = "SELECT name, jsonb_array_length(devices), used_devices, used_gpus::float FROM hosts ORDER BY name"
        assert conn.execute(hosts).fetchall() == [("h", 4, [1000, 1000, 1000], 3.0), ("i", 0, [], 0.0)]
        sums = "SELECT gpus::float, held_gpus::float FROM usage"
        assert conn.execute(sums).fetchall() == [(0.0, 5.0)]
        conn.execute("DELETE FROM allocations WHERE name = 'a'")
        assert conn.execute(hosts).fetchall()[0] == ("h", 4, [1000, 1000, 1000], 3.0), "the heir is there now"
        conn.execute("DELETE FROM allocations")
        assert conn.execute(hosts).fetchall()[0] == ("h", 4, [0, 0, 0], 0.0)
        assert conn.execute(sums).fetchall() == [(0.0, 0.0)]
