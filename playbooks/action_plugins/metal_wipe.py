"""metal_wipe: wipe every disk that stays in the machine, and read it back. One that fails fails the task after all others were tried.

So does one that should be there and isn't: what it holds is not gone.
"""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from drivers.bare_metal.action import ATTEMPT, WITHIN, Action, Params, Result, attempt_of, failed
from drivers.bare_metal.inspection import absent, fixed_disks, labels
from drivers.bare_metal.remote import Ramdisk, ramdisk_of
from drivers.errors import DeadlinePassed, DriverError, WipeFailed

MOST = 16  # at once
HOW = {
    "methods": {"type": "list", "elements": "str", "choices": ["secure", "discard", "overwrite", "ends"], "required": True},
    "expected": {"type": "list", "elements": "str", "default": []},  # serial numbers or names of disks
}


class ActionModule(Action):
    arguments = {**ATTEMPT, **HOW, **WITHIN}
    would = {"changed": True, "disks": []}

    def act(self, params: Params) -> Result:
        attempt = attempt_of(params)
        said = attempt.alive or {}
        ramdisk, disks = ramdisk_of(attempt), fixed_disks(said)
        deadline = time.monotonic() + params["within_s"]
        with ThreadPoolExecutor(MOST) as pool:  # a disk is as quick beside others as alone
            results = list(pool.map(lambda disk: _wipe(ramdisk, disk, params["methods"], deadline), disks))
        results += [
            _failed({"disk": one, "serial": "", "model": "", "bytes": 0}, "it is not there") for one in absent(said, params["expected"])
        ]
        bad = [one for one in results if not one["verified"]]
        if not bad:
            return {"changed": bool(disks), "disks": results}
        details = " ".join(f"{one['disk']}: {one['detail']}" for one in bad)
        return {**failed(WipeFailed(disks=labels([{**one, "name": one["disk"]} for one in bad]), detail=details)), "disks": results}


def _wipe(ramdisk: Ramdisk, disk: Any, methods: list[str], deadline: float) -> dict[str, Any]:
    told = {"disk": disk["name"], "serial": disk.get("serial", ""), "model": disk.get("model", ""), "bytes": disk["bytes"]}
    try:
        if (left := deadline - time.monotonic()) <= 0:
            raise DeadlinePassed(step="wipe", seconds=0)
        done = ramdisk.metal("wipe", f"/dev/{disk['name']}", *methods, within_s=left)
    except DriverError as error:
        return _failed(told, str(error.reason.params.get("detail", error)))
    return {**told, "method": done["method"], "seconds": done["seconds"], "verified": True}


def _failed(disk: dict[str, Any], detail: str) -> dict[str, Any]:
    return {**disk, "method": "", "seconds": 0, "verified": False, "detail": detail}
