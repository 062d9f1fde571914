"""From what pydantic found wrong to what its reader can mend: key, value, a good example, what to do."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import date
from typing import TYPE_CHECKING, Any, Final, cast

from common.errors import UserError
from common.naming import PROJECT

if TYPE_CHECKING:
    from pydantic import ValidationError
    from pydantic_core import ErrorDetails

Schema = Mapping[str, Any]  # Any: JSON Schema is as deep as the settings it describes

_LONGEST_VALUE: Final = 100
_KEY_OF_MAPPING: Final = "[key]"


@dataclass(frozen=True)
class Problem:
    """One thing wrong with one key."""

    key: str
    """Below the project's prefix: `cluster.apiPort`."""
    what: str
    """Goes on from the key: `is missing`."""
    found: object = None
    example: str = ""
    fix: str = ""


def refusal(source: str, problems: Sequence[Problem]) -> UserError:
    """All problems as one error."""
    errors = [
        UserError(f"{PROJECT}:{p.key} {p.what}.", where=source, found=p.found, example=p.example, fix=p.fix) for p in problems
    ]
    if len(errors) == 1:
        return errors[0]
    return UserError("\n\n".join([f"{source} has {len(errors)} problems.", *map(str, errors)]))


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """What to do about a name that is not among the known."""
    by_folded = {each.lower(): each for each in known}
    matches = difflib.get_close_matches(name.lower(), by_folded, n=1)
    return f"did you mean `{by_folded[matches[0]]}`?" if matches else otherwise


def problems_of(error: ValidationError, schema: Schema) -> list[Problem]:
    """One problem per error.

    Args:
        error: what validation raised.
        schema: JSON Schema of the model that raised it: knows the keys there are and an example of each.
    """
    return [_problem(details, schema) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, schema: Schema) -> Problem:
    path, node = _walk(details["loc"], schema)
    key, found = ".".join(path), _shown(details["input"])
    good = _shown(_example(node, schema)) if node else ""
    match details["type"]:
        case "missing":
            return Problem(key, "is missing", None, f"{path[-1]}: {good}", "add it")
        case "extra_forbidden":
            known = list(_walk(details["loc"][:-1], schema)[1].get("properties", ()))
            fix = nearest(path[-1], known, f"remove it; known here: {', '.join(known)}")
            return Problem(key, "is no key that is known here", found, fix=fix)
        case "union_tag_not_found" | "union_tag_invalid":
            kinds = ", ".join(_branches(node))
            return Problem(f"{key}.kind", "does not say which kind it is", found, kinds, "write one of these")
        case "string_pattern_mismatch":
            return Problem(key, "does not have the right form", found, good, "write it like the example")
        case "string_type" if isinstance(details["input"], int | float | date):
            kind = "date" if isinstance(details["input"], date) else "number"
            return Problem(key, f"is a {kind} and should be text", found, f'"{good}"', "put it in quotes")
        case _:
            what = details["msg"].replace("Input should", "should", 1)
            return Problem(key, what, found, good, "write it like the example" if good else "")


def _walk(loc: Sequence[int | str], schema: Schema) -> tuple[list[str], Schema]:
    """The key's path as the file has it, and its schema (empty where the key is unknown)."""
    path: list[str] = []
    container, node = schema, schema
    for part in map(str, loc):
        if part in _branches(node):  # pydantic names the branch it took; the file has no such level
            node = {"$ref": _branches(node)[part]}
        elif part == _KEY_OF_MAPPING:
            node = container.get("propertyNames", {})
        else:
            path.append(part)
            container, node = node, _property(node, part)
        node = _resolved(node, schema)
    return path, node


def _property(node: Schema, name: str) -> Schema:
    if name.isdecimal() and "items" in node:
        return node["items"]
    named: Mapping[str, Schema] = node.get("properties", {})
    patterns: Mapping[str, Schema] = node.get("patternProperties", {})
    extra: Schema | bool = node.get("additionalProperties", False)
    return named.get(name) or next(iter(patterns.values()), None) or (extra if isinstance(extra, Mapping) else {})


def _branches(node: Schema) -> Mapping[str, str]:
    """Of a union: the reference to each branch's schema, by the value that chooses it."""
    return node.get("discriminator", {}).get("mapping", {})


def _resolved(node: Schema, schema: Schema) -> Schema:
    """What a reference means; of what may be absent, what it is where it is there."""
    while True:
        optional = [each for each in node.get("anyOf", ()) if each.get("type") != "null"]
        if "$ref" in node:
            node = schema["$defs"][node["$ref"].rpartition("/")[2]]
        elif len(optional) == 1:
            node = optional[0]
        else:
            return node


def _example(node: Schema, schema: Schema) -> object:
    node = _resolved(node, schema)
    if "examples" in node:
        return node["examples"][0]
    choices: Sequence[Schema] = (*node.get("oneOf", ()), *node.get("anyOf", ()))
    if choices:
        return _example(choices[0], schema)
    if "properties" in node:
        return {name: _example(node["properties"][name], schema) for name in node.get("required", ())}
    return node.get("const", node.get("default", next(iter(node.get("enum", ())), None)))


def _shown(value: object) -> str:
    text = _flow(value)
    return text if len(text) <= _LONGEST_VALUE else f"{text[: _LONGEST_VALUE - 3]}..."


def _flow(value: object) -> str:
    """As YAML would have it on one line."""
    match value:
        case Mapping():
            items = cast("Mapping[object, object]", value).items()
            return "{" + ", ".join(f"{key}: {_flow(item)}" for key, item in items) + "}"
        case list() | tuple():
            return "[" + ", ".join(map(_flow, cast("Sequence[object]", value))) + "]"
        case str() | date():
            return str(value)
        case None:
            return "nothing"
        case _:
            return json.dumps(value, default=str)
