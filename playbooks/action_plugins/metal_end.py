"""metal_end: let go of a machine, whatever happened to it: off, no CD, no attempt. What could not be done is told, and fails nothing."""

from pathlib import Path

from drivers.bare_metal.action import ATTEMPT, BMC, WITHIN, Action, Params, Result, bmc_of
from drivers.bare_metal.attempt_start import let_go


class ActionModule(Action):
    arguments = {**BMC, **ATTEMPT, **WITHIN}

    def act(self, params: Params) -> Result:
        with bmc_of(params) as bmc:
            left = let_go(bmc, Path(params["depot_folder"]), params["attempt"], params["within_s"])
        return {"changed": True, "left": left}
