"""Translates pydantic's validation errors into messages for users: the key, the value found, a valid example and the fix."""

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
"""Pydantic's name for the key of a mapping, as opposed to the value."""


@dataclass(frozen=True)
class Problem:
    """One problem with one key of a stack file."""

    key: str
    """The key without the project's prefix, for example `cluster.apiPort`."""
    what: str
    """The predicate of a sentence whose subject is the key, for example `is missing`."""
    found: object = None
    example: str = ""
    fix: str = ""


def refusal(source: str, problems: Sequence[Problem]) -> UserError:
    """Returns one error for all problems."""
    errors = [
        UserError(f"{PROJECT}:{p.key} {p.what}.", where=source, found=p.found, example=p.example, fix=p.fix) for p in problems
    ]
    if len(errors) == 1:
        return errors[0]
    return UserError("\n\n".join([f"{source} has {len(errors)} problems.", *map(str, errors)]))


def nearest(name: str, known: Iterable[str], otherwise: str) -> str:
    """Returns the fix for an unknown name: the most similar known name, or `otherwise` if no known name is similar."""
    by_lower_case = {each.lower(): each for each in known}
    matches = difflib.get_close_matches(name.lower(), by_lower_case, n=1)
    return f"did you mean `{by_lower_case[matches[0]]}`?" if matches else otherwise


def problems_of(error: ValidationError, schema: Schema) -> list[Problem]:
    """Returns one problem for each error of a validation.

    Args:
        error: the exception that the validation raised.
        schema: the JSON Schema of the model that raised it. It contains the known keys and an example of each.
    """
    return [_problem(details, schema) for details in error.errors(include_url=False)]


def _problem(details: ErrorDetails, schema: Schema) -> Problem:
    path, node = _walk(details["loc"], schema)
    key, found = ".".join(path), _shown(details["input"])
    example = _shown(_example(node, schema)) if node else ""
    match details["type"]:
        case "missing":
            return Problem(key, "is missing", None, f"{path[-1]}: {example}", "add it")
        case "extra_forbidden":
            known = list(_walk(details["loc"][:-1], schema)[1].get("properties", ()))
            fix = nearest(path[-1], known, f"remove it; known keys: {', '.join(known)}")
            return Problem(key, "is not a known key", found, fix=fix)
        case "union_tag_not_found" | "union_tag_invalid":
            kinds = ", ".join(_branches(node))
            return Problem(f"{key}.kind", "is missing or unknown", found, kinds, "write one of these")
        case "string_pattern_mismatch":
            return Problem(key, "does not have the right format", found, example, "write it like the example")
        case "string_type" if isinstance(details["input"], int | float | date):
            kind = "date" if isinstance(details["input"], date) else "number"
            return Problem(key, f"is a {kind} but should be text", found, f'"{example}"', "put it in quotes")
        case _:
            what = details["msg"].replace("Input should", "should", 1)
            return Problem(key, what, found, example, "write it like the example" if example else "")


def _walk(loc: Sequence[int | str], schema: Schema) -> tuple[list[str], Schema]:
    """Returns the path of a key in the stack file and the key's schema. The schema of an unknown key is empty."""
    path: list[str] = []
    container, node = schema, schema
    for part in map(str, loc):
        if part in _branches(node):  # pydantic adds the chosen branch of a union to the path; the file has no such level
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
    """Returns the references to the schemas of a union's branches, by the value that selects the branch."""
    return node.get("discriminator", {}).get("mapping", {})


def _resolved(node: Schema, schema: Schema) -> Schema:
    """Returns the schema without indirections: follows references, and unwraps `X | None` to `X`."""
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
    """Formats a value in the flow style of YAML, on one line."""
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
