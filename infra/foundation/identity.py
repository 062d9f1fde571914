"""Each kind of identity. Today there is one: pods have none outside the cluster."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from components.identity import PodIdentity

if TYPE_CHECKING:
    from pulumi import Input


@dataclass(frozen=True)
class NoIdentity:
    """Pods use nothing outside the cluster that would ask who they are."""

    def for_pods(self, account: str, *, namespace: Input[str]) -> PodIdentity:  # noqa: ARG002 the same for all pods
        """Returns an empty identity."""
        return PodIdentity()
