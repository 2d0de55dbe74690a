"""From an endpoint's address and credentials to the official client's configuration.

The credentials are the text of a kubeconfig that was uploaded to the controller, so all in it must be inline: a program to run, a file to
read, or a server that isn't verified would be somebody else's hand on this machine, and is refused by name. What TLS wants as files is
handed over in anonymous memory (`memfd`): no key is ever on a disk.

Instead of them, a controller that itself runs in a pod may use the account of that pod: the address `in-cluster`. The kubelet keeps its
files; the token, which lasts an hour, is read anew every few seconds, the authority with each new connection.
"""

from __future__ import annotations

import base64
import binascii
import os
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final
from urllib.parse import urlsplit

import yaml
from kubernetes.client import Configuration
from kubernetes.utils.keepalive import tcp_keepalive_socket_options

from drivers.errors import InvalidSpec

IN_CLUSTER: Final = "in-cluster"
ACCOUNT: Final = Path("/var/run/secrets/kubernetes.io/serviceaccount")  # where every pod has what its account is known by
REREAD_S: Final = 5.0
CONNECTIONS: Final = 64  # kept open: one for each watch, and for calls at once
_FILES: Final = ("certificate-authority", "client-certificate", "client-key", "tokenFile")
_PROGRAMS: Final = ("exec", "auth-provider")
_TAKEN: Final = frozenset({"client-certificate-data", "client-key-data", "token"})


class NotInCluster(InvalidSpec):
    """The controller has no account of a pod. Parameters: `missing`, a variable or a file."""

    code = "not_in_cluster"


class OtherServer(InvalidSpec):
    """The credentials are for another server than the endpoint's address. Parameters: `uri`, `server`."""

    code = "credentials_elsewhere"


@dataclass(slots=True)
class Access:
    """A configuration, and the memory that it names as files."""

    configuration: Configuration
    held: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Let go of the keys."""
        while self.held:
            os.close(self.held.pop())


def access(uri: str, credentials: str) -> Access:
    """Raises InvalidSpec, and says what is wrong without quoting any of the credentials."""
    if uri == IN_CLUSTER:
        if credentials:
            raise InvalidSpec(detail=f"{IN_CLUSTER} uses the account of the controller's own pod: leave the credentials out")
        return Access(_in_cluster())
    parts = urlsplit(uri)
    if parts.scheme != "https" or not parts.hostname or parts.query or parts.fragment or parts.username:
        raise InvalidSpec(detail=f"{uri!r} is neither https://HOST:PORT nor {IN_CLUSTER}")
    if not credentials:
        raise InvalidSpec(detail="the option credentials is missing: the text of a kubeconfig")
    cluster, user = _chosen(credentials)
    if (server := cluster.get("server")) and _place(str(server)) != _place(uri):
        raise OtherServer(uri=_place(uri), server=_place(str(server)))
    made = Access(_configuration(uri.rstrip("/")))
    try:
        _fill(made, cluster, user)
    except BaseException:
        made.close()
        raise
    return made


def _place(address: str) -> str:
    """An address as it is compared and shown: neither user nor query, which may be secret, and what is usual left out."""
    try:
        parts = urlsplit(address.strip())
        host, port = (parts.hostname or "").rstrip("."), parts.port
    except ValueError:  # a port that is none
        return "?"
    host = f"[{host}]" if ":" in host else host
    usual = port is None or (parts.scheme, port) == ("https", 443)
    return f"{parts.scheme}://{host}{'' if usual else f':{port}'}{parts.path.rstrip('/')}"


def _configuration(host: str) -> Configuration:
    made = Configuration(host=host, retries=False)
    made.connection_pool_maxsize = CONNECTIONS
    made.socket_options = tcp_keepalive_socket_options()
    return made


def _in_cluster() -> Configuration:
    host, port = _variable("KUBERNETES_SERVICE_HOST"), _variable("KUBERNETES_SERVICE_PORT")
    made = _configuration(f"https://{f'[{host}]' if ':' in host else host}:{port}")
    made.ssl_ca_cert = str(ACCOUNT / "ca.crt")
    for name in ("ca.crt", "token"):
        if not _read(ACCOUNT / name):
            raise NotInCluster(missing=str(ACCOUNT / name))
    made.refresh_api_key_hook = _Token(ACCOUNT / "token")  # type: ignore[assignment]  # declared as None
    return made


def _variable(name: str) -> str:
    if not os.environ.get(name):
        raise NotInCluster(missing=name)
    return os.environ[name]


def _read(path: Path) -> str:
    """Empty where it can't be read."""
    try:
        return path.read_text("ascii").strip()
    except (OSError, ValueError):
        return ""


