"""Reads the deployed releases of this stack and of its source stack from the engine, before any resource is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pulumi

from common.errors import UserError
from infra.promotion import deployed
from infra.promotion.deployed import DeployedReleases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.promotion.deployed import DeployedRelease
    from infra.settings.model import Settings
    from infra.tiers.model import StackTier

_READ: Final = "pulumi:pulumi:readStackOutputs"
"""The engine function that StackReference uses. A direct call returns at once, so the program can refuse a release before it
registers the first resource. The outputs of a StackReference are not available until the program has ended."""


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
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
    try:
        response: Any = pulumi.runtime.invoke(_READ, {"name": name}).value  # Any: untyped; `deployed.parse` converts it
    except Exception as error:  # noqa: BLE001 the SDK raises various types, and each means that the stack cannot be read
        if "unknown stack" in str(error) or "no stack named" in str(error):
            return {}
        what = f"The outputs of stack {stack} cannot be read."
        raise UserError(what, where=name, found=error, fix="fix this error, then run the command again") from None
    outputs: Mapping[str, Any] = response["outputs"] or {}  # Any: see above
    return deployed.parse(outputs)
