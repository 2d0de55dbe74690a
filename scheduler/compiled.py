"""The door to numba: functions that run as machine code, compiled once for each machine and kept beside the package.

numba asks of what is kept only whether its own file has changed, yet a compiled function contains those that it calls. So all is kept in a
folder that bears a digest of the whole package: where any file differs, everything is compiled anew.

What is compiled takes arrays and numbers alone, and is plain Python: with `NUMBA_DISABLE_JIT=1` in the environment the very same functions
run uncompiled, a thousand times slower.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from hashlib import blake2b
from pathlib import Path
from typing import Any, TypeVar, cast

import numba

_HERE = Path(__file__).parent
_PREFIX = "kernels-"


def _digest() -> str:
    """Of all files that a kept function may have been compiled from, and of the compiler."""
    found = blake2b(numba.__version__.encode(), digest_size=8)
    for path in sorted(_HERE.rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


_folder = _HERE / "__pycache__" / f"{_PREFIX}{_digest()}"
_settings: Any = numba.config
if not _settings.CACHE_DIR:  # else somebody wants them elsewhere
    _settings.CACHE_DIR = str(_folder)


def forget_others() -> None:
    """Remove what was kept for files that are no more as they were."""
    for path in _folder.parent.glob(f"{_PREFIX}*"):
        if path != _folder:
            shutil.rmtree(path, ignore_errors=True)


F = TypeVar("F", bound=Callable[..., Any])
_jit: Any = numba.njit
_UNCOUNTED = {"_nrt": False, "error_model": "numpy"}  # nothing is raised either: what divides has looked


def compiled(function: F) -> F:
    """The function as machine code. Integers wrap and indexes aren't checked: callers pass what was checked."""
    return cast(F, _kept(function))


def inner(function: F) -> F:
    """The same, for what only compiled code calls: without the way in from Python."""
    return cast(F, _kept(function, no_cpython_wrapper=True))


def kernel(function: F) -> F:
    """As `compiled`, for what makes no arrays and calls nothing that does: it writes into those that it is given.

    Nobody then counts who holds them, which costs two locked instructions each time that one is passed on or a part of it is named: in
    loops of a few instructions that was half of the time.
    """
    return cast(F, _kept(function, **_UNCOUNTED))


def part(function: F) -> F:
    """A part of kernels: without the way in from Python."""
    return cast(F, _kept(function, no_cpython_wrapper=True, **_UNCOUNTED))


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
