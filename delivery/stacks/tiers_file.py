"""The file with the tiers, as the commands read and edit it. An edit preserves comments, order and layout."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, cast

from common.errors import UserError
from common.files import write_atomic
from delivery.stacks import stack_file
from infra.tiers import loading
from infra.tiers.model import FILE_NAME

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from infra.tiers.model import StackTier, Target


def resolve(stack: str) -> StackTier:
    """Returns a stack with its tier and its source. A command calls it once, where it begins.

    Raises:
        UserError: there is no such stack file, or no tier lists the stack. The Pulumi program refuses it with the same words.
    """
    stack_file.read(stack_file.path_of(stack))  # a misspelled name is answered with the names of the stack files
    return loading.resolve(stack)


@dataclass(frozen=True, kw_only=True)
class TiersEdit:
    """A checked change of the file that is not written yet."""

    before: str
    after: str

    @property
    def diff(self) -> str:
        """The change as a unified diff."""
        return stack_file.diff(FILE_NAME, self.before, self.after)

    def write(self) -> None:
        """Writes the file.

        Raises:
            UserError: the file was changed after it was read.
        """
        if loading.FILE.read_text(encoding="utf-8") != self.before:
            what = "The file with the tiers was changed while the command ran."
            raise UserError(what, where=FILE_NAME, fix="run the command again")
        write_atomic(loading.FILE, self.after)


def register(target: Target, replaced: Collection[Target] = ()) -> TiersEdit:
    """Returns the edit that registers a target.

    Args:
        target: the target.
        replaced: registered targets in whose place it comes. The first keeps its position and its comments, and the others
            are removed. Without any, the target is added at the end.

    Raises:
        UserError: the file would have problems, for example two tiers that name one target.
    """
    before = loading.FILE.read_text(encoding="utf-8")
    after = with_target(before, target, replaced)
    loading.parse_text(after)
    return TiersEdit(before=before, after=after)


def with_target(text: str, target: Target, replaced: Collection[Target] = ()) -> str:
    """Returns the text with the target in the place of others. See `register`."""
    import tomlkit

    fields = {
        "tier": target.tier,
        "cluster": target.cluster,
        "context": target.context,
        "namespace_prefix": target.namespace_prefix,
        "images": target.images,
    }
    present = {key: value for key, value in fields.items() if value}
    if not replaced:
        return f"{text.rstrip()}\n\n[[targets]]\n{tomlkit.dumps(present)}"
    document = tomlkit.parse(text)
    tables = cast("list[dict[str, object]]", document["targets"])  # an array of tables: the file was validated
    places = {(each.place, each.images) for each in replaced}
    first, *others = (number for number, table in enumerate(tables) if _place_of(table) in places)
    for key in fields.keys() - present.keys():
        tables[first].pop(key, None)
    tables[first].update(present)
    for number in reversed(others):
        del tables[number]
    return tomlkit.dumps(document)


def _place_of(table: Mapping[str, object]) -> tuple[tuple[object, object], object]:
    return (table["cluster"], table.get("namespace_prefix", "")), table["images"]
