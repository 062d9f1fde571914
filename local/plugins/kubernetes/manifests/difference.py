"""Finds what an update would change, by property path."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, cast

from local.plugins.kubernetes.manifests import objects
from local.plugins.kubernetes.manifests.immutable import Path, Rule, forces_replacement
from local.plugins.protocol.messages import Kind
from local.plugins.protocol.values import UNKNOWN

if TYPE_CHECKING:
    from local.plugins.protocol.values import Object, Value


class _Missing:
    pass


_MISSING: Final = _Missing()


def path_text(path: Path) -> str:
    """Formats a path as the engine does: `("metadata", "labels", "a.b", 0)` becomes `metadata.labels["a.b"][0]`."""
    text = ""
    for step in path:
        if isinstance(step, int):
            text += f"[{step}]"
        elif any(sign in step for sign in '."[]'):
            escaped = step.replace('"', '\\"')
            text += f'["{escaped}"]'
        else:
            text += f".{step}" if text else step
    return text


def comparable(inputs: Object, old_inputs: Object, live: Object) -> tuple[Object, Object]:
    """Returns the inputs and the object as last read in a form in which they can be compared.

    The object has only the fields that the program has set. Both have a namespace or neither has, and both have a name if the
    inputs have one.
    """
    pruned = cast("Object", objects.pruned(objects.normalized(live), old_inputs))
    namespace = objects.namespace(live)
    if not objects.is_unknown(inputs, "metadata", "namespace") and bool(objects.namespace(inputs)) != bool(namespace):
        # The program sets no namespace, or sets one for an object whose kind has none.
        inputs = objects.with_metadata(inputs, namespace=namespace or None)
    if objects.namespace(inputs):
        pruned = objects.with_metadata(pruned, namespace=namespace)
    if objects.name(inputs):
        pruned = objects.with_metadata(pruned, name=objects.name(live))
    return inputs, pruned


def differences(live: Object, old: Object, new: Object, forced: tuple[Rule, ...]) -> dict[str, Kind]:
    """Returns where the program's inputs differ from the object, by property path.

    Args:
        live: the object as last read, with only the fields that the program had set.
        old: the inputs of the last update. The server drops empty fields. A field of `old` that is missing in `live` is no
            difference as long as the program does not change the field. A missing empty list is never a difference.
        new: the current inputs.
        forced: the fields whose change forces a replacement.
    """
    comparison = _Comparison(forced)
    comparison.compare((), live, old, new)
    return comparison.paths


class _Comparison:
    def __init__(self, forced: tuple[Rule, ...]) -> None:
        self.paths: dict[str, Kind] = {}
        self._forced = forced

    def compare(self, path: Path, live: Value, old: Value, new: Value) -> None:
        if new is _MISSING:
            if live is not _MISSING:
                self._add(path, Kind.DELETE, None)
        elif live is _MISSING:
            if new is UNKNOWN or (new != [] and (old is _MISSING or old != new)):
                self._add(path, Kind.ADD, new)
        elif isinstance(new, dict) and isinstance(live, dict):
            self._maps(path, _fields(live), _fields(old), _fields(new))
        elif isinstance(new, list) and isinstance(live, list):
            self._lists(path, _list(live), _list(old), _list(new))
        elif new is UNKNOWN or new != live or isinstance(new, bool) != isinstance(live, bool):
            self._add(path, Kind.UPDATE, new)

    def _maps(self, path: Path, live: Object, old: Object, new: Object) -> None:
        for key in sorted({*live, *new}):
            self.compare((*path, key), live.get(key, _MISSING), old.get(key, _MISSING), new.get(key, _MISSING))

    def _lists(self, path: Path, live: list[Value], old: list[Value], new: list[Value]) -> None:
        for index in range(max(len(live), len(new))):
            self.compare((*path, index), *(items[index] if index < len(items) else _MISSING for items in (live, old, new)))

    def _add(self, path: Path, kind: Kind, value: Value) -> None:
        replaces = forces_replacement(path, value, self._forced)
        self.paths[path_text(path)] = Kind(kind.value + 1) if replaces else kind


def _fields(value: Value) -> Object:
    return cast("Object", value) if isinstance(value, dict) else {}


def _list(value: Value) -> list[Value]:
    return cast("list[Value]", value) if isinstance(value, list) else []


def is_ignored(path: str, ignore: list[str]) -> bool:
    """Returns whether a path is one of the paths in `ignore`, or below one of them."""
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in ignore)
