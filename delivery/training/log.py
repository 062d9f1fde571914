"""Reads the log of a training run: events about its steps as JSON lines, and everything else that its programs print."""

from __future__ import annotations

import contextlib
import json
from collections import deque
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

if TYPE_CHECKING:
    from collections.abc import Generator

    from common.progress import Progress

_LAST_LINES = 30


class StepFailedError(Exception):
    """An event reports that a step of the run has failed."""


@dataclass(frozen=True)
class RegisteredVersion:
    """The model version that a training run registered."""

    model: str
    version: int
    run: str


@dataclass(frozen=True)
class BackTestResult:
    """The result of a back-test of a registered version."""

    version: int
    run: str
    report: str
    """Digest of the back-test report."""
    outcome: str
    """`confirmed`: the report equals the recorded one. `restored`: the recorded one was lost or changed, and is stored again.
    `recorded`: the version had no report; this one is stored as the first."""


@dataclass
class TrainingLog:
    """Reads the lines of a run one by one and shows its steps as progress."""

    progress: Progress
    registered: RegisteredVersion | None = None
    """Set when the run has registered a version."""
    back_test: BackTestResult | None = None
    """Set when the run has back-tested a version."""
    metrics: dict[str, float] = field(default_factory=dict[str, float])
    last_step: str = ""
    """The step that started last."""
    lines: deque[str] = field(default_factory=lambda: deque[str](maxlen=_LAST_LINES))
    """The last lines that are not events."""
    _open: dict[str, contextlib.ExitStack] = field(default_factory=dict[str, contextlib.ExitStack])

    @classmethod
    @contextlib.contextmanager
    def reading(cls, progress: Progress) -> Generator[TrainingLog]:
        """Creates a log. When the context ends, steps that are still in progress are marked as failed."""
        log = cls(progress)
        try:
            yield log
        finally:
            for step in list(log._open):
                log._close(step, failed=True)

    def feed(self, line: str) -> None:
        """Reads one line of the log."""
        event = _event(line)
        match event.get("event"):
            case "step":
                self._step(str(event.get("step")), str(event.get("state")), event)
            case "metric":
                self.metrics[str(event.get("name"))] = float(event.get("value") or 0.0)
            case "registered":
                self.registered = RegisteredVersion(str(event["model"]), int(event["version"]), str(event["run"]))
            case "evidence":
                self.back_test = BackTestResult(
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
        event = cast("object", json.loads(line))
    except ValueError:
        return {}
    return cast("dict[str, Any]", event) if isinstance(event, dict) else {}  # JSON of the run
