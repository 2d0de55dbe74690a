"""inspect.yml, provision.yml and wipe.yml by plain ansible-playbook on servers of the rack: the ways that go well."""

from __future__ import annotations

import json
import os
import signal
from pathlib import Path

import pytest

from drivers.bare_metal.depot import Depot
from tests.lab.metal import by_hand
from tests.lab.metal.server import Server
from tests.playbooks.conftest import Play
from tests.playbooks.played import begin, tiny, variables
from tests.playbooks.played import play as play_all

pytestmark = pytest.mark.real

MARKER = b"the first department's secret"


@pytest.mark.slow
@pytest.mark.parametrize("boot_by", ["network", "cd"])
def test_a_server_is_inspected_and_off_afterwards(play: Play, server: Server, depot: Depot, boot_by: str) -> None:
    server.push_button()  # somebody left it on
    seen = play("inspect.yml", server, boot_by=boot_by, attempt="inspection-1")
    assert seen.status == 0, seen.output
    found = seen.result
    assert (found["uuid"], found["bmc"]["uuid"], found["nics"][0]["address"]) == (server.uuid, server.uuid, server.address)
    assert [disk["serial"] for disk in found["disks"]] == [server.disk_serial]
    assert [one["what"] for one in found["differences"]] == []
    assert seen.tasks[-2:] == ["Keep the result", "Let go of the machine"]
    assert not server.on
    assert by_hand.ask(server.bmc, "GET VirtualMedia/Cd")["Inserted"] is False
    assert list((depot.folder / "attempts").iterdir()) == []


@pytest.mark.slow
def test_a_server_with_ipmi_alone_is_inspected(play: Play, other: Server) -> None:
    seen = play("inspect.yml", other, bmc_uri=f"ipmi://{other.bmc.address}", bmc_options={"cipher_suite": "3"})
    assert seen.status == 0, seen.output
    assert seen.result["uuid"] == other.uuid
    assert not other.on


@pytest.mark.slow
@pytest.mark.parametrize("boot_by", [pytest.param("network", marks=pytest.mark.long), "cd"])  # tests/stories has both, by a controller
def test_a_server_is_provisioned_and_what_was_on_it_cannot_be_found_after_a_wipe(
    play: Play, server: Server, depot: Depot, tmp_path: Path, boot_by: str
) -> None:
    public = by_hand.new_key(tmp_path / "department")
    user_data = "#cloud-config\nruncmd:\n  - echo the password is 1234 >/run/made\n"
    wanted = {"hostname": "web-1", "instance_id": "i-1", "ssh_keys": [public], "user_data": user_data, "root_disk": server.disk_serial}
    done = play("provision.yml", server, "-vvv", boot_by=boot_by, **wanted, **tiny(tmp_path))
    assert done.status == 0, done.output
    assert (done.result["address"], done.result["disk"]) == (server.address, "vda")
    assert done.result["written_bytes"] > 16 << 20
    assert (depot.folder / "attempts").exists()
    assert list((depot.folder / "attempts").iterdir()) == []
    for secret in ("the password is", server.bmc.account[1], "PRIVATE KEY"):
        assert secret not in done.output

    def on_it(*command: str) -> str:
        return by_hand.ssh(server.address, tmp_path / "department", done.result["host_key"], *command).stdout.strip()

    assert on_it("hostname") == "web-1"
    assert by_hand.until("made", lambda: on_it("cat", "/run/made"), within_s=20) == "the password is 1234"
    on_it("dd of=/dev/vda bs=1M seek=700 conv=fsync,notrunc <<EOF\n" + MARKER.decode() + "\nEOF")
    assert server.holds(MARKER)

    wiped = play("wipe.yml", server, boot_by=boot_by)
    assert wiped.status == 0, wiped.output
    (disk,) = wiped.result["disks"]
    assert (disk["disk"], disk["serial"], disk["bytes"], disk["verified"]) == ("vda", server.disk_serial, server.hardware.disk, True)
    assert not server.holds(MARKER)
    assert not server.holds(b"\x01")  # nothing else, either
    assert not server.on


@pytest.mark.long
def test_servers_are_provisioned_at_once_from_one_packed_image(server: Server, other: Server, depot: Depot, tmp_path: Path) -> None:
    hosts = {one.name: variables(one, depot, tmp_path, **tiny(tmp_path)) for one in (server, other)}
    done = play_all("provision.yml", tmp_path, hosts)
    assert done.status == 0, done.output
    results = [json.loads((tmp_path / f"{one.name}.json").read_text()) for one in (server, other)]
    assert [result["address"] for result in results] == [server.address, other.address]
    assert len({result["host_key"] for result in results}) == 2
    assert len(list((depot.folder / "images").glob("*.zst"))) == 1
    assert list((depot.folder / "images").glob("*.part")) == list((depot.folder / "images").glob("*.raw")) == []


@pytest.mark.slow
def test_a_playbook_that_was_killed_while_it_wrote_is_repeated_from_its_beginning(server: Server, depot: Depot, tmp_path: Path) -> None:
    hosts = {server.name: variables(server, depot, tmp_path, attempt="provision-1", **tiny(tmp_path))}
    with begin("provision.yml", tmp_path, hosts) as killed:
        by_hand.until("writing", (depot.folder / "attempts/provision-1/progress.json").exists, within_s=120)
        os.killpg(killed.pid, signal.SIGKILL)  # Ansible's workers and what they run have sessions of their own, and live on
    assert server.on
    done = play_all("provision.yml", tmp_path, hosts)
    assert done.status == 0, done.output
    assert done.result["address"] == server.address
    assert list((depot.folder / "attempts").iterdir()) == []


@pytest.mark.parametrize("playbook", ["inspect.yml", "provision.yml", "wipe.yml"])
def test_a_check_changes_nothing(play: Play, server: Server, depot: Depot, tmp_path: Path, playbook: str) -> None:
    server.push_button()
    before = by_hand.system(server.bmc)
    checked = play(playbook, server, "--check", **tiny(tmp_path))
    assert checked.status == 0, checked.output
    assert "Let go of the machine" in checked.tasks
    assert checked.changed > 0
    assert checked.result is None
    assert server.on
    assert by_hand.system(server.bmc) == before
    assert list((depot.folder / "attempts").iterdir()) == []
    assert not (depot.folder / "images").exists()
