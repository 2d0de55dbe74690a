"""A real OpenStack region as the driver contract sees it: hypervisors as hosts, simulated and with guests, and the region as one.

In: a folder. Out: a `Backend`. What is done behind the driver's back goes through the lab's own client, never through the driver.
"""

from __future__ import annotations

import atexit
import json
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

from drivers.base import Driver, Image, InstanceSpec
from drivers.openstack.driver import OpenStackDriver, open_openstack
from drivers.openstack.names import instance_tag, owner_tag
from tests.drivers.contract import POWERS, Backend
from tests.drivers.libvirt.backend import image_of, spec_of
from tests.lab.openstack.api import Api, Refused
from tests.lab.openstack.compute import Compute
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import ADMIN, DEMO, Account
from tests.lab.openstack.shared import shared_region, shared_region_of_guests

LACKS = {"guest", "addresses", "unstarted", "notices"}
"""Simulated hypervisors have no guests; nova starts whatever it makes, and tells nobody."""
OPAQUE_LACKS = {"resize"}  # to sizes that no flavor has
SIZE = {"vcpus": 1, "memory_mib": 2048, "disk_gib": 20}  # of m1.small: an ordinary project finds only the flavors that there are
SWITCH_ON = frozenset({"create", "start", "reboot", "rebuild"})
"""Actions that switch a guest on; a resize does, too, if it was on, and no case counts boots after one but of what was off."""


@cache
def image() -> Image:
    """A file that nobody boots."""
    path = Path(tempfile.mkdtemp(prefix="ct-image-", dir="/tmp")) / "image.raw"
    atexit.register(shutil.rmtree, path.parent)
    path.write_bytes(b"not much of a system" * 1000)
    return image_of(path, "raw", 1 << 20)


def options_for(account: Account, **options: str) -> dict[str, str]:
    """An endpoint's of the shared region, with that account's credentials."""
    return options_of(shared_region(), account, **options)


def options_of(where: Region, account: Account, **options: str) -> dict[str, str]:
    """The same of any region."""
    cloud = {name: value for name, value in where.cloud(account).items() if name != "cacert"}
    given = {"credentials": json.dumps({"clouds": {"lab": cloud}}), "ca_file": str(where.settings.ca), "timeout_s": "5", "call_s": "30"}
    return {**given, **options}


def connect(owner: str, account: Account = ADMIN, **options: str) -> OpenStackDriver:
    """An open driver of the shared region."""
    return connect_to(shared_region(), owner, account, **options)


def connect_to(where: Region, owner: str, account: Account = ADMIN, **options: str) -> OpenStackDriver:
    """An open driver of any region."""
    driver = open_openstack(uri(where), owner, options_of(where, account, **options))
    assert isinstance(driver, OpenStackDriver)
    return driver


def uri(region: Region) -> str:
    return f"openstack+{region.settings.public_url('keystone')}"


