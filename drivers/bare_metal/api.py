"""Calls to one BMC by HTTPS: bounded in time and bytes, never repeated, JSON both ways; and its certificate.

urllib3 carries them. It pins a certificate by itself, before a byte of ours is sent, and does nothing unasked. Rejected: sushy and DMTF's
`redfish`, which retry and sleep inside, can't pin, and bring a second HTTP library for the ten kinds of resource that are read here.

Every request carries the password (HTTP Basic, which every service must take: DSP0266, 13.3): a session would be one more thing to lose at
a BMC that has few of them. No error, no log and no repr ever holds what was sent.
"""

from __future__ import annotations

import hashlib
import socket
import ssl
import time
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import orjson
import urllib3

from drivers.bare_metal.address import Address
from drivers.bare_metal.failures import failure, unreachable
from drivers.bare_metal.options import Options
from drivers.errors import BmcUnreachable, CertificateChanged, CertificateUntrusted, DriverError, InvalidSpec

MAX_BYTES: Final = 4 << 20
_PIECE: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """`etag`: of this state of the resource; some BMCs change nothing for who doesn't name it."""

    body: Mapping[str, Any]
    etag: str = ""


class Api:
    """One BMC, one account. Safe to use from several threads at once."""

    def __init__(self, address: Address, options: Options) -> None:
        """Raises InvalidSpec for a CA file that can't be used."""
        self._address, self._options = address, options
        self._pool = urllib3.HTTPSConnectionPool(
            address.host,
            address.port,
            maxsize=4,
            ssl_context=_trust(options),
            assert_fingerprint=options.fingerprint or None,
        )
        self._account = urllib3.make_headers(basic_auth=options.credentials)
        self._closed = False

    def get(self, path: str) -> Answer:
        """A resource. Raises what `failures.failure` makes of the answer, BmcUnreachable, CertificateChanged and CertificateUntrusted."""
        return self._send("GET", path)

    def post(self, path: str, body: Mapping[str, Any]) -> None:
        """Carry out an action."""
        self._send("POST", path, body)

    def patch(self, path: str, body: Mapping[str, Any], etag: str) -> None:
        """Change a resource that was seen in the state of that etag."""
        self._send("PATCH", path, body, {"if-match": etag} if etag else {})

    def close(self) -> None:
        """For good."""
        self._closed = True
        self._pool.close()

    def _send(self, method: str, path: str, body: Mapping[str, Any] | None = None, more: Mapping[str, str] | None = None) -> Answer:
        if self._closed:
            raise BmcUnreachable(detail="this connection is closed")
        deadline = time.monotonic() + self._options.call_s
        kind = {} if body is None else {"content-type": "application/json"}
        try:
            response = self._pool.urlopen(
                method,
                path,
                body=None if body is None else orjson.dumps(body),
                headers={"accept": "application/json", "odata-version": "4.0", **self._account, **kind, **(more or {})},
                retries=False,
                redirect=False,
                timeout=urllib3.Timeout(connect=self._options.call_s, read=self._options.call_s),
                preload_content=False,
            )
            try:
                content = _whole(response, deadline)
            finally:
                response.close()  # what was read whole has gone back to the pool; anything else must not be gone on with
        except (urllib3.exceptions.HTTPError, OSError) as error:
            raise self._unanswered(error) from error
        if not 200 <= response.status < 300:
            raise failure(response.status, _object(content), f"{method} {path}")
        return Answer(_object(content), response.headers.get("etag", ""))

    def _unanswered(self, error: Exception) -> DriverError:
        """Why there was no answer. A certificate that isn't the pinned one is known by looking at it, not by what a library says of it."""
        if not isinstance(error, urllib3.exceptions.SSLError):
            return unreachable(error)
        seen = fingerprint_of(self._address, self._options.call_s)
        if self._options.fingerprint and seen != self._options.fingerprint:
            return CertificateChanged(expected=self._options.fingerprint, seen=seen)
        cause = error.args[0] if error.args else error
        if isinstance(cause, ssl.SSLCertVerificationError):
            return CertificateUntrusted(seen=seen, detail=f"{cause.verify_message}.")
        return unreachable(error)


def fingerprint_of(address: Address, timeout_s: float) -> str:
    """SHA-256 of the certificate that answers there now, trusted or not; nothing is sent but the handshake. Raises BmcUnreachable."""
    try:
        with (
            socket.create_connection((address.host, address.port), timeout=timeout_s) as plain,
            _anybody().wrap_socket(plain, server_hostname=address.host) as wrapped,
        ):
            return hashlib.sha256(wrapped.getpeercert(binary_form=True) or b"").hexdigest()
    except OSError as error:
        raise unreachable(error) from error


def _trust(options: Options) -> ssl.SSLContext:
    if options.fingerprint:
        return _anybody()  # and then by its fingerprint
    try:
        known = Path(options.ca_file).read_text("ascii") if options.ca_file else None
        context = ssl.create_default_context(cadata=known)
    except (OSError, ValueError) as error:
        raise InvalidSpec(detail=f"ca_file {options.ca_file}: {error}") from error
    context.verify_flags &= ~ssl.VERIFY_X509_STRICT  # BMCs sign their own, and not to the letter
    return context


def _anybody() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.check_hostname = False
    context.verify_mode = ssl.CERT_NONE
    return context


def _whole(response: urllib3.BaseHTTPResponse, deadline: float) -> bytes:
    content = bytearray()
    while piece := response.read1(_PIECE, decode_content=True):  # not `stream`, which goes on reading until a piece is full
        content += piece
        if len(content) > MAX_BYTES:
            raise urllib3.exceptions.HTTPError(f"more than {MAX_BYTES} bytes")
        if time.monotonic() > deadline:
            raise urllib3.exceptions.HTTPError("the answer takes too long")
    return bytes(content)


def _object(content: bytes) -> Mapping[str, Any]:
    try:
        found = orjson.loads(content) if content.strip() else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
