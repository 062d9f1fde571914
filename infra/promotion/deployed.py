"""What other stacks, and this one after its last update, say of what they serve. Read before anything is declared."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pulumi

from common.errors import UserError
from infra.promotion.rules import Known, Stable, requirements

if TYPE_CHECKING:
    from collections.abc import Mapping

    from infra.settings.model import Settings

OUTPUT: Final = "releases"
"""The output that tells it. See `infra.outputs.ReleaseOutput`."""
_READ: Final = "pulumi:pulumi:readStackOutputs"
"""The function of the engine that a StackReference is made of. Called by itself it answers at once, so that a refusal comes
before the first resource; the outputs of a StackReference come when the program is through."""


def read(stack: str, settings: Settings) -> Known:
    """What is stable here and in the stack that releases come from, as far as this stack's requirements ask for it.

    Raises:
        UserError: a stack cannot be read.
    """
    wanted = requirements(stack)
    if not settings.releases or not (wanted.evidence or wanted.proven):
        return Known()
    return Known(here=_stable(stack), source=_stable(wanted.source) if wanted.proven and wanted.source else {})


def _stable(stack: str) -> Mapping[str, Stable]:
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
    try:
        told: Any = pulumi.runtime.invoke(_READ, {"name": name}).value  # the engine's answer, typed by `parse`
    except Exception as error:  # noqa: BLE001 the SDK raises what it likes, and all of it means the same here
        if "unknown stack" in str(error) or "no stack named" in str(error):
            return {}
        raise UserError(f"What is served in {stack} cannot be read.", where=name, found=error, fix="mend that first") from None
    outputs: Mapping[str, Any] = told["outputs"] or {}  # see above
    return parse(outputs)


def parse(outputs: Mapping[str, Any]) -> Mapping[str, Stable]:  # as the engine gives them
    """What a stack's outputs say is stable, by workload. Empty for a stack that has never been up."""
    found: Mapping[str, Any] = outputs.get(OUTPUT) or {}
    return {
        workload: Stable(
            version=int(told["version"]),
            image=str(told["image"]),
            metrics={str(name): float(value) for name, value in told["metrics"].items()},
            proven=frozenset(map(str, told["proven"])),
            canary=int(told["canary"]["version"]) if told.get("canary") else None,
            percent=int(told["canary"]["percent"]) if told.get("canary") else 0,
        )
        for workload, told in found.items()
    }
