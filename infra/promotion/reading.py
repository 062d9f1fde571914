"""Reads, through the engine, what is deployed by other stacks and by this one. Done before anything is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pulumi

from common.errors import UserError
from infra.promotion import deployed, requirements
from infra.promotion.deployed import DeployedReleases

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.promotion.deployed import DeployedRelease
    from infra.settings.model import Settings

_READ: Final = "pulumi:pulumi:readStackOutputs"
"""The function of the engine that a StackReference is made of. Called by itself it answers at once, so that a refusal comes
before the first resource; the outputs of a StackReference come when the program is through."""


def read(stack: str, settings: Settings) -> DeployedReleases:
    """What is deployed here and in the stack that releases come from, as far as this stack's requirements ask for it.

    Raises:
        UserError: a stack cannot be read.
    """
    wanted = requirements.for_stack(stack)
    if not settings.releases or not (wanted.evidence or wanted.proven):
        return DeployedReleases()
    return DeployedReleases(here=_deployed(stack), source=_deployed(wanted.source) if wanted.proven and wanted.source else {})


def _deployed(stack: str) -> Mapping[str, DeployedRelease]:
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
    try:
        answer: Any = pulumi.runtime.invoke(_READ, {"name": name}).value  # the engine's answer, typed by `deployed.parse`
    except Exception as error:  # noqa: BLE001 the SDK raises what it likes, and all of it means the same here
        if "unknown stack" in str(error) or "no stack named" in str(error):
            return {}
        raise UserError(f"What is served in {stack} cannot be read.", where=name, found=error, fix="mend that first") from None
    outputs: Mapping[str, Any] = answer["outputs"] or {}  # see above
    return deployed.parse(outputs)
