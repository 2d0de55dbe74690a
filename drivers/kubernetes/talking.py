"""A container's output and commands beside its own, through the API server (and its kubelet behind it).

All of it is bounded: in bytes kept, and in time. A command that is given up after its time is left to itself in the container: Kubernetes
has no way to end it.
"""

from __future__ import annotations

import json
import queue
import threading
import time
from collections.abc import Generator, Sequence
from contextlib import suppress
from typing import Any, Final

import websocket
from websocket import ABNF

from drivers.container import Executed
from drivers.errors import DriverError, HostUnreachable, InvalidSpec, NotRunning, Timeout
from drivers.kubernetes.api import Api, Stream
from drivers.kubernetes.failures import Gone, unreachable
from drivers.kubernetes.pod import MAIN
from drivers.kubernetes.records import Pod

SILENCE_S: Final = 5.0  # after which a follower is told that there is nothing
FOLLOW_S: Final = 6 * 3600.0
STDIN, STDOUT, STDERR, STATUS, CLOSE = 0, 1, 2, 3, 255
_PIECE: Final = 32_768
_NOT_THERE: Final = "container not found"  # the kubelet's word where none runs just now: it waits, or has ended
_NEVER_BEGAN: Final = (
    "is waiting to start",
    "not found",
    "could not find the requested resource",  # a kubelet that hasn't heard of the pod yet
    "is not available",
    "ContainerCreating",
    "does not have a host assigned",
)


def tail(api: Api, pod: Pod, max_bytes: int, silence_s: float) -> bytes:
    """The last bytes of its output; empty where it never began."""
    if max_bytes <= 0:
        return b""
    kept = bytearray()
    try:
        for piece in _log(api, pod, silence_s, tailLines=str(max_bytes)).pieces():  # so many lines hold at least so many bytes
            kept += piece
            del kept[:-max_bytes]
    except (InvalidSpec, Gone) as error:
        if not any(sign in str(error) for sign in _NEVER_BEGAN):
            raise
    return bytes(kept)


def follow(api: Api, pod: Pod, max_bytes: int, silence_s: float) -> Generator[bytes, None, None]:
    """The last bytes, in whole lines, then what comes; b"" in silence. Ends with the container, or when it is closed."""
    lines = tail(api, pod, max_bytes, silence_s).count(b"\n")
    try:
        stream = _log(api, pod, FOLLOW_S, tailLines=str(lines), follow="true")
    except (InvalidSpec, Gone) as error:
        raise NotRunning(detail=str(error.reason.params.get("detail", ""))) from None
    return _following(stream)


def _following(stream: Stream) -> Generator[bytes, None, None]:
    pieces: queue.Queue[bytes | None] = queue.Queue(maxsize=64)
    over = threading.Event()

    def read() -> None:
        with suppress(DriverError):  # closed from this side, or the server went: the follower sees an end either way
            for piece in stream.pieces():
                while not over.is_set():
                    with suppress(queue.Full):
                        pieces.put(piece, timeout=1)
                        break
                if over.is_set():
                    return
        with suppress(queue.Full):
            pieces.put(None, timeout=SILENCE_S)

    reader = threading.Thread(target=read, name="follow-log", daemon=True)
    reader.start()
    try:
        while True:
            try:
                piece = pieces.get(timeout=SILENCE_S)
            except queue.Empty:
                if not reader.is_alive():
                    return
                piece = b""
            if piece is None:
                return
            yield piece
    finally:
        over.set()
        stream.end()


