"""Calls to a region's services: bounded in time, raw JSON both ways.

A region is a connection of the OpenStack SDK, made of what was parsed: nothing is read from files or the environment. Its adapters find the
services and renew tokens; its typed objects are left aside, as they cost fifty times the CPU. Each request is bounded (`transport`),
and so is a `Call`, which is all that one verb of the driver asks. A read that is told to wait (429, 503) is asked again within the call's
time, nothing else ever is: what was sent and not answered may have been done. No redirect is followed, as it would be given our token.

Rejected: `openstack.connect`. Its loader reads files and the environment unless told otherwise, scans all installed packages for ways to
log in, and replaces `{name}` in each value by the value of that name.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from typing import Any, Final
from urllib.parse import urlencode

import orjson
import requests
from keystoneauth1 import exceptions
from keystoneauth1.adapter import Adapter
from keystoneauth1.identity import v3
from keystoneauth1.session import Session
from openstack.config.cloud_region import from_session
from openstack.connection import Connection
from openstack.proxy import Proxy

from drivers.errors import DriverError, HostUnreachable, InvalidSpec, Timeout, Unauthorized
from drivers.openstack import transport
from drivers.openstack.address import refuse_clear
from drivers.openstack.credentials import Login
from drivers.openstack.failures import Json, RegionLacks, failure
from drivers.openstack.options import Options
from drivers.openstack.rights import BASE

SERVICES: Final = ("compute", "image", "network", "placement")
MICROVERSIONS: Final = {"compute": BASE, "placement": "1.20"}
PATHS: Final = {"image": "/v2", "network": "/v2.0"}
"""What a service's address in the catalogue may end in, or leave out."""
PAGE: Final = 1000  # nova gives no more at a time
_AGAIN: Final = frozenset({429, 503})
_TRIES: Final = 3
_SHORTEST_S: Final = 0.05


class _Service(Proxy):
    """An adapter of the SDK's, without what its own requests are wrapped in for typed objects: a cache and statistics, which keep a closed
    connection in memory and give a warning for each new path.
    """

    def request(self, url: str, method: str, *given: Any, **named: Any) -> requests.Response:
        return Adapter.request(self, url, method, *given, **named)


class Region:
    """One region's services and our session there. Any number of threads may call at once."""

    def __init__(self, keystone: str, login: Login, options: Options) -> None:
        # keystoneauth's own, as the SDK has neither: it is handed a session, and finds a plugin only by its loader (see above).
        plugin: Any = v3.ApplicationCredential if login.by_application else v3.Password
        self._http, self._options, self._keystone = transport.session(), options, keystone
        self._plugin = plugin(auth_url=keystone, **login.given)
        session = Session(
            auth=self._plugin,
            session=self._http,
            verify=options.ca_file or True,
            timeout=float(options.timeout_s),
            user_agent="chutian",
            redirect=False,
        )
        wanted = options.region or login.region or None
        interface = options.interface or login.interface or "public"
        self._sdk = Connection(config=from_session(session, name="chutian", region_name=wanted, interface=interface))
        self._adapters: dict[str, _Service] = {}
        self._lock = threading.Lock()
        self.name, self.project, self.called, self.services = wanted or "", "", "", dict[str, str]()
        self.everybodys = {"all_tenants": "1"} if options.hosts else {}  # who sees hypervisors sees the servers of all projects
        self.closed = False
        self.asked = 0  # requests so far, for who wants to know what looking costs

    def connect(self) -> None:
        """Get a token, and the services' addresses. Raises HostUnreachable, Unauthorized, InvalidSpec, RegionLacks."""
        config = self._sdk.config
        try:
            access = self._plugin.get_access(self._sdk.session)
        except exceptions.ClientException as error:
            raise translated(error, "keystone") from None
        if not access.project_id:
            raise RegionLacks(missing="a project: the credentials are of none")
        listed = (one for service in access.service_catalog.catalog for one in service.get("endpoints", ()))
        regions = sorted({one["region_id"] for one in listed if one.get("region_id")})
        self.name = self.name or (regions[0] if len(regions) == 1 else "")
        if self.name not in regions:
            raise InvalidSpec(detail=f"no region {self.name!r}; there are: {', '.join(regions)}")
        self.project, self.called = str(access.project_id), str(access.project_name or "")
        self._reach("identity", self._keystone)  # where the token is from, whatever the catalogue says
        for service in SERVICES:
            url = (config.get_endpoint_from_catalog(service, region_name=self.name) or "").rstrip("/")
            self.services[service] = url
            if url:
                refuse_clear(url, service)
                prefix = PATHS.get(service, "")
                self._reach(service, f"{url.removesuffix(prefix)}{prefix}")

    def _reach(self, service: str, root: str) -> None:
        config = self._sdk.config
        config.set_service_value("endpoint_override", service, root.replace("%", "%%"))  # a template; and it is asked for no other address
        self._adapters[service] = config.get_session_client(service, constructor=_Service)

    def call(self, seconds: float | None = None) -> Call:
        """A call that may take so long; None: as long as any."""
        return Call(self, float(self._options.call_s) if seconds is None else seconds, float(self._options.timeout_s))

    def request(self, method: str, service: str, path: str, timeout_s: float, **given: Any) -> requests.Response:
        """One request, whatever the answer's status. Raises HostUnreachable or Unauthorized where there is none, RegionLacks where the
        region has no such service.
        """
        if self.closed:
            raise HostUnreachable(detail="this connection is closed")
        adapter = self._adapters.get(service)
        if adapter is None:
            raise RegionLacks(missing=f"the service '{service}' in keystone's catalogue")
        with self._lock:
            self.asked += 1
        try:
            return adapter.request(path, method, raise_exc=False, log=False, redirect=False, timeout=timeout_s, **given)
        except exceptions.ClientException as error:
            raise translated(error, method) from None

    def close(self) -> None:
        """Let go of the connections."""
        self.closed = True
        self._sdk.close()
        self._http.close()


