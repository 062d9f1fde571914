"""What each environment asks of a release.

The requirements are code, reviewed like code, and not in the stack files: whoever edits a release could otherwise edit what is
asked of it in the same line.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """What one environment asks of a release."""

    source: str | None
    """The stack that releases come from by promotion; None where they are made."""
    evidence: bool = False
    """Whether its back-test has to pass the workload's gate."""
    approval: bool = False
    """Whether somebody other than its trainer has to have approved it for this environment."""
    proven: bool = False
    """Whether the same image has to be stable in `source`."""


REQUIREMENTS: Final[Mapping[str, Requirements]] = {
    "dev": Requirements(source=None),
    "stage": Requirements(source="dev", evidence=True),
    "prod": Requirements(source="stage", evidence=True, approval=True, proven=True),
}
"""By stack, in the order that releases take."""


def for_stack(stack: str) -> Requirements:
    """What a stack asks for. One that is not listed asks for everything: forgetting to list it opens no door."""
    return REQUIREMENTS.get(stack, REQUIREMENTS["prod"])


def origin(stack: str) -> str:
    """The stack in which the releases of a stack are made: the first one on their way."""
    while (source := for_stack(stack).source) is not None:
        stack = source
    return stack
