"""The HTTP client: what the command line speaks through, and the Python SDK.

    with Client("https://cloud.example:8443", token=token, ca="ca.pem", lang="zh") as client:
        for instance in client.pages(at("instances"), project="hubei/health/his"):
            print(instance["name"], instance["state"])

Enters: paths, queries, JSON bodies. Leaves: the API's own bodies as plain dicts, or one `ApiError`. Invariant: nothing is done
twice. A call is repeated after a broken connection only where repeating is safe: it never left (the connection was refused), its
method is idempotent, or it is a POST, which always carries an `Idempotency-Key` that is made once. A method per endpoint was
rejected: it would say the API's contract a second time and drift from it.

httpx2 takes about 0.1 s to import, so it is imported when the first call is made. urllib3 was measured as the alternative: it saves
some 20 ms and has no server-sent events.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self
from urllib.parse import quote, urlsplit

from console import texts
from console.errors import ApiError

if TYPE_CHECKING:
    import httpx2

Body = dict[str, Any]

PAUSES_S = (0.2, 0.6)  # between tries: three in all
RECONNECTS = 8  # of the event stream, in a row, before giving up
LONGEST_PAUSE_S = 10.0
TIMEOUT_S = 60.0
UPLOAD_TIMEOUT_S = 900.0  # after the last byte the server digests and checks the image before it answers
BLOCK_BYTES = 1 << 20
PAGE = 500
REPEATABLE = frozenset({"GET", "PUT", "DELETE"})


def at(*segments: str) -> str:
    """The path of something: `at("projects", "hubei/health", "quota")`; each segment is quoted whole."""
    return "/v1/" + "/".join(quote(segment, safe="") for segment in segments)


class Client:
    """One server, one identity, one language. Use it in a `with`, or call `close`."""

    def __init__(
        self,
        server: str,
        token: str | None = None,
        ca: str | None = None,
        lang: str = "en",
        *,
        timeout_s: float = TIMEOUT_S,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._server = server.rstrip("/")
        self._token = token
        self._ca = ca
        self._lang = lang
        self._say = texts.speak(lang)
        self._timeout_s = timeout_s
        self._sleep = sleep
        self._http: httpx2.Client | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Give the connection back."""
        if self._http is not None:
            self._http.close()
            self._http = None

    def get(self, path: str, **query: Any) -> Body:
        """Read one thing or one page."""
        return self._call("GET", path, query=query)

    def pages(self, path: str, **query: Any) -> Iterator[Body]:
        """Every item of a list, however many pages it has."""
        cursor: str | None = None
        while True:
            page = self.get(path, **{"limit": PAGE, **query, "cursor": cursor})
            yield from page["items"]
            cursor = page.get("next")
            if not cursor:
                return

    def post(
        self,
        path: str,
        body: Any = None,
        *,
        key: str | None = None,
        generation: int | None = None,
        once: bool = False,
        timeout_s: float | None = None,
        **query: Any,
    ) -> Body:
        """Make something, or ask for a verb. `key` is the Idempotency-Key; without one, one is made for this call and its retries.

        `once` is for what the server does anew whatever the key (a command is run, a token's text isn't kept): such a call is never sent
        again. `timeout_s`: how long its answer may take, where that is longer than others'.
        """
        headers = {} if once else {"Idempotency-Key": key or str(uuid.uuid4())}
        return self._call("POST", path, body, query=query, headers={**headers, **_match(generation)}, timeout_s=timeout_s)

    def put(self, path: str, body: Any, *, generation: int | None = None) -> Body:
        """Set something to what `body` says."""
        return self._call("PUT", path, body, headers=_match(generation))

    def patch(self, path: str, body: Any, *, generation: int | None = None) -> Body:
        """Change the fields in `body`."""
        return self._call("PATCH", path, body, headers=_match(generation))

    def delete(self, path: str, *, generation: int | None = None, **query: Any) -> Body:
        """Remove something; `{}` where the API answers with no body."""
        return self._call("DELETE", path, query=query, headers=_match(generation))

    def upload(self, path: str, file: Path, on_sent: Callable[[int], None] = lambda _: None) -> Body:
        """Send a file's bytes, calling `on_sent` with how many have been handed over so far."""

        def blocks() -> Iterator[bytes]:
            sent = 0
            with file.open("rb") as source:
                while block := source.read(BLOCK_BYTES):
                    yield block
                    sent += len(block)
                    on_sent(sent)

        headers = {"Content-Type": "application/octet-stream", "Content-Length": str(file.stat().st_size)}
        return self._call("PUT", path, headers=headers, blocks=blocks)

    def events(self, after: str | None = None, **query: Any) -> Iterator[Body]:
        """Events as they happen, for ever; a broken connection is taken up again after the last event seen.

        Raises ApiError when the server refuses, or can't be reached for several tries in a row.
        """
        import httpx2

        failures = 0
        while True:
            headers = {"Accept": "text/event-stream"} | ({"Last-Event-ID": after} if after else {})
            try:
                with self._connection().stream("GET", at("events"), params=_present({**query, "after": after}), headers=headers) as answer:
                    if answer.status_code != 200:
                        answer.read()
                        self._open(answer)
                    for event in httpx2.EventSource(answer):
                        failures, after = 0, event.id or after
                        if event.data:
                            yield {"id": event.id, "kind": event.event, **_mapping(event.json())}
            except httpx2.TransportError as error:
                failures += 1
                if failures > RECONNECTS or _distrust(error):
                    raise self._unreachable(error) from error
            self._sleep(min(LONGEST_PAUSE_S, 0.25 * 2**failures))

    def text(self, path: str, **query: Any) -> Iterator[str]:
        """A text as it comes, piece by piece, until the server ends it. Raises ApiError."""
        import httpx2

        try:
            with self._connection().stream("GET", path, params=_present(query)) as answer:
                if answer.status_code != 200:
                    answer.read()
                    self._open(answer)
                yield from answer.iter_text()
        except httpx2.TransportError as error:
            raise self._unreachable(error) from error

    def _call(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, Any] | None = None,
        headers: Mapping[str, str] | None = None,
        blocks: Callable[[], Iterator[bytes]] | None = None,
        timeout_s: float | None = None,
    ) -> Body:
        """The only place where a call is made and made again."""
        import httpx2

        sending: dict[str, Any] = {"params": _present(query or {}), "headers": dict(headers or {})}
        sending |= ({"json": body} if body is not None else {}) | ({"timeout": timeout_s} if timeout_s else {})
        repeatable = blocks is None and (method in REPEATABLE or "Idempotency-Key" in sending["headers"])
        maybe_done = False
        for pause in (*PAUSES_S, None):
            sending |= {"content": blocks(), "timeout": UPLOAD_TIMEOUT_S} if blocks else {}
            try:
                answer = self._connection().request(method, path, **sending)
            except httpx2.TransportError as error:
                never_left = isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout)
                if pause is None or not (never_left or repeatable) or _distrust(error):
                    raise self._unreachable(error) from error
                maybe_done |= not never_left
                self._sleep(pause)
                continue
            if method == "DELETE" and maybe_done and answer.status_code == 404:
                return {}  # the try whose answer was lost did it
            asked_to_wait = _wait_s(answer)
            if pause is None or not repeatable or asked_to_wait is None:
                return self._open(answer)
            self._sleep(asked_to_wait)
        raise AssertionError("the last try returns or raises")

    def _connection(self) -> httpx2.Client:
        if self._http is None:
            import httpx2

            if self._token and not sendable(self._token):  # the library would quote it in its complaint
                raise ApiError("bad_token", self._say("client.bad_token"))
            self._http = httpx2.Client(
                base_url=self._server,
                headers={"Accept-Language": self._lang, "User-Agent": "chutian"}
                | ({"Authorization": f"Bearer {self._token}"} if self._token else {}),
                verify=self._trust(),
                timeout=httpx2.Timeout(self._timeout_s, connect=10.0),
                trust_env=not _loopback(self._server),  # a proxy for the world is of no use for this machine
            )
        return self._http

    def _trust(self) -> Any:
        """What a server's certificate is checked against. Raises ApiError for an address or a CA file that can't be used."""
        import ssl

        address = urlsplit(self._server)
        if address.scheme not in {"http", "https"} or not address.hostname:
            raise ApiError("bad_server", self._say("client.bad_server", server=self._server))
        if address.scheme == "http":
            if self._token and not _loopback(self._server):
                raise ApiError("insecure", self._say("client.insecure", server=self._server))
            return False
        try:
            return ssl.create_default_context(cafile=self._ca)
        except OSError as error:
            raise ApiError("bad_ca", self._say("client.bad_ca", ca=self._ca, why=error.strerror or str(error))) from error

    def _unreachable(self, error: Exception) -> ApiError:
        why = _distrust(error)
        if why:
            return ApiError("untrusted", self._say("client.untrusted", server=self._server, why=why))
        return ApiError("unreachable", self._say("client.unreachable", server=self._server, why=str(error) or type(error).__name__))

    def _open(self, answer: httpx2.Response) -> Body:
        """The answer's body, or the error that it is."""
        try:
            body = answer.json() if answer.content else {}
        except ValueError:
            body = None
        if answer.is_success and isinstance(body, dict | list):
            return body if isinstance(body, dict) else {"items": body, "next": None}
        if isinstance(body, dict) and isinstance(body.get("error"), dict):
            error = body["error"]
            return self._raise(str(error.get("code", "")), str(error.get("message", "")), error.get("details"), answer.status_code, body)
        code = "unavailable" if answer.status_code >= 500 else "bad_answer"
        return self._raise(
            code, self._say("client.bad_answer", server=self._server, status=answer.status_code), None, answer.status_code, None
        )

    @staticmethod
    def _raise(code: str, message: str, details: Any, status: int, body: Body | None) -> Body:
        raise ApiError(code, message or code, details if isinstance(details, dict) else {}, status, body)


