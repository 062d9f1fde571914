"""What an update would change, by property path."""

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
    """`("metadata", "labels", "a.b", 0)` -> `metadata.labels["a.b"][0]`, as the engine writes paths."""
    shown = ""
    for step in path:
        if isinstance(step, int):
            shown += f"[{step}]"
        elif any(sign in step for sign in '."[]'):
            escaped = step.replace('"', '\\"')
            shown += f'["{escaped}"]'
        else:
            shown += f".{step}" if shown else step
    return shown


def in_place(inputs: Object, old_inputs: Object, live: Object) -> tuple[Object, Object]:
    """Inputs and the object as last seen, made comparable: only fields of the program, names and namespaces at hand."""
    seen = cast("Object", objects.pruned(objects.normal(live), old_inputs))
    namespace = objects.namespace(live)
    if not objects.is_unknown(inputs, "metadata", "namespace") and bool(objects.namespace(inputs)) != bool(namespace):
        # Not given, or given to what has none.
        inputs = objects.with_metadata(inputs, namespace=namespace or None)
    if objects.namespace(inputs):
        seen = objects.with_metadata(seen, namespace=namespace)
    if objects.name(inputs):
        seen = objects.with_metadata(seen, name=objects.name(live))
    return inputs, seen


def differences(live: Object, old: Object, new: Object, forced: tuple[Rule, ...]) -> dict[str, Kind]:
    """Where the program's inputs differ from what is there.

    Args:
        live: the object as last seen, with only those fields that the program had set.
        old: the inputs of the last update. What the server has dropped of them (it drops what is empty) is no difference
            as long as the program does not change it. A list that is empty never is one.
        new: the inputs now.
        forced: fields whose change forces a replacement.
    """
    comparison = _Comparison(forced)
    comparison.compare((), live, old, new)
    return comparison.found


class _Comparison:
    def __init__(self, forced: tuple[Rule, ...]) -> None:
        self.found: dict[str, Kind] = {}
        self._forced = forced

    def compare(self, path: Path, there: Value, before: Value, want: Value) -> None:
        if want is _MISSING:
            if there is not _MISSING:
                self._add(path, Kind.DELETE, None)
        elif there is _MISSING:
            if want is UNKNOWN or (want != [] and (before is _MISSING or before != want)):
                self._add(path, Kind.ADD, want)
        elif isinstance(want, dict) and isinstance(there, dict):
            self._maps(path, _fields(there), _fields(before), _fields(want))
        elif isinstance(want, list) and isinstance(there, list):
            self._lists(path, _list(there), _list(before), _list(want))
        elif want is UNKNOWN or want != there or isinstance(want, bool) != isinstance(there, bool):
            self._add(path, Kind.UPDATE, want)

    def _maps(self, path: Path, there: Object, before: Object, want: Object) -> None:
        for key in sorted({*there, *want}):
            self.compare((*path, key), there.get(key, _MISSING), before.get(key, _MISSING), want.get(key, _MISSING))

    def _lists(self, path: Path, there: list[Value], before: list[Value], want: list[Value]) -> None:
        for index in range(max(len(there), len(want))):
            self.compare((*path, index), *(items[index] if index < len(items) else _MISSING for items in (there, before, want)))

    def _add(self, path: Path, kind: Kind, value: Value) -> None:
        replaces = forces_replacement(path, value, self._forced)
        self.found[path_text(path)] = Kind(kind.value + 1) if replaces else kind


def _fields(value: Value) -> Object:
    return cast("Object", value) if isinstance(value, dict) else {}


def _list(value: Value) -> list[Value]:
    return cast("list[Value]", value) if isinstance(value, list) else []


def ignored(path: str, ignore: list[str]) -> bool:
    """Whether a path is one that the program wants ignored, or below one."""
    return any(path == one or path.startswith((f"{one}.", f"{one}[")) for one in ignore)
