"""Generates names for objects that have none in the program, and the name of the field manager that applies an object."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from local.plugins.kubernetes.manifests import objects

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object


def _suffix(seed: bytes, prefix: str) -> str:
    """Returns eight hexadecimal digits. The same seed gives the same digits, so that a preview shows the name of the update."""
    if not seed:
        return secrets.token_hex(4)
    return hashlib.sha256(seed + prefix.encode()).hexdigest()[:8]


def with_name(inputs: Object, old_inputs: Object, logical_name: str, seed: bytes) -> Object:
    """Returns the inputs with a name: the program's, else the one generated before, else a new one from the logical name."""
    own = objects.name(inputs) or objects.text(inputs, "metadata", "generateName")
    if own or objects.is_unknown(inputs, "metadata", "name") or objects.is_unknown(inputs, "metadata", "generateName"):
        return inputs
    if old_inputs and objects.flagged(old_inputs, objects.AUTONAMED):
        generated = objects.name(old_inputs)
    elif old_inputs:
        return inputs
    else:
        generated = f"{logical_name}-{_suffix(seed, logical_name)}"
    return objects.with_annotation(objects.with_metadata(inputs, name=generated), objects.AUTONAMED, "true")


def field_manager(urn: str, inputs: Object, state: Object) -> str:
    """Returns the name of the field manager: the one in the annotation, else the one in the state, else one from the URN.

    The name is derived from the URN so that an object is recognised if its creation was interrupted before it was in the state.
    """
    return (
        objects.annotation(inputs, objects.FIELD_MANAGER)
        or objects.text(state, "__fieldManager")
        or f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"
    )


def is_applied_by(live: Object, manager: str) -> bool:
    """Returns whether the field manager `manager` has applied the object."""
    return any(
        entry.get("manager") == manager and entry.get("operation") == "Apply"
        for entry in objects.items(live, "metadata", "managedFields")
    )
