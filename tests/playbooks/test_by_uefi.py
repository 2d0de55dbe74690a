"""Servers that start by UEFI, one of them with Secure Boot: the same playbooks, and what was installed starts by UEFI, too."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.lab.metal import by_hand
from tests.lab.metal.server import Server
from tests.playbooks.conftest import Play
from tests.playbooks.played import tiny

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_a_server_is_inspected_over_the_network(play: Play, server: Server) -> None:
    with server.with_firmware("uefi") as modern:
        seen = play("inspect.yml", modern, boot_by="network")
        assert seen.status == 0, seen.output
        assert not modern.on
    assert (seen.result["firmware"]["kind"], seen.result["firmware"]["secure_boot"]) == ("uefi", False)
    assert seen.result["bmc"]["boot"]["mode"] == "uefi"
    assert seen.result["differences"] == []


def test_a_server_that_would_start_by_bios_is_told_to_start_by_uefi_and_wiped(play: Play, server: Server) -> None:
    marker = b"the first department's secret"
    with server.with_firmware("uefi") as modern:
        with modern.disk.open("r+b") as disk:
            disk.write(marker)
        before = len(modern.console)
        by_hand.ask(modern.bmc, "PATCH ", {"Boot": {"BootSourceOverrideMode": "Legacy"}})
        assert by_hand.system(modern.bmc)["Boot"]["BootSourceOverrideMode"] == "Legacy"
        wiped = play("wipe.yml", modern, boot_by="cd", boot_mode="uefi")
        assert wiped.status == 0, wiped.output
        assert [disk["verified"] for disk in wiped.result["disks"]] == [True]
        assert "Welcome to GRUB" in modern.console[before:], "what UEFI starts the CD by"
        assert not modern.holds(marker)


def test_a_server_with_secure_boot_is_provisioned_from_its_cd(play: Play, server: Server, tmp_path: Path) -> None:
    public = by_hand.new_key(tmp_path / "department")
    with server.with_firmware("secure") as modern:
        done = play("provision.yml", modern, boot_by="cd", ssh_keys=[public], **tiny(tmp_path))
        assert done.status == 0, done.output
        told = ("dmesg | grep -o 'Secure boot .*'",)
        said = by_hand.ssh(modern.address, tmp_path / "department", done.result["host_key"], *told).stdout
        assert said.strip() == "Secure boot enabled"
