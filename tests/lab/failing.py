"""What the parts of a rig have in common: each can be ended and hung for a while."""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Iterator
from contextlib import contextmanager


class Failing:
    """A rig of components, by name."""

    __slots__ = ()

    @abstractmethod
    def start(self, component: str) -> None:
        """Start it where it doesn't run, on the same port and data as before; returns when it is ready."""

    @abstractmethod
    def kill(self, component: str) -> None:
        """End it at once."""

    @abstractmethod
    def freeze(self, component: str) -> None:
        """Hang it: it still accepts connections, and never answers."""

    @abstractmethod
    def thaw(self, component: str) -> None:
        """Have it go on."""

    @contextmanager
    def being_down(self, component: str) -> Iterator[None]:
        self.kill(component)
        try:
            yield
        finally:
            self.start(component)

    @contextmanager
    def being_frozen(self, component: str) -> Iterator[None]:
        self.freeze(component)
        try:
            yield
        finally:
            self.thaw(component)
