"""One thread for each kind of object: the whole as a streaming list once, then every change as it comes.

A list is asked for again only when the server has forgotten where we were (410, as a status or as an event) or never told us; a stream that
ends is gone on with from the last version heard. While a stream is broken, `trouble` says since when and why; whoever answers from the
table asks that first. Servers that know no streaming lists answer 422 or 400 and are listed in pages.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from drivers.errors import DriverError, InvalidSpec, Unauthorized
from drivers.kubernetes.api import JSON, Api, Stream
from drivers.kubernetes.cache import Key, Table
from drivers.kubernetes.failures import Expired, failure

ROUND_S: Final = 290  # how long the server lets one watch last: short, so that a dead way is noticed
PAGE: Final = 500
SETTLE_S: Final = 1.0  # within which a stream that was taken up again has told what it missed
PAUSES_S: Final = (0.1, 0.2, 0.5, 1.0, 2.0)
_ENDED: Final = "k8s.io/initial-events-end"


@dataclass(frozen=True, slots=True)
class Kind:
    """What is watched: its path, a selector of labels, and how a record is made."""

    path: str
    record: Callable[[Mapping[str, Any], str], Any]
    selector: str = ""


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why what is in a table may be out of date, and since when (monotonic)."""

    since: float
    error: DriverError


class Watcher:
    """The thread of one kind."""

    def __init__(self, api: Api, kind: Kind, owner: str, table: Table[Any]) -> None:
        self._api, self._kind, self._owner, self._table = api, kind, owner, table
        self._version = ""  # the last heard; empty: the whole has to be told first
        self._pages = False
        self._told: dict[Key, Any] | None = None  # gathers the whole while it is being told
        self._ending = threading.Event()
        self._stream: Stream | None = None
        self.synced = threading.Event()
        self.settled = threading.Event()  # synced, or known why not
        self.trouble: Trouble | None = None
        self.resumed_at = -SETTLE_S  # when a stream that broke was last taken up again: what it missed comes only after that
        self.wholes = 0  # how often the whole was told: once, unless the server forgot where we were
        self._thread = threading.Thread(target=self._run, name=f"watch{kind.path.replace('/', '-')}", daemon=True)

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def end(self) -> None:
        """Wake the thread and let it end."""
        self._ending.set()
        if self._stream is not None:
            self._stream.end()

    def join(self, timeout_s: float) -> None:
        """Wait until it has."""
        if self._thread.is_alive():
            self._thread.join(timeout_s)

    def _run(self) -> None:
        failed = 0
        while not self._ending.is_set():
            try:
                self._round()
                failed = 0
            except Expired:
                self._version = ""
            except DriverError as error:
                self._note(error)
                failed += 1
            except Exception as bug:  # noqa: BLE001  # a record that can't be made of what came: no reason to fall silent for good
                self._note(DriverError(detail=f"watching {self._kind.path}: {type(bug).__name__}: {bug}"[:300]))
                self._version = ""
                failed += 1
            self._told = None
            if failed:
                self._ending.wait(PAUSES_S[min(failed, len(PAUSES_S)) - 1])

    def _note(self, error: DriverError) -> None:
        since = time.monotonic() if self.trouble is None else self.trouble.since
        self.trouble = Trouble(since, error)
        self.settled.set()

    def _well(self) -> None:
        self.trouble = None
        self.synced.set()
        self.settled.set()

    def _round(self) -> None:
        """One stream from its beginning to its end."""
        if not self._version and self._pages:
            self._list()
        query = {"watch": "1", "allowWatchBookmarks": "true", "timeoutSeconds": str(ROUND_S), "labelSelector": self._kind.selector}
        if self._version:
            query["resourceVersion"] = self._version
        else:
            query |= {"sendInitialEvents": "true", "resourceVersionMatch": "NotOlderThan"}
            self._told = {}
        try:
            self._stream = self._api.stream(self._kind.path, ROUND_S + 30, **{key: value for key, value in query.items() if value})
        except InvalidSpec:
            if self._version or self._pages:
                raise
            self._pages = True  # an older server
            return
        if self._ending.is_set():
            self._stream.end()
        if self._version:
            if self.trouble is not None:
                self.resumed_at = time.monotonic()
            self._well()
        for line in self._stream.lines():
            if line:
                self._event(orjson.loads(line))

    def _event(self, event: Mapping[str, Any]) -> None:
        kind, raw = event["type"], event["object"]
        if kind == "ERROR":
            raise failure(int(raw.get("code") or 500), orjson.dumps(raw), f"watch {self._kind.path}")
        metadata = raw["metadata"]
        if kind == "BOOKMARK":
            self._version = metadata["resourceVersion"] if self._told is None else self._version
            if self._told is not None and (metadata.get("annotations") or {}).get(_ENDED) == "true":
                self._table.replace(self._told, int(metadata["resourceVersion"]))
                self.wholes += 1
                self._told, self._version = None, metadata["resourceVersion"]
                self._well()
            return
        key = (metadata.get("namespace", ""), metadata["name"])
        if self._told is not None:
            if kind == "DELETED":
                self._told.pop(key, None)
            else:
                self._told[key] = self._kind.record(raw, self._owner)
            return
        if kind == "DELETED":
            self._table.drop(key, metadata["uid"])
        elif not self._table.has(key, metadata["uid"], int(metadata["resourceVersion"])):  # as is what we wrote ourselves
            self._table.put(key, self._kind.record(raw, self._owner))
        self._version = metadata["resourceVersion"]

    def _list(self) -> None:
        """The whole in pages."""
        rows: dict[Key, Any] = {}
        query = {"limit": str(PAGE), "labelSelector": self._kind.selector}
        while True:
            page = self._api.call("GET", self._kind.path, None, JSON, **{key: value for key, value in query.items() if value})
            for raw in page["items"]:
                rows[raw["metadata"].get("namespace", ""), raw["metadata"]["name"]] = self._kind.record(raw, self._owner)
            query["continue"] = page["metadata"].get("continue", "")
            if not query["continue"]:
                break
        version = page["metadata"]["resourceVersion"]
        self._table.replace(rows, int(version))
        self.wholes += 1
        self._version = version


def forbidden(trouble: Trouble) -> bool:
    """Whether waiting can't help."""
    return isinstance(trouble.error, Unauthorized)
