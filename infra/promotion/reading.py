"""Reads the deployed releases of this stack and of its source stack from the engine, before any resource is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING

from infra import stack_state
from infra.promotion import deployed
from infra.promotion.deployed import DeployedReleases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.promotion.deployed import DeployedRelease
    from infra.settings.model import Settings
    from infra.tiers.model import StackTier


def read(tier: StackTier, settings: Settings) -> DeployedReleases:
    """Returns the deployed releases of a stack and of its source stack. Reads only what the stack's requirements need.

    Raises:
        UserError: the outputs of a stack cannot be read.
    """
    required = tier.requirements
    if not settings.releases or not (required.evidence or required.proven):
        return DeployedReleases()
    source: Mapping[str, DeployedRelease] = _deployed(tier.source.stack) if required.proven and tier.source else {}
    return DeployedReleases(here=_deployed(tier.stack), source=source)


def _deployed(stack: str) -> Mapping[str, DeployedRelease]:
    return deployed.parse(stack_state.outputs(stack))
