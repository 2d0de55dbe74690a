"""What stands before a region's APIs, as a load balancer does: TLS, X-Forwarded-Proto, 503 where a service is down; and faults in between.

`python -m tests.lab.openstack.gate FOLDER`, with the settings in FOLDER/region.json and a certificate in FOLDER/pki. A reply is read
whole before a byte of it is sent on: a fault can have it lost after the service has done its work. In: FOLDER/gate.json, read at each
request (`Fault`). Out: FOLDER/gate.log, a line of JSON for each request: `service`, `method`, `path`, `status` as the service said,
`fault`.
"""

from __future__ import annotations

import asyncio
import json
import re
import ssl
import sys
import uuid
from collections import Counter
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from tests.lab.openstack.settings import APIS

LIMIT = 1 << 20  # of a head
AT_ONCE = 64  # requests that a service gets from here: it drops connections beyond a hundred that wait
DRIP_S = 0.2  # between two bytes
BUSY = b'{"error": {"code": 503, "title": "Service Unavailable", "message": "no server is available to handle this request"}}'


@dataclass(frozen=True, slots=True)
class Fault:
    """What happens to requests of that kind, `times` times, then no more. `path`: a regular expression that is found in path and query.

    `act` is "cut" (served, but the reply is lost), "drop" (lost on the way there), "drip" (served, but its reply comes a byte at a time),
    "drip body" (its head comes at once), or "": answered with `status` instead of being served, where there is one. `delay_s` passes before
    anything else happens.
    """

    service: str
    method: str
    path: str = ""
    act: str = ""
    status: int = 0
    delay_s: float = 0
    retry_after_s: int | None = None
    times: int = 1
    id: str = field(default_factory=lambda: uuid.uuid4().hex)

    def meets(self, service: str, method: str, path: str) -> bool:
        return self.service == service and self.method == method and re.search(self.path, path) is not None


@dataclass(frozen=True, slots=True)
class Control:
    """The gate as its owner sees it."""

    folder: Path

    def expect(self, *faults: Fault) -> None:
        """Those from now on, and no others."""
        part = self.folder / "gate.part"
        part.write_text(json.dumps([asdict(one) for one in faults]))
        part.rename(self.folder / "gate.json")

    def requests(self) -> list[dict[str, Any]]:
        """Those that came in, the oldest first."""
        with suppress(FileNotFoundError):
            return [json.loads(line) for line in (self.folder / "gate.log").read_text().splitlines()]
        return []


class Lost(Exception):
    """The connection ends here."""


@dataclass(frozen=True, slots=True)
class Head:
    """First line and headers, by lower-case names; one that comes twice keeps its last value, which no service here minds."""

    first: str
    headers: dict[str, str]

    def encode(self, **more: str | None) -> bytes:
        named = {name.replace("_", "-"): value for name, value in more.items()}
        headers = {name: value for name, value in {**self.headers, **named}.items() if value is not None}
        return "\r\n".join([self.first, *(f"{name}: {value}" for name, value in headers.items()), "", ""]).encode("latin-1")


