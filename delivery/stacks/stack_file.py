"""Edits of `Pulumi.<stack>.yaml` that preserve everything else in the file: comments, order, quotes and secrets."""

from __future__ import annotations

import difflib
import io
from typing import TYPE_CHECKING, Any, cast

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap
from ruamel.yaml.error import YAMLError

from common import paths
from common.errors import UserError
from common.files import write_atomic
from common.naming import PROJECT
from infra.settings import tour

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Block = dict[str, Any]  # a YAML mapping; its keys depend on the stack file
"""A YAML mapping. At run time it is ruamel's CommentedMap, a dict that also stores comments and style."""
RELEASES = f"{PROJECT}:releases"
WORKLOADS = f"{PROJECT}:workloads"
_SALT = "encryptionsalt"
_INDENTS = ((2, 4, 2), (2, 2, 0), (4, 6, 4), (4, 4, 0), (4, 4, 2))


def path_of(stack: str) -> Path:
    """Returns the path of the stack file in this checkout."""
    return paths.CHECKOUT / f"Pulumi.{stack}.yaml"


def read(path: Path) -> str:
    """Returns the text of a stack file.

    Raises:
        UserError: the file does not exist, or is not UTF-8.
    """
    try:
        return path.read_text(encoding="utf-8")
    except UnicodeDecodeError as error:
        raise UserError("The stack file is not UTF-8.", where=path.name, found=error, fix="save it as UTF-8") from None
    except FileNotFoundError:
        existing = ", ".join(sorted(file.name for file in path.parent.glob("Pulumi.*.yaml"))) or "none"
        fix = tour.fix_for_missing(path.name)
        raise UserError(
            "There is no such stack file.", where=path.name, found=f"stack files here: {existing}", fix=fix
        ) from None


def write(path: Path, text: str) -> None:
    """Replaces a stack file atomically."""
    write_atomic(path, text)


def diff(name: str, before: str, after: str) -> str:
    """Returns the unified diff of an edit; empty if the edit changes nothing."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm="")
    return "\n".join(lines)


def releases(text: str) -> Block:
    """Returns the releases in a stack file, by workload, as plain YAML; `infra.settings.releases` types them."""
    return cast("Block", _plain(_config(_load(text)[1]).get(RELEASES) or {}))


def with_releases(text: str, workload: str, desired: Mapping[str, object]) -> str:
    """Returns the text with `desired` as the workload's releases; the identical text if it already has them.

    Unchanged values keep their lines and comments. Releases are matched by their version numbers.
    """
    if releases(text).get(workload) == desired:
        return text
    yaml, document = _load(text)
    config = _config(document)
    if not config.get(RELEASES):
        config[RELEASES] = _block({})
    config[RELEASES][workload] = _merged(config[RELEASES].get(workload), desired)
    return _dump(yaml, document)


def with_endpoint(text: str, workload: str, node_port: int) -> str:
    """Returns the text with an endpoint for the workload. An existing block of the workload stays unchanged."""
    yaml, document = _load(text)
    config = _config(document)
    if not config.get(WORKLOADS):
        config[WORKLOADS] = _block({})
    if workload in config[WORKLOADS]:
        return text
    config[WORKLOADS][workload] = _block({"nodePort": node_port})
    return _dump(yaml, document)


def without_workload(text: str, workload: str) -> str:
    """Returns the text without the releases of one workload."""
    if set(releases(text)) <= {workload}:
        return without_releases(text)
    yaml, document = _load(text)
    if _config(document)[RELEASES].pop(workload, None) is None:
        return text
    return _dump(yaml, document)


def without_releases(text: str) -> str:
    """Returns the text without any releases."""
    yaml, document = _load(text)
    if _config(document).pop(RELEASES, None) is None:
        return text
    return _dump(yaml, document)


def salt(text: str) -> str:
    """Returns the line with the encryption salt, which ties the file to a passphrase; empty if there is none."""
    return next((line for line in text.splitlines() if line.startswith(f"{_SALT}:")), "")


def has_secrets(text: str) -> bool:
    """Returns whether the file contains encrypted values, which only the passphrase of its salt decrypts."""
    return _any_secure(_load(text)[1])


def _any_secure(value: object) -> bool:
    match value:
        case dict():
            block = cast("Block", value)
            return "secure" in block or any(_any_secure(part) for part in block.values())
        case list():
            return any(_any_secure(part) for part in cast("list[object]", value))
        case _:
            return False


def without_salt(text: str) -> str:
    """Returns the text without an encryption salt."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{_SALT}:"))


