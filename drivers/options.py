"""An endpoint's options, as its operators give them: texts by name in, the driver's own frozen value out.

Invariant: an option that is not understood is refused, never ignored, so that a misspelt one can't silently mean the default.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import fields
from typing import Any, TypeVar

from drivers.errors import InvalidSpec

T = TypeVar("T")


def read(kind: type[T], given: Mapping[str, str]) -> T:
    """`kind`: a dataclass of texts. Raises InvalidSpec for an option that it doesn't have; no value is quoted."""
    settings: Any = kind
    known = {one.name for one in fields(settings)}
    unknown = sorted(set(given) - known)
    if unknown:
        raise InvalidSpec(detail=f"unknown options: {', '.join(unknown)}; there are: {', '.join(sorted(known))}")
    return kind(**given)
