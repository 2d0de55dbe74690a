"""One request, one whole answer, by libcurl: a container costs one call, and the official client's way there takes twice the CPU.

What the official client was configured with holds here too: authority, certificate and name of the server. Connections are kept for the
next call; each call is bounded in time as a whole. libcurl repeats a call by itself in one case alone: a kept connection was closed
before a byte came back. So whatever is called must do no harm twice; it does not: names and preconditions see to that.
"""

from __future__ import annotations

from collections import deque
from contextlib import suppress
from typing import Final
from urllib.parse import urlsplit

import pycurl
from kubernetes.client import Configuration

from drivers.kubernetes.failures import unanswered

_KEPT: Final = 64  # handles, each with its connection


class Caller:
    """One server. Any number of threads may call at once."""

    def __init__(self, configuration: Configuration, timeout_s: float) -> None:
        self._configuration, self._timeout_ms = configuration, int(timeout_s * 1000)
        self._idle: deque[pycurl.Curl] = deque()
        self._closed = False
        server = urlsplit(configuration.host)
        self._root, self._elsewhere = configuration.host, ""
        if configuration.tls_server_name:  # the name that the certificate bears, at the address that was given
            name, port = configuration.tls_server_name, server.port or 443
            self._root = f"https://{name}:{port}{server.path}"
            host = f"[{server.hostname}]" if ":" in (server.hostname or "") else server.hostname
            self._elsewhere = f"{name}:{port}:{host}:{port}"

    def call(self, method: str, path: str, headers: list[str], body: bytes | None) -> tuple[int, bytes]:
        """Status and body. Raises HostUnreachable where no whole answer comes in time."""
        handle = self._take()
        try:
            handle.setopt(pycurl.URL, f"{self._root}{path}")
            handle.setopt(pycurl.HTTPHEADER, [*headers, "expect:"])
            if body is None:
                handle.setopt(pycurl.HTTPGET, 1)
            else:
                handle.setopt(pycurl.POSTFIELDS, body)
            handle.setopt(pycurl.CUSTOMREQUEST, method)
            said = handle.perform_rb()
            status = int(handle.getinfo(pycurl.RESPONSE_CODE))
        except pycurl.error as error:
            handle.close()
            raise unanswered(str(error.args[-1])) from None
        self._give_back(handle)
        return status, said

    def close(self) -> None:
        """Let go of the connections; those in use go when their calls end. Nobody calls afterwards."""
        self._closed = True
        with suppress(IndexError):
            while True:
                self._idle.pop().close()

    def _take(self) -> pycurl.Curl:
        with suppress(IndexError):  # the one used last: those beyond what is needed at once fall idle, and the server closes them
            return self._idle.pop()
        return self._new()

    def _give_back(self, handle: pycurl.Curl) -> None:
        if self._closed or len(self._idle) >= _KEPT:
            handle.close()
            return
        self._idle.append(handle)
        if self._closed:  # closed just now, perhaps before it was given back
            self.close()

    def _new(self) -> pycurl.Curl:
        given, made = self._configuration, pycurl.Curl()
        made.setopt(pycurl.NOSIGNAL, 1)  # as signals and threads don't go together
        made.setopt(pycurl.HTTP_VERSION, pycurl.CURL_HTTP_VERSION_1_1)  # each call has a connection of its own: frames would be in vain
        made.setopt(pycurl.CONNECTTIMEOUT_MS, self._timeout_ms)
        made.setopt(pycurl.TIMEOUT_MS, 2 * self._timeout_ms)
        made.setopt(pycurl.CAINFO, given.ssl_ca_cert)
        made.unsetopt(pycurl.CAPATH)  # that authority alone, not those of the system beside it
        if given.cert_file:
            made.setopt(pycurl.SSLCERT, given.cert_file)
            made.setopt(pycurl.SSLKEY, given.key_file)
        if self._elsewhere:
            made.setopt(pycurl.CONNECT_TO, [self._elsewhere])
        return made
