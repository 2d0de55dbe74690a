"""Which way a disk is cleared, and which next where one failed: pure.

In: what the disk says that it can (guests/ramdisk/metal, `look`), the policy of its pool, what was tried, the seconds left. Out: one step.
It is decided anew after each, from what the disk says then, so that a first try, a try after a power cut in the middle of an erase and a
second method are one path. What a step claims is believed only when the disk reads back as zeros; that is not decided here.

A disk's own erase is taken where it says so: NVMe (Base Specification 2.0, Identify Controller: OACS bit 1, FNA bit 2) and ATA (ACS-3,
IDENTIFY DEVICE words 82, 85, 89, 90 and 128). To be erased an ATA disk is given a password, which the erase takes away again; where that
was cut off, the disk is locked. So the password is always the same and no secret.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

UNLOCK: Final = "ata_unlock"
"""The step before all others of a disk that has a password: takes ours away. Nothing is cleared by it."""
METHODS: Final = (
    *("nvme_crypto_erase", "nvme_user_data_erase", "ata_enhanced_erase", "ata_erase", "secure_discard"),
    *("discard", "overwrite", "ends"),
)
"""What a certificate may name. The first five are what a policy calls `secure`."""
_NO_MORE_THAN: Final = {0xFF: 508, 0x7FFF: 65_532}  # minutes: "more than that", by the width of the word
_MORE_S: Final = 600.0
"""An ATA erase may take half as long again as the disk says, and that much more at least."""


@dataclass(frozen=True, slots=True)
class Ata:
    """The security feature set of an ATA disk. Seconds are how long it says that an erase takes, None where it doesn't."""

    supported: bool = False
    enabled: bool = False  # has a password
    locked: bool = False
    frozen: bool = False  # by the firmware, until the next power-on
    expired: bool = False  # too many wrong passwords, until then
    enhanced: bool = False
    erase_s: float | None = None
    enhanced_s: float | None = None


@dataclass(frozen=True, slots=True)
class Nvme:
    """What the controller of an NVMe disk does."""

    formats: bool = False
    crypto: bool = False


Able = Ata | Nvme | None


@dataclass(frozen=True, slots=True)
class Step:
    """What to do next. `within_s`: for so long at most; None: for all the time that is left."""

    method: str
    within_s: float | None = None


def able(look: Mapping[str, Any]) -> Able:
    """What a disk can, from {"kind", "identify": hexadecimal digits}; None where it says nothing."""
    kind, said = look.get("kind"), str(look.get("identify", ""))
    if kind == "nvme" and len(said) >= 2 * 525:
        data = bytes.fromhex(said)
        formats = bool(int.from_bytes(data[256:258], "little") & 1 << 1)
        return Nvme(formats, formats and bool(data[524] & 1 << 2))
    words = [int(said[at : at + 4], 16) for at in range(0, len(said), 4)] if kind == "ata" else []
    named = len(words) == 256 and any(words[27:47])  # of a SAS disk hdparm makes 256 words of nothing
    return _ata(words) if named else None


def _ata(words: Sequence[int]) -> Ata:
    status = words[128]
    return Ata(
        supported=bool(words[82] & 1 << 1 and status & 1 << 0),
        enabled=bool(words[85] & 1 << 1 or status & 1 << 1),
        locked=bool(status & 1 << 2),
        frozen=bool(status & 1 << 3),
        expired=bool(status & 1 << 4),
        enhanced=bool(status & 1 << 5),
        erase_s=_seconds(words[89]),
        enhanced_s=_seconds(words[90]),
    )


def _seconds(word: int) -> float | None:
    """In units of two minutes; bit 15: fifteen bits of it, else eight."""
    most = 0x7FFF if word & 1 << 15 else 0xFF
    units = word & most
    return 60.0 * _NO_MORE_THAN[most] if units == most else 120.0 * units if units else None


def next_step(policy: Sequence[str], disk: Able, tried: Collection[str], left_s: float) -> Step | None:
    """The first of the policy's ways that the disk has and that was not tried; None: no other is left.

    An erase that began can't be stopped, so none is begun that, by the disk's own word, may not be done in the time that is left.
    """
    if isinstance(disk, Ata) and disk.enabled and UNLOCK not in tried:
        return Step(UNLOCK)
    if isinstance(disk, Ata) and disk.locked:
        return None
    offered = [step for word in policy for step in (_secure(disk) if word == "secure" else (Step(word),))]
    return next((step for step in offered if step.method not in tried and (step.within_s or 0) <= left_s), None)


def why_none(policy: Sequence[str], disk: Able) -> str:
    """Why a disk had no (other) way, for people."""
    if isinstance(disk, Ata) and disk.enabled:
        return "it has a password that is not ours"
    if isinstance(disk, Ata) and disk.frozen and "secure" in policy:
        return "its own erase is frozen by the machine's firmware"
    return f"no (other) way of {' '.join(policy)} is open to it in the time left"


def _secure(disk: Able) -> Sequence[Step]:
    """A disk's own ways to erase itself, the best first."""
    match disk:
        case Nvme():
            return [Step("nvme_crypto_erase")] * disk.crypto + [Step("nvme_user_data_erase")] * disk.formats
        case Ata():
            return _of_ata(disk) if disk.supported and not (disk.enabled or disk.frozen or disk.expired) else ()
        case _:
            return (Step("secure_discard"),)


def _of_ata(disk: Ata) -> Sequence[Step]:
    told = [("ata_enhanced_erase", disk.enhanced_s)] * disk.enhanced + [("ata_erase", disk.erase_s)]
    return [Step(method, None if stated is None else stated + max(stated / 2, _MORE_S)) for method, stated in told]
