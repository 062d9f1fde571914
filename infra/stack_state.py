"""Reads the outputs and the resources of a stack from the engine, before any resource is declared.

The engine functions are those that StackReference uses. A direct call returns at once, so the program can refuse to continue
before it registers the first resource. The outputs of a StackReference are not available until the program has ended.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import pulumi

from common.errors import UserError

if TYPE_CHECKING:
    from collections.abc import Mapping

_READ_OUTPUTS: Final = "pulumi:pulumi:readStackOutputs"
_READ_RESOURCES: Final = "pulumi:pulumi:readStackResourceOutputs"


def outputs(stack: str) -> Mapping[str, Any]:  # Any: the engine does not type outputs
    """Returns the outputs of a stack's last update; empty for a stack without an update.

    Raises:
        UserError: the stack cannot be read.
    """
    return _read(_READ_OUTPUTS, "name", stack)


def resources(stack: str) -> Mapping[str, Mapping[str, Any]]:  # Any: see above
    """Returns the outputs of each resource in a stack's state, by URN. Also after an update that was interrupted.

    Raises:
        UserError: the stack cannot be read.
    """
    return {urn: resource.get("outputs") or {} for urn, resource in _read(_READ_RESOURCES, "stackName", stack).items()}


def _read(function: str, parameter: str, stack: str) -> Mapping[str, Any]:  # Any: see above
    name = f"{pulumi.get_organization()}/{pulumi.get_project()}/{stack}"
    try:
        response: Any = pulumi.runtime.invoke(function, {parameter: name}).value  # Any: see above
    except Exception as error:  # noqa: BLE001 the SDK raises various types, and each means that the stack cannot be read
        if "unknown stack" in str(error) or "no stack named" in str(error):
            return {}
        what = f"The state of stack {stack} cannot be read."
        raise UserError(what, where=name, found=error, fix="fix this error, then run the command again") from None
    return response["outputs"] or {}
