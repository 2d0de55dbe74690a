"""The connection to PostgreSQL: one pool for each controller process, short transactions, retried when PostgreSQL says so.

Enters: a URL. Leaves: connections inside a transaction. UUIDs come out as text and times as aware UTC, so that nothing above the store
knows a driver's types.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar

import orjson
import psycopg
from psycopg.types.json import set_json_dumps, set_json_loads
from psycopg.types.string import TextLoader
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from controller.errors import Unavailable

T = TypeVar("T")
# Serialization failure and deadlock; a key or a reference that another transaction made or took away since we looked. PostgreSQL took it
# all back, and from its start the work finds what is there now and says so itself (AlreadyExists, NotFound, the answer kept).
_RETRIED = frozenset({"40001", "40P01", "23505", "23503"})
_TRIES = 6


set_json_loads(orjson.loads)
set_json_dumps(orjson.dumps)


class Database:
    """A pool of connections to one database."""

    def __init__(self, url: str, connections: int = 20) -> None:
        sized = make_url(url).set(drivername="postgresql+psycopg")
        self._engine: Engine = create_engine(
            sized,
            pool_size=connections,
            max_overflow=0,
            pool_timeout=10,
            pool_pre_ping=False,
            connect_args={
                "options": "-c timezone=UTC -c lock_timeout=20s -c idle_in_transaction_session_timeout=60s",
                "connect_timeout": 10,
            },
        )
        event.listen(self._engine, "connect", _prepare)

    @contextmanager
    def begin(self) -> Iterator[Connection]:
        """One transaction, committed at the end of the block.

        Raises Unavailable where the database can't be reached.
        """
        try:
            with self._engine.begin() as conn:
                yield conn
        except (OperationalError, PoolTimeout) as error:
            if sqlstate(error) in _RETRIED:
                raise
            raise Unavailable("database_unavailable") from error

    def run(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in one transaction; again from its start when PostgreSQL ended it for a deadlock or a lost race."""
        for attempt in range(_TRIES):
            try:
                with self.begin() as conn:
                    return work(conn)
            except DBAPIError as error:
                if sqlstate(error) not in _RETRIED or attempt == _TRIES - 1:
                    raise
                time.sleep(0.005 * 2**attempt)
        raise AssertionError("the last try returns or raises")

    def close(self) -> None:
        """Close every connection."""
        self._engine.dispose()


def _prepare(connection: psycopg.Connection[Any], _record: object) -> None:
    connection.adapters.register_loader("uuid", TextLoader)  # psycopg's own, in C: a page of instances has hundreds


def sqlstate(error: BaseException) -> str | None:
    """PostgreSQL's code for what went wrong, where the error came from it."""
    return getattr(getattr(error, "orig", None), "sqlstate", None)
