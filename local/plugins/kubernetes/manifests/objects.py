"""Kubernetes objects as dicts: access to their fields, copies with changes, and a canonical spelling for comparisons."""

from __future__ import annotations

import base64
import binascii
from typing import TYPE_CHECKING, Final, cast

from local.plugins.kubernetes.manifests.quantity import canonical
from local.plugins.protocol.values import UNKNOWN, Object, Secret, Value, has_secret, has_unknown

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

AUTONAMED: Final = "pulumi.com/autonamed"
SKIP_AWAIT: Final = "pulumi.com/skipAwait"
TIMEOUT: Final = "pulumi.com/timeoutSeconds"
WAIT_FOR: Final = "pulumi.com/waitFor"
PATCH_FORCE: Final = "pulumi.com/patchForce"
FIELD_MANAGER: Final = "pulumi.com/patchFieldManager"
PROPAGATION: Final = "pulumi.com/deletionPropagationPolicy"
REPLACE_UNREADY: Final = "pulumi.com/replaceUnready"

_READ_ONLY: Final = (
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
)
_UNDERSCORED: Final = "x_kubernetes_"
_DASHED: Final = "x-kubernetes-"
_QUANTITY_MAPS: Final = frozenset(
    {
        "allocatable",
        "capacity",
        "default",
        "defaultRequest",
        "hard",
        "limits",
        "max",
        "maxLimitRequestRatio",
        "min",
        "overhead",
        "requests",
    }
)
"""Keys whose values map resources to quantities, in objects of the API's own kinds."""
_QUANTITIES: Final = frozenset({"averageValue", "divisor", "sizeLimit"})


def at(value: Value, *path: str | int) -> Value:
    """Returns the value at a path in nested dicts and lists, with secrets revealed, or None if there is none."""
    for step in path:
        if isinstance(value, Secret):
            value = value.value
        if isinstance(step, int):
            items = cast("list[Value]", value) if isinstance(value, list) else []
            value = items[step] if step < len(items) else None
        else:
            value = cast("Object", value).get(step) if isinstance(value, dict) else None
    return value.value if isinstance(value, Secret) else value


def text(value: Value, *path: str | int) -> str:
    """Returns the string at a path; empty if there is none or it is unknown."""
    result = at(value, *path)
    return result if isinstance(result, str) else ""


def number(value: Value, *path: str | int, default: int = 0) -> int:
    """Returns the whole number at a path, or `default` if there is none."""
    result = at(value, *path)
    return result if isinstance(result, int) else default


def items(value: Value, *path: str | int) -> list[Object]:
    """Returns the dicts in the list at a path; empty if there is no list."""
    found = at(value, *path)
    return (
        [cast("Object", item) for item in cast("list[Value]", found) if isinstance(item, dict)]
        if isinstance(found, list)
        else []
    )


def name(obj: Object) -> str:
    return text(obj, "metadata", "name")


def namespace(obj: Object) -> str:
    return text(obj, "metadata", "namespace")


def kind(obj: Object) -> str:
    return text(obj, "kind")


def group(obj: Object) -> str:
    """Returns the API group, which is empty for the core group."""
    return text(obj, "apiVersion").rpartition("/")[0]


def annotation(obj: Object, key: str) -> str:
    return text(obj, "metadata", "annotations", key)


def flagged(obj: Object, key: str) -> bool:
    """Returns whether an annotation has the value `true`."""
    return annotation(obj, key) == "true"


def full_name(obj: Object) -> str:
    """Returns the id of the resource: `namespace/name`, or `name` if the object has no namespace."""
    return f"{namespace(obj)}/{name(obj)}" if namespace(obj) else name(obj)


def with_metadata(obj: Object, **values: Value) -> Object:
    """Returns a copy with these fields in its metadata. The value None removes a field."""
    found = at(obj, "metadata")
    metadata: Object = {**(cast("Object", found) if isinstance(found, dict) else {}), **values}
    return {**obj, "metadata": {key: value for key, value in metadata.items() if value is not None}}


def with_annotation(obj: Object, key: str, value: str) -> Object:
    """Returns a copy with this annotation."""
    found = at(obj, "metadata", "annotations")
    old = cast("Object", found) if isinstance(found, dict) else {}
    return with_metadata(obj, annotations={**old, key: value})


def is_kind(obj: Object, api_group: str, *kinds: str) -> bool:
    return group(obj) == api_group and kind(obj) in kinds


def is_custom(obj: Object) -> bool:
    """Returns whether the kind is a custom one, not one of the API server's own. The fields of custom kinds are unknown."""
    api_group = group(obj)
    return "." in api_group and not api_group.endswith(".k8s.io")


def _rewritten(value: Value, rename: Callable[[str], str]) -> Value:
    if isinstance(value, Secret):
        return Secret(_rewritten(value.value, rename))
    if isinstance(value, dict):
        return {rename(key): _rewritten(item, rename) for key, item in cast("Object", value).items() if item is not None}
    if isinstance(value, list):
        return [_rewritten(item, rename) for item in cast("list[Value]", value)]
    return value


def in_api_spelling(value: Object) -> Object:
    """Returns the object with the keys of the API: the SDK writes `x-kubernetes-...` with underscores. Omits nulls."""

    def rename(key: str) -> str:
        return key.replace("_", "-") if key.startswith(_UNDERSCORED) else key

    return cast("Object", _rewritten(value, rename))


