"""Tests of the controller's core: on real PostgreSQL, with the fake driver."""

import pytest

pytest.register_assert_rewrite("tests.controller.fixtures", "tests.controller.asking")

from tests.controller.fixtures import cloud, database, database_url, postgres, settings  # noqa: E402

__all__ = ["cloud", "database", "database_url", "postgres", "settings"]
