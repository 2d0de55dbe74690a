"""The door to numba: functions that run as machine code, compiled once for each machine and kept beside the module.

What is compiled takes arrays and numbers alone, and is plain Python: with `NUMBA_DISABLE_JIT=1` in the environment the very same functions
run uncompiled, a thousand times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])


def inlined(function: F) -> F:
    """The same, written out in its callers: for what runs a million times a second, where a call costs more than the work."""
    return cast(F, numba.njit(inline="always", nogil=True)(function))


def compiled(function: F) -> F:
    """The function as machine code. Integers wrap and indexes aren't checked: callers pass what was checked."""
    try:
        return cast(F, numba.njit(cache=True, nogil=True)(function))
    except RuntimeError:  # nowhere to keep it: compiled anew by every process, which takes some seconds
        return cast(F, numba.njit(nogil=True)(function))
