"""What an endpoint's options may say: a mapping of strings in, one frozen value out."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from drivers.errors import InvalidSpec
from drivers.options import read

OWN_NETWORK: Final = "chutian"
VIRT_TYPES: Final = ("auto", "kvm", "qemu")


@dataclass(frozen=True, slots=True)
class Options:
    """One endpoint's settings."""

    pool: str = "chutian"  # the storage pool's name
    pool_path: str = "/var/lib/libvirt/images/chutian"
    network: str = OWN_NETWORK  # made by `prepare` if it has this very name; any other must exist already
    network_cidr: str = "192.168.150.0/24"
    bridge: str = "chutian0"
    virt_type: str = "auto"  # auto: KVM where a probe proves that it works
    certificates: str = ""  # for `qemu+tls`: `own`, the controller's own, or a folder as libvirt's `pkipath`; empty: what the URI says


def parse(given: Mapping[str, str]) -> Options:
    """Raises InvalidSpec for an unknown option or a value that can't be."""
    options = read(Options, given)
    if options.virt_type not in VIRT_TYPES:
        raise InvalidSpec(detail=f"virt_type is {options.virt_type!r}, not one of {', '.join(VIRT_TYPES)}")
    if options.certificates and not options.certificates.startswith("/"):  # the controller puts a folder in the place of `own`
        raise InvalidSpec(detail=f"certificates {options.certificates!r} is neither 'own' nor an absolute path")
    if not options.pool_path.startswith("/"):
        raise InvalidSpec(detail=f"pool_path {options.pool_path!r} is not an absolute path")
    try:
        network = ipaddress.IPv4Network(options.network_cidr)
    except ValueError as error:
        raise InvalidSpec(detail=f"network_cidr: {error}") from error
    if network.prefixlen > 29:
        raise InvalidSpec(detail=f"network_cidr {network} has no room for guests")
    return options