class _Token:
    """Gives a configuration the token of a file that is replaced now and then. While there is none the last one is kept: the server says
    when it holds no more.
    """

    def __init__(self, path: Path) -> None:
        self._path, self._read_at = path, -REREAD_S

    def __call__(self, configuration: Configuration) -> None:
        if time.monotonic() - self._read_at < REREAD_S:
            return
        self._read_at = time.monotonic()
        if token := _read(self._path):
            configuration.api_key["BearerToken"] = f"Bearer {token}"


def _chosen(text: str) -> tuple[Mapping[str, Any], Mapping[str, Any]]:
    """The cluster and the user of the current context; refuses what reaches outside the text."""
    try:
        whole = yaml.safe_load(text)
    except yaml.YAMLError:
        raise InvalidSpec(detail="credentials is no YAML") from None  # its message quotes the text
    if not isinstance(whole, dict):
        raise InvalidSpec(detail="credentials is no kubeconfig")
    context = _named(whole, "contexts", whole.get("current-context"), "context")
    cluster = _named(whole, "clusters", context.get("cluster"), "cluster")
    user = _named(whole, "users", context.get("user"), "user")
    for part in (cluster, user):
        for name in (*_PROGRAMS, *_FILES):
            if part.get(name):
                kind = "runs a program" if name in _PROGRAMS else "names a file"
                raise InvalidSpec(
                    detail=f"credentials: {name} {kind} on this machine; put certificates, key or token inline (…-data, token)"
                )
    if cluster.get("insecure-skip-tls-verify"):
        raise InvalidSpec(detail="credentials: insecure-skip-tls-verify is refused; give certificate-authority-data")
    if user.get("username") or user.get("as"):
        raise InvalidSpec(detail="credentials: username, password and impersonation are refused; give a certificate or a token")
    if not cluster.get("certificate-authority-data"):
        raise InvalidSpec(detail="credentials: certificate-authority-data is missing")
    if not _TAKEN & {name for name, value in user.items() if value}:
        raise InvalidSpec(detail="credentials: the user has neither client-certificate-data with client-key-data, nor token")
    return cluster, user


def _named(whole: Mapping[str, Any], listed: str, name: object, inside: str) -> Mapping[str, Any]:
    for one in whole.get(listed) or ():
        if isinstance(one, dict) and one.get("name") == name and isinstance(one.get(inside), dict):
            found: Mapping[str, Any] = one[inside]
            return found
    raise InvalidSpec(detail=f"credentials: {listed} has no such entry as the current context names")


def _fill(made: Access, cluster: Mapping[str, Any], user: Mapping[str, Any]) -> None:
    configuration = made.configuration
    configuration.ssl_ca_cert = _memory(made, cluster, "certificate-authority-data")
    if cluster.get("tls-server-name"):
        configuration.tls_server_name = str(cluster["tls-server-name"])
    if user.get("client-certificate-data"):
        configuration.cert_file = _memory(made, user, "client-certificate-data")
        configuration.key_file = _memory(made, user, "client-key-data")
    elif user.get("token"):
        configuration.api_key["BearerToken"] = f"Bearer {user['token']}"


def _memory(made: Access, part: Mapping[str, Any], name: str) -> str:
    """A path that names the decoded bytes."""
    try:
        content = base64.b64decode(str(part.get(name) or ""), validate=False)
    except (ValueError, binascii.Error):
        content = b""
    if b"-----BEGIN" not in content:
        raise InvalidSpec(detail=f"credentials: {name} is missing, or no PEM in base64")
    descriptor = os.memfd_create(name)
    made.held.append(descriptor)
    os.write(descriptor, content)
    return f"/proc/self/fd/{descriptor}"
