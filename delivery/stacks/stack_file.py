"""Edits of `Pulumi.<stack>.yaml` that change what they mean to and nothing else: comments, order, quotes and secrets stay."""

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

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

Block = dict[str, Any]  # a YAML mapping: what is in it is the stack's business
"""Really ruamel's CommentedMap, a dict that remembers comments and style."""
RELEASES = f"{PROJECT}:releases"
WORKLOADS = f"{PROJECT}:workloads"
_SALT = "encryptionsalt"
_INDENTS = ((2, 4, 2), (2, 2, 0), (4, 6, 4), (4, 4, 0), (4, 4, 2))


def path_of(stack: str) -> Path:
    """The stack's file in this checkout."""
    return paths.CHECKOUT / f"Pulumi.{stack}.yaml"


def read(path: Path) -> str:
    """The text of a stack file.

    Raises:
        UserError: there is none.
    """
    try:
        return path.read_text(encoding="utf-8")
    except FileNotFoundError:
        known = ", ".join(sorted(file.name for file in path.parent.glob("Pulumi.*.yaml"))) or "none"
        raise UserError("There is no such stack file.", where=path.name, found=f"stack files here: {known}") from None


def write(path: Path, text: str) -> None:
    """Replaces a stack file, whole or not at all."""
    write_atomic(path, text)


def diff(name: str, before: str, after: str) -> str:
    """What an edit changes, as a unified diff; empty when it changes nothing."""
    lines = difflib.unified_diff(before.splitlines(), after.splitlines(), f"a/{name}", f"b/{name}", lineterm="")
    return "\n".join(lines)


def releases(text: str) -> Block:
    """The releases in a stack file, by workload, as plain YAML; `infra.settings.releases` types them."""
    return cast("Block", _plain(_config(_load(text)[1]).get(RELEASES) or {}))


def with_releases(text: str, workload: str, wanted: Mapping[str, object]) -> str:
    """The text with `wanted` as the workload's releases; the very same text where they already are.

    What does not change keeps its lines, with their comments: the versions are told apart by their numbers.
    """
    if releases(text).get(workload) == wanted:
        return text
    yaml, document = _load(text)
    config = _config(document)
    if not config.get(RELEASES):
        config[RELEASES] = _block({})
    config[RELEASES][workload] = _merged(config[RELEASES].get(workload), wanted)
    return _dump(yaml, document)


def with_endpoint(text: str, workload: str, node_port: int) -> str:
    """The text with a workload among those that have an endpoint. What is there of it already stays."""
    yaml, document = _load(text)
    config = _config(document)
    if not config.get(WORKLOADS):
        config[WORKLOADS] = _block({})
    if workload in config[WORKLOADS]:
        return text
    config[WORKLOADS][workload] = _block({"nodePort": node_port})
    return _dump(yaml, document)


def without_workload(text: str, workload: str) -> str:
    """The text without one workload's releases."""
    if set(releases(text)) <= {workload}:
        return without_releases(text)
    yaml, document = _load(text)
    if _config(document)[RELEASES].pop(workload, None) is None:
        return text
    return _dump(yaml, document)


def without_releases(text: str) -> str:
    """The text without any release."""
    yaml, document = _load(text)
    if _config(document).pop(RELEASES, None) is None:
        return text
    return _dump(yaml, document)


def salt(text: str) -> str:
    """The line that ties the file to a passphrase, empty where it is tied to none."""
    return next((line for line in text.splitlines() if line.startswith(f"{_SALT}:")), "")


def has_secrets(text: str) -> bool:
    """Whether the file holds encrypted values, which only its passphrase opens."""
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
    """The text tied to no passphrase."""
    return "".join(line for line in text.splitlines(keepends=True) if not line.startswith(f"{_SALT}:"))


def with_salt(text: str, line: str) -> str:
    """The text tied to the passphrase that `line` (see `salt`) belongs to."""
    return f"{without_salt(text).rstrip()}\n{line}\n"


def _load(text: str) -> tuple[YAML, Block]:
    yaml = YAML()
    yaml.preserve_quotes = True
    yaml.width = 4096
    try:
        document = cast("object", yaml.load(text))  # pyright: ignore[reportUnknownMemberType] ruamel types it loosely
    except YAMLError as error:
        raise UserError("A stack file is not valid YAML.", found=str(error).partition("\n\n")[0]) from None
    if not isinstance(document, CommentedMap):
        raise UserError("A stack file holds no mapping.", example="config:\n    modelstack:cluster: {kind: embedded}")
    block = cast("Block", document)
    # The text does not say how it is indented: whatever writes it back as it was.
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
    """`new`, in the nodes of `old` as far as they say the same."""
    if isinstance(old, dict) and isinstance(new, dict):
        block, wanted = cast("Block", old), cast("Block", new)
        for key in [key for key in block if key not in wanted]:
            del block[key]
        for key, value in wanted.items():
            if key not in block or _plain(block[key]) != value:
                block[key] = _merged(block.get(key), value)
        return block
    if isinstance(old, list) and isinstance(new, list):
        nodes, wanted_list = cast("list[object]", old), cast("list[object]", new)
        known = {_version(node): node for node in nodes}
        nodes[:] = [_merged(known.get(_version(item)), item) for item in wanted_list]
        return nodes
    return _block(new)


def _version(node: object) -> object:
    return cast("Block", node).get("version") if isinstance(node, dict) else None


def _block(value: object) -> object:
    if isinstance(value, list):
        return [_block(part) for part in cast("list[object]", value)]
    if not isinstance(value, dict):
        return value
    block = cast("Block", CommentedMap())
    for key, part in cast("Block", value).items():
        block[key] = _block(part)
    return block


def _plain(value: object) -> object:
    match value:
        case dict():
            return {str(key): _plain(part) for key, part in cast("Block", value).items()}
        case list():
            return [_plain(part) for part in cast("list[object]", value)]
        case bool() | None:
            return value
        case _:
            # ruamel's own kinds of int, float and str remember how they were written.
            return next((kind(value) for kind in (int, float, str) if isinstance(value, kind)), value)
