"""Tables as dictionaries of text, from CSV (also .gz), .xlsx and .xls files.

In: a path. Out: one dictionary for each row below the header; an empty cell is "". Only what published traces need: the first sheet,
values.
"""

from __future__ import annotations

import csv
import gzip
import io
from glob import glob
from pathlib import Path

Table = list[dict[str, str]]


def read(path: Path) -> Table:
    """The rows of a file. Raises ValueError where there is none."""
    grid = _book(path) if path.suffix in (".xlsx", ".xls") else _text(path)
    if not grid:
        raise ValueError(f"{path} is empty")
    return [dict(zip(grid[0], row, strict=False)) for row in grid[1:] if any(row)]


def expand(patterns: list[str]) -> list[Path]:
    """Paths and globs as paths, in order. Raises ValueError where one matches nothing."""
    found: list[Path] = []
    for pattern in patterns:
        names = sorted(glob(pattern))  # noqa: PTH207 -- a pattern may be absolute
        if not names:
            raise ValueError(f"no such file: {pattern}")
        found += [Path(name) for name in names]
    return found


def _text(path: Path) -> list[list[str]]:
    raw = path.read_bytes()
    try:
        return list(csv.reader(io.StringIO((gzip.decompress(raw) if path.suffix == ".gz" else raw).decode("utf-8-sig"))))
    except (UnicodeDecodeError, csv.Error) as error:
        raise ValueError(f"no CSV in UTF-8 ({error})") from error


def _book(path: Path) -> list[list[str]]:
    from python_calamine import CalamineError, CalamineWorkbook

    try:
        grid = CalamineWorkbook.from_path(path).get_sheet_by_index(0).to_python()
    except CalamineError as error:
        raise ValueError(f"no workbook ({error})") from error
    return [[_plain(value) for value in row] for row in grid]


def _plain(value: object) -> str:
    return str(int(value)) if isinstance(value, float) and value.is_integer() else str(value)