def _log(api: Api, pod: Pod, silence_s: float, **query: str) -> Stream:
    return api.stream(f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/log", silence_s, container=MAIN, **query)


class _Output:
    """What two streams said, up to a limit for each."""

    def __init__(self, max_bytes: int) -> None:
        self._max = max_bytes
        self.kept = {STDOUT: bytearray(), STDERR: bytearray(), STATUS: bytearray()}
        self.truncated = False

    def take(self, channel: int, data: bytes) -> None:
        if channel not in self.kept:
            return
        room = (self._max if channel != STATUS else 1 << 16) - len(self.kept[channel])
        self.kept[channel] += data[: max(0, room)]
        self.truncated |= len(data) > room


def execute(api: Api, pod: Pod, command: Sequence[str], stdin: bytes, timeout_s: float, max_bytes: int) -> Executed:
    """Run a command in the container to its end. Raises Timeout, NotRunning, InvalidSpec and HostUnreachable."""
    deadline = time.monotonic() + timeout_s
    query = [("container", MAIN), ("stdout", "true"), ("stderr", "true"), *(("command", word) for word in command)]
    if stdin:
        query.append(("stdin", "true"))
    try:
        socket = api.web_socket(f"/api/v1/namespaces/{pod.namespace}/pods/{pod.name}/exec", query, timeout_s)
    except DriverError as error:
        detail = str(error.reason.params.get("detail", ""))
        if isinstance(error, InvalidSpec | Gone) or _NOT_THERE in detail:
            raise NotRunning(detail=detail) from None
        raise
    output = _Output(max_bytes)
    try:
        _feed(socket, stdin, output, deadline)
        _drain(socket, output, deadline)
    except websocket.WebSocketTimeoutException:
        raise Timeout(detail=f"the command did not end within {timeout_s:.0f} s") from None
    except (websocket.WebSocketException, OSError) as error:
        if not output.kept[STATUS]:
            raise unreachable(error) from error
    finally:
        with suppress(Exception):  # it may be closed by the other side already
            socket.close(timeout=1)
    code, why = _exit_code(bytes(output.kept[STATUS]))
    told = bytes(output.kept[STDERR]) + (f"{command[0]}: {why}\n".encode() if why else b"")
    return Executed(code, bytes(output.kept[STDOUT]), told, output.truncated)


def _feed(socket: Any, stdin: bytes, output: _Output, deadline: float) -> None:
    if not stdin:
        return
    writer = threading.Thread(
        target=_write, args=(socket, stdin), name="exec-stdin", daemon=True
    )  # else both sides could wait for the other to read
    writer.start()
    while writer.is_alive() and not output.kept[STATUS]:
        _receive(socket, output, deadline)


def _write(socket: Any, stdin: bytes) -> None:
    with suppress(websocket.WebSocketException, OSError):  # the command ended without reading it all
        for at in range(0, len(stdin), _PIECE):
            socket.send(bytes([STDIN]) + stdin[at : at + _PIECE], opcode=ABNF.OPCODE_BINARY)
        socket.send(bytes([CLOSE, STDIN]), opcode=ABNF.OPCODE_BINARY)


def _drain(socket: Any, output: _Output, deadline: float) -> None:
    while not output.kept[STATUS]:
        _receive(socket, output, deadline)


def _receive(socket: Any, output: _Output, deadline: float) -> None:
    left = deadline - time.monotonic()
    if left <= 0:
        raise websocket.WebSocketTimeoutException("over")
    socket.settimeout(left)
    data = socket.recv()
    if not data:
        raise websocket.WebSocketConnectionClosedException("closed")
    output.take(data[0], data[1:])


def _exit_code(status: bytes) -> tuple[int, str]:
    """From the Status object that ends the stream, with why a command was not even begun, as a shell would say both; raises NotRunning
    where that is not the command's fault.
    """
    said = json.loads(status)
    if said.get("status") == "Success":
        return 0, ""
    causes = (said.get("details") or {}).get("causes") or ()
    for cause in causes:
        if cause.get("reason") == "ExitCode":
            return int(cause["message"]), ""
    message = str(said.get("message", ""))
    if "executable file not found" in message or "no such file or directory" in message:
        return 127, "not found"
    if "permission denied" in message:
        return 126, "permission denied"
    raise (HostUnreachable if "dial" in message else NotRunning)(detail=message[:300])