class Call:
    """What one verb asks, bounded in time as a whole."""

    def __init__(self, region: Region, seconds: float, timeout_s: float) -> None:
        self.region, self._timeout_s = region, timeout_s
        self._ends = time.monotonic() + seconds

    @property
    def left_s(self) -> float:
        """Seconds until it is over."""
        return self._ends - time.monotonic()

    def get(self, service: str, path: str, version: str = "", /, **query: str) -> Json:
        """A read. Raises what `failures.failure` says."""
        whole = f"{path}?{urlencode(query)}" if query else path
        for attempt in range(1, _TRIES + 1):
            answer = self._request("GET", service, whole, version)
            wait_s = _wait_s(answer, attempt)
            if answer.status_code not in _AGAIN or attempt == _TRIES or self.left_s < wait_s + self._timeout_s / 2:
                return _content(answer, f"GET {path}")
            time.sleep(wait_s)
        raise AssertionError("a loop without an end")

    def send(self, method: str, service: str, path: str, body: Json | None = None, version: str = "") -> Json:
        """A write: sent once."""
        return _content(self._request(method, service, path, version, body), f"{method} {path}")

    def act(self, server_id: str, action: str, given: Any = None) -> Json:
        """One of nova's actions on a server."""
        return self.send("POST", "compute", f"/servers/{server_id}/action", {action: given})

    def put_bytes(self, service: str, path: str, content: Any) -> None:
        """A write of bytes, which takes as long as it takes; each piece is bounded."""
        headers = {"Content-Type": "application/octet-stream"}
        answer = self.region.request("PUT", service, path, self._timeout_s, data=content, headers=headers, allow_reauth=False)
        _content(answer, f"PUT {path}")

    def pages(self, path: str, name: str, version: str = "", **query: str) -> Iterator[Mapping[str, Any]]:
        """All elements of one of nova's lists, page by page."""
        marker: dict[str, str] = {}
        while True:
            found = self.get("compute", path, version, **query, **marker, limit=str(PAGE))
            elements = found.get(name) or []
            yield from elements
            if not elements or not found.get(f"{name}_links"):
                return
            marker = {"marker": str(elements[-1]["id"])}

    def _request(self, method: str, service: str, path: str, version: str, body: Json | None = None) -> requests.Response:
        left = self.left_s
        if left < _SHORTEST_S:
            raise Timeout(detail=f"{service} took too long")
        headers = {"Accept": "application/json"}
        given: dict[str, Any] = {"headers": headers, "microversion": version or MICROVERSIONS.get(service)}
        if body is not None:
            headers["Content-Type"] = "application/json"
            given["data"] = orjson.dumps(body)
        return self.region.request(method, service, path, min(self._timeout_s, left), **given)


def _wait_s(answer: requests.Response, attempt: int) -> float:
    """What the server asks for; else a little, and longer each time."""
    told = answer.headers.get("Retry-After", "")
    return float(told) if told.isdecimal() else 0.5 * attempt


def _content(answer: requests.Response, what: str) -> Json:
    if not 200 <= answer.status_code < 300:
        raise failure(answer.status_code, answer.content, what)
    if not answer.content:
        return {}
    try:
        found = orjson.loads(answer.content)
    except orjson.JSONDecodeError:
        raise HostUnreachable(detail=f"{what}: the answer is no JSON") from None
    return found if isinstance(found, dict) else {}


def translated(error: exceptions.ClientException, what: str) -> DriverError:
    """keystoneauth's own errors; those of its answers have a status. Their words hold addresses, and nothing that was sent."""
    detail = " ".join(str(error).split())[:300]
    if isinstance(error, exceptions.Unauthorized | exceptions.AuthorizationFailure | exceptions.AuthPluginException):
        return Unauthorized(detail=f"{what}: {detail}")
    if isinstance(error, exceptions.HttpError) and error.http_status:
        return failure(int(error.http_status), detail.encode(), what)
    if isinstance(error, exceptions.ConnectionError | exceptions.DiscoveryFailure):
        return HostUnreachable(detail=detail)
    return HostUnreachable(detail=f"{what}: {detail}")
