"""What a host must have before it can hold instances: an active storage pool and a network.

In: a connection, options. Out: the pool; or it is made. Invariants: what exists is never redefined, only started; nothing but our own
network is ever made, so that an operator's network can't be shadowed.
"""

from __future__ import annotations

import ipaddress
import xml.etree.ElementTree as ET
from contextlib import suppress

import libvirt

from drivers.errors import InvalidSpec, Transient
from drivers.libvirt.options import OWN_NETWORK, Options


def prepare(connection: libvirt.virConnect, options: Options) -> None:
    """Make and start what is missing. Two at once: one makes, the other may be told to come again."""
    pool = find_pool(connection, options)
    if pool is None:
        pool = connection.storagePoolDefineXML(pool_xml(options), 0)
    if not pool.isActive():
        with suppress(libvirt.libvirtError):  # the folder is there already
            pool.build(0)
        _start(pool)
    pool.setAutostart(1)
    network = _find_network(connection, options)
    if not network.isActive():
        _start(network)
    if options.network == OWN_NETWORK:
        network.setAutostart(1)


def find_pool(connection: libvirt.virConnect, options: Options) -> libvirt.virStoragePool | None:
    """The pool, started or not, or None."""
    try:
        pool = connection.storagePoolLookupByName(options.pool)
    except libvirt.libvirtError as error:
        if error.get_error_code() == libvirt.VIR_ERR_NO_STORAGE_POOL:
            return None
        raise
    path = ET.fromstring(pool.XMLDesc(0)).findtext("target/path")  # noqa: S314  # from libvirtd
    if path != options.pool_path:
        raise InvalidSpec(detail=f"the storage pool {options.pool!r} is in {path}, not in {options.pool_path}")
    return pool


def ready(pool: libvirt.virStoragePool | None) -> libvirt.virStoragePool:
    """The pool, started. Raises Transient if there is none: `prepare` has to be called first."""
    if pool is None:
        raise Transient(detail="the host has no storage pool for instances yet")
    if not pool.isActive():
        _start(pool)
    return pool


def pool_xml(options: Options) -> str:
    root = ET.Element("pool", type="dir")
    ET.SubElement(root, "name").text = options.pool
    ET.SubElement(ET.SubElement(root, "target"), "path").text = options.pool_path
    return ET.tostring(root, encoding="unicode")


def network_xml(options: Options) -> str:
    """A NAT network with DHCP: the first address is the host's."""
    network = ipaddress.IPv4Network(options.network_cidr)
    root = ET.Element("network")
    ET.SubElement(root, "name").text = options.network
    ET.SubElement(root, "bridge", name=options.bridge, stp="on", delay="0")
    ET.SubElement(root, "forward", mode="nat")
    ip = ET.SubElement(root, "ip", address=str(network[1]), netmask=str(network.netmask))
    ET.SubElement(ET.SubElement(ip, "dhcp"), "range", start=str(network[2]), end=str(network[-2]))
    return ET.tostring(root, encoding="unicode")


def _find_network(connection: libvirt.virConnect, options: Options) -> libvirt.virNetwork:
    try:
        return connection.networkLookupByName(options.network)
    except libvirt.libvirtError as error:
        if error.get_error_code() != libvirt.VIR_ERR_NO_NETWORK:
            raise
    if options.network != OWN_NETWORK:
        raise InvalidSpec(detail=f"the host has no network {options.network!r}")
    return connection.networkDefineXML(network_xml(options))


def _start(thing: libvirt.virStoragePool | libvirt.virNetwork) -> None:
    try:
        thing.create()
    except libvirt.libvirtError:
        if not thing.isActive():  # else another controller was quicker
            raise
