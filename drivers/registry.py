"""Which drivers there are: a literal table, so that a search finds it. Each is imported only when an endpoint of its kind is opened,
so that a missing C library breaks its own driver alone."""

from collections.abc import Callable, Mapping

from drivers.base import Driver, OpenDriver


def _fake() -> OpenDriver:
    from drivers.fake.driver import open_fake

    return open_fake


def _libvirt() -> OpenDriver:
    from drivers.libvirt.driver import open_libvirt

    return open_libvirt


def _kubernetes() -> OpenDriver:
    from drivers.kubernetes.driver import open_kubernetes

    return open_kubernetes


def _bare_metal() -> OpenDriver:
    from drivers.bare_metal.driver import open_bare_metal

    return open_bare_metal


def _openstack() -> OpenDriver:
    from drivers.openstack.driver import open_openstack

    return open_openstack


def _kubernetes_rights(options: Mapping[str, str]) -> str:
    from drivers.kubernetes.rights import rbac_manifest

    return rbac_manifest(options)


RIGHTS: Mapping[str, Callable[[Mapping[str, str]], str]] = {"kubernetes": _kubernetes_rights}
"""What a backend's own people apply there, so that the driver of an endpoint with these options may do what it must and nothing else.
Raises InvalidSpec for options that can't be."""


def _libvirt_options(options: Mapping[str, str]) -> None:
    from drivers.libvirt.options import parse

    parse(options)


CHECKS: Mapping[str, Callable[[Mapping[str, str]], None]] = {"libvirt": _libvirt_options}
"""Whether options can be, before there is anything to connect to. Raises InvalidSpec."""

SEVERAL_AT_ONE_ADDRESS: frozenset[str] = frozenset({"openstack"})
"""Drivers whose endpoints are what their credentials say, not what is at the address: whether two are one, their hosts tell."""

DRIVERS: Mapping[str, Callable[[], OpenDriver]] = {
    "fake": _fake,
    "libvirt": _libvirt,
    "kubernetes": _kubernetes,
    "bare_metal": _bare_metal,
    "openstack": _openstack,
}


def open_driver(kind: str, uri: str, owner: str, options: Mapping[str, str]) -> Driver:
    """Open a connection to one endpoint.

    Raises KeyError for a kind that is not in the table, HostUnreachable or InvalidSpec as the driver does.
    """
    return DRIVERS[kind]()(uri, owner, options)
