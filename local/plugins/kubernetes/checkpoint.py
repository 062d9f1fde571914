"""The state of a resource: the object as last read from the cluster, and the inputs from which it was created."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, cast

from local.plugins.kubernetes.manifests import objects
from local.plugins.protocol.values import reveal

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object

_INPUTS: Final = "__inputs"
_VERSION: Final = "__initialApiVersion"
_MANAGER: Final = "__fieldManager"
_READ_ONLY_ANNOTATIONS: Final = ("deployment.kubernetes.io/revision", "kubectl.kubernetes.io/last-applied-configuration")


@dataclass(frozen=True)
class Checkpoint:
    """The parts of a resource's state, with secrets revealed and in the API's spelling."""

    inputs: Object
    live: Object


def read(state: Object) -> Checkpoint:
    """Splits a state, as the engine sends it, into its parts."""
    plain = objects.in_api_spelling(reveal(state))
    inputs = plain.get(_INPUTS)
    live = {key: value for key, value in plain.items() if not key.startswith("__")}
    return Checkpoint(inputs=cast("Object", inputs) if isinstance(inputs, dict) else {}, live=live)


def write(live: Object, inputs: Object, secret_like: Object, manager: str) -> Object:
    """Returns the state of an object.

    Args:
        live: the object. Its `managedFields` are omitted, because they are long and only the server uses them.
        inputs: the inputs from which the object was created, with secrets revealed.
        secret_like: the inputs as the engine sent them. Values that are secret in them are secret in the state.
        manager: the field manager that applied the object.
    """
    outputs = objects.in_sdk_spelling(objects.with_metadata(live, managedFields=None))
    sdk_inputs = objects.in_sdk_spelling(inputs)
    return {
        **objects.mark_secrets(outputs, secret_like),
        _INPUTS: objects.mark_secrets(sdk_inputs, secret_like),
        _VERSION: objects.text(inputs, "apiVersion") or objects.text(live, "apiVersion"),
        _MANAGER: manager,
    }


def importable(live: Object) -> Object:
    """Returns the fields of an imported object that can be inputs of a program."""
    inputs = {key: value for key, value in objects.normalized(live).items() if key != "status"}
    annotations = objects.at(inputs, "metadata", "annotations")
    if not isinstance(annotations, dict):
        return inputs
    writable = {key: value for key, value in cast("Object", annotations).items() if key not in _READ_ONLY_ANNOTATIONS}
    return objects.with_metadata(inputs, annotations=writable or None)