class Behind:
    """What others do with an instance's server, found by its tag as an administrator finds it, in whichever project."""

    def __init__(self, region: Region) -> None:
        self._region = region
        self._api: Api = region.admin

    def servers(self, instance_id: str) -> list[dict[str, Any]]:
        """The oldest first."""
        found = self._api.ask("nova-api", f"GET /servers/detail?all_tenants=1&tags={instance_tag(instance_id)}")["servers"]
        return sorted(found, key=lambda one: (one["created"], one["id"]))

    def server(self, instance_id: str) -> dict[str, Any]:
        """The only one."""
        found = self.servers(instance_id)
        assert len(found) == 1, f"{len(found)} servers of {instance_id}"
        return found[0]

    def compute(self, instance_id: str) -> Compute:
        """The hypervisor that it is on."""
        name = self.server(instance_id)["OS-EXT-SRV-ATTR:host"]
        return next(one for one in self._region.computes if one.name == name)

    def kill(self, instance_id: str) -> None:
        self.compute(instance_id).switch_off(self.server(instance_id)["id"])

    def undefine(self, instance_id: str) -> None:
        id_ = self.server(instance_id)["id"]
        self._api.ask("nova-api", f"DELETE /servers/{id_}")
        self._api.until_gone("nova-api", f"GET /servers/{id_}")

    def forget(self, owner: str) -> None:
        """Everything of an owner."""
        for one in self._api.ask("nova-api", f"GET /servers/detail?all_tenants=1&tags={owner_tag(owner)}")["servers"]:
            with suppress(Refused):
                self._api.ask("nova-api", f"DELETE /servers/{one['id']}")
        self._api.until("nova-api", f"GET /servers?all_tenants=1&tags={owner_tag(owner)}", lambda said: not said["servers"])

    def act(self, instance_id: str, action: str, given: object = None) -> None:
        """One of nova's actions."""
        self._api.ask("nova-api", f"POST /servers/{self.server(instance_id)['id']}/action", {action: given})

    def twin(self, instance_id: str) -> str:
        """A second server with the marks of the first, as two controllers make that ask in the same moment; its id."""
        one = self.server(instance_id)
        image = one["image"]["id"]
        flavors = self._api.ask("nova-api", "GET /flavors")["flavors"]
        flavor = next(each["id"] for each in flavors if each["name"] == one["flavor"]["original_name"])
        same = {"name": one["name"], "metadata": one["metadata"], "tags": one["tags"]}
        body = {"server": {**same, "imageRef": image, "flavorRef": flavor, "networks": "none"}}
        made: str = self._api.ask("nova-api", "POST /servers", body)["server"]["id"]
        self._api.until("nova-api", f"GET /servers/{made}", lambda said: said["server"]["status"] == "ACTIVE")
        return made

    def actions(self, instance_id: str) -> list[str]:
        """What was done to it, the oldest first."""
        found = []
        for one in self.servers(instance_id):
            listed = self._api.ask("nova-api", f"GET /servers/{one['id']}/os-instance-actions")["instanceActions"]
            found += [action["action"] for action in reversed(listed)]
        return found

    def boots(self, instance_id: str) -> int:
        """How often it was switched on, by what was done to it."""
        return sum(action in SWITCH_ON for action in self.actions(instance_id))

    def size(self, instance_id: str) -> tuple[int, int, int]:
        flavor = self.server(instance_id)["flavor"]
        return flavor["vcpus"], flavor["ram"], flavor["disk"]


def spec_on(host: str, fields: Mapping[str, Any]) -> InstanceSpec:
    """A small running instance, with fields overridden."""
    return spec_of(image(), host, "x86_64", {**SIZE, **fields})


def backend(region: Region, open_: Callable[[str], Driver], make_spec: Callable[..., InstanceSpec], lacks: set[str]) -> Backend:
    behind = Behind(region)
    return Backend(
        open=open_,
        make_spec=make_spec,
        kill=behind.kill,
        undefine=behind.undefine,
        boots=behind.boots,
        size=behind.size,
        cut=lambda: region.being_frozen("nova-api"),
        can=frozenset(POWERS) - lacks,
        timeout_s=60,
        pause_s=0.3,
    )


@contextmanager
def of_hypervisors(folder: Path) -> Iterator[Backend]:
    """An administrator's credentials: servers of the first hypervisor."""
    region = shared_region()
    yield backend(region, connect, lambda **fields: spec_on(region.computes[0].name, fields), LACKS)


@contextmanager
def of_guests(folder: Path) -> Iterator[Backend]:
    """The same with a hypervisor that boots guests."""
    region = shared_region_of_guests()
    behind, host = Behind(region), region.libvirt_host
    tiny = image_of(region.folder / "tiny.qcow2", "qcow2", 64 << 20)

    def kill(instance_id: str) -> None:
        host.run("virsh", "destroy", behind.server(instance_id)["OS-EXT-SRV-ATTR:instance_name"])

    made = backend(
        region,
        lambda owner: connect_to(region, owner),
        lambda **fields: spec_of(tiny, host.name, "x86_64", fields),
        LACKS - {"guest"},
    )
    yield replace(made, kill=kill, timeout_s=90, told_id=lambda id_: behind.server(id_)["id"])


@contextmanager
def opaque(folder: Path) -> Iterator[Backend]:
    """An ordinary project's credentials: nova chooses the hypervisor."""
    options = {"sees": "opaque", "zone": "nova"}
    lacks = LACKS | OPAQUE_LACKS
    yield backend(shared_region(), lambda owner: connect(owner, DEMO, **options), lambda **fields: spec_on("nova", fields), lacks)
