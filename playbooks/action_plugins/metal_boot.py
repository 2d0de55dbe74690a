"""metal_boot: have a machine boot from the network or the ramdisk's CD, once, or from its disk, and see that its BMC keeps to it."""

from drivers.bare_metal.action import ATTEMPT, BMC, SOURCE, Action, Params, Result, attempt_of, bmc_of
from drivers.bare_metal.attempt_start import boot_from
from drivers.bare_metal.machine import BootMode, Source

MODE = {"mode": {"type": "str", "choices": ["auto", *BootMode], "default": "auto"}}  # auto: as the BMC has it


class ActionModule(Action):
    arguments = {**BMC, **SOURCE, **MODE, **ATTEMPT}

    def act(self, params: Params) -> Result:
        source, mode = Source(params["source"]), params["mode"]
        with bmc_of(params) as bmc:
            boot_from(bmc, source, attempt_of(params) if source is Source.CD else None, None if mode == "auto" else BootMode(mode))
        return {"changed": True}
