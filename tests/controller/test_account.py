"""The system account that PostgreSQL runs as, when controllers and tests start side by side on a bare machine."""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from controller.store.embedded import system_account

pytestmark = pytest.mark.real


@pytest.fixture
def name() -> Iterator[str]:
    made = f"chutian-test-{os.getpid() % 10_000}"
    yield made
    subprocess.run(["/usr/sbin/userdel", made], check=True, capture_output=True)


def uid_of(name: str) -> int:
    return system_account(name).pw_uid


def test_many_that_need_the_account_at_once_make_one_and_agree_on_it(name: str) -> None:
    with ProcessPoolExecutor(8, mp_context=get_context("spawn")) as pool:
        uids = set(pool.map(uid_of, [name] * 8))
    assert uids == {pwd.getpwnam(name).pw_uid}
