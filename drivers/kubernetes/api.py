"""Calls to one API server: bounded in time, raw JSON both ways.

The official client knows how to reach and trust the server and carries what goes on (watches, output, commands); its typed objects are
left aside, as they cost fourteen times the CPU, and whole answers go by `calling`. Every answer that isn't one of 200 to 299 becomes an
error of `drivers.errors`; none ever holds what was sent.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import suppress
from typing import Any, Final
from urllib.parse import urlencode, urlsplit

import orjson
import urllib3
import websocket
from kubernetes.client.rest import RESTClientObject
from websocket import WebSocket

from drivers.errors import HostUnreachable
from drivers.kubernetes.access import Access
from drivers.kubernetes.calling import Caller
from drivers.kubernetes.failures import failure, unreachable

Json = dict[str, Any]
JSON: Final = "application/json"
MERGE: Final = "application/merge-patch+json"
APPLY: Final = "application/apply-patch+yaml"
_PIECE: Final = 1 << 16


class Stream:
    """An answer that goes on. Closing it from another thread wakes whoever reads."""

    def __init__(self, response: Any, api: Api) -> None:
        self._response, self._api = response, api

    def pieces(self) -> Iterator[bytes]:
        """The bytes as they come, until the server ends it; b"" never. Raises HostUnreachable where they end unduly."""
        try:
            for piece in self._response.stream(_PIECE, decode_content=True):
                self._api.hear()
                yield piece
        except (urllib3.exceptions.HTTPError, OSError, ValueError, AttributeError) as error:  # the latter two: closed under its reader
            raise unreachable(error) from error
        finally:
            self._response.close()

    def lines(self) -> Iterator[bytes]:
        """The same, one line at a time."""
        rest: list[bytes] = []
        for piece in self.pieces():
            *whole, last = piece.split(b"\n")
            for line in whole:
                yield b"".join((*rest, line))
                rest.clear()
            if last:
                rest.append(last)

    def end(self) -> None:
        """From any thread."""
        with suppress(Exception):  # it may have ended by itself just now
            self._response.shutdown()


class Api:
    """One server, one set of credentials."""

    def __init__(self, access: Access, timeout_s: float) -> None:
        self._access = access
        self._configuration = access.configuration
        self._timeout_s = timeout_s
        self._caller = Caller(self._configuration, timeout_s)
        self._pools = RESTClientObject(self._configuration).pool_manager
        self._prefix = urlsplit(self._configuration.host).path
        self._pool = self._pools.connection_from_url(self._configuration.host)  # there is one server, and nobody sends us elsewhere
        self._lock = threading.Lock()
        self.closed = False
        self.heard_at = time.monotonic()  # when the server last said anything
        self.asked = 0  # requests so far, for who wants to know what looking costs

    def hear(self) -> None:
        """The server is there."""
        self.heard_at = time.monotonic()

    def call(self, method: str, path: str, body: Json | None = None, kind: str = JSON, /, **query: str) -> Json:
        """One answer, whole."""
        self._begin()
        headers = [f"{name}: {value}" for name, value in self._headers(kind if body is not None else None).items()]
        status, said = self._caller.call(method, self._path(path, query), headers, None if body is None else orjson.dumps(body))
        self.hear()
        if not 200 <= status < 300:
            raise failure(status, said, f"{method} {path}")
        found = orjson.loads(said) if said else {}
        return found if isinstance(found, dict) else {}

    def stream(self, path: str, silence_s: float, **query: str) -> Stream:
        """An answer that goes on; it is given up after `silence_s` without a byte."""
        self._begin()
        timeout = urllib3.Timeout(connect=self._timeout_s, read=silence_s)
        whole = f"{self._prefix}{self._path(path, query)}"
        try:
            response = self._pool.urlopen(
                "GET", whole, headers=self._headers(None), retries=False, redirect=False, timeout=timeout, preload_content=False
            )
            self.hear()
            if 200 <= response.status < 300:
                return Stream(response, self)
            raise failure(response.status, response.data, f"GET {path}")
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise unreachable(error) from error

    def web_socket(self, path: str, query: list[tuple[str, str]], timeout_s: float) -> WebSocket:
        """A web socket of several channels (exec); the caller closes it."""
        self._begin()
        given = self._configuration
        tls = {
            "ca_certs": given.ssl_ca_cert,
            "certfile": given.cert_file,
            "keyfile": given.key_file,
            "server_hostname": given.tls_server_name,
        }
        address = f"wss{given.host.removeprefix('https')}{path}?{urlencode(query)}"
        headers = [f"{name}: {value}" for name, value in self._credentials().items()]
        try:
            return websocket.create_connection(
                address,
                timeout=timeout_s,
                header=headers,
                subprotocols=["v5.channel.k8s.io"],
                sslopt={name: value for name, value in tls.items() if value},
                suppress_origin=True,
            )
        except websocket.WebSocketBadStatusException as error:
            raise failure(error.status_code, error.resp_body or b"", f"POST {path}") from error
        except (websocket.WebSocketException, OSError) as error:
            raise unreachable(error) from error

    def close(self) -> None:
        """Let go of connections and keys."""
        self.closed = True
        self._caller.close()
        self._pools.clear()
        self._access.close()

    def _begin(self) -> None:
        """One request more; raises HostUnreachable once this is closed."""
        if self.closed:
            raise HostUnreachable(detail="this connection is closed")
        self.asked += 1

    def _path(self, path: str, query: Mapping[str, str]) -> str:
        return f"{path}?{urlencode(query)}" if query else path

    def _headers(self, kind: str | None) -> dict[str, str]:
        return {"accept": JSON, **self._credentials(), **({"content-type": kind} if kind else {})}

    def _credentials(self) -> dict[str, str]:
        with self._lock:  # the token of a pod's account is read anew now and then
            token = self._configuration.get_api_key_with_prefix("BearerToken")
        return {"authorization": token} if token else {}
