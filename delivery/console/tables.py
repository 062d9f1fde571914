"""Tables that the commands print, and the short identifiers in them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

_SHORT: Final = 12
"""The number of characters of a digest or a run ID in a table."""


def wide_console(width: int) -> Console:
    """Returns a console on standard output with at least `width` columns.

    A narrow terminal wraps the lines, but identifiers stay whole and can be copied.
    """
    from rich.console import Console

    console = Console(highlight=False)
    console.width = max(console.width, width)
    return console


def plain_table(*titles: str) -> Table:
    """Returns an empty table without borders. Long cells wrap and are not truncated."""
    from rich.table import Table

    table = Table(box=None, pad_edge=False, header_style="bold")
    for title in titles:
        table.add_column(title, overflow="fold")
    return table


def short(identifier: str) -> str:
    """Returns the first twelve characters of a digest or a run ID, which are enough to identify it."""
    return identifier.removeprefix("sha256:")[:_SHORT]
