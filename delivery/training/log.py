"""The log of a training run: JSON lines that tell its steps, and whatever else its programs print."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Generator

    from common.progress import Progress

_KEPT_LINES = 30


class StepFailedError(Exception):
    """A step of the run said that it failed."""


@dataclass(frozen=True)
class Registered:
    """The model version that a run registered."""

    model: str
    version: int
    run: str


@dataclass(frozen=True)
class BackTested:
    """What a run says of the evidence of a registered version."""

    version: int
    run: str
    report: str
    """Its digest."""
    outcome: str
    """`confirmed`: the same as on record. `restored`: the same, and the report had to be put back. `recorded`: the first."""


@dataclass
class TrainingLog:
    """Reads a run's lines one by one and shows its steps.

    `registered` is set once the run has registered a version, `evidence` once it has tested one again.
    """

    progress: Progress
    registered: Registered | None = None
    evidence: BackTested | None = None
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    last_step: str = ""
    lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=_KEPT_LINES))
    """The last lines that are no events."""
    _open: dict[str, contextlib.ExitStack] = field(default_factory=dict[str, contextlib.ExitStack])

    @classmethod
    @contextlib.contextmanager
    def reading(cls, progress: Progress) -> Generator[TrainingLog]:
        """A log whose steps are closed, as failed where they are still open, when the context is left."""
        log = cls(progress)
        try:
            yield log
        finally:
            for step in list(log._open):
                log._close(step, failed=True)

    def feed(self, line: str) -> None:
        """Takes one line."""
        event = _event(line)
        match event.get("event"):
            case "step":
                self._step(str(event.get("step")), str(event.get("state")), event)
            case "metric":
                self.metrics[str(event.get("name"))] = float(event.get("value") or 0.0)
            case "registered":
                self.registered = Registered(str(event["model"]), int(event["version"]), str(event["run"]))
            case "evidence":
                self.evidence = BackTested(
                    int(event["version"]), str(event["run"]), str(event["report"]), str(event["outcome"])
                )
            case _:
                if line.strip():
                    self.lines.append(line.rstrip())

    def _step(self, step: str, state: str, event: dict[str, Any]) -> None:  # JSON of the run
        if state == "started":
            stack = contextlib.ExitStack()
            index, total = event.get("index"), event.get("total")
            count = f" ({index} of {total})" if index is not None and total is not None else ""
            stack.enter_context(self.progress.step(f"{step}{count}"))
            self._open[step], self.last_step = stack, step
        else:
            self._close(step, failed=state == "failed")

    def _close(self, step: str, *, failed: bool) -> None:
        stack = self._open.pop(step, None)
        if stack is None:
            return
        if not failed:
            stack.close()
            return
        error = StepFailedError(step)
        with contextlib.suppress(StepFailedError):
            if not stack.__exit__(StepFailedError, error, None):
                raise error


def _event(line: str) -> dict[str, Any]:  # JSON of the run
    if not line.startswith("{"):
        return {}
    try:
        found = cast("object", json.loads(line))
    except ValueError:
        return {}
    return cast("dict[str, Any]", found) if isinstance(found, dict) else {}  # JSON of the run
