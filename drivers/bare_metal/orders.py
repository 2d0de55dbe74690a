"""What a playbook is told: from a machine, its endpoint's options and what is asked of it, to the order of a run. Pure.

The variables are those of `playbooks/README.md`, the same that somebody gives who runs the playbook by hand.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from drivers.bare_metal import options as settings
from drivers.bare_metal.machine import Machine
from drivers.bare_metal.options import Options
from drivers.bare_metal.record import Step, Work
from drivers.bare_metal.runs.order import Order
from drivers.base import InstanceSpec

INSPECT_S: Final = 1800.0
_TO_BMC: Final = ("fingerprint", "ca_file", "cipher_suite", "timeout_s")


def order_for(
    work: Work, uri: str, given: Mapping[str, str], machine: Machine, depot: Path, depot_url: str, spec: InstanceSpec | None
) -> Order:
    """The order of a run of that step. `spec`: of what is to be provisioned."""
    options = settings.parse(given)
    variables: dict[str, Any] = {
        "bmc_uri": uri,
        "bmc_options": {name: getattr(options, name) for name in _TO_BMC if getattr(options, name)},
        "depot_folder": str(depot),
        "depot_url": depot_url,
        "boot_by": options.boot_by,
        "attempt": work.run_id,
        **({"boot_mac": options.boot_mac} if options.boot_mac else {}),
        **({"machine_uuid": machine.uuid} if machine.uuid else {}),
    }
    secrets: dict[str, Any] = {"bmc_credentials": options.credentials}
    if work.step is Step.WIPE:
        variables["wipe_methods"] = options.wipe.split()
    if work.step is Step.PROVISION and spec is not None:
        variables |= _to_install(options, spec)
        secrets["user_data"] = spec.user_data
    deadlines = {Step.INSPECT: INSPECT_S, Step.PROVISION: float(options.provision_s), Step.WIPE: float(options.wipe_s)}
    name = machine.serial or machine.uuid or "machine"
    return Order(work.run_id, Path(f"{work.step}.yml"), _inventory_name(name), deadlines[work.step], variables, secrets, who="chutian")


def _to_install(options: Options, spec: InstanceSpec) -> dict[str, Any]:
    image = spec.boots_from
    return {
        "image_file": image.path,
        "image_format": image.format,
        "image_sha256": image.sha256,
        "instance_id": spec.instance_id,
        "hostname": spec.name,
        "ssh_keys": list(spec.ssh_keys),
        **({"root_disk": options.root_disk} if options.root_disk else {}),
    }


def _inventory_name(name: str) -> str:
    """A serial number as a name that an inventory takes."""
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in name).strip("-_") or "machine"
