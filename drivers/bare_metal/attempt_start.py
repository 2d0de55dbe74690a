"""The steps of an attempt that go through the BMC: offer the ramdisk, have the machine boot from it once, and let go of it at the end.

In: a BMC, an attempt. Out: an order that the depot really serves and the BMC really shows, or the named failure. A BMC that takes a boot
device and keeps another is found out before the machine is switched on; one that only pretends, by what the machine does then
(`attempt_silence`).
"""

from __future__ import annotations

import http.client
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from drivers.bare_metal.attempt import Attempt, begin, end, offer_by_network
from drivers.bare_metal.bmc import Bmc
from drivers.bare_metal.machine import BootMode, Source
from drivers.bare_metal.waiting import turn
from drivers.base import HostPower
from drivers.errors import BootIgnored, DepotUnreachable, DriverError, HostUnreachable, Permanent, Unauthorized

CALL_S: Final = 10.0


def offer(bmc: Bmc, folder: Path, url: str, machine: str, source: Source, macs: Sequence[str], identity: str) -> Attempt:
    """Begin an attempt and see that the depot serves it. Without `macs`, by all ports that the BMC tells of.

    Raises DepotUnreachable, InvalidSpec, and what the BMC raises.
    """
    attempt = begin(folder, url, machine, macs or bmc.ports(), identity)
    try:
        if source is Source.NETWORK:
            offer_by_network(attempt)
            await_served(f"{attempt.url}/boot/{attempt.macs[0].replace(':', '-')}", (attempt.folder / "boot.ipxe").stat().st_size)
        else:
            await_served(attempt.cd_url)
    except DriverError:
        end(folder, attempt.id)
        raise
    return attempt


def boot_from(bmc: Bmc, source: Source, attempt: Attempt | None = None, mode: BootMode | None = None) -> None:
    """Make the next boot be from there, in that mode or as the BMC has it; from the CD, which is put in; from the disk for good, as far as
    the BMC can: who has the machine has it start from nowhere else. Raises BootIgnored where the BMC shows something else afterwards.
    """
    if source is Source.CD and attempt is not None:
        bmc.insert(attempt.cd_url)
    try:
        bmc.boot_from(source, once=source is not Source.DISK, mode=mode)
    except Permanent:
        if source is not Source.DISK:
            raise
        bmc.boot_from(source, mode=mode)
    with suppress(Permanent):  # it has no word for what it is set to
        seen = bmc.boot()
        if seen.source is not source:
            is_set = seen.source.value if seen.source else "nothing"
            raise BootIgnored(source=source.value, detail=f"the BMC took it, and is set to {is_set} afterwards")
        if mode is not None and seen.mode not in (None, mode):
            raise BootIgnored(source=source.value, detail=f"the BMC was told to start by {mode}, and is set to {seen.mode} afterwards")


def let_go(bmc: Bmc, folder: Path, identity: str, within_s: float) -> list[str]:
    """Off, no CD, no attempt; what could not be done, in words. Whatever happened, the machine doesn't stay open to the attempt's key."""
    left = []
    for what, act in (("switched off", lambda: turn(bmc, HostPower.OFF, within_s, force=True)), ("relieved of its CD", bmc.eject)):
        try:
            act()
        except DriverError as error:
            left.append(f"it could not be {what}: {error}")
            if isinstance(error, HostUnreachable | Unauthorized):
                break  # nor will the BMC take the next call
    end(folder, identity)
    return left


def await_served(url: str, size: int | None = None) -> None:
    """See that the depot answers there, with that many bytes. Nothing is marked as fetched by it. Raises DepotUnreachable."""
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port or 80, timeout=CALL_S)
    try:
        connection.request("HEAD", where.path)
        answer = connection.getresponse()
        length = answer.getheader("Content-Length", "")
    except (OSError, http.client.HTTPException) as error:
        raise DepotUnreachable(detail=f"{url}: {error}") from error
    finally:
        connection.close()
    if answer.status != 200 or (size is not None and length != str(size)):
        raise DepotUnreachable(detail=f"{url} is answered with {answer.status}: it serves another folder, or has no ramdisk")
