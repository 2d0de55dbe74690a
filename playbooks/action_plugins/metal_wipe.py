"""metal_wipe: wipe every disk that stays in the machine, and read it back. One that fails fails the task after all others were tried."""

import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from drivers.bare_metal.action import ATTEMPT, WITHIN, Action, Params, Result, attempt_of, failed
from drivers.bare_metal.inspection import fixed_disks, labels
from drivers.bare_metal.remote import Ramdisk, ramdisk_of
from drivers.errors import DeadlinePassed, DriverError, WipeFailed

MOST = 16  # at once
METHODS = {"methods": {"type": "list", "elements": "str", "choices": ["secure", "discard", "overwrite", "ends"], "required": True}}


class ActionModule(Action):
    arguments = {**ATTEMPT, **METHODS, **WITHIN}
    would = {"changed": True, "disks": []}

    def act(self, params: Params) -> Result:
        attempt = attempt_of(params)
        ramdisk, disks = ramdisk_of(attempt), fixed_disks(attempt.alive or {})
        deadline = time.monotonic() + params["within_s"]
        with ThreadPoolExecutor(MOST) as pool:  # a disk is as quick beside others as alone
            results = list(pool.map(lambda disk: _wipe(ramdisk, disk, params["methods"], deadline), disks))
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
        return {**told, "method": "", "seconds": 0, "verified": False, "detail": str(error.reason.params.get("detail", error))}
    return {**told, "method": done["method"], "seconds": done["seconds"], "verified": True}
