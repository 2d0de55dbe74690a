"""A region with a real hypervisor: what nova builds there boots, is told who it is, and is gone when the server is."""

from __future__ import annotations

import base64

import pytest

from tests.lab.openstack.conftest import Servers
from tests.lab.openstack.settings import TINY
from tests.lab.openstack.shared import shared_region_of_guests

pytestmark = pytest.mark.real

KEY = "ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIIyNYxP4VVtQhPzHJC1Kmk1cXlQ6pZ0k3v8vC5rB5b3Z somebody"
DO = "#!/bin/sh\necho chutian-guest: told; cut -d ' ' -f 1 /root/.ssh/authorized_keys\n"


def test_a_server_boots_knows_its_name_key_and_user_data_stops_starts_and_goes() -> None:
    real = shared_region_of_guests()
    servers, user = Servers(real.admin), real.user()
    hypervisor = real.libvirt_host.name
    found = real.admin.ask("nova-api", "GET /os-hypervisors")["hypervisors"]
    assert [one["hypervisor_hostname"] for one in found] == [hypervisor]
    user.ask("nova-api", "POST /os-keypairs", {"keypair": {"name": "key", "type": "ssh", "public_key": KEY}})
    more = {"user_data": base64.b64encode(DO.encode()).decode(), "key_name": "key", "imageRef": servers.image(TINY)}
    made = servers.create(user, name="front-1", **more)
    server = servers.until(made, 60, status="ACTIVE")
    assert server["OS-EXT-SRV-ATTR:hypervisor_hostname"] == hypervisor
    path = f"POST /servers/{made}/action"
    said = real.admin.until("nova-api", path, lambda said: "chutian-guest: ready" in said["output"], 90, {"os-getConsoleOutput": {}})
    assert f"chutian-guest: hostname=front-1 instance-id={made} seed=config-drive user=root" in said["output"]
    assert "chutian-guest: told\nssh-ed25519" in said["output"]
    domain = server["OS-EXT-SRV-ATTR:instance_name"]
    assert domain in real.libvirt_host.run("virsh", "list", "--name")
    user.ask("nova-api", path, {"os-stop": None})
    servers.until(made, 90, status="SHUTOFF")
    user.ask("nova-api", path, {"os-start": None})
    servers.until(made, 60, status="ACTIVE")
    user.ask("nova-api", f"DELETE /servers/{made}")
    user.until_gone("nova-api", f"GET /servers/{made}")
    assert domain not in real.libvirt_host.run("virsh", "list", "--name", "--all")
