"""Tables that the commands print, and the short forms of identifiers in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_SHORT: Final = 12
"""Characters of a digest or a run that a table shows."""


def wide_console(width: int) -> Console:
    """Standard output with at least `width` columns: a narrow terminal breaks lines, and identifiers can still be copied."""
    from rich.console import Console

    console = Console(highlight=False)
    console.width = max(console.width, width)
    return console


def plain_table(*titles: str) -> Table:
    """A table without lines whose cells fold instead of being cut."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def short(identifier: str) -> str:
    """The first twelve characters of a digest or a run, enough to tell it from others."""
    return identifier.removeprefix("sha256:")[:_SHORT]
