"""Which way a disk is cleared, and which next: every kind of disk against every policy, and what real disks say of themselves."""

from __future__ import annotations

from itertools import chain, combinations, permutations, product
from typing import Any

import pytest

from drivers.bare_metal.erasing import METHODS, UNLOCK, Able, Ata, Nvme, Step, able, next_step, why_none
from drivers.bare_metal.options import WIPES

PLENTY = 1e9
STATES = [Ata(*flags) for flags in product((False, True), repeat=6)]
NVMES = [Nvme(formats, crypto) for formats in (False, True) for crypto in ((False, True) if formats else (False,))]
DISKS: list[Able] = [None, *NVMES, *STATES]
POLICIES = [list(one) for count in range(1, len(WIPES) + 1) for one in permutations(WIPES, count)]
OWN = {"nvme_crypto_erase", "nvme_user_data_erase", "ata_enhanced_erase", "ata_erase", "secure_discard"}

# IDENTIFY DEVICE words as people have published them for help with these disks; the last is what QEMU's disk says.
SEEN = {
    "Samsung SSD 870 QVO 4TB": (
        {82: 0x746B, 85: 0x7469, 88: 0x407F, 89: 0x0002, 90: 0x0004, 128: 0x0029},
        Ata(supported=True, frozen=True, enhanced=True, erase_s=240.0, enhanced_s=480.0),
    ),
    "SAMSUNG HM160JI": (
        {82: 0x746B, 85: 0x7469, 88: 0x40FF, 89: 0x003C, 90: 0x003C, 128: 0x0021},
        Ata(supported=True, enhanced=True, erase_s=7200.0, enhanced_s=7200.0),
    ),
    "ST3160023AS": ({82: 0x346B, 85: 0x3468, 88: 0x407F, 128: 0x0001}, Ata(supported=True)),
    "Maxtor 6B200M0": ({82: 0x7C6B, 85: 0x7C68, 88: 0x407F, 92: 0xFFFE, 128: 0x0001}, Ata(supported=True)),
    "Maxtor 6B200M0, older": ({82: 0x7869, 85: 0x7869, 88: 0x203F}, Ata()),
    "QEMU HARDDISK": ({82: 0x4021, 85: 0x4021, 88: 0x203F}, Ata()),
}


def look(words: dict[int, int], kind: str = "ata") -> dict[str, Any]:
    named = {27: 0x4469, 28: 0x736B} | words
    return {"kind": kind, "identify": "".join(f"{named.get(at, 0):04x}" for at in range(256))}


def controller(oacs: int, fna: int) -> dict[str, Any]:
    data = bytearray(1024)
    data[256:258], data[524] = oacs.to_bytes(2, "little"), fna
    return {"kind": "nvme", "identify": data.hex()}


@pytest.mark.parametrize(("words", "expected"), SEEN.values(), ids=SEEN)
def test_what_real_disks_say_is_understood(words: dict[int, int], expected: Ata) -> None:
    assert able(look(words)) == expected


@pytest.mark.parametrize(
    ("word", "seconds"),
    [(0, None), (1, 120.0), (0x003C, 7200.0), (0x00FF, 508 * 60.0), (0x8001, 120.0), (0x8100, 512 * 60.0), (0xFFFF, 65_532 * 60.0)],
)
def test_how_long_an_erase_takes_is_in_units_of_two_minutes(word: int, seconds: float | None) -> None:
    found = able(look({82: 2, 89: word, 90: word, 128: 1}))
    assert isinstance(found, Ata)
    assert (found.erase_s, found.enhanced_s) == (seconds, seconds)


@pytest.mark.parametrize(("bit", "field"), [(1, "enabled"), (2, "locked"), (3, "frozen"), (4, "expired"), (5, "enhanced")])
def test_each_bit_of_the_security_status_is_one_fact(bit: int, field: str) -> None:
    assert able(look({82: 2, 128: 1 | 1 << bit})) == Ata(supported=True, **{field: True})