def in_sdk_spelling(value: Object) -> Object:
    """Returns the object with the keys of the SDK, the reverse of `in_api_spelling`."""

    def rename(key: str) -> str:
        return key.replace("-", "_") if key.startswith(_DASHED) else key

    return cast("Object", _rewritten(value, rename))


def normalized(obj: Object) -> Object:
    """Returns inputs as the API server would return them, without the fields that only the server sets.

    Quantities, `stringData` and empty labels get the server's spelling. Secrets in `obj` must have been revealed.
    """
    result = dict(obj)
    metadata = result.get("metadata")
    if isinstance(metadata, dict):
        kept = {key: value for key, value in cast("Object", metadata).items() if key not in _READ_ONLY}
        result["metadata"] = {key: value for key, value in kept.items() if key not in {"labels", "annotations"} or value != {}}
    if is_custom(result):
        return result
    if is_kind(result, "", "Secret"):
        return _normalized_secret(result)
    if is_kind(result, "apiextensions.k8s.io", "CustomResourceDefinition"):
        result.pop("status", None)
        if at(result, "spec", "preserveUnknownFields") is False:
            spec = {key: value for key, value in cast("Object", result["spec"]).items() if key != "preserveUnknownFields"}
            result["spec"] = spec
        return result
    return {key: _quantities(value) for key, value in result.items()}


def _normalized_secret(obj: Object) -> Object:
    """Moves `stringData` into `data`, as the server does: it overwrites keys that exist in both."""
    plain, data = obj.get("stringData"), obj.get("data")
    if has_unknown(plain) or has_unknown(data):
        return obj
    merged: Object = {}
    for key, value in (cast("Object", data) if isinstance(data, dict) else {}).items():
        merged[key] = _canonical_base64(value) if isinstance(value, str) else value
    if not isinstance(plain, dict) or not plain:
        return {**obj, "data": merged} if merged else obj
    merged |= {key: base64.b64encode(str(value).encode()).decode() for key, value in cast("Object", plain).items()}
    return {**{key: value for key, value in obj.items() if key != "stringData"}, "data": merged}


def _canonical_base64(value: str) -> str:
    try:
        return base64.b64encode(base64.b64decode(value)).decode()
    except (binascii.Error, ValueError):
        return value  # the server will reject it with a message


def _quantities(value: Value, key: str = "") -> Value:
    if isinstance(value, dict):
        fields = cast("Object", value)
        if key in _QUANTITY_MAPS and _are_quantities(fields.values()):
            return {name: canonical(item) for name, item in fields.items()}
        return {name: _quantities(item, name) for name, item in fields.items()}
    if isinstance(value, list):
        return [_quantities(item) for item in cast("list[Value]", value)]
    if key in _QUANTITIES and isinstance(value, str | int | float) and not isinstance(value, bool):
        return canonical(value) or value
    return value


def _are_quantities(values: Iterable[Value]) -> bool:
    return all(
        isinstance(value, str | int | float) and not isinstance(value, bool) and canonical(value) is not None
        for value in values
    )


def pruned(live: Value, shape: Value) -> Value:
    """Returns `live` with only the fields that `shape` also has, because fields that others set do not concern the program."""
    if isinstance(live, dict) and isinstance(shape, dict):
        shape_fields = cast("Object", shape)
        return {key: pruned(value, shape_fields[key]) for key, value in cast("Object", live).items() if key in shape_fields}
    if isinstance(live, list) and isinstance(shape, list):
        live_items, shape_items = cast("list[Value]", live), cast("list[Value]", shape)
        return [pruned(value, item) for value, item in zip(live_items, shape_items, strict=False)]
    return cast("Value", live)


def with_dropped_empties(live: Value, inputs: Value) -> Value:
    """Returns `live` with the empty values of `inputs` that it lacks: the server drops empty values, so this is no drift."""
    if isinstance(live, dict) and isinstance(inputs, dict):
        live_fields, input_fields = cast("Object", live), cast("Object", inputs)
        result = {key: with_dropped_empties(value, input_fields.get(key)) for key, value in live_fields.items()}
        return result | {
            key: value for key, value in input_fields.items() if key not in live_fields and value in ({}, [], "", 0)
        }
    if isinstance(live, list) and isinstance(inputs, list):
        live_items, input_items = cast("list[Value]", live), cast("list[Value]", inputs)
        if len(live_items) == len(input_items):
            return [with_dropped_empties(value, item) for value, item in zip(live_items, input_items, strict=True)]
    return cast("Value", live)


def mark_secrets(obj: Object, like: Object) -> Object:
    """Returns `obj` with each value marked as secret that is secret in `like`. The data of a Secret are always secret.

    A list that contains a secret is secret as a whole, because the server may reorder its items.
    """
    if obj.get("kind") == "Secret":
        return {
            key: Secret(value) if key in {"data", "stringData"} and not isinstance(value, Secret) else value
            for key, value in obj.items()
        }
    marked: Object = {}
    for key, value in obj.items():
        source = like.get(key)
        if isinstance(value, dict) and isinstance(source, dict):
            marked[key] = mark_secrets(cast("Object", value), cast("Object", source))
        elif not isinstance(value, Secret) and has_secret(source):
            marked[key] = Secret(value)
        else:
            marked[key] = value
    return marked


def is_unknown(obj: Object, *path: str) -> bool:
    """Returns whether the value at the path, or a value above it, is unknown."""
    return any(at(obj, *path[: i + 1]) is UNKNOWN for i in range(len(path)))
