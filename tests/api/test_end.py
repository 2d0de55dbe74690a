"""A controller that is told to stop ends soon, whoever is still listening."""

from __future__ import annotations

import time
from pathlib import Path
from threading import Thread

import httpx2

from tests.api.server import controller, new_database


def test_a_controller_ends_soon_and_in_silence_while_events_are_followed(folder: Path, postgres: str) -> None:
    home = folder / "end"
    home.mkdir()
    told: list[str] = []
    with controller(home, new_database(postgres, "ending")) as cloud:
        mine = {"Authorization": f"Bearer {cloud.admin.token}", "Accept": "text/event-stream"}

        def follow() -> None:
            with httpx2.stream("GET", f"{cloud.url}/v1/events", headers=mine, timeout=30, trust_env=False) as answer:
                told.extend(answer.iter_lines())

        follower = Thread(target=follow)
        follower.start()
        cloud.admin.ask("POST /v1/users", {"name": "zhang"})
        time.sleep(1.5)
        began = time.monotonic()
    assert time.monotonic() - began < 4.5, "it waited for whoever follows events"
    follower.join(timeout=5)
    assert not follower.is_alive(), "the stream was not ended"
    assert [line for line in told if '"zhang"' in line], "the stream told what happened before it ended"
