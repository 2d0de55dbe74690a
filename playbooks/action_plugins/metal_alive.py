"""metal_alive: wait until the ramdisk calls back, and see that it runs on the machine that is meant."""

from pathlib import Path

from drivers.bare_metal.action import ATTEMPT, SOURCE, TEXT, WITHIN, Action, Params, Result, attempt_of
from drivers.bare_metal.attempt import await_alive
from drivers.bare_metal.attempt_silence import why_silent
from drivers.bare_metal.depot_dhcp import heard
from drivers.bare_metal.inspection import check_identity
from drivers.bare_metal.machine import Source
from drivers.bare_metal.remote import address_of


class ActionModule(Action):
    arguments = {**ATTEMPT, **SOURCE, **WITHIN, "uuid": TEXT}
    would = {"changed": False, "said": {}, "address": ""}

    def act(self, params: Params) -> Result:
        attempt, within_s = attempt_of(params), params["within_s"]
        said = await_alive(attempt, within_s)
        if said is None:
            raise why_silent(Source(params["source"]), attempt.seen, heard(Path(params["depot_folder"])), within_s)
        check_identity(said, params["uuid"])
        return {"changed": False, "said": said, "address": address_of(said, attempt.macs)}
