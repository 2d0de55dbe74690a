"""A guest that runs on a real hypervisor becomes an instance and is given back: it is never told of it, nor stopped for it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from drivers.base import Condition, Power
from tests.drivers.contract import converge
from tests.drivers.openstack.backend import connect_to, of_guests
from tests.drivers.openstack.test_adopting import Others, foreigner, others, spec_for
from tests.lab.openstack.rig import Region
from tests.lab.openstack.settings import TINY
from tests.lab.openstack.shared import shared_region_of_guests

__all__ = ["others"]
pytestmark = [pytest.mark.real, pytest.mark.slow]


@pytest.fixture
def region() -> Region:
    """The one that all fixtures here are about."""
    return shared_region_of_guests()


def process(region: Region, domain: str) -> str:
    """The process that is the guest, and when it began, in clock ticks since the machine started."""
    (found,) = region.libvirt_host.run("pgrep", "-f", f"guest={domain},").split()
    return f"{found} since {region.libvirt_host.run('cat', f'/proc/{found}/stat').rpartition(')')[2].split()[19]}"


def test_a_guest_that_is_adopted_and_given_back_never_notices(region: Region, others: Others, owner: str) -> None:
    image = next(one["id"] for one in region.admin.ask("glance", f"GET /v2/images?name={TINY}")["images"])
    id_ = others.start("Guest", "m1.small", imageRef=image)
    path, ready = f"POST /servers/{id_}/action", "chutian-guest: ready"
    region.admin.until("nova-api", path, lambda said: ready in said["output"], 90, {"os-getConsoleOutput": {}})
    domain = others.server(id_)["OS-EXT-SRV-ATTR:instance_name"]
    before = process(region, domain)
    driver = connect_to(region, owner)
    spec = spec_for(foreigner(driver, id_))
    driver.ensure(spec)
    assert (seen := driver.observe(spec.instance_id)).condition is Condition.RUNNING
    assert (seen.generation, seen.host) == (1, region.libvirt_host.name)
    assert driver.console_log(spec.instance_id, 1 << 16).decode().count(ready) == 1
    assert process(region, domain) == before
    driver.disown(spec.instance_id, id_)
    assert driver.observe(spec.instance_id).condition is Condition.ABSENT
    assert (process(region, domain), others.actions(id_)) == (before, ["create"])
    driver.ensure(spec)
    off = replace(spec, generation=2, power=Power.STOPPED)
    with of_guests(region.folder) as patient:
        converge(patient, driver, off)
    assert domain not in region.libvirt_host.run("virsh", "list", "--name"), "what is ours obeys"
    driver.close()
