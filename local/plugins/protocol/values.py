"""Property values as plain Python: what the engine sends and takes, with secrets and unknowns kept.

| Python | property value |
| --- | --- |
| None, bool, int, float, str, list, dict | the same (whole numbers arrive as int) |
| `Secret(value)` | a secret, at any depth |
| `UNKNOWN` | not known before the update (previews only) |
| dict with the key `SIGNATURE` | asset, archive or resource reference, untouched |
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, TypeAlias, cast

from google.protobuf import struct_pb2

if TYPE_CHECKING:
    from collections.abc import Iterator

Value: TypeAlias = Any
"""JSON with `Secret` and `UNKNOWN` anywhere: its shape is the user's, no type can say more."""
Object: TypeAlias = dict[str, Value]

SIGNATURE: Final = "4dabf18193072939515e22adb298388d"
"""The key that tells a dict with a meaning (asset, secret, ...) from a user's."""
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
    """A protocol value as plain Python."""
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
    """A protocol struct (inputs, state) as a dict."""
    return {key: from_value(item) for key, item in fields.fields.items()}


def to_value(value: Value) -> struct_pb2.Value:
    """Plain Python as a protocol value."""
    match value:
        case None:
            made = struct_pb2.Value(null_value=struct_pb2.NullValue.NULL_VALUE)
        case bool():
            made = struct_pb2.Value(bool_value=value)
        case int() | float():
            made = struct_pb2.Value(number_value=value)
        case str():
            made = struct_pb2.Value(string_value=value)
        case Unknown():
            made = struct_pb2.Value(string_value=_UNKNOWN)
        case Secret():
            made = to_value({SIGNATURE: _SECRET, "value": value.value})
        case dict():
            made = struct_pb2.Value(struct_value=to_struct(cast("Object", value)))
        case list() | tuple():
            items = [to_value(item) for item in cast("list[Value]", value)]
            made = struct_pb2.Value(list_value=struct_pb2.ListValue(values=items))
        case _:
            raise TypeError(f"not a property value: {type(value).__name__}")
    return made


def to_struct(fields: Object) -> struct_pb2.Struct:
    """A dict as a protocol struct."""
    return struct_pb2.Struct(fields={key: to_value(item) for key, item in fields.items()})


def reveal(value: Value) -> Value:
    """The value with each `Secret` replaced by what is in it. Never print the result."""
    if isinstance(value, Secret):
        return reveal(value.value)
    if isinstance(value, dict):
        return {key: reveal(item) for key, item in cast("Object", value).items()}
    if isinstance(value, list):
        return [reveal(item) for item in cast("list[Value]", value)]
    return value


def _inside(value: Value) -> Iterator[Value]:
    yield value
    if isinstance(value, Secret):
        yield from _inside(value.value)
    elif isinstance(value, dict):
        for item in cast("Object", value).values():
            yield from _inside(item)
    elif isinstance(value, list):
        for item in cast("list[Value]", value):
            yield from _inside(item)


def has_unknown(value: Value) -> bool:
    """Whether anything in the value is not known yet."""
    return any(item is UNKNOWN for item in _inside(value))


def has_secret(value: Value) -> bool:
    """Whether anything in the value is secret."""
    return any(isinstance(item, Secret) for item in _inside(value))


def same_secrets(value: Value, like: Value) -> Value:
    """`value` with those parts made secret that are secret in `like` (lists and dicts are walked side by side)."""
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
            return Secret(items)  # which item is which is not known any more: hide all rather than show one
        return [same_secrets(item, others[i] if i < len(others) else None) for i, item in enumerate(items)]
    return cast("Value", value)
