"""How a region is spoken to over HTTP: what `requests` does, with one bound more, on how long an answer may take to come in whole.

`requests` bounds each wait for bytes: who sends one a second, of the head or of the body, keeps it waiting for ever. Here an answer, head
and body together, has so many seconds in all as each wait has there. So a request takes no more than that to connect, for TLS, to be sent,
and to be answered, each. And no proxies, no .netrc, no authorities but those that the endpoint names; nothing is repeated.
"""

from __future__ import annotations

import io
import socket
import time
from http.client import HTTPResponse
from typing import Any, Final

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

KEPT: Final = 32  # connections to one service


def session() -> requests.Session:
    """A new one; any number of threads may use it."""
    made = requests.Session()
    made.trust_env = False
    for scheme in ("https://", "http://"):
        made.mount(scheme, _Adapter(pool_maxsize=KEPT))
    return made


class _Bytes(io.RawIOBase):
    """What comes in on a socket until a moment, after which it raises TimeoutError."""

    def __init__(self, line: socket.socket) -> None:
        self._line = line
        self._ends = time.monotonic() + (line.gettimeout() or 0)
        self._raw = line.makefile("rb", buffering=0)  # holds the socket open where the answer outlives the connection

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._ends - time.monotonic()
        if left <= 0:
            raise TimeoutError("the answer did not come in whole in time")
        self._line.settimeout(left)
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Answer(HTTPResponse):
    def __init__(self, sock: socket.socket, *given: Any, **named: Any) -> None:
        super().__init__(sock, *given, **named)
        self.fp.close()
        self.fp = io.BufferedReader(_Bytes(sock))


class _Connection(HTTPConnection):
    response_class = _Answer


class _SecureConnection(HTTPSConnection):
    response_class = _Answer


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


class _Adapter(HTTPAdapter):
    def init_poolmanager(self, *given: Any, **named: Any) -> None:
        super().init_poolmanager(*given, **named)
        self.poolmanager.pool_classes_by_scheme = {"http": _Pool, "https": _SecurePool}
