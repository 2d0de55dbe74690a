"""metal_compare: what a machine's BMC says of it, and where the machine itself says otherwise."""

from dataclasses import asdict

from ansible.module_utils.metal import BMC, Result, bmc_of, run

from drivers.bare_metal.inspection import differences


def act(params: dict) -> Result:
    with bmc_of(params) as bmc:
        machine = bmc.machine()
    told = asdict(machine)
    told["boot"]["offered"] = sorted(machine.boot.offered)
    return {"changed": False, "bmc": told, "differences": differences(params["said"], machine)}


if __name__ == "__main__":
    run({**BMC, "said": {"type": "dict", "required": True}}, act, look=act)
