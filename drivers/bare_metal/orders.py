"""What a playbook is told: from a machine, its endpoint's options and what is asked of it, to the order of a run.

The variables are those of `playbooks/README.md`, the same that somebody gives who runs the playbook by hand.

Two kinds: one by the machine's BMC and the ramdisk (`order_for`), for a machine without a system, and one by ssh into the system that it
has (`order_within`), which also calls the controller's API.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from drivers.bare_metal import options as settings
from drivers.bare_metal.address import Speaks, parse
from drivers.bare_metal.machine import Machine
from drivers.bare_metal.options import Options
from drivers.bare_metal.record import Step, Tenant, Work
from drivers.bare_metal.runs.order import Login, Order
from drivers.base import CANONICAL_UUID, HOST_NAME, InstanceSpec
from drivers.errors import ImageNotFound, InvalidSpec
from drivers.journal import LoginKey, Workplace

INSPECT_S: Final = 1800.0
WITHIN_S: Final[Mapping[Step, float]] = {Step.HYPERVISOR: 3600.0, Step.PATCH: 10_800.0}
_TO_BMC: Final = ("fingerprint", "ca_file", "cipher_suite", "timeout_s")


def refuse(spec: InstanceSpec, host: str) -> None:
    """Raises InvalidSpec and ImageNotFound for what the machine, which is that host, can't be made into."""
    if not CANONICAL_UUID.fullmatch(spec.instance_id):
        raise InvalidSpec(detail=f"{spec.instance_id!r} is not a UUID in canonical form")
    if not HOST_NAME.fullmatch(spec.name):
        raise InvalidSpec(detail=f"{spec.name!r} can't be a hostname")
    if spec.host != host:
        raise InvalidSpec(detail=f"no host {spec.host!r} behind this endpoint, only {host}")
    if not Path(spec.boots_from.path).is_file():
        raise ImageNotFound(image=spec.boots_from.id)


def order_for(
    work: Work, uri: str, given: Mapping[str, str], machine: Machine, depot: Path, depot_url: str, spec: InstanceSpec | None, ours: str
) -> Order:
    """The order of a run of that step on a machine as `host.identified` has it. `spec`: of what is to be provisioned; `ours`: our public
    key, for a system that we look after."""
    options = settings.parse(given)
    variables: dict[str, Any] = {
        "bmc_uri": uri,
        "bmc_options": {name: getattr(options, name) for name in _TO_BMC if getattr(options, name)},
        "depot_folder": str(depot),
        "depot_url": depot_url,
        "boot_by": options.boot_by,
        "boot_mode": _mode(options, uri, machine),
        "attempt": work.run_id,
        **({"boot_mac": options.boot_mac} if options.boot_mac else {}),
        **({"machine_uuid": machine.uuid} if machine.uuid else {}),
    }
    secrets: dict[str, Any] = {"bmc_credentials": options.credentials}
    if work.step is Step.WIPE:
        variables["wipe_methods"], variables["wipe_read_back"] = settings.policy_of(options.wipe)
        variables["expected_disks"] = [disk.serial or disk.name for disk in machine.disks]
    if work.step is Step.PROVISION and spec is not None:
        variables |= _to_install(options, spec, ours)
        secrets["user_data"] = spec.user_data
    deadlines = {Step.INSPECT: INSPECT_S, Step.PROVISION: float(options.provision_s), Step.WIPE: float(options.wipe_s)}
    return Order(work.run_id, Path(f"{work.step}.yml"), _called(machine), deadlines[work.step], variables, secrets, who="chutian")


def order_within(work: Work, machine: Machine, tenant: Tenant, name: str, workplace: Workplace, key: LoginKey, ticket: str) -> Order:
    """The order of a run in the tenant's system. `name`: as what the controller has it, or is to have it; `ticket`: for the API."""
    variables = {
        "chutian_url": workplace.api_url,
        "chutian_ca": workplace.api_ca,
        "hypervisor_name": name,
        "patch_host_name": name,
        "hypervisor_pool": tenant.hypervisor,
        "machine_uuid": machine.uuid,
    }
    login = Login(tenant.address, tenant.host_key, key.private)
    secrets = {"chutian_token": ticket}
    return Order(work.run_id, Path(f"{work.step}.yml"), _called(machine), WITHIN_S[work.step], variables, secrets, "chutian", login)


def _mode(options: Options, uri: str, machine: Machine) -> str:
    """By what it is to start. By IPMI each order says it, so that what it started by when it was inspected is asked for."""
    if options.boot_mode == "auto" and machine.boot.mode is not None and parse(uri).speaks is Speaks.IPMI:
        return machine.boot.mode.value
    return options.boot_mode


def _to_install(options: Options, spec: InstanceSpec, ours: str) -> dict[str, Any]:
    image = spec.boots_from
    return {
        "image_file": image.path,
        "image_format": image.format,
        "image_sha256": image.sha256,
        "instance_id": spec.instance_id,
        "hostname": spec.name,
        "ssh_keys": [*spec.ssh_keys, *([ours] if spec.hypervisor else [])],
        "root_login": bool(spec.hypervisor),
        **({"root_disk": options.root_disk} if options.root_disk else {}),
    }


def _called(machine: Machine) -> str:
    """The machine's serial number as a name that an inventory takes."""
    name = machine.serial or machine.uuid or "machine"
    return "".join(letter if letter.isascii() and (letter.isalnum() or letter in "-_") else "-" for letter in name).strip("-_") or "machine"
