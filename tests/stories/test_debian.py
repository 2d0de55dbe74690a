"""A real Debian with cloud-init, asked for by a department, logged into by ssh."""

from __future__ import annotations

import subprocess
import time

import pytest

from tests.api.outside import fresh
from tests.stories.conftest import GUESTS, Province, upload

pytestmark = [pytest.mark.real, pytest.mark.slow]
BOOT_S = 420  # under emulation, beside other tests


def test_a_debian_reads_its_seed_and_lets_its_owner_in_by_ssh(province: Province) -> None:
    folder = province.cloud.data_dir
    image, key = folder / "debian.qcow2", folder / "id_ed25519"
    subprocess.run([GUESTS / "debian" / "build", image], check=True, capture_output=True)
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-C", "test", "-f", key], check=True, capture_output=True)
    upload(province.cloud, "debian-12", image)
    province.cloud.admin.ask("POST /v1/flavors", {"name": "debian", "vcpus": 2, "memory_mib": 512, "disk_gib": 3})
    member, name = province.department.member, fresh("registry")
    user_data = "#cloud-config\nwrite_files:\n  - path: /etc/department\n    content: health commission\n"
    public = key.with_suffix(".pub").read_text().strip()
    body = {
        "project": province.department.path,
        "name": name,
        "flavor": "debian",
        "image": "debian-12",
        "user_data": user_data,
        "ssh_keys": [public],
    }
    one = member.ask("POST /v1/instances", body)
    member.settled_within(one["id"], "active", 120)
    host = province.host_of(one)
    address = member.until(f"GET /v1/instances/{one['id']}", lambda seen: seen["addresses"], BOOT_S)["addresses"][0]
    ssh = (
        "ssh",
        "-q",
        "-o",
        "BatchMode=yes",
        "-o",
        "ConnectTimeout=5",
        "-o",
        "StrictHostKeyChecking=no",
        "-o",
        "UserKnownHostsFile=/dev/null",
    )
    command = (
        *ssh,
        "-i",
        str(key),
        f"debian@{address}",
        "hostname; cat /etc/department; echo; sudo -n true && df --output=size -BG / | tail -1",
    )
    end, said = time.monotonic() + BOOT_S, ""
    while not said:
        try:
            said = host.run(*command)
        except subprocess.CalledProcessError:
            assert time.monotonic() < end, f"no login within {BOOT_S} s; the console says:\n{province.console(one)[-3000:]}"
            time.sleep(3)
    hostname, department, size = [line for line in said.splitlines() if line]
    assert (hostname, department) == (name, "health commission")
    assert size.strip() in ("3G", "2G"), "the root file system grew to its disk"
    member.ask(f"DELETE /v1/instances/{one['id']}")
    member.settled_within(one["id"], "deleted", 60)
