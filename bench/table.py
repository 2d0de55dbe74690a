"""How a measurement is shown: rows with a key, a number, a unit and, where there is one, an aim; as a table and as one flat JSON object.

Invariant: a key names one number in one unit for ever, so that results of different days can be compared by program.
"""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Row:
    """One number. `aim`: e.g. ("<", 250); `key` is None for what is only worth a look."""

    text: str
    value: float
    unit: str
    key: str | None = None
    aim: tuple[str, float] | None = None
    digits: int = 1  # shown behind the point, of numbers below 100 or where it is more than one

    def met(self) -> bool | None:
        """Whether the aim is met; None where there is none."""
        if self.aim is None:
            return None
        sign, bound = self.aim
        return {"<": self.value < bound, "<=": self.value <= bound, ">=": self.value >= bound}[sign]


def quantile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` of the values don't exceed. Raises ValueError for no values."""
    if not values:
        raise ValueError("nothing was measured")
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def show(title: str, rows: Sequence[Row]) -> str:
    """The table as text."""
    cells = [
        (row.text, f"{row.value:,.{row.digits if row.value < 100 or row.digits > 1 else 0}f}", row.unit, _aim(row), row.key or "")
        for row in rows
    ]
    widths = [max([len(cell[column]) for cell in cells], default=0) for column in range(5)]
    lines = [
        f"  {text:<{widths[0]}}  {value:>{widths[1]}} {unit:<{widths[2]}}  {aim:<{widths[3]}}  {f'[{key}]' if key else ''}".rstrip()
        for text, value, unit, aim, key in cells
    ]
    return "\n".join([title, *lines])


def _aim(row: Row) -> str:
    if row.aim is None:
        return ""
    sign, bound = row.aim
    return f"aim {sign} {bound:.6g}: {'met' if row.met() else 'MISSED'}"


def save(path: Path, rows: Sequence[Row]) -> None:
    """All keyed numbers as one flat object."""
    path.write_text(json.dumps({row.key: round(row.value, 4) for row in rows if row.key}, indent=1) + "\n")
