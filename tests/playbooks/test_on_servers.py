"""inspect.yml, provision.yml and wipe.yml by plain ansible-playbook on servers of the rack."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.metal import by_hand
from tests.lab.metal.server import Server
from tests.playbooks.conftest import Play
from tests.playbooks.played import tiny

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.mark.parametrize("boot_by", ["network", "cd"])
def test_a_server_is_inspected(play: Play, server: Server, boot_by: str) -> None:
    seen = play("inspect.yml", server, boot_by=boot_by)
    assert seen.status == 0, seen.output
    assert seen.result["uuid"] == server.uuid
    print(seen.output, seen.result)
    assert not server.on
