"""metal_offer: begin an attempt to start a machine into the ramdisk: a token, a key, and a depot that serves it."""

from pathlib import Path

from drivers.bare_metal.action import BMC, SOURCE, TEXT, Action, Params, Result, bmc_of
from drivers.bare_metal.attempt_start import offer
from drivers.bare_metal.machine import Source

OFFER = {
    "depot_folder": {"type": "path", "required": True},
    "depot_url": {"type": "str", "required": True},  # as the machine and its BMC reach it
    "machine": {"type": "str", "required": True},
    "mac": TEXT,  # the port to start from; empty: all that the BMC tells of
    "attempt": TEXT,  # its id; one of the same id begins anew; empty: a new one
}


class ActionModule(Action):
    arguments = {**BMC, **SOURCE, **OFFER}
    would = {"changed": True, "attempt": "", "macs": []}

    def act(self, params: Params) -> Result:
        macs = [params["mac"]] if params["mac"] else []
        with bmc_of(params) as bmc:
            folder, source = Path(params["depot_folder"]), Source(params["source"])
            made = offer(bmc, folder, params["depot_url"], params["machine"], source, macs, params["attempt"])
        return {"changed": True, "attempt": made.id, "macs": list(made.macs)}
