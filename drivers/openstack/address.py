"""Where a region is: an endpoint's address in, its keystone's URL out.

`openstack+https://HOST[:PORT][/PATH]`, the path ending in /v3 (added where it is missing). `openstack+http` is for loopback addresses
alone, since password and tokens would go over the wire as they are; the same holds for what keystone's catalogue names (`refuse_clear`). An
address that holds a user or a password is refused without being quoted.
"""

from __future__ import annotations

import ipaddress
from typing import Final
from urllib.parse import SplitResult, urlsplit

from drivers.errors import InvalidSpec

SCHEMES: Final = {"openstack+https": "https", "openstack+http": "http"}


def parse(uri: str) -> str:
    """The URL of keystone's version 3. Raises InvalidSpec."""
    try:
        parts = urlsplit(uri)
        port = parts.port
    except ValueError as error:
        raise InvalidSpec(detail=f"the address can't be read: {error}") from None
    if parts.username is not None or parts.password is not None:
        raise InvalidSpec(detail="the address holds a user or a password; these belong into the credentials")
    if parts.scheme not in SCHEMES or not parts.hostname or parts.query or parts.fragment or not uri.isprintable() or " " in uri:
        raise InvalidSpec(detail=f"{uri!r} is not openstack+https://HOST:PORT/v3")
    path = parts.path.rstrip("/")
    path = path if path.endswith("/v3") else f"{path}/v3"
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    url = f"{SCHEMES[parts.scheme]}://{host}{'' if port is None else f':{port}'}{path}"
    refuse_clear(url, "keystone")
    return url


def refuse_clear(url: str, service: str) -> None:
    """Raises InvalidSpec where tokens would go over a network in clear."""
    try:
        parts = urlsplit(url)
    except ValueError:
        raise InvalidSpec(detail=f"the address of {service} can't be read") from None
    if parts.scheme != "https" and not (parts.scheme == "http" and _is_loopback(parts)):
        raise InvalidSpec(detail=f"the address of {service} is not https ({parts.scheme}://{parts.hostname}): tokens would go in clear")


def _is_loopback(parts: SplitResult) -> bool:
    host = parts.hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
