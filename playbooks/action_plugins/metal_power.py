"""metal_power: switch a machine on or off through its BMC, and see that it took."""

from drivers.bare_metal.action import BMC, WITHIN, Action, Params, Result, bmc_of
from drivers.bare_metal.waiting import turn
from drivers.base import HostPower

STATE = {"state": {"type": "str", "choices": ["on", "off"], "required": True}, "force": {"type": "bool", "default": True}}


class ActionModule(Action):
    arguments = {**BMC, **STATE, **WITHIN}

    def look(self, params: Params) -> Result:
        with bmc_of(params) as bmc:
            return {"changed": bmc.power() is not HostPower(params["state"])}

    def act(self, params: Params) -> Result:
        with bmc_of(params) as bmc:
            seconds = turn(bmc, HostPower(params["state"]), params["within_s"], force=params["force"])
        return {"changed": seconds > 0, "seconds": seconds}
