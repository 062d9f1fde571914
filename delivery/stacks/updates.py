"""What the engine recorded of the updates of a stack."""

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
    """One update of a stack, as the engine recorded it."""

    kind: str
    """`update`, `destroy`, `refresh`, ..."""
    ended: datetime
    emptied: bool
    """Whether nothing was left: a destruction of everything, not of some targets."""
    succeeded: bool
    releases: Mapping[str, Block]


def update_of(summary: UpdateSummary) -> Update:
    """What the Automation API tells of an update."""
    config: Mapping[str, Any] = summary.config or {}  # as the SDK has it
    # The SDK promises its enumeration as keys and gives what the engine's JSON has.
    operations = {str(getattr(operation, "value", operation)) for operation in summary.resource_changes or {}}
    raw = config[RELEASES].value if RELEASES in config else "{}"
    return Update(
        kind=str(summary.kind),
        ended=summary.end_time or summary.start_time,
        emptied=summary.kind == "destroy" and "same" not in operations,
        succeeded=summary.result == "succeeded",
        releases=cast("Mapping[str, Block]", json.loads(raw) if isinstance(raw, str) else raw),
    )
