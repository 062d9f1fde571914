"""Names of objects that the program gives none, and of the field manager under which an object is applied."""

from __future__ import annotations

import hashlib
import secrets
from typing import TYPE_CHECKING

from local.plugins.kubernetes.manifests import objects

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object


def _suffix(seed: bytes, prefix: str) -> str:
    """Eight hexadecimal digits; the same for the same seed, so that a preview names what the update will make."""
    if not seed:
        return secrets.token_hex(4)
    return hashlib.sha256(seed + prefix.encode()).hexdigest()[:8]


def named(inputs: Object, old_inputs: Object, logical_name: str, seed: bytes) -> Object:
    """Inputs with a name: the program's, else the one made up before, else a new one from the logical name."""
    given = objects.name(inputs) or objects.text(inputs, "metadata", "generateName")
    if given or objects.is_unknown(inputs, "metadata", "name") or objects.is_unknown(inputs, "metadata", "generateName"):
        return inputs
    if old_inputs and objects.flagged(old_inputs, objects.AUTONAMED):
        made = objects.name(old_inputs)
    elif old_inputs:
        return inputs
    else:
        made = f"{logical_name}-{_suffix(seed, logical_name)}"
    return objects.annotated(objects.with_metadata(inputs, name=made), objects.AUTONAMED, "true")


def field_manager(urn: str, inputs: Object, state: Object) -> str:
    """Under which name our fields are owned: the annotation's, else the one in the state, else one made from the URN.

    Made from the URN so that an object whose creation was interrupted before the state knew of it is recognised as ours.
    """
    return (
        objects.annotation(inputs, objects.FIELD_MANAGER)
        or objects.text(state, "__fieldManager")
        or f"pulumi-kubernetes-{hashlib.sha256(urn.encode()).hexdigest()[:8]}"
    )


def is_ours(live: Object, manager: str) -> bool:
    """Whether this object was applied under our name for it."""
    return any(
        entry.get("manager") == manager and entry.get("operation") == "Apply"
        for entry in objects.items(live, "metadata", "managedFields")
    )