def with_salt(text: str, line: str) -> str:
    """Returns the text with `line` (see `salt`) as its encryption salt."""
    return f"{without_salt(text).rstrip()}\n{line}\n"


def fitting(text: str, value: str) -> str:
    """Returns the text with `value` as its encryption salt; the identical text if it has that salt or `value` is empty."""
    line = f"{_SALT}: {value}"
    return text if not value or salt(text) == line else with_salt(text, line)


def _load(text: str) -> tuple[YAML, Block]:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        document = cast("object", yaml.load(text))  # pyright: ignore[reportUnknownMemberType] ruamel types it loosely
    except YAMLError as error:
        raise UserError("The stack file is not valid YAML.", found=str(error).partition("\n\n")[0]) from None
    if not isinstance(document, CommentedMap):
        raise UserError("The stack file is not a YAML mapping.", example="config:\n    modelstack:cluster: {kind: embedded}")
    block = cast("Block", document)
    # ruamel does not detect the indentation: use the first one with which the output equals the input.
    for mapping, sequence, offset in _INDENTS:
        yaml.indent(mapping=mapping, sequence=sequence, offset=offset)
        if _dump(yaml, block) == text:
            return yaml, block
    yaml.indent(mapping=2, sequence=4, offset=2)
    return yaml, block


def _dump(yaml: YAML, document: Block) -> str:
    stream = io.StringIO()
    yaml.dump(document, stream)  # pyright: ignore[reportUnknownMemberType] ruamel types it loosely
    return stream.getvalue()


def _config(document: Block) -> Block:
    if document.get("config") is None:
        document["config"] = _block({})
    return cast("Block", document["config"])


def _merged(old: object, new: object) -> object:
    """Returns `new`, but reuses the nodes of `old`, with their comments, for equal values."""
    if isinstance(old, dict) and isinstance(new, dict):
        block, desired = cast("Block", old), cast("Block", new)
        for key in [key for key in block if key not in desired]:
            del block[key]
        for key, value in desired.items():
            if key not in block or _plain(block[key]) != value:
                block[key] = _merged(block.get(key), value)
        return block
    if isinstance(old, list) and isinstance(new, list):
        nodes, desired_nodes = cast("list[object]", old), cast("list[object]", new)
        by_version = {_version(node): node for node in nodes}
        nodes[:] = [_merged(by_version.get(_version(item)), item) for item in desired_nodes]
        return nodes
    return _block(new)


def _version(node: object) -> object:
    return cast("Block", node).get("version") if isinstance(node, dict) else None


def _block(value: object) -> object:
    """Returns a plain value as ruamel's nodes."""
    if isinstance(value, list):
        return [_block(part) for part in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    block = cast("Block", CommentedMap())
    for key, part in cast("Block", value).items():
        block[key] = _block(part)
    return block


def _plain(value: object) -> object:
    """Returns a YAML value as Python's own dict, list, int, float or str."""
    match value:
        case dict():
            return {str(key): _plain(part) for key, part in cast("Block", value).items()}
        case list():
            return [_plain(part) for part in cast("list[object]", value)]
        case bool() | None:
            return value
        case _:
            # ruamel returns subclasses of int, float and str, which store how the value was written.
            return next((kind(value) for kind in (int, float, str) if isinstance(value, kind)), value)
