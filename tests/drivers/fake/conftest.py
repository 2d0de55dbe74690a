"""A clock that stands still, and worlds made with it."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from drivers.base import InstanceSpec
from drivers.fake.driver import FakeDriver
from drivers.fake.world import World, forget, world
from tests.drivers.fake.backend import make_image, spec_maker


@dataclass
class Clock:
    """Time that passes when told to."""

    now: float = 1000.0

    def __call__(self) -> float:
        return self.now

    def pass_s(self, seconds: float) -> None:
        self.now += seconds


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def make_world(clock: Clock) -> Iterator[Callable[..., World]]:
    """`make_world(hosts=2, build_s=3)`: a world in memory on the test's clock."""
    made: list[str] = []

    def make(**knobs: object) -> World:
        uri = f"fake:{uuid.uuid4()}?" + "&".join(f"{key}={value}" for key, value in knobs.items())
        made.append(uri)
        return world(uri, clock=clock)

    yield make
    for uri in made:
        forget(uri)


@pytest.fixture
def connect() -> Callable[..., FakeDriver]:
    """A connection to a world, as `open_fake` makes it once it has found the world."""

    def connect(backend: World, owner: str = "us") -> FakeDriver:
        return FakeDriver(backend, owner)

    return connect


@pytest.fixture
def make_spec(tmp_path: Path) -> Callable[..., InstanceSpec]:
    return spec_maker(make_image(tmp_path))
