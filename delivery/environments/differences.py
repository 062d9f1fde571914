"""`modelstack diff`: the differences between the stack files of two environments."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final, cast

from delivery.console.tables import plain_table, wide_console
from delivery.stacks import stack_file
from infra.settings import loading

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from delivery.stacks.stack_file import Block
    from infra.settings.model import Settings

_WIDTH: Final = 120


def differences(one: str, other: str, *, as_json: bool) -> None:
    """Prints the keys at which two stack files differ, with both values."""
    different = compare(*(loading.load(stack_file.path_of(stack)) for stack in (one, other)))
    if as_json:
        print(json.dumps({key: {one: left, other: right} for key, (left, right) in different.items()}, indent=2))
        return
    if not different:
        print(f"{one} and {other} have the same settings and releases.")
        return
    table = plain_table("key", one, other)
    table.columns[0].no_wrap = True
    for key, sides in different.items():
        table.add_row(key, *("-" if side is None else str(side) for side in sides))
    wide_console(_WIDTH).print(table)


def compare(one: Settings, other: Settings) -> dict[str, tuple[object, object]]:
    """Returns the keys at which two environments differ, with both values. A value is None if an environment lacks the key."""
    left, right = (dict(_flat(each.model_dump(mode="json", by_alias=True))) for each in (one, other))
    keys = list(dict.fromkeys([*left, *right]))
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    """Yields the dotted path and the value of each scalar."""
    match value:
        case dict():
            for key, part in cast("Mapping[str, object]", value).items():
                yield from _flat(part, f"{path}.{key}" if path else key)
        case list():
            for index, part in enumerate(cast("list[object]", value)):
                # The path of a release contains its version, not its position in the list.
                block = cast("Block", part) if isinstance(part, dict) else {}
                yield from _flat(cast("object", part), f"{path}.{block.get('version', index)}")
        case _:
            yield path, value
