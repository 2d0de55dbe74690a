"""metal_ssh: wait until a system answers by ssh with the host key that it was given. Nobody logs in."""

from drivers.bare_metal.action import WITHIN, Action, Params, Result
from drivers.bare_metal.remote import prove

WHERE = {
    "address": {"type": "str", "required": True},
    "user": {"type": "str", "required": True},
    "host_key": {"type": "str", "required": True, "no_log": False},  # the public half
}


class ActionModule(Action):
    arguments = {**WHERE, **WITHIN}
    would = {"changed": False, "seconds": 0}

    def act(self, params: Params) -> Result:
        return {"changed": False, "seconds": prove(params["address"], params["user"], params["host_key"], params["within_s"])}