@dataclass(slots=True)
class Gate:
    """The program: how often each fault has happened is all that it remembers."""

    folder: Path
    ports: dict[str, int]
    happened: Counter[str] = field(default_factory=Counter)
    slots: dict[str, asyncio.Semaphore] = field(default_factory=lambda: {api: asyncio.Semaphore(AT_ONCE) for api in APIS})

    async def serve(self) -> None:
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.folder / "pki/api.crt", self.folder / "pki/api.key")
        for service in APIS:
            port = self.ports[f"{service}-tls"]
            await asyncio.start_server(self._handler(service), "127.0.0.1", port, ssl=context, limit=LIMIT, backlog=500)
        await asyncio.Event().wait()

    def _handler(self, service: str) -> Any:
        async def handle(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
            with suppress(OSError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, Lost):
                while True:
                    await self._exchange(service, reader, writer)
            writer.transport.abort()

        return handle

    async def _exchange(self, service: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await _head(reader)
        body = await _body(reader, head)
        method, path, _ = head.first.split(" ", 2)
        fault = self._fault(service, method, path)
        if fault:
            await asyncio.sleep(fault.delay_s)
        if fault and (fault.act == "drop" or fault.status):
            answer = _answer(fault.status or 503, fault.retry_after_s)
        else:
            async with self.slots[service]:
                answer = await self._ask(service, method, head, body)
        status = int(answer.split(b" ", 2)[1])
        self._note({"service": service, "method": method, "path": path, "status": status, "fault": fault and (fault.act or fault.status)})
        if fault and fault.act in {"cut", "drop"}:
            raise Lost
        if fault and fault.act.startswith("drip"):
            await _drip(writer, answer, answer.index(b"\r\n\r\n") + 4 if fault.act == "drip body" else 0)
        else:
            writer.write(answer)
        await writer.drain()

    async def _ask(self, service: str, method: str, head: Head, body: bytes) -> bytes:
        try:
            reader, writer = await asyncio.open_connection("127.0.0.1", self.ports[service], limit=LIMIT)
        except OSError:
            return _answer(503)
        try:
            length = str(len(body)) if body or method in {"POST", "PUT", "PATCH"} else None
            told = {"connection": "close", "x_forwarded_proto": "https", "transfer_encoding": None, "content_length": length}
            writer.write(head.encode(**told) + body)
            said, content = await _head(reader), await reader.read()
        except (OSError, asyncio.IncompleteReadError):  # it ended meanwhile
            return _answer(502)
        finally:
            writer.close()
        length = said.headers.get("content-length", "0") if method == "HEAD" else str(len(content))
        return said.encode(connection=None, transfer_encoding=None, content_length=length) + content

    def _fault(self, service: str, method: str, path: str) -> Fault | None:
        try:
            faults = [Fault(**one) for one in json.loads((self.folder / "gate.json").read_text())]
        except FileNotFoundError:
            return None
        for fault in faults:
            if fault.meets(service, method, path) and self.happened[fault.id] < fault.times:
                self.happened[fault.id] += 1
                return fault
        return None

    def _note(self, request: dict[str, Any]) -> None:
        with (self.folder / "gate.log").open("a") as log:
            log.write(json.dumps(request) + "\n")


async def _drip(writer: asyncio.StreamWriter, answer: bytes, at_once: int) -> None:
    """So many bytes first, then each of the others by itself."""
    writer.write(answer[:at_once])
    for place in range(at_once, len(answer)):
        writer.write(answer[place : place + 1])
        await writer.drain()
        await asyncio.sleep(DRIP_S)


async def _head(reader: asyncio.StreamReader) -> Head:
    first, *lines = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
    pairs = (line.split(":", 1) for line in lines if line)
    return Head(first, {name.lower(): value.strip() for name, value in pairs})


async def _body(reader: asyncio.StreamReader, head: Head) -> bytes:
    if "chunked" not in head.headers.get("transfer-encoding", ""):
        return await reader.readexactly(int(head.headers.get("content-length", 0)))
    whole = b""
    while size := int((await reader.readuntil(b"\r\n")).split(b";")[0], 16):
        whole += await reader.readexactly(size)
        await reader.readexactly(2)
    await reader.readuntil(b"\r\n")
    return whole


def _answer(status: int, retry_after_s: int | None = None) -> bytes:
    after = None if retry_after_s is None else str(retry_after_s)
    head = Head(f"HTTP/1.1 {status} Lab", {"content-type": "application/json", "content-length": str(len(BUSY))})
    return head.encode(retry_after=after) + BUSY


if __name__ == "__main__":
    where = Path(sys.argv[1])
    asyncio.run(Gate(where, json.loads((where / "region.json").read_text())["ports"]).serve())
