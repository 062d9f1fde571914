"""The steps of a command as a tree, which the displays read."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class StepNode:
    """A step in the tree of steps. `done` and `total` are amounts of whatever the step counts; total None: unknown."""

    name: str
    parent: StepNode | None
    started: float
    ended: float | None = None
    state: str = "running"
    text: str = ""
    done: float = 0.0
    total: float | None = None
    children: list[StepNode] = field(default_factory=list["StepNode"])

    def path(self) -> str:
        """The step's name with those above it."""
        return self.name if self.parent is None else f"{self.parent.path()} > {self.name}"

    def seconds(self, now: float) -> float:
        """How long the step took, or has been taking."""
        return (self.ended if self.ended is not None else now) - self.started

    def share(self) -> float | None:
        """The part of the step that is done, between 0 and 1; None when nobody knows."""
        return min(self.done / self.total, 1.0) if self.total else None
