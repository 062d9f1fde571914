"""The requirements of each environment for releases.

The requirements are code, and changes to them are reviewed as code. They are not in the stack files, because an edit of a
release could then also change the requirements for it.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from infra.settings import tour

if TYPE_CHECKING:
    from collections.abc import Mapping


@dataclass(frozen=True, kw_only=True)
class Requirements:
    """The requirements of one environment for each release that it serves."""

    source: str | None
    """The stack from which releases are promoted. None for the stack in which releases are created."""
    evidence: bool = False
    """Whether the release's back-test must pass the workload's gate."""
    approval: bool = False
    """Whether a person other than the release's trainer must have approved the release for this environment."""
    proven: bool = False
    """Whether the release's image must be the stable one in `source`."""


_STAGE: Final = Requirements(source="dev", evidence=True)
_PROD: Final = Requirements(source="stage", evidence=True, approval=True, proven=True)
REQUIREMENTS: Final[Mapping[str, Requirements]] = {
    "dev": Requirements(source=None),
    "stage": _STAGE,
    "prod": _PROD,
    tour.STAGE: _STAGE,
    tour.PROD: replace(_PROD, source=tour.STAGE),
}
"""The requirements by stack, in the order in which releases are promoted."""


def for_stack(stack: str) -> Requirements:
    """Returns the requirements of a stack. A stack that is not listed has those of prod, so an omission is no security gap."""
    return REQUIREMENTS.get(stack, REQUIREMENTS["prod"])


def origin(stack: str) -> str:
    """Returns the stack in which the releases of a stack are created: the first stack of the promotion path."""
    while (source := for_stack(stack).source) is not None:
        stack = source
    return stack
