"""The engine's records of the updates of a stack."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

from delivery.stacks.stack_file import RELEASES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from pulumi.automation import UpdateSummary

    from delivery.stacks.stack_file import Block


@dataclass(frozen=True, kw_only=True)
class Update:
    """The engine's record of one update of a stack."""

    kind: str
    """`update`, `destroy`, `refresh`, ..."""
    ended: datetime
    emptied: bool
    """Whether the stack has no resources afterwards: everything was destroyed, not only some targets."""
    succeeded: bool
    releases: Mapping[str, Block]
    """The releases in the configuration of the update, by workload."""


def from_summary(summary: UpdateSummary) -> Update:
    """Converts a record of the Automation API."""
    config: Mapping[str, Any] = summary.config or {}  # the SDK's own type
    # The SDK declares its enumeration as the type of the keys, but returns the plain texts of the engine's JSON.
    operations = {str(getattr(operation, "value", operation)) for operation in summary.resource_changes or {}}
    raw = config[RELEASES].value if RELEASES in config else "{}"
    return Update(
        kind=str(summary.kind),
        ended=summary.end_time or summary.start_time,
        emptied=summary.kind == "destroy" and "same" not in operations,
        succeeded=summary.result == "succeeded",
        releases=cast("Mapping[str, Block]", json.loads(raw) if isinstance(raw, str) else raw),
    )