def sendable(token: str) -> bool:
    """Whether it can be a token at all: one word of printable ASCII."""
    return token.isascii() and token.isprintable() and token != "" and " " not in token


def _present(query: Mapping[str, Any]) -> dict[str, list[str]]:
    """Query parameters that were given, each with its value or, of a list, its values."""
    given = {key: value if isinstance(value, list) else [value] for key, value in query.items() if value is not None}
    return {key: [str(one).lower() if isinstance(one, bool) else str(one) for one in values] for key, values in given.items()}


def _match(generation: int | None) -> dict[str, str]:
    return {} if generation is None else {"If-Match": f'"{generation}"'}


def _mapping(value: object) -> Body:
    return value if isinstance(value, dict) else {}


def _wait_s(answer: httpx2.Response) -> float | None:
    """How long a busy server asks us to wait before the same call again; None where it doesn't."""
    after = answer.headers.get("Retry-After", "")
    return min(float(after), LONGEST_PAUSE_S) if answer.status_code in {429, 503} and after.isdigit() else None


def _loopback(server: str) -> bool:
    import ipaddress

    host = urlsplit(server).hostname or ""
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False


def _distrust(error: BaseException | None) -> str | None:
    """Why the server's certificate isn't trusted, where that is what went wrong: trying again won't help."""
    import ssl

    while error is not None:
        if isinstance(error, ssl.SSLCertVerificationError):
            return error.verify_message
        error = error.__cause__ or error.__context__
    return None
