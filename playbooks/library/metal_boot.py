"""metal_boot: have a machine boot once from the network, the ramdisk's CD or its disk, and see that its BMC keeps to it."""

from ansible.module_utils.metal import ATTEMPT, BMC, SOURCE, Result, attempt_of, bmc_of, run

from drivers.bare_metal.attempt_start import boot_from
from drivers.bare_metal.machine import Source


def act(params: dict) -> Result:
    source = Source(params["source"])
    with bmc_of(params) as bmc:
        boot_from(bmc, source, attempt_of(params) if source is Source.CD else None)
    return {"changed": True}


if __name__ == "__main__":
    run({**BMC, **SOURCE, **ATTEMPT}, act)
