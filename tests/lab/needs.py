"""Which real parts this machine has, and what to do about one that is missing: fail in CI, say what to install and skip elsewhere."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import pytest

PROGRAMS = {
    "libvirtd": "libvirt-daemon-system",
    "virtlogd": "libvirt-daemon-system",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "dnsmasq": "dnsmasq-base",
    "ip": "iproute2",
    "nft": "nftables",
    "unshare": "util-linux",
    "syslinux": "syslinux",
    "mcopy": "mtools",
    "mkfs.fat": "dosfstools",
    "cpio": "cpio",
}


def missing() -> list[str]:
    """What keeps the lab from running here, one sentence each."""
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    packages = {package for program, package in PROGRAMS.items() if shutil.which(program, path=path) is None}
    found = [f"install {' '.join(sorted(packages))}"] if packages else []
    if os.geteuid() != 0:
        found.append("run as root: it makes network namespaces")
    if not Path("/sys/fs/cgroup/freezer").is_dir():
        found.append("it needs version 1 cgroups under /sys/fs/cgroup")
    return found


def require_lab() -> None:
    """Skip, or fail in CI, unless libvirt hosts can be made here."""
    if lacking := missing():
        reason = f"no libvirt lab on this machine: {'; '.join(lacking)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
