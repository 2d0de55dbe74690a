"""metal_compare: what a machine's BMC says of it, and where the machine itself says otherwise."""

from dataclasses import asdict

from drivers.bare_metal.action import BMC, Action, Params, Result, bmc_of
from drivers.bare_metal.inspection import differences


class ActionModule(Action):
    arguments = {**BMC, "said": {"type": "dict", "required": True}}

    def act(self, params: Params) -> Result:
        with bmc_of(params) as bmc:
            machine = bmc.machine()
        told = asdict(machine)
        told["boot"]["offered"] = sorted(machine.boot.offered)
        return {"changed": False, "bmc": told, "differences": differences(params["said"], machine)}

    def look(self, params: Params) -> Result:
        return self.act(params)
