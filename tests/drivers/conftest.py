"""Shared by all driver tests: the contract's assertions explain themselves as those of a test module do."""

import pytest

pytest.register_assert_rewrite("tests.drivers.contract", "tests.drivers.contract_changes", "tests.drivers.fake.backend")
