"""metal_wipe: wipe every disk that stays in the machine, and read it back. One that fails fails the task after all others were tried.

So does one that should be there and isn't: what it holds is not gone.
"""

import time
from concurrent.futures import ThreadPoolExecutor

from drivers.bare_metal.action import ATTEMPT, WITHIN, Action, Params, Result, attempt_of, failed
from drivers.bare_metal.clearing import clear
from drivers.bare_metal.clearing import failed as not_cleared
from drivers.bare_metal.inspection import absent, fixed_disks, labels
from drivers.bare_metal.options import READ_BACK, WIPES
from drivers.bare_metal.remote import ramdisk_of
from drivers.errors import WipeFailed

MOST = 16  # at once
HOW = {
    "methods": {"type": "list", "elements": "str", "choices": list(WIPES), "required": True},
    "read_back": {"type": "str", "choices": list(READ_BACK), "required": True},
    "expected": {"type": "list", "elements": "str", "default": []},  # serial numbers or names of disks
}


class ActionModule(Action):
    arguments = {**ATTEMPT, **HOW, **WITHIN}
    would = {"changed": True, "disks": []}

    def act(self, params: Params) -> Result:
        attempt = attempt_of(params)
        said = attempt.alive or {}
        ramdisk, disks = ramdisk_of(attempt), fixed_disks(said)
        deadline, whole = time.monotonic() + params["within_s"], params["read_back"] == "whole"
        with ThreadPoolExecutor(MOST) as pool:  # a disk is as quick beside others as alone
            results = list(pool.map(lambda disk: clear(ramdisk, disk, params["methods"], whole=whole, deadline=deadline), disks))
        results += [
            not_cleared({"disk": one, "serial": "", "model": "", "bytes": 0}, "it is not there") for one in absent(said, params["expected"])
        ]
        bad = [one for one in results if not one["verified"]]
        if not bad:
            return {"changed": bool(disks), "disks": results}
        details = " ".join(f"{one['disk']}: {one['detail']}" for one in bad)
        return {**failed(WipeFailed(disks=labels([{**one, "name": one["disk"]} for one in bad]), detail=details)), "disks": results}
