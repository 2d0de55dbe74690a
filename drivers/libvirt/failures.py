"""From libvirt's error codes to `drivers.errors`: one literal table.

In: a libvirtError and whether its connection is still alive. Out: the DriverError to raise. Invariant: an error on a dead connection says
nothing about the object asked for, so it is always HostUnreachable, whatever its code. What the table does not name is Transient: the
controller will ask again and look afresh.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

import libvirt

from drivers.errors import DriverError, HostUnreachable, InvalidSpec, NotSupported, Permanent, Timeout, Transient

BY_CODE: Final[Mapping[int, type[DriverError]]] = {
    libvirt.VIR_ERR_NO_CONNECT: HostUnreachable,
    libvirt.VIR_ERR_INVALID_CONN: HostUnreachable,
    libvirt.VIR_ERR_RPC: HostUnreachable,
    libvirt.VIR_ERR_GNUTLS_ERROR: HostUnreachable,
    libvirt.VIR_ERR_AUTH_FAILED: HostUnreachable,
    libvirt.VIR_ERR_AUTH_CANCELLED: HostUnreachable,
    libvirt.VIR_ERR_AUTH_UNAVAILABLE: HostUnreachable,
    libvirt.VIR_ERR_NO_CLIENT: HostUnreachable,
    libvirt.VIR_ERR_NO_HOSTNAME: HostUnreachable,
    libvirt.VIR_ERR_SSH: HostUnreachable,
    libvirt.VIR_ERR_LIBSSH: HostUnreachable,
    libvirt.VIR_ERR_OPERATION_TIMEOUT: Timeout,
    libvirt.VIR_ERR_AGENT_UNRESPONSIVE: Timeout,
    libvirt.VIR_ERR_NO_SUPPORT: NotSupported,
    libvirt.VIR_ERR_OPERATION_UNSUPPORTED: NotSupported,
    libvirt.VIR_ERR_CONFIG_UNSUPPORTED: InvalidSpec,
    libvirt.VIR_ERR_ARGUMENT_UNSUPPORTED: NotSupported,
    libvirt.VIR_ERR_XML_ERROR: InvalidSpec,
    libvirt.VIR_ERR_XML_DETAIL: InvalidSpec,
    libvirt.VIR_ERR_XML_INVALID_SCHEMA: InvalidSpec,
    libvirt.VIR_ERR_INVALID_ARG: InvalidSpec,
    libvirt.VIR_ERR_NO_NETWORK: InvalidSpec,
    libvirt.VIR_ERR_OPERATION_DENIED: Permanent,
    libvirt.VIR_ERR_ACCESS_DENIED: Permanent,
}
"""Everything else (busy, raced, gone meanwhile, out of resources) is Transient."""

REFUSED_URI: Final = frozenset(
    {libvirt.VIR_ERR_NO_SUPPORT, libvirt.VIR_ERR_INVALID_ARG, libvirt.VIR_ERR_XML_ERROR, libvirt.VIR_ERR_CONF_SYNTAX}
)
"""Codes of `open` that mean a wrong URI rather than a silent host."""


_TIME: Final = re.compile(r"\b\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z:? ?")


def translate(error: libvirt.libvirtError, alive: bool) -> DriverError:
    """The error to raise in place of libvirt's."""
    kind = BY_CODE.get(error.get_error_code(), Transient) if alive else HostUnreachable
    return kind(detail=detail(error))


def translate_open(error: libvirt.libvirtError) -> DriverError:
    """The same for a connection that could not be opened."""
    kind = InvalidSpec if error.get_error_code() in REFUSED_URI else HostUnreachable
    return kind(detail=detail(error))


def detail(error: libvirt.libvirtError) -> str:
    """One line of what libvirt says, without the times that QEMU puts before its own words: the same failure reads the same each time."""
    return " ".join(_TIME.sub("", str(error.get_error_message() or error)).split())[:300]
