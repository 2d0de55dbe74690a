"""Which real parts this machine has, and what to do about one that is missing: fail in CI, say what to install and skip elsewhere."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest

CHECKOUT = Path(__file__).parents[2]
MACHINES = {"ip": "iproute2", "nft": "nftables", "unshare": "util-linux"}
LIBVIRT = {
    "libvirtd": "libvirt-daemon-system",
    "virtlogd": "libvirt-daemon-system",
    "qemu-system-x86_64": "qemu-system-x86",
    "qemu-img": "qemu-utils",
    "dnsmasq": "dnsmasq-base",
    "syslinux": "syslinux",
    "mcopy": "mtools",
    "mkfs.fat": "dosfstools",
    "cpio": "cpio",
}
METAL = {**LIBVIRT, "genisoimage": "genisoimage", "zstd": "zstd", "/usr/share/OVMF/OVMF_CODE_4M.fd": "ovmf"}
KUBERNETES_NODES = {
    "containerd": "containerd",
    "runc": "runc",
    "/usr/lib/cni/bridge": "containernetworking-plugins",
    "/usr/lib/cni/host-local": "containernetworking-plugins",
}
OPENSTACK = {
    "mariadbd": "mariadb-server-core",
    "mariadb": "mariadb-client-core",
    "rabbitmq-server": "rabbitmq-server",
    "memcached": "memcached",
}


def missing(programs: Mapping[str, str]) -> list[str]:
    """What keeps machines of the lab from running here with those programs (and the packages they are in), one sentence each."""
    found = _lacking({**MACHINES, **programs})
    if os.geteuid() != 0:
        found.append("run as root: it makes network namespaces")
    if not Path("/sys/fs/cgroup/freezer").is_dir():
        found.append("it needs version 1 cgroups under /sys/fs/cgroup")
    return found


def _lacking(programs: Mapping[str, str]) -> list[str]:
    path = os.environ.get("PATH", "") + ":/usr/sbin:/sbin"
    packages = {package for program, package in programs.items() if shutil.which(program, mode=os.F_OK, path=path) is None}
    return [f"install {' '.join(sorted(packages))}"] if packages else []


def kubernetes_binaries() -> Path:
    """The folder with the programs of Kubernetes. Raises FileNotFoundError, saying what to do, where there is none."""
    return _find("kubernetes-binaries")


def openstack_environment() -> Path:
    """The folder with what a region is made of. Raises FileNotFoundError, saying what to do, where there is none."""
    return _find("openstack-region")


def _find(script: str) -> Path:
    done = subprocess.run([CHECKOUT / "scripts" / script, "find"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise FileNotFoundError(done.stderr.strip())
    return Path(done.stdout.strip())


def require_lab() -> None:
    """Skip, or fail in CI, unless libvirt hosts can be made here."""
    _require("libvirt lab", missing(LIBVIRT))


def require_metal() -> None:
    """Skip, or fail in CI, unless servers behind BMCs can be made here."""
    _require("bare-metal lab", missing(METAL))


def require_kubernetes() -> None:
    """Skip, or fail in CI, unless a control plane and real nodes can be made here."""
    lacking = missing(KUBERNETES_NODES)
    try:
        kubernetes_binaries()
    except FileNotFoundError as none:
        lacking.append(str(none))
    _require("Kubernetes", lacking)


def require_openstack() -> None:
    """Skip, or fail in CI, unless an OpenStack region can be made here."""
    lacking = _lacking(OPENSTACK)
    try:
        openstack_environment()
    except FileNotFoundError as none:
        lacking.append(str(none))
    _require("OpenStack region", lacking)


def _require(what: str, lacking: list[str]) -> None:
    if lacking:
        reason = f"no {what} on this machine: {'; '.join(lacking)}"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
