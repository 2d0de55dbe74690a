"""One disk is cleared: step by step, as `erasing` decides, until it reads back as zeros or no way is left.

In: the machine in the ramdisk, a disk as that told of it, the policy. Out: what is said of the disk in the playbook's result, and on in its
certificate: the exact method, and how much was read back.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

from drivers.bare_metal.erasing import UNLOCK, able, next_step, why_none
from drivers.errors import DeadlinePassed, DriverError

LOOK_S: Final = 120.0
Json = dict[str, Any]


class Commands(Protocol):
    """What can be done to the machine (`remote.Ramdisk`)."""

    def metal(self, *command: str, within_s: float) -> Json:
        """What a command of guests/ramdisk/metal answers. Raises DriverError where it failed."""


def clear(ramdisk: Commands, disk: Mapping[str, Any], policy: Sequence[str], *, whole: bool, deadline: float) -> Json:
    """`policy`: words of `options.WIPES`; `whole`: all of it is read back; `deadline`: of `time.monotonic`.

    Gives {disk, serial, model, bytes, method, seconds, verified}, with `read_back` where it was verified, else `detail`. Raises nothing.
    """
    began, path = time.monotonic(), f"/dev/{disk['name']}"
    told = {"disk": disk["name"], "serial": disk.get("serial", ""), "model": disk.get("model", ""), "bytes": disk["bytes"]}
    failures: dict[str, str] = {}
    while True:
        try:
            left_s = deadline - time.monotonic()
            if left_s <= 0:
                raise DeadlinePassed(step="wipe", seconds=0)
            can = able(ramdisk.metal("look", path, within_s=min(left_s, LOOK_S)))
            step = next_step(policy, can, failures, left_s)
        except DriverError as error:
            return failed(told, _joined(failures, said(error)))
        if step is None:
            return failed(told, _joined(failures, why_none(policy, can)))
        try:
            if step.method == UNLOCK:
                failures[UNLOCK] = "done"  # once; it clears nothing
                ramdisk.metal("unlock", path, within_s=min(left_s, LOOK_S))
                continue
            within_s = min(step.within_s or left_s, left_s)
            done = ramdisk.metal("wipe", path, step.method, str(int(within_s)), "whole" if whole else "samples", within_s=left_s)
        except DriverError as error:
            failures[step.method] = said(error)
            continue
        seconds = round(time.monotonic() - began, 1)
        return {**told, "method": done["method"], "seconds": seconds, "verified": True, "read_back": done["read_back"]}


def failed(disk: Json, detail: str) -> Json:
    """What is said of a disk that was not cleared."""
    return {**disk, "method": "", "seconds": 0, "verified": False, "detail": detail}


def said(error: DriverError) -> str:
    """What went wrong, in the ramdisk's words where it has any."""
    return str(error.reason.params.get("detail", error))


def _joined(failures: Mapping[str, str], last: str) -> str:
    return " ".join([*(f"{method}: {why};" for method, why in failures.items() if why != "done"), last])
