"""Who we are to a region: the sealed text in, one frozen value out. Pure.

Two forms: the text of a clouds.yaml with one cloud (JSON is YAML, too), by password or application credential, or one line
USER:PASSWORD@PROJECT of the domain Default. Everything is inline: what would make the controller read files or follow the environment is
refused, as is whatever is not understood. Invariant: no error quotes a value; the YAML parser's own words, which quote lines, are dropped.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final
from urllib.parse import urlsplit

import yaml

from drivers.errors import InvalidSpec
from drivers.openstack.options import INTERFACES

DOMAIN: Final = "Default"
_USER: Final = ("username", "user_id", "user_domain_name", "user_domain_id")
_PROJECT: Final = ("project_name", "project_id", "project_domain_name", "project_domain_id", "domain_name", "domain_id")
_KEY: Final = ("application_credential_id", "application_credential_name", "application_credential_secret")
PASSWORD: Final = frozenset(("password", *_USER, *_PROJECT))
APPLICATION: Final = frozenset((*_KEY, *_USER))
KINDS: Final = {"": None, "password": False, "v3password": False, "v3applicationcredential": True}
CLOUD: Final = frozenset({"auth", "auth_type", "region_name", "interface", "identity_api_version"})
_WHOLE: Final = "credentials is neither a clouds.yaml with one cloud nor one line USER:PASSWORD@PROJECT"


@dataclass(frozen=True, slots=True)
class Login:
    """`given`: keyword arguments of keystoneauth's plugin (`by_application`: that of application credentials). `region`, `interface`: where
    the endpoint's options don't say.
    """

    by_application: bool
    given: Mapping[str, str] = field(repr=False)
    region: str = ""
    interface: str = ""


def read(text: str, keystone: str) -> Login:
    """Raises InvalidSpec. `keystone`: the endpoint's own URL, which an `auth_url` must agree with."""
    lines = text.strip("\r\n").splitlines()
    if len(lines) == 1 and not lines[0].lstrip().startswith("{"):
        return _line(lines[0])
    try:
        whole = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InvalidSpec(detail=f"{_WHOLE}: it is no YAML") from None
    clouds = whole.get("clouds") if isinstance(whole, dict) else None
    if not isinstance(clouds, dict) or len(clouds) != 1:
        raise InvalidSpec(detail=_WHOLE)
    (cloud,) = clouds.values()
    if not isinstance(cloud, dict) or not isinstance(cloud.get("auth"), dict):
        raise InvalidSpec(detail=f"{_WHOLE}: the cloud has no auth")
    return _cloud(cloud, cloud["auth"], keystone)


def _line(line: str) -> Login:
    before, at, project = line.rpartition("@")
    user, colon, password = before.partition(":")
    if not (at and colon and user and password and project) or not line.isprintable():
        raise InvalidSpec(detail=_WHOLE)
    return Login(
        False,
        {
            "username": user,
            "password": password,
            "project_name": project,
            "user_domain_name": DOMAIN,
            "project_domain_name": DOMAIN,
        },
    )


def _cloud(cloud: Mapping[str, Any], auth: Mapping[str, Any], keystone: str) -> Login:
    kind = cloud.get("auth_type", "")
    if kind not in KINDS:
        raise InvalidSpec(detail="the auth_type in credentials is neither password nor v3applicationcredential")
    stated = KINDS[kind]
    by_application = "application_credential_secret" in auth if stated is None else stated
    allowed = APPLICATION if by_application else PASSWORD
    _refuse_unknown("the cloud", cloud, CLOUD)
    _refuse_unknown("auth", auth, allowed | {"auth_url"})
    if str(cloud.get("identity_api_version", "3")).partition(".")[0] != "3":
        raise InvalidSpec(detail="identity_api_version in credentials is not 3")
    if "auth_url" in auth and _place(str(auth["auth_url"])) != _place(keystone):
        raise InvalidSpec(detail=f"the auth_url in credentials is another server's than the endpoint's address, {keystone}")
    given = {name: str(value) for name, value in auth.items() if name != "auth_url" and value is not None}
    _require(given, by_application)
    if not by_application:
        given = _with_domains(given)
    return Login(by_application, given, str(cloud.get("region_name") or ""), _interface(cloud))


def _interface(cloud: Mapping[str, Any]) -> str:
    found = str(cloud.get("interface") or "")
    if found not in ("", *INTERFACES):
        raise InvalidSpec(detail=f"the interface in credentials is not one of {', '.join(INTERFACES)}")
    return found


def _refuse_unknown(where: str, given: Mapping[str, Any], allowed: frozenset[str]) -> None:
    unknown = sorted(str(name) for name in given if name not in allowed)
    if unknown:
        hint = " (the endpoint's option ca_file does that)" if {"cacert", "verify"} & set(unknown) else ""
        raise InvalidSpec(detail=f"{where} in credentials has {', '.join(unknown)}, which can't be used here{hint}")


def _require(given: Mapping[str, str], by_application: bool) -> None:
    needed: tuple[tuple[str, ...], ...] = (("username", "user_id"), ("password",), ("project_name", "project_id"))
    if by_application:
        needed = (("application_credential_id", "application_credential_name"), ("application_credential_secret",))
        if "application_credential_id" not in given:
            needed = (*needed, ("username", "user_id"))
    for names in needed:
        if not any(given.get(name) for name in names):
            raise InvalidSpec(detail=f"auth in credentials has no {' or '.join(names)}")


def _with_domains(given: Mapping[str, str]) -> dict[str, str]:
    """What clouds.yaml may leave out: the domain of both, or neither."""
    both = {name: given[f"domain_{name}"] for name in ("name", "id") if f"domain_{name}" in given}
    found = {name: value for name, value in given.items() if not name.startswith("domain_")}
    for whose, known in (("user", "user_id"), ("project", "project_id")):
        if known not in found and not {f"{whose}_domain_name", f"{whose}_domain_id"} & set(found):
            found |= {f"{whose}_domain_{name}": value for name, value in (both or {"name": DOMAIN}).items()}
    return found


def _place(url: str) -> tuple[str | None, int | None]:
    try:
        parts = urlsplit(url)
        return parts.hostname, parts.port
    except ValueError:
        return None, None
