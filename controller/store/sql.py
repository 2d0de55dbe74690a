"""How the store speaks SQL: rows out as mappings, rows in as one JSON document.

Many rows are written by one statement whose single parameter is a JSON array (`json_populate_recordset`): PostgreSQL casts each field to
its column's type, the statement's text is the same for any number of rows (so that it is prepared once), and nothing is quoted by hand.
Table and column names come from the code alone, never from outside.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, cast

import orjson
from sqlalchemy import Connection, TextClause, text

Row = Mapping[str, Any]
"""A row by column name."""

_OFF = ("seqscan", "bitmapscan", "sort", "hashjoin", "mergejoin")
_ALONG_INDEXES = "SELECT " + ", ".join(f"set_config('enable_{way}', 'off', true)" for way in _OFF)
_statements: dict[str, TextClause] = {}
_STREAMED = 1000


def statement(sql: str) -> TextClause:
    """The parsed form of a statement; parsing is done once."""
    found = _statements.get(sql)
    if found is None:
        found = _statements[sql] = text(sql)
    return found


def rows(conn: Connection, sql: str, **params: Any) -> Sequence[Row]:
    """All rows of a query."""
    return cast(Sequence[Row], conn.execute(statement(sql), params).mappings().all())


def stream(conn: Connection, sql: str, **params: Any) -> Iterator[Row]:
    """All rows of a query with a large answer, fetched a thousand at a time, so that neither memory nor other threads notice its size."""
    found = conn.execute(statement(sql), params, execution_options={"stream_results": True, "yield_per": _STREAMED})
    yield from cast(Iterable[Row], found.mappings())


def one(conn: Connection, sql: str, **params: Any) -> Row | None:
    """The first row, or None."""
    return cast(Row | None, conn.execute(statement(sql), params).mappings().first())


def scalar(conn: Connection, sql: str, **params: Any) -> Any:
    """The first column of the first row, or None."""
    return conn.execute(statement(sql), params).scalar()


def run(conn: Connection, sql: str, **params: Any) -> int:
    """Execute; the number of rows it touched."""
    return conn.execute(statement(sql), params).rowcount


def along_indexes(conn: Connection) -> None:
    """From here to the transaction's end plans walk indexes, in a query's own order, whatever the statistics say.

    For queries that take a few of many by an index: of tables that have just grown the statistics know nothing, and a plan made by them
    reads and sorts the whole, for as long as the statement stays prepared.
    """
    conn.execute(statement(_ALONG_INDEXES))


def narrowed(columns: Mapping[str, str]) -> str:
    """Conditions of a list: by the parameter's name the column that must have its value; one that is None narrows nothing."""
    return "".join(f" AND (CAST(:{name} AS text) IS NULL OR CAST({column} AS text) = :{name})" for name, column in columns.items())


def insert(conn: Connection, table: str, records: Sequence[Mapping[str, Any]]) -> None:
    """Insert records that all have the same fields."""
    if not records:
        return
    columns = ", ".join(records[0])
    run(
        conn,
        f"INSERT INTO {table} ({columns}) SELECT {columns} FROM json_populate_recordset(NULL::{table}, CAST(:records AS json))",
        records=document(records),
    )


def document(records: Iterable[Mapping[str, Any]]) -> str:
    """Records as the JSON parameter of `json_populate_recordset`."""
    return orjson.dumps(list(records), default=str).decode()
