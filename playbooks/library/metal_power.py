"""metal_power: switch a machine on or off through its BMC, and see that it took."""

from ansible.module_utils.metal import BMC, WITHIN, Result, bmc_of, run

from drivers.bare_metal.waiting import turn
from drivers.base import HostPower

STATE = {"state": {"type": "str", "choices": ["on", "off"], "required": True}, "force": {"type": "bool", "default": True}}


def look(params: dict) -> Result:
    with bmc_of(params) as bmc:
        return {"changed": bmc.power() is not HostPower(params["state"])}


def act(params: dict) -> Result:
    with bmc_of(params) as bmc:
        changed = bmc.power() is not HostPower(params["state"])
        return {"changed": changed, "seconds": turn(bmc, HostPower(params["state"]), params["within_s"], force=params["force"])}


if __name__ == "__main__":
    run({**BMC, **STATE, **WITHIN}, act, look=look)
