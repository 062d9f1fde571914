"""Two environments side by side: what their stack files say differently."""

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
    """Prints what two stack files say differently."""
    found = compared(*(loading.load(stack_file.path_of(stack)) for stack in (one, other)))
    if as_json:
        print(json.dumps({key: {one: left, other: right} for key, (left, right) in found.items()}, indent=2))
        return
    if not found:
        print(f"{one} and {other} say the same.")
        return
    table = plain_table("key", one, other)
    table.columns[0].no_wrap = True
    for key, sides in found.items():
        table.add_row(key, *("-" if side is None else str(side) for side in sides))
    wide_console(_WIDTH).print(table)


def compared(one: Settings, other: Settings) -> dict[str, tuple[object, object]]:
    """The keys at which two environments differ, with both values; None where one has no such key."""
    left, right = (dict(_flat(each.model_dump(mode="json", by_alias=True))) for each in (one, other))
    keys = list(dict.fromkeys([*left, *right]))
    return {key: (left.get(key), right.get(key)) for key in keys if left.get(key) != right.get(key)}


def _flat(value: object, path: str = "") -> Iterator[tuple[str, object]]:
    match value:
        case dict():
            for key, part in cast("Mapping[str, object]", value).items():
                yield from _flat(part, f"{path}.{key}" if path else key)
        case list():
            for index, part in enumerate(cast("list[object]", value)):
                # Releases are told apart by their version, not by their place in the list.
                block = cast("Block", part) if isinstance(part, dict) else {}
                yield from _flat(cast("object", part), f"{path}.{block.get('version', index)}")
        case _:
            yield path, value
