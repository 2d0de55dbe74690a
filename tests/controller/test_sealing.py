"""Secrets at rest: what is sealed opens for its owner alone, and the database holds nothing in clear."""

from __future__ import annotations

import stat
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import pytest
from hypothesis import given
from hypothesis import strategies as st

from controller import sealing
from controller.actions import keys
from controller.errors import Unavailable
from controller.reconcile import instance_pass
from controller.store import instances, sql
from drivers.base import Driver, InstanceSpec, Observation
from tests.controller.asking import create, row_of
from tests.controller.fixtures import Cloud
from tests.controller.stepping import Stepper

USER_DATA = "#cloud-config\npassword: 楚天-correct-horse\nruncmd: ['echo \"<x>&amp;\" $(id)']\n]]> %s {name} \\ \u2028\r\n"


def seal(first: str = "a", *others: str) -> sealing.Seal:
    return sealing.Seal(first, {name: name.encode() * 16 for name in (first, *others)})


@given(text=st.text(max_size=300), context=st.text(max_size=40))
def test_what_is_sealed_opens_again_and_never_looks_the_same_twice(text: str, context: str) -> None:
    token = seal().close(text, context)
    assert seal().open(token, context) == text
    assert seal().close(text, context) != token


@given(place=st.integers(0, 400), bit=st.integers(0, 7))
def test_a_token_changed_anywhere_does_not_open(place: int, bit: int) -> None:
    token = bytearray(seal().close(USER_DATA, "one").encode())
    token[place % len(token)] ^= 1 << bit
    with pytest.raises(sealing.Broken):
        seal().open(token.decode("latin-1"), "one")


def test_a_token_does_not_open_for_something_else_nor_without_its_key() -> None:
    token = seal().close(USER_DATA, "one")
    for wrong, context in ((seal(), "two"), (seal("b"), "one")):
        with pytest.raises(sealing.Broken):
            wrong.open(token, context)


def test_an_older_key_goes_on_opening() -> None:
    assert seal("b", "a").open(seal("a").close(USER_DATA, "one"), "one") == USER_DATA


def test_the_key_file_is_made_once_for_its_owner_alone(tmp_path: Path) -> None:
    path = tmp_path / "keys" / "seal.keys"
    made = sealing.load(path)
    assert sealing.load(path) == made
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert [entry.name for entry in path.parent.iterdir()] == ["seal.keys"]


@pytest.mark.parametrize("content", ["", "# nothing\n", "a 00\n", "a b c\n", "a-b " + "0" * 32, "名 " + "0" * 32])
def test_a_file_of_something_else_is_refused(tmp_path: Path, content: str) -> None:
    path = tmp_path / "seal.keys"
    path.write_text(content)
    with pytest.raises(Unavailable):
        sealing.load(path)


def test_a_controller_with_other_keys_does_not_start(cloud: Cloud) -> None:
    cloud.run(lambda conn: keys.check(conn, seal("a")))
    cloud.run(lambda conn: keys.check(conn, seal("b", "a")))
    with pytest.raises(Unavailable) as refused:
        cloud.run(lambda conn: keys.check(conn, seal("b")))
    assert refused.value.text == "seal_keys_others"


@dataclass(frozen=True, slots=True)
class Noting:
    """A driver that notes the user data it was handed."""

    inner: Driver
    handed: list[str]

    def observe(self, instance_id: str) -> Observation:
        return self.inner.observe(instance_id)

    def ensure(self, spec: InstanceSpec) -> None:
        self.handed.append(spec.user_data)
        self.inner.ensure(spec)


def test_user_data_reaches_the_driver_and_stands_nowhere_in_the_database(cloud: Cloud) -> None:
    create(cloud, name="web", user_data=USER_DATA, key="k")
    handed: list[str] = []
    (row,) = cloud.run(lambda conn: instances.pick(conn, 1.0, [], 9))
    driver = cast(Driver, Noting(cloud.connections().driver(row["endpoint"]), handed))
    instance_pass.run(lambda: driver, row, cloud.settings, sealing.load(cloud.settings.seal_path))
    assert handed == [USER_DATA]
    for table in ("requests", "instances", "answers", "events", "allocations"):
        rows = cloud.rows(f"SELECT CAST(t AS text) AS whole FROM {table} t")  # noqa: S608
        assert "correct-horse" not in str(rows)
        assert rows


def test_user_data_that_does_not_open_is_said_and_nothing_is_built(cloud: Cloud) -> None:
    (id_,) = create(cloud, user_data=USER_DATA)
    cloud.run(lambda conn: sql.run(conn, "UPDATE instances SET user_data = 'sm4gcm.gone.AAAA'"))
    Stepper(cloud).settle()
    row = row_of(cloud, id_)
    assert (row["state"], row["reason"]["code"], row["condition"]) == ("error", "user_data_sealed", "absent")