@pytest.mark.parametrize(
    ("oacs", "fna", "expected"),
    [(0, 0, Nvme()), (0, 4, Nvme()), (2, 0, Nvme(True)), (2, 3, Nvme(True)), (2, 4, Nvme(True, True)), (0xFFFF, 0xFF, Nvme(True, True))],
)
def test_a_controller_says_whether_it_formats_and_by_forgetting_a_key(oacs: int, fna: int, expected: Nvme) -> None:
    assert able(controller(oacs, fna)) == expected


@pytest.mark.parametrize(
    "said", [{}, {"kind": ""}, {"kind": "ata", "identify": "00"}, {"kind": "nvme", "identify": ""}, look({}, "sas"), look({27: 0, 28: 0})]
)
def test_a_disk_that_says_nothing_of_itself_has_no_way_of_its_own(said: dict[str, Any]) -> None:
    assert able(said) is None


def ways(disk: Able) -> list[str]:
    """Of its own: the rule once more, in other words."""
    if isinstance(disk, Nvme):
        return ["nvme_crypto_erase"] * disk.crypto + ["nvme_user_data_erase"] * disk.formats
    if isinstance(disk, Ata):
        usable = disk.supported and not any((disk.enabled, disk.locked, disk.frozen, disk.expired))
        return (["ata_enhanced_erase"] * disk.enhanced + ["ata_erase"]) if usable else []
    return ["secure_discard"]


def test_every_disk_is_cleared_by_the_ways_of_its_policy_in_order_each_once_until_none_is_left() -> None:
    for disk, policy in product(DISKS, POLICIES):
        tried: list[str] = []
        while step := next_step(policy, disk, tried, PLENTY):
            assert step.method not in tried
            tried.append(step.method)
        expected = list(chain.from_iterable(ways(disk) if word == "secure" else [word] for word in policy))
        if isinstance(disk, Ata) and disk.enabled:
            expected = [UNLOCK, *([] if disk.locked else expected)]
        elif isinstance(disk, Ata) and disk.locked:
            expected = []
        assert tried == expected, (disk, policy)
        assert set(tried) <= {UNLOCK, *METHODS}
        assert "password" in why_none(policy, disk) if isinstance(disk, Ata) and disk.enabled else why_none(policy, disk)


def test_whatever_was_tried_is_not_tried_again_and_the_order_stays() -> None:
    for disk in DISKS:
        policy = list(WIPES)
        whole = [UNLOCK, *OWN, *WIPES]
        for count in range(len(whole)):
            for tried in combinations(whole, count):
                step = next_step(policy, disk, tried, PLENTY)
                assert step is None or step.method not in tried


def test_an_erase_is_begun_only_where_it_will_be_done_in_time() -> None:
    disk = Ata(supported=True, enhanced=True, erase_s=7200.0, enhanced_s=240.0)
    assert next_step(["secure"], disk, (), PLENTY) == Step("ata_enhanced_erase", 840.0), "ten minutes more at least"
    assert next_step(["secure"], disk, ("ata_enhanced_erase",), 10_800.0) == Step("ata_erase", 10_800.0), "half as long again"
    assert next_step(["secure", "overwrite"], disk, ("ata_enhanced_erase",), 10_799.0) == Step("overwrite")
    assert next_step(["secure"], disk, (), 839.0) is None
    assert next_step(["secure"], Ata(supported=True), (), 1.0) == Step("ata_erase"), "one that says nothing is begun"


def test_a_disk_that_was_cut_off_in_mid_erase_is_unlocked_and_erased_anew() -> None:
    locked = Ata(supported=True, enabled=True, locked=True)
    assert next_step(["secure"], locked, (), PLENTY) == Step(UNLOCK)
    assert next_step(["secure"], Ata(supported=True), (UNLOCK,), PLENTY) == Step("ata_erase")
    assert next_step(["secure", "overwrite"], locked, (UNLOCK,), PLENTY) is None, "nothing can be written to it either"
