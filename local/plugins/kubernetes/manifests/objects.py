"""Kubernetes objects as dicts: looking into them, names, and the spelling in which two that mean the same are equal."""

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
"""Keys whose value maps resources to quantities, in objects of the API's own kinds."""
_QUANTITIES: Final = frozenset({"averageValue", "divisor", "sizeLimit"})


def at(value: Value, *path: str | int) -> Value:
    """What stands at a path in nested dicts and lists; None where there is nothing."""
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
    """The string at a path, empty when there is none (or it is not known yet)."""
    found = at(value, *path)
    return found if isinstance(found, str) else ""


def number(value: Value, *path: str | int, default: int = 0) -> int:
    """The whole number at a path."""
    found = at(value, *path)
    return found if isinstance(found, int) else default


def items(value: Value, *path: str | int) -> list[Object]:
    """The dicts in the list at a path."""
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
    """The API group, empty for the core group."""
    return text(obj, "apiVersion").rpartition("/")[0]


def annotation(obj: Object, key: str) -> str:
    return text(obj, "metadata", "annotations", key)


def flagged(obj: Object, key: str) -> bool:
    """Whether an annotation is set to `true`."""
    return annotation(obj, key) == "true"


def full_name(obj: Object) -> str:
    """`namespace/name`, or `name` of what has no namespace: the resource's id."""
    return f"{namespace(obj)}/{name(obj)}" if namespace(obj) else name(obj)


def with_metadata(obj: Object, **values: Value) -> Object:
    """A copy with these fields of its metadata set; None removes one."""
    found = at(obj, "metadata")
    metadata: Object = {**(cast("Object", found) if isinstance(found, dict) else {}), **values}
    return {**obj, "metadata": {key: value for key, value in metadata.items() if value is not None}}


def annotated(obj: Object, key: str, value: str) -> Object:
    """A copy with this annotation."""
    found = at(obj, "metadata", "annotations")
    old = cast("Object", found) if isinstance(found, dict) else {}
    return with_metadata(obj, annotations={**old, key: value})


def is_kind(obj: Object, api_group: str, *kinds: str) -> bool:
    return group(obj) == api_group and kind(obj) in kinds


def is_custom(obj: Object) -> bool:
    """Whether the kind is not one of the API server's own: nothing is known of its fields then."""
    own = group(obj)
    return "." in own and not own.endswith(".k8s.io")


def _rewritten(value: Value, rename: Callable[[str], str]) -> Value:
    if isinstance(value, Secret):
        return Secret(_rewritten(value.value, rename))
    if isinstance(value, dict):
        return {rename(key): _rewritten(item, rename) for key, item in cast("Object", value).items() if item is not None}
    if isinstance(value, list):
        return [_rewritten(item, rename) for item in cast("list[Value]", value)]
    return value


def dashed(value: Object) -> Object:
    """As the API spells it: the SDK writes `x-kubernetes-...` with underscores. Nulls, which mean nothing, are left out."""

    def rename(key: str) -> str:
        return key.replace("_", "-") if key.startswith(_UNDERSCORED) else key

    return cast("Object", _rewritten(value, rename))


def underscored(value: Object) -> Object:
    """As the SDK spells it, the other way round."""

    def rename(key: str) -> str:
        return key.replace("-", "_") if key.startswith(_DASHED) else key

    return cast("Object", _rewritten(value, rename))


def normal(obj: Object) -> Object:
    """Inputs in the spelling that the API server answers in, without what only it may set. Secrets are revealed before."""
    result = dict(obj)
    metadata = result.get("metadata")
    if isinstance(metadata, dict):
        kept = {key: value for key, value in cast("Object", metadata).items() if key not in _READ_ONLY}
        result["metadata"] = {key: value for key, value in kept.items() if key not in {"labels", "annotations"} or value != {}}
    if is_custom(result):
        return result
    if is_kind(result, "", "Secret"):
        return _normal_secret(result)
    if is_kind(result, "apiextensions.k8s.io", "CustomResourceDefinition"):
        result.pop("status", None)
        if at(result, "spec", "preserveUnknownFields") is False:
            spec = {key: value for key, value in cast("Object", result["spec"]).items() if key != "preserveUnknownFields"}
            result["spec"] = spec
        return result
    return {key: _quantities(value) for key, value in result.items()}


def _normal_secret(obj: Object) -> Object:
    """`stringData` becomes `data`, as on the server: it overwrites what is there."""
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
        return value  # the server will say what is wrong with it


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
    """`live` with only those fields that `shape` has too: what others set in the object is no concern of the program."""
    if isinstance(live, dict) and isinstance(shape, dict):
        wanted = cast("Object", shape)
        return {key: pruned(value, wanted[key]) for key, value in cast("Object", live).items() if key in wanted}
    if isinstance(live, list) and isinstance(shape, list):
        there, wanted_items = cast("list[Value]", live), cast("list[Value]", shape)
        return [pruned(value, want) for value, want in zip(there, wanted_items, strict=False)]
    return cast("Value", live)


def with_empties(found: Value, wanted: Value) -> Value:
    """`found` with what is empty in `wanted` and missing in it: the server drops that, so its absence is no drift."""
    if isinstance(found, dict) and isinstance(wanted, dict):
        there, before = cast("Object", found), cast("Object", wanted)
        kept = {key: with_empties(value, before.get(key)) for key, value in there.items()}
        return kept | {key: value for key, value in before.items() if key not in there and value in ({}, [], "", 0)}
    if isinstance(found, list) and isinstance(wanted, list):
        there_items, before_items = cast("list[Value]", found), cast("list[Value]", wanted)
        if len(there_items) == len(before_items):
            return [with_empties(value, want) for value, want in zip(there_items, before_items, strict=True)]
    return cast("Value", found)


def mark_secrets(outs: Object, ins: Object) -> Object:
    """`outs` with those values made secret that are secret in `ins`; the data of a Secret always are.

    A list is secret as a whole when anything in it is: which item is which may change on the way.
    """
    if outs.get("kind") == "Secret":
        return {
            key: Secret(value) if key in {"data", "stringData"} and not isinstance(value, Secret) else value
            for key, value in outs.items()
        }
    marked: Object = {}
    for key, value in outs.items():
        wanted = ins.get(key)
        if isinstance(value, dict) and isinstance(wanted, dict):
            marked[key] = mark_secrets(cast("Object", value), cast("Object", wanted))
        elif not isinstance(value, Secret) and has_secret(wanted):
            marked[key] = Secret(value)
        else:
            marked[key] = value
    return marked


def is_unknown(obj: Object, *path: str) -> bool:
    """Whether what stands at the path, or anything above it, is not known yet."""
    return any(at(obj, *path[: i + 1]) is UNKNOWN for i in range(len(path)))
