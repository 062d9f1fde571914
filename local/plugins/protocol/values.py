"""Converts property values between the protocol and plain Python, with their secrets and unknowns.

| Python | property value |
| --- | --- |
| None, bool, int, float, str, list, dict | the same (whole numbers arrive as int) |
| `Secret(value)` | a secret, at any depth |
| `UNKNOWN` | not known before the update (previews only) |
| dict with the key `SIGNATURE` | asset, archive or resource reference, unchanged |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from google.protobuf import struct_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

Value: TypeAlias = Any
"""JSON with `Secret` and `UNKNOWN` at any depth. The user defines its shape, so no narrower type is possible."""
Object: TypeAlias = dict[str, Value]

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key that marks a dict with a meaning in the protocol (asset, secret, ...)."""
_SECRET: Final = "1b47061264138c4ac30d75fd1eb44270"  # noqa: S105, a constant of the protocol
_OUTPUT: Final = "d0e6a833031e9bbcd3f4e8bde6ca49a4"
_UNKNOWN: Final = "04da6b54-80e4-46f7-96ec-b56ff0331ba9"
_UNKNOWNS: Final = frozenset(
    {
        _UNKNOWN,
        "1c4a061d-8072-4f0a-a4cb-0ff528b18fe7",
        "3eeb2bf0-c639-47a8-9e75-3b44932eb421",
        "6a19a0b0-7e62-4c92-b797-7f8e31da9cc2",
        "030794c1-ac77-496b-92df-f27374a8bd58",
        "e48ece36-62e2-4504-bad9-02848725956a",
        "dd056dcd-154b-4c76-9bd3-c8f88648b5ff",
    }
)


class Unknown:
    """The type of `UNKNOWN`."""

    def __repr__(self) -> str:
        return "UNKNOWN"


UNKNOWN: Final = Unknown()


@dataclass(frozen=True)
class Secret:
    """A value that is encrypted in the state and never printed."""

    value: Value

    def __repr__(self) -> str:
        return "Secret([hidden])"


def from_value(value: struct_pb2.Value) -> Value:
    """Converts a protocol value to plain Python."""
    match value.WhichOneof("kind"):
        case "string_value":
            text = value.string_value
            return UNKNOWN if text in _UNKNOWNS else text
        case "number_value":
            number = value.number_value
            return int(number) if number.is_integer() else number
        case "bool_value":
            return value.bool_value
        case "list_value":
            return [from_value(item) for item in value.list_value.values]
        case "struct_value":
            return _from_fields(value.struct_value)
        case _:
            return None


def _from_fields(fields: struct_pb2.Struct) -> Value:
    plain = from_struct(fields)
    signature = plain.get(SIGNATURE)
    if signature == _SECRET:
        return Secret(plain.get("value"))
    if signature == _OUTPUT:
        inner = plain.get("value", UNKNOWN)
        return Secret(inner) if plain.get("secret") is True else inner
    return plain


def from_struct(fields: struct_pb2.Struct) -> Object:
    """Converts a protocol struct (inputs, state) to a dict."""
    return {key: from_value(item) for key, item in fields.fields.items()}


def to_value(value: Value) -> struct_pb2.Value:
    """Converts plain Python to a protocol value."""
    match value:
        case None:
            converted = struct_pb2.Value(null_value=struct_pb2.NullValue.NULL_VALUE)
        case bool():
            converted = struct_pb2.Value(bool_value=value)
        case int() | float():
            converted = struct_pb2.Value(number_value=value)
        case str():
            converted = struct_pb2.Value(string_value=value)
        case Unknown():
            converted = struct_pb2.Value(string_value=_UNKNOWN)
        case Secret():
            converted = to_value({SIGNATURE: _SECRET, "value": value.value})
        case dict():
            converted = struct_pb2.Value(struct_value=to_struct(cast("Object", value)))
        case list() | tuple():
            items = [to_value(item) for item in cast("list[Value]", value)]
            converted = struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
        case _:
            raise TypeError(f"not a property value: {type(value).__name__}")
    return converted


def to_struct(fields: Object) -> struct_pb2.Struct:
    """Converts a dict to a protocol struct."""
    return struct_pb2.Struct(fields={key: to_value(item) for key, item in fields.items()})


def reveal(value: Value) -> Value:
    """Returns the value with each `Secret` replaced by its content. Never print the result."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in cast("Object", value).items()}
    if isinstance(value, list):
        return [reveal(item) for item in cast("list[Value]", value)]
    return value


def _walk(value: Value) -> Iterator[Value]:
    yield value
    if isinstance(value, Secret):
        yield from _walk(value.value)
    elif isinstance(value, dict):
        for item in cast("Object", value).values():
            yield from _walk(item)
    elif isinstance(value, list):
        for item in cast("list[Value]", value):
            yield from _walk(item)


def has_unknown(value: Value) -> bool:
    """Returns whether the value contains an unknown, at any depth."""
    return any(item is UNKNOWN for item in _walk(value))


def has_secret(value: Value) -> bool:
    """Returns whether the value contains a secret, at any depth."""
    return any(isinstance(item, Secret) for item in _walk(value))


def same_secrets(value: Value, like: Value) -> Value:
    """Returns `value` with each part marked as secret that is secret in `like`. Compares lists and dicts item by item."""
    if isinstance(value, Secret):
        return value
    if isinstance(like, Secret):
        return Secret(value)
    if isinstance(value, dict) and isinstance(like, dict):
        other = cast("Object", like)
        return {key: same_secrets(item, other.get(key)) for key, item in cast("Object", value).items()}
    if isinstance(value, list) and isinstance(like, list):
        items, others = cast("list[Value]", value), cast("list[Value]", like)
        if len(items) != len(others) and has_secret(others):
            return Secret(items)  # the items can no longer be matched: mark all as secret rather than expose one
        return [same_secrets(item, others[i] if i < len(others) else None) for i, item in enumerate(items)]
    return cast("Value", value)
