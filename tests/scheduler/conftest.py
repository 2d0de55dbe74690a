"""Compiled code is made before the first test: else hypothesis takes the compiler's time for that of its examples."""

from __future__ import annotations

import pytest

from scheduler.warm import warm


@pytest.fixture(scope="session", autouse=True)
def _compiled() -> None:
    warm()
