"""One real controller process on a real PostgreSQL, for all tests of the API, spoken to over HTTP alone."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

pytest.register_assert_rewrite("tests.api.outside", "tests.api.server")

from controller.store import embedded  # noqa: E402
from tests.api.outside import PLENTY, Caller, Cloud, Department  # noqa: E402
from tests.api.server import MIB, controller, furnish, new_database  # noqa: E402


@pytest.fixture(scope="session")
def folder() -> Iterator[Path]:
    """A short path: a Unix socket lives below it."""
    made = Path(tempfile.mkdtemp(prefix="ct-api-", dir="/tmp"))
    made.chmod(0o755)
    yield made
    shutil.rmtree(made, ignore_errors=True)


@pytest.fixture(scope="session")
def postgres(folder: Path) -> Iterator[str]:
    """The URL of a PostgreSQL server of our own."""
    yield embedded.start(folder)
    embedded.stop(folder)


@pytest.fixture(scope="session")
def cloud(folder: Path, postgres: str) -> Iterator[Cloud]:
    """The controller with an administrator, a pool of four hosts, three sizes and one image."""
    home = folder / "cloud"
    home.mkdir()
    with controller(home, new_database(postgres, "cloud"), observe_interval_s=1.0, max_image_bytes=4 * MIB) as cloud:
        furnish(cloud, "general", "debian", {"tiny": (1, 512, 1), "small": (2, 2048, 10), "large": (8, 16384, 40)})
        yield cloud


@pytest.fixture
def department(cloud: Cloud) -> Department:
    """A department whose requests wait for an approver."""
    return cloud.department()


@pytest.fixture
def free_department(cloud: Cloud) -> Department:
    """A department whose requests are approved at once."""
    return cloud.department(PLENTY)


@pytest.fixture
def operator(cloud: Cloud) -> Iterator[Caller]:
    """Who looks after the fleet. The hosts of pools that he made take nothing afterwards: other tests are not to land on them."""
    made = cloud.user((cloud.root, "operator"))
    pools = {pool["name"] for pool in made.ask("GET /v1/pools", limit=500)["items"]}
    yield made
    for pool in {pool["name"] for pool in made.ask("GET /v1/pools", limit=500)["items"]} - pools:
        for host in made.ask("GET /v1/hosts", pool=pool, limit=500)["items"]:
            made.ask(f"POST /v1/hosts/{host['name']}/cordon")
