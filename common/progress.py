"""What long work tells whoever waits for it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Step(Protocol):
    """One step under way."""

    def advance(self, done: float, total: float | None = None) -> None:
        """Moves the step's bar. `total` None: not known."""
        ...

    def note(self, text: str) -> None:
        """Replaces the few words shown beside the step's name."""
        ...


class Progress(Protocol):
    """Shows steps with their elapsed time."""

    def step(self, name: str) -> AbstractContextManager[Step]:
        """A step that lasts as long as the context: done when it is left, failed when an exception leaves it."""
        ...
