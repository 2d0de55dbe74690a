"""What stands in for the controller: it believes nobody without the token, and makes a CD image for each attempt."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Iterator

import pytest

from tests.lab.metal.depot import Depot, personal

HOLE = b"chutian.arguments=".ljust(100, b".")
IMAGE = b"before APPEND initrd=initrd " + HOLE + b"\nbetween linux " + HOLE + b"\nafter"


@pytest.fixture
def depot() -> Iterator[Depot]:
    opened = Depot("127.0.0.1")
    yield opened
    opened.close()


def test_a_personal_image_differs_in_its_arguments_alone() -> None:
    made = personal(IMAGE, "chutian.url=http://a/b")
    given = b"chutian.url=http://a/b".ljust(100)
    assert made == b"before APPEND initrd=initrd " + given + b"\nbetween linux " + given + b"\nafter"


@pytest.mark.parametrize(("image", "arguments"), [(IMAGE, "x" * 101), (b"no room\n", "x")])
def test_an_image_without_room_is_refused(image: bytes, arguments: str) -> None:
    with pytest.raises(ValueError, match="no room"):
        personal(image, arguments)


def _tell(url: str, token: str) -> int:
    request = urllib.request.Request(f"{url}/alive", b'{"up_s": 3}', {"Authorization": f"Bearer {token}"})  # noqa: S310
    with urllib.request.urlopen(request, timeout=5) as answer:  # noqa: S310
        return int(answer.status)


def test_news_are_heard_with_the_token_of_their_attempt(depot: Depot) -> None:
    url = depot.expect("one", "right")
    with pytest.raises(urllib.error.HTTPError, match="403"):
        _tell(url, "wrong")
    with pytest.raises(TimeoutError):
        depot.wait("one", "alive", within_s=0.05)
    assert _tell(url, "right") == 204
    assert depot.wait("one", "alive", within_s=1) == {"up_s": 3}


def test_a_machine_without_orders_starts_from_its_disk(depot: Depot) -> None:
    with urllib.request.urlopen(f"{depot.url}/boot/52-54-00-77-01-01", timeout=5) as answer:  # noqa: S310
        assert answer.read().startswith(b"#!ipxe\n")
