"""A real server whose controller, or whose run, is killed between any two tasks: it reaches its goal, and never two runs work on it."""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from controller.store import embedded
from tests.api.outside import Caller, Cloud
from tests.api.server import ROOT, free_port
from tests.lab.metal import shared
from tests.stories import hall as halls
from tests.stories.hall import Hall, host_of
from tests.stories.killing import ANSIBLE, CONTROLLER, MOST, SUPERVISOR, Kills, Tale, Watch, nothing_is_left
from tests.stories.serving import Serving

pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def tale() -> Iterator[Tale]:
    rig, folder = shared.shared_rig(), halls.place()
    listen = f"{rig.outside}:{free_port()}"
    halls.stock(folder / "data", rig, listen)
    url = embedded.start(folder)
    serving = Serving(folder, url, CHUTIAN_DEPOT_LISTEN=listen, CHUTIAN_OBSERVE_INTERVAL_S="1.0")
    try:
        serving.start()
        admin = serving.admin
        cloud = Cloud("", ROOT, admin, Caller(admin.http), url, folder / "data", serving.log)
        yield Tale(serving, Hall(cloud, rig), rig.servers[0])
    finally:
        serving.end()
        embedded.stop(folder)
        rig.servers[0].renew()
        shutil.rmtree(folder, ignore_errors=True)


def test_whatever_is_killed_a_server_reaches_its_goal(tale: Tale, tmp_path: Path) -> None:
    kills = {
        "inspect": [(SUPERVISOR, 5)],
        "provision": [(CONTROLLER, 0), (ANSIBLE, 3), (CONTROLLER, 7), (SUPERVISOR, 12)],
        "wipe": [(CONTROLLER, 6)],
    }
    assert _lived(tale, tmp_path, kills) == {step: len(planned) for step, planned in kills.items()}
    assert not tale.quarantined


@pytest.mark.long
@pytest.mark.parametrize("what", [CONTROLLER, SUPERVISOR])
def test_whatever_is_killed_at_every_boundary_a_server_reaches_its_goal(tale: Tale, tmp_path: Path, what: str) -> None:
    every = [(what, number) for number in range(MOST)]
    killed = _lived(tale, tmp_path, {"inspect": every, "provision": every, "wipe": every})
    assert tale.quarantined is (what == SUPERVISOR), "a controller that is started again and again spoils no machine"
    assert killed["inspect"] >= 7
    assert killed["provision"] >= 11
    assert killed["wipe"] >= 7


def _lived(tale: Tale, folder: Path, kills: Mapping[str, Kills]) -> dict[str, int]:
    """How often it was killed in each step of a life."""
    hall, server, killed = tale.hall, tale.server, {}
    department = halls.furnish(hall, folder, server)
    watch = Watch(tale.runs)
    watch.start()
    hall.operator.ask(f"POST /v1/machines/{host_of(server)}/inspect")
    killed["inspect"] = tale.go_through("inspect", kills["inspect"])
    hall.until(server, "free")
    (id_,) = hall.apply(department, 1)
    killed["provision"] = tale.go_through("provision", kills["provision"])
    assert hall.instance(id_, "active")["addresses"] == [server.address]
    assert server.on
    department.member.ask(f"DELETE /v1/instances/{id_}")
    killed["wipe"] = tale.go_through("wipe", kills["wipe"])
    hall.instance(id_, "deleted")
    hall.until(server, "free")
    watch.end()
    nothing_is_left(tale, watch)
    _it_is_clean(tale)
    told = [(step, [state for name, state in hall.runs(server) if name == step]) for step in kills]
    for step, states in told:  # who was killed when all was done and not yet said begins anew, or finds it said
        assert states == ["interrupted"] * (len(states) - 1) + ["done"], told
        assert killed[step] - len(states) + 1 in (0, 1), told
    return killed


def _it_is_clean(tale: Tale) -> None:
    assert not tale.server.on
    assert tale.server.disk.stat().st_size == tale.server.hardware.disk
    assert not tale.server.holds(b"\x01")
