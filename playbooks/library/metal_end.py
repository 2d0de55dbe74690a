"""metal_end: let go of a machine, whatever happened to it: off, no CD, no attempt. What could not be done is told, and fails nothing."""

from pathlib import Path

from ansible.module_utils.metal import ATTEMPT, BMC, WITHIN, Result, bmc_of, run

from drivers.bare_metal.attempt_start import let_go


def act(params: dict) -> Result:
    with bmc_of(params) as bmc:
        left = let_go(bmc, Path(params["depot_folder"]), params["attempt"], params["within_s"])
    return {"changed": True, "left": left}


if __name__ == "__main__":
    run({**BMC, **ATTEMPT, **WITHIN}, act)
