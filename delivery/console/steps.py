"""The tree of a command's steps, which the sinks show."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass
class StepNode:
    """A node in the tree of steps. `done` and `total` are in the step's own unit, for example bytes; `total` None: unknown."""

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
        """Returns the names of the step and its parents, for example `environment > plan`."""
        return self.name if self.parent is None else f"{self.parent.path()} > {self.name}"

    def seconds(self, now: float) -> float:
        """Returns the duration of the step in seconds; up to `now` if it still runs."""
        return (self.ended if self.ended is not None else now) - self.started

    def share(self) -> float | None:
        """Returns the completed part of the step, between 0 and 1; None if the total is unknown."""
        return min(self.done / self.total, 1.0) if self.total else None
