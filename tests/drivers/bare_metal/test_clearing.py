"""A disk is cleared step by step, on a model of an ATA disk: what its passwords and its erases do by the standard (ACS-3).

No emulator has such a disk; a real NVMe controller's, and what is said by disks, are in `tests/guests` and `test_erasing`.
"""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from typing import Any

import pytest

from drivers.bare_metal.clearing import clear
from drivers.errors import SshUnreachable, WipeFailed

OURS, THEIRS = "chutian", "their own"
DISK = {"name": "sda", "serial": "S1", "model": "M", "bytes": 1 << 40}
ALL = ["secure", "discard", "overwrite"]


@dataclass
class Model:
    """The disk, and the commands of the ramdisk that touch it. `password`: as long as it has one. `pattern`: what an enhanced erase leaves;
    `aborts`: it does not carry erases out; `trims`: discarding clears it."""

    data: str = "a department's"
    password: str = ""
    locked: bool = False
    frozen: bool = False
    enhanced: bool = True
    pattern: str = "zeros"
    aborts: bool = False
    trims: bool = False
    minutes: int = 2
    asked: list[str] = field(default_factory=list)

    def metal(self, *command: str, within_s: float) -> dict[str, Any]:
        assert within_s > 0
        self.asked.append(command[0] if command[0] != "wipe" else command[2])
        match command:
            case ("look", "/dev/sda"):
                return {"kind": "ata", "identify": self._identify()}
            case ("unlock", "/dev/sda"):
                if self.frozen or self.password != OURS:
                    raise WipeFailed(disks="sda", detail="refused")
                self.locked, self.password = False, ""
                return {"disk": "/dev/sda"}
        assert command[:2] == ("wipe", "/dev/sda")
        self._wipe(command[2])
        if self.data != "zeros":
            raise WipeFailed(disks="sda", detail="not zero at 0 MiB, or not to be read")
        return {"method": command[2], "read_back": {"how": command[4], "places": 32, "bytes": 64 << 20}}

    def _identify(self) -> str:
        status = 1 | bool(self.password) << 1 | self.locked << 2 | self.frozen << 3 | self.enhanced << 5
        words = {27: 0x4D20, 82: 2, 85: bool(self.password) << 1, 89: self.minutes // 2, 90: self.minutes // 2, 128: status}
        return "".join(f"{words.get(at, 0):04x}" for at in range(256))

    def _wipe(self, method: str) -> None:
        if self.locked:
            raise WipeFailed(disks="sda", detail="Input/output error")
        if method.startswith("ata_"):
            assert not self.frozen, "it would be refused"
            assert not self.password, "it would be refused"
            if self.aborts:
                raise WipeFailed(disks="sda", detail="it kept the password")
            self.data = self.pattern if method == "ata_enhanced_erase" else "zeros"
        elif method == "overwrite" or self.trims:
            self.data = "zeros"


def cleared(disk: Model, policy: list[str] | None = None, within_s: float = 86_400.0, *, whole: bool = False) -> dict[str, Any]:
    return clear(disk, DISK, policy or ALL, whole=whole, deadline=time.monotonic() + within_s)


def test_a_disk_is_erased_by_itself_and_what_was_read_back_is_said() -> None:
    done = cleared(Model(), whole=True)
    assert {name: done[name] for name in ("disk", "serial", "model", "bytes", "method", "verified")} == {
        "disk": "sda",
        "serial": "S1",
        "model": "M",
        "bytes": 1 << 40,
        "method": "ata_enhanced_erase",
        "verified": True,
    }
    assert done["read_back"] == {"how": "whole", "places": 32, "bytes": 64 << 20}


def test_a_disk_that_an_erase_was_cut_off_on_is_unlocked_and_erased_whatever_the_policy_is_by_now() -> None:
    for policy, method in ((ALL, "ata_enhanced_erase"), (["overwrite"], "overwrite")):
        disk = Model(password=OURS, locked=True)
        assert cleared(disk, policy)["method"] == method
        assert (disk.asked[:3], disk.password) == (["look", "unlock", "look"], "")


def test_a_disk_that_is_locked_by_somebody_else_is_not_taken_for_cleared() -> None:
    disk = Model(password=THEIRS, locked=True)
    failed = cleared(disk)
    assert (failed["verified"], failed["method"], disk.data) == (False, "", "a department's")
    assert "ata_unlock: refused; it has a password that is not ours" in failed["detail"]
    assert disk.asked == ["look", "unlock", "look"]


def test_a_disk_with_a_password_of_somebody_else_that_is_open_is_overwritten() -> None:
    assert cleared(Model(password=THEIRS))["method"] == "overwrite"


@pytest.mark.parametrize(
    ("disk", "method", "tried"),
    [
        (Model(frozen=True), "overwrite", ["discard", "overwrite"]),
        (Model(frozen=True, trims=True), "discard", ["discard"]),
        (Model(enhanced=False), "ata_erase", ["ata_erase"]),
        (Model(pattern="aaaa"), "ata_erase", ["ata_enhanced_erase", "ata_erase"]),
        (Model(aborts=True), "overwrite", ["ata_enhanced_erase", "ata_erase", "discard", "overwrite"]),
        (Model(minutes=476), "overwrite", ["discard", "overwrite"]),
    ],
    ids=["frozen", "frozen and trims", "plain", "leaves a pattern", "aborts", "takes longer than there is"],
)
def test_what_a_disk_can_not_do_is_followed_by_what_it_can(disk: Model, method: str, tried: list[str]) -> None:
    limit = 40_000.0 if disk.minutes > 2 else 86_400.0
    assert cleared(disk, within_s=limit)["method"] == method
    assert [one for one in disk.asked if one != "look"] == tried


def test_a_frozen_disk_that_may_only_erase_itself_says_why_it_did_not() -> None:
    failed = cleared(Model(frozen=True), ["secure"])
    assert (failed["verified"], failed["detail"]) == (False, "its own erase is frozen by the machine's firmware")


def test_a_machine_that_went_away_and_time_that_is_over_are_named() -> None:
    class Gone(Model):
        def metal(self, *command: str, within_s: float) -> dict[str, Any]:  # noqa: ARG002
            raise SshUnreachable(address="10.0.0.1", detail="no route to host")

    assert cleared(Gone())["detail"] == "no route to host"
    over = cleared(Model(), within_s=0.0)
    assert not over["verified"]
    assert "deadline_passed" in over["detail"]
