"""The interface through which long operations report their progress."""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from contextlib import AbstractContextManager


class Step(Protocol):
    """A step that is in progress."""

    def advance(self, done: float, total: float | None = None) -> None:
        """Moves the step's progress bar to `done` of `total`. `total` is None if it is not known."""
        ...

    def note(self, text: str) -> None:
        """Replaces the short text beside the step's name."""
        ...


class Progress(Protocol):
    """Shows steps with their elapsed time."""

    def step(self, name: str) -> AbstractContextManager[Step]:
        """Starts a step that ends with the context. An exception that leaves the context marks the step as failed."""
        ...
