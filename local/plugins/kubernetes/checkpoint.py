"""What stands in the state for an object: the object as last seen, and beside it the inputs it was made from."""

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
    """A resource's state, taken apart. Revealed and in the API's spelling."""

    inputs: Object
    live: Object


def read(state: Object) -> Checkpoint:
    plain = objects.dashed(reveal(state))
    inputs = plain.get(_INPUTS)
    live = {key: value for key, value in plain.items() if not key.startswith("__")}
    return Checkpoint(inputs=cast("Object", inputs) if isinstance(inputs, dict) else {}, live=live)


def write(live: Object, inputs: Object, secret_like: Object, manager: str) -> Object:
    """The state of an object.

    Args:
        live: the object. Who manages which of its fields is left out: it is long, and nobody's concern but the server's.
        inputs: the inputs it was made from, revealed.
        secret_like: inputs as the engine sent them: what is secret in them is secret in the state.
        manager: the field manager under which it was applied.
    """
    shown = objects.underscored(objects.with_metadata(live, managedFields=None))
    kept = objects.underscored(inputs)
    return {
        **objects.mark_secrets(shown, secret_like),
        _INPUTS: objects.mark_secrets(kept, secret_like),
        _VERSION: objects.text(inputs, "apiVersion") or objects.text(live, "apiVersion"),
        _MANAGER: manager,
    }


def importable(live: Object) -> Object:
    """What of an object that no program knew can be a program's inputs."""
    kept = {key: value for key, value in objects.normal(live).items() if key != "status"}
    found = objects.at(kept, "metadata", "annotations")
    if not isinstance(found, dict):
        return kept
    notes = {key: value for key, value in cast("Object", found).items() if key not in _READ_ONLY_ANNOTATIONS}
    return objects.with_metadata(kept, annotations=notes or None)
