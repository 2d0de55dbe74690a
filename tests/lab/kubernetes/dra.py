"""A DRA driver's plugin on a node of the lab: the kubelet finds it, and asks it to prepare the devices of each claim before a pod starts.

It prepares nothing, as there is no hardware, and remembers what it was asked. The few messages of the two protocols (pluginregistration/v1
and dra/v1 of k8s.io/kubelet/pkg/apis) are read and written here: strings, messages and lists of them are all the same on the wire.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import grpc

from tests.lab.kubernetes.api import Api
from tests.lab.kubernetes.node import Node

ON_NODE: Final = "/var/lib/kubelet"
Fields = list[tuple[int, bytes]]


@dataclass
class Plugin:
    """What the kubelet asked for, by the claims' uids."""

    driver: str
    api: Api
    prepared: list[str] = field(default_factory=list)
    unprepared: list[str] = field(default_factory=list)

    def _info(self, _request: bytes, _context: object) -> bytes:
        endpoint = f"{ON_NODE}/plugins/{self.driver}/dra.sock"
        texts = ((1, "DRAPlugin"), (2, self.driver), (3, endpoint), (4, "v1.DRAPlugin"))
        return _message((number, text.encode()) for number, text in texts)

    def _prepare(self, request: bytes, _context: object) -> bytes:
        answers: Fields = []
        for uid, claim in _claims(request):
            self.prepared.append(uid)
            found = self.api.ask(f"GET /apis/resource.k8s.io/v1/namespaces/{claim['namespace']}/resourceclaims/{claim['name']}")
            results = found["status"]["allocation"]["devices"]["results"]
            devices = (_message([(2, one["pool"].encode()), (3, one["device"].encode())]) for one in results)
            answers.append((1, _message([(1, uid.encode()), (2, _message((1, device) for device in devices))])))
        return _message(answers)

    def _unprepare(self, request: bytes, _context: object) -> bytes:
        uids = [uid for uid, _ in _claims(request)]
        self.unprepared += uids
        return _message((1, _message([(1, uid.encode()), (2, b"")])) for uid in uids)


@contextmanager
def plugin(node: Node, driver: str) -> Iterator[Plugin]:
    """One that the node's kubelet takes up within seconds, until the end of the block."""
    made, root = Plugin(driver, node.api), node.machine.folder / "var/lib/kubelet"
    doors = (root / "plugins" / driver / "dra.sock", root / "plugins_registry" / f"{driver}.sock")
    services: Sequence[tuple[str, Mapping[str, Any]]] = (
        ("k8s.io.kubelet.pkg.apis.dra.v1.DRAPlugin", {"NodePrepareResources": made._prepare, "NodeUnprepareResources": made._unprepare}),
        ("pluginregistration.Registration", {"GetInfo": made._info, "NotifyRegistrationStatus": lambda _request, _context: b""}),
    )
    servers = [_serve(door, name, verbs) for door, (name, verbs) in zip(doors, services, strict=True)]
    try:
        yield made
    finally:
        for server in servers:
            server.stop(None).wait()


def _serve(door: Path, service: str, verbs: Mapping[str, Any]) -> Any:
    door.parent.mkdir(parents=True, exist_ok=True)
    server = grpc.server(ThreadPoolExecutor(4))
    handlers = {name: grpc.unary_unary_rpc_method_handler(verb) for name, verb in verbs.items()}
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(service, handlers),))
    server.add_insecure_port(f"unix:{door}")
    server.start()
    return server


def _claims(request: bytes) -> Iterator[tuple[str, dict[str, str]]]:
    for _, claim in _fields(request):
        texts = {number: value.decode() for number, value in _fields(claim)}
        yield texts[2], {"namespace": texts[1], "name": texts[3]}


# -- the wire: https://protobuf.dev/programming-guides/encoding ----------------------------------------------------------------------------


def _message(fields: Iterator[tuple[int, bytes]] | Fields) -> bytes:
    return b"".join(_number(number << 3 | 2) + _number(len(value)) + value for number, value in fields)


def _number(value: int) -> bytes:
    found = bytearray()
    while value > 0x7F:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def _fields(message: bytes) -> Fields:
    """Fields with a length: neither protocol has others here."""
    found, at = [], 0
    while at < len(message):
        tag, at = _read(message, at)
        length, at = _read(message, at)
        assert tag & 7 == 2, f"field {tag >> 3} has no length"
        found.append((tag >> 3, message[at : at + length]))
        at += length
    return found


def _read(message: bytes, at: int) -> tuple[int, int]:
    value = shift = 0
    while True:
        byte = message[at]
        value, at, shift = value | (byte & 0x7F) << shift, at + 1, shift + 7
        if not byte & 0x80:
            return value, at
