"""The door to numba: functions that run as machine code, compiled once for each machine and kept beside the module.

What is compiled takes arrays and numbers alone, and is plain Python: with `NUMBA_DISABLE_JIT=1` in the environment the very same functions
run uncompiled, a thousand times slower.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])
_jit: Any = numba.njit


def compiled(function: F) -> F:
    """The function as machine code. Integers wrap and indexes aren't checked: callers pass what was checked."""
    return cast(F, _kept(function))


def inner(function: F) -> F:
    """The same, for what only compiled code calls: without the way in from Python."""
    return cast(F, _kept(function, no_cpython_wrapper=True))


def inlined(function: F) -> F:
    """The same, written out in its callers: for what runs a million times a second, where a call costs more than the work."""
    return cast(F, _jit(function, inline="always", nogil=True))


def _kept(function: Callable[..., Any], **options: Any) -> Any:
    """Compiled, other threads going on meanwhile, and kept for the next process."""
    options |= {"nogil": True, "no_cfunc_wrapper": True}
    try:
        return _jit(function, cache=True, **options)
    except RuntimeError:  # nowhere to keep it: compiled anew by every process, which takes a quarter of a minute
        return _jit(function, **options)
