"""Handles the engine's events: shows progress, and collects the diagnostics of a failure."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pulumi.automation.events import EngineEvent, StepEventMetadata

    from common.progress import Step

_COLOUR = re.compile(r"<\{%.*?%\}>")
_UNCHANGING = frozenset({"same", "read", "refresh"})
_PROGRESS_VERBS = {
    "create": "creating",
    "update": "updating",
    "delete": "deleting",
    "replace": "replacing",
    "create-replacement": "replacing",
    "delete-replaced": "deleting old",
}


def plain(text: str) -> str:
    """Returns a message of the engine without its colour marks."""
    return _COLOUR.sub("", text).rstrip()


def short(urn: str) -> str:
    """Shortens a URN to kind and name.

    For example, `urn:pulumi:dev::modelstack::a:b:C$kubernetes:apps/v1:Deployment::router` becomes `Deployment router`.
    """
    kind, _, name = urn.rpartition("::")
    return f"{kind.rpartition(':')[2]} {name}"


@dataclass
class EventHandler:
    """Receives the engine's events, and shows in `step` how many of the `expected` changes are done."""

    step: Step
    expected: int | None = None
    changes: dict[str, str] = field(default_factory=dict[str, str])
    """The resources that changed: URN to operation."""
    diagnostics: list[str] = field(default_factory=list[str])
    _under_way: dict[str, str] = field(default_factory=dict[str, str])

    def __call__(self, event: EngineEvent) -> None:
        if event.resource_pre_event is not None:
            self._begin(event.resource_pre_event.metadata)
        if event.res_outputs_event is not None:
            self._end(event.res_outputs_event.metadata)
        if event.res_op_failed_event is not None:
            self._under_way.pop(event.res_op_failed_event.metadata.urn, None)
        if event.diagnostic_event is not None:
            self._diagnose(event.diagnostic_event.severity, event.diagnostic_event.message, event.diagnostic_event.urn)

    def _begin(self, metadata: StepEventMetadata) -> None:
        operation = str(metadata.op.value)
        if operation in _UNCHANGING:
            return
        self.changes[metadata.urn] = operation
        self._under_way[metadata.urn] = f"{_PROGRESS_VERBS.get(operation, operation)} {short(metadata.urn)}"
        self._show()

    def _end(self, metadata: StepEventMetadata) -> None:
        if self._under_way.pop(metadata.urn, None) is not None:
            self._show()

    def _show(self) -> None:
        # Counts resources, not operations: a replacement creates and deletes, but is one change.
        done = len(self.changes) - len(self._under_way)
        total = f" of {self.expected}" if self.expected else ""
        newest = next(reversed(self._under_way.values()), "")
        others = f" and {len(self._under_way) - 1} more" if len(self._under_way) > 1 else ""
        self.step.note(f"{done}{total} {newest}{others}")
        if self.expected:
            self.step.advance(done, self.expected)

    def _diagnose(self, severity: str, message: str, urn: str | None) -> None:
        if severity not in {"error", "warning", "info#err"} or not plain(message).strip():
            return
        where = f"{short(urn)}: " if urn and "pulumi:pulumi:Stack" not in urn else ""
        if severity != "warning":
            self.diagnostics.append(f"{where}{plain(message)}")
