"""`make demo-openstack`: a department's servers in a real OpenStack region, told with the `chutian` command.

Keystone, placement, glance, neutron, nova and one hypervisor that boots guests are started on this machine; an operator enrols the region
twice, by its hypervisors with an administrator's credentials and as a whole with an ordinary project's; a department applies for three
servers with `examples/region.yaml`, gets them, reads what one printed, and gives them back. It shares the controller of `make demo`,
whether that is up or not, and `make down` takes both away.
"""

from __future__ import annotations

import json
import sys

from scripts import demo
from scripts import demo_machine as machine
from scripts.demo import chutian, ensure, say, tell
from scripts.demo_machine import CLONE, LOG, REGION, STATE, DemoError
from tests.lab.needs import LIBVIRT, OPENSTACK, missing, openstack_environment
from tests.lab.openstack import rig
from tests.lab.openstack.api import Api
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import ADMIN, DEMO, Account

PROJECT = "hubei/archives"
CLERK = "archives-clerk"
WAYS = (  # pool and endpoint, whose credentials, and how it is seen
    ("region", ADMIN, ()),
    ("quarter", DEMO, ("--option", "sees=opaque")),
)


def main() -> None:
    """Tell it."""
    say("An OpenStack region with one hypervisor, and a controller")
    url = machine.settings()
    region = _start()
    tell(f"keystone answers at {region.settings.public_url('keystone')}")
    machine.controller_up()
    tell(f"the controller answers at {url}; its log is {LOG}")
    demo.administrator(url)
    say("The operator: what may be used, and where")
    _enrol(region)
    say("The operator: who may use how much")
    demo.people(url, PROJECT, "Provincial archives", "instances=4 vcpus=4 memory_mib=1024 disk_gib=8", CLERK)
    _story(region)


def _start() -> Region:
    """What is there already, or a new one."""
    if lacking := missing({**LIBVIRT, **OPENSTACK}):
        raise DemoError(f"no region on this machine: {'; '.join(lacking)}")
    try:
        return rig.found(REGION) if (REGION / "region.json").exists() else rig.up(REGION, openstack_environment(), computes=0, real=True)
    except (FileNotFoundError, RuntimeError, TimeoutError) as error:
        raise DemoError(f"the region can't be started: {error}") from error


def _enrol(region: Region) -> None:
    ensure("flavor", "tiny", "flavor", "create", "tiny", "--vcpus", "1", "--memory-mib", "128", "--disk-gib", "1")
    demo.image_of("tiny")
    where = ("--driver", "openstack", "--uri", f"openstack+{region.settings.public_url('keystone')}")
    for name, account, how in WAYS:
        ensure(
            "pool", name, "pool", "create", name, "--zone", "wuhan-1", "--overcommit", "vcpus=4", "--reserved", "memory_mib=0,disk_gib=0"
        )
        proof = ("--option", f"ca_file={region.settings.ca}", "--credentials-file", _credentials(region, account))
        ensure("endpoint", name, "endpoint", "create", name, *where, "--pool", name, *how, *proof)
        chutian("host", "list", "--pool", name, show=True)


def _credentials(region: Region, account: Account) -> str:
    """The file with what one account proves itself by: a clouds.yaml that says nothing of this machine's files."""
    file = STATE / f"clouds-{account.name}.yaml"
    cloud = {name: value for name, value in region.cloud(account).items() if name != "cacert"}
    machine.private(file, json.dumps({"clouds": {account.name: cloud}}))
    return str(file)


def _story(region: Region) -> None:
    request = demo.applied(PROJECT, CLERK, lambda: CLONE / "examples" / "region.yaml")
    demo.booted(request, PROJECT, addressed=False)
    demo.show(request, PROJECT)
    names = [one["name"] for one in demo.instances(request, PROJECT)]
    say("The end of what one of them printed, and what all of them count")
    chutian("instance", "console", names[0], "--project", PROJECT, "--max-bytes", "400", show=True, profile=CLERK)
    chutian("quota", "show", PROJECT, show=True, profile=CLERK)
    say("The same in the region's words")
    demo.table([("SERVER", "STATUS", "HYPERVISOR", "PROJECT", "TAGS"), *_servers(region.admin)])
    demo.give_back(request, PROJECT, CLERK)
    if left := _servers(region.admin):
        raise DemoError(f"still in the region: {', '.join(row[0] for row in left)}")
    tell("nothing of it is left in the region: no server")


def _servers(admin: Api) -> list[tuple[str, ...]]:
    """All servers of the region, a row each."""
    names = {one["id"]: one["name"] for one in admin.ask("keystone", "GET /projects")["projects"]}
    return sorted(
        (one["name"], one["status"], one["OS-EXT-SRV-ATTR:host"], names[one["tenant_id"]], " ".join(one["tags"]))
        for one in admin.ask("nova-api", "GET /servers/detail?all_tenants=1")["servers"]
    )


if __name__ == "__main__":
    sys.exit(demo.told("demo-openstack", "Region", main))
